// HamtFixture: a map in a MemoryStore beside a hash map that it must equal.
//
// Threads:    one thread.
// Processes:  none.
// Owns:       the store and the model.
// Lifetime:   one test.
// Errors:     differences are test failures.
// Cost:       Check() reads everything.
#ifndef EVE_TESTS_COLLECTIONS_HAMT_FIXTURE_H_
#define EVE_TESTS_COLLECTIONS_HAMT_FIXTURE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/collections/hamt_map.h"
#include "gtest/gtest.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/trie_checker.h"
#include "util/random.h"

namespace eve {

using Model = absl::flat_hash_map<std::string, std::string>;

// An op that owns its bytes.
struct TestOp {
  MapOpKind kind = MapOpKind::kPut;
  std::string key;
  std::string value;
};

// A root and what it must read as.
struct TestSnapshot {
  MapRoot root;
  Model model;
};

class HamtFixture {
 public:
  static constexpr uint32_t kCollection = 7;

  explicit HamtFixture(uint64_t mask = ~uint64_t{0})
      : hasher_{.seed = 0x5EED, .mask = mask} {
    context_.store = &store_;
    context_.hasher = hasher_;
    context_.collection = kCollection;
  }

  // Applies to the map and to the model; expects the same answers.
  void Apply(const std::vector<TestOp>& ops) {
    std::vector<MapOp> map_ops = MapOps(ops);
    ASSERT_EQ(HamtApply(context_, absl::MakeSpan(map_ops), root_),
              absl::OkStatus());
    for (size_t i = 0; i < ops.size(); ++i) {
      ASSERT_EQ(map_ops[i].existed, ApplyToModel(ops[i])) << "op " << i;
    }
    ASSERT_EQ(root_.count, model_.size());
  }
  void Put(const std::string& key, const std::string& value) {
    Apply({{MapOpKind::kPut, key, value}});
  }
  void Erase(const std::string& key) { Apply({{MapOpKind::kErase, key, ""}}); }

  // The trie keeps all its rules, reads as the model, and the store has not a
  // block too many or too few.
  void Check() {
    ASSERT_EQ(
        CheckTrie(store_.view(), hasher_, kCollection, root_.slot, &content_),
        absl::OkStatus());
    ASSERT_TRUE(content_.records == model_);
    ASSERT_EQ(root_.count, model_.size());
    ASSERT_EQ(store_.live_bytes(), content_.bytes);
    ASSERT_TRUE(store_.live() == content_.blocks);
  }

  // Every key of `expected` is found with its value, by both kinds of find.
  void CheckFinds(const MapRoot& root, const Model& expected) {
    std::vector<Bytes> keys;
    for (const auto& [key, value] : expected) {
      const FindResult result = Find(root, key);
      ASSERT_EQ(result.outcome, FindOutcome::kFound);
      ASSERT_TRUE(result.value == Bytes(value));
      keys.emplace_back(key);
    }
    std::vector<FindResult> results(keys.size());
    HamtMultiFind(store_.view(), hasher_, root.slot, keys,
                  absl::MakeSpan(results));
    for (size_t i = 0; i < keys.size(); ++i) {
      ASSERT_EQ(results[i].outcome, FindOutcome::kFound);
      ASSERT_TRUE(results[i].value ==
                  Bytes(expected.find(keys[i].ToString())->second));
    }
  }

  FindResult Find(const MapRoot& root, const std::string& key) {
    return HamtFind(store_.view(), hasher_, root.slot, key);
  }

  TestSnapshot TakeSnapshot() {
    store_.Seal();
    return {root_, model_};
  }

  MemoryStore& store() { return store_; }
  EditContext& context() { return context_; }
  const KeyHasher& hasher() const { return hasher_; }
  MapRoot& root() { return root_; }
  Model& model() { return model_; }
  // As of the last Check().
  const TrieContent& content() const { return content_; }

  static std::vector<MapOp> MapOps(const std::vector<TestOp>& ops) {
    std::vector<MapOp> map_ops;
    for (const TestOp& op : ops) {
      map_ops.push_back(
          MapOp{.kind = op.kind, .key = op.key, .value = op.value});
    }
    return map_ops;
  }

 private:
  // Whether the key was there.
  bool ApplyToModel(const TestOp& op) {
    const bool existed = model_.contains(op.key);
    if (op.kind == MapOpKind::kErase) {
      model_.erase(op.key);
    } else if (op.kind == MapOpKind::kPut || !existed) {
      model_[op.key] = op.value;
    }
    return existed;
  }

  MemoryStore store_;
  const KeyHasher hasher_;
  EditContext context_;
  MapRoot root_;
  Model model_;
  TrieContent content_;
};

// `size` bytes that differ from call to call.
inline std::string RandomBytes(Random& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random.Next());
  return bytes;
}

inline std::string KeyOf(uint64_t number) {
  return "key-" + std::to_string(number);
}

}  // namespace eve

#endif  // EVE_TESTS_COLLECTIONS_HAMT_FIXTURE_H_
