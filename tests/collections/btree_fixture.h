// TreeFixture: a tree in a MemoryStore beside an ordered map that it must
// equal.
//
// Threads:    one thread.
// Processes:  none.
// Owns:       the store and the model.
// Lifetime:   one test.
// Errors:     differences are test failures.
// Cost:       Check() reads everything.
#ifndef EVE_TESTS_COLLECTIONS_BTREE_FIXTURE_H_
#define EVE_TESTS_COLLECTIONS_BTREE_FIXTURE_H_

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "engine/collections/btree.h"
#include "engine/collections/btree_cursor.h"
#include "gtest/gtest.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/tree_checker.h"
#include "util/random.h"

namespace eve {

using OrderedModel = absl::btree_map<std::string, std::string>;

struct TreeTestOp {
  MapOpKind kind = MapOpKind::kPut;
  std::string key;
  std::string value;
};

class TreeFixture {
 public:
  static constexpr uint32_t kCollection = 7;

  explicit TreeFixture(bool align_values = false) {
    context_.store = &store_;
    context_.collection = kCollection;
    context_.align_values = align_values;
  }

  void Apply(const std::vector<TreeTestOp>& ops) {
    std::vector<MapOp> tree_ops;
    for (const TreeTestOp& op : ops) {
      MapOp tree_op;
      tree_op.kind = op.kind;
      tree_op.key = op.key;
      tree_op.value = op.value;
      tree_ops.push_back(tree_op);
    }
    ASSERT_EQ(TreeApply(context_, absl::MakeSpan(tree_ops), root_),
              absl::OkStatus());
    for (size_t i = 0; i < ops.size(); ++i) {
      ASSERT_EQ(tree_ops[i].existed, ApplyToModel(ops[i])) << "op " << i;
    }
    ASSERT_EQ(root_.count, model_.size());
  }
  void Put(const std::string& key, const std::string& value) {
    Apply({{MapOpKind::kPut, key, value}});
  }
  void Erase(const std::string& key) { Apply({{MapOpKind::kErase, key, ""}}); }

  // Erases in the tree and the model; retires what that buries.
  void EraseRange(const std::string& from, std::optional<std::string> to) {
    KeyRange range{from, std::nullopt};
    if (to.has_value()) range.to = *to;
    uint64_t erased = 0;
    std::vector<NodeSlot> buried;
    ASSERT_EQ(TreeEraseRange(context_, range, root_, &erased, buried),
              absl::OkStatus());
    const auto begin = model_.lower_bound(from);
    auto end = to.has_value() ? model_.lower_bound(*to) : model_.end();
    if (to.has_value() && *to <= from) end = begin;
    const size_t before = model_.size();
    model_.erase(begin, end);
    ASSERT_EQ(erased, before - model_.size());
    ASSERT_EQ(root_.count, model_.size());
    for (NodeSlot grave : buried) {
      bool done = false;
      while (!done) {
        ASSERT_EQ(TreeRetireSome(context_, 3, grave, &done), absl::OkStatus());
      }
    }
  }

  // The tree keeps all its rules, reads as the model, and the store has not a
  // block too many or too few.
  void Check() {
    ASSERT_EQ(CheckTree(store_.view(), kCollection, root_.slot, &content_),
              absl::OkStatus());
    ASSERT_EQ(content_.records.size(), model_.size());
    size_t i = 0;
    for (const auto& [key, value] : model_) {
      ASSERT_EQ(content_.records[i].first, key);
      ASSERT_TRUE(content_.records[i].second == value) << key;
      ++i;
    }
    ASSERT_EQ(store_.live_bytes(), content_.bytes);
    ASSERT_TRUE(store_.live() == content_.blocks);
  }

  FindResult Find(Bytes key) const {
    return TreeFind(store_.view(), root_.slot, key);
  }
  TreeCursor Cursor() { return TreeCursor(store_.view(), root_.slot); }

  // All kinds of look-up of `key`, and both steps from there, against the
  // model.
  void CheckAround(const std::string& key) {
    const auto at = model_.lower_bound(key);
    const bool is_there = at != model_.end() && at->first == key;
    const FindResult found = Find(key);
    ASSERT_EQ(found.outcome,
              is_there ? FindOutcome::kFound : FindOutcome::kAbsent);
    if (is_there) {
      ASSERT_TRUE(found.value == Bytes(at->second));
    }
    const uint64_t rank =
        static_cast<uint64_t>(std::distance(model_.begin(), at));
    ASSERT_EQ(TreeRank(store_.view(), root_.slot, key), rank);
    TreeCursor cursor = Cursor();
    cursor.SeekAtLeast(key);
    ExpectAt(cursor, at);
    const auto above = is_there ? std::next(at) : at;
    if (cursor.Valid()) {
      cursor.Next();
      ExpectAt(cursor, std::next(at));
    }
    cursor.SeekAbove(key);
    ExpectAt(cursor, above);
    cursor.SeekToRank(rank);
    ExpectAt(cursor, at);
    cursor.SeekAtMost(key);
    ExpectAt(cursor, is_there ? at : Before(at));
    cursor.SeekBelow(key);
    ExpectAt(cursor, Before(at));
    if (cursor.Valid()) {
      cursor.Prev();
      ExpectAt(cursor, Before(Before(at)));
    }
  }

  // Both directions, over everything.
  void CheckScans() {
    TreeCursor cursor = Cursor();
    cursor.SeekToFirst();
    for (auto at = model_.begin(); at != model_.end(); ++at) {
      ExpectAt(cursor, at);
      if (!cursor.Valid()) return;
      cursor.Next();
    }
    ASSERT_FALSE(cursor.Valid());
    cursor.SeekToLast();
    for (auto at = model_.rbegin(); at != model_.rend(); ++at) {
      ASSERT_TRUE(cursor.Valid());
      ASSERT_EQ(cursor.key(), Bytes(at->first));
      cursor.Prev();
    }
    ASSERT_FALSE(cursor.Valid());
  }

  MemoryStore& store() { return store_; }
  MapRoot& root() { return root_; }
  OrderedModel& model() { return model_; }
  const TreeContent& content() const { return content_; }
  EditContext& context() { return context_; }

 private:
  OrderedModel::iterator Before(OrderedModel::iterator at) {
    return at == model_.begin() ? model_.end() : std::prev(at);
  }
  void ExpectAt(TreeCursor& cursor, OrderedModel::iterator at) {
    ASSERT_FALSE(cursor.damaged());
    ASSERT_EQ(cursor.Valid(), at != model_.end());
    if (!cursor.Valid()) return;
    ASSERT_EQ(cursor.key(), Bytes(at->first));
    ASSERT_TRUE(cursor.value() == Bytes(at->second));
  }
  bool ApplyToModel(const TreeTestOp& op) {
    const bool existed = model_.contains(op.key);
    switch (op.kind) {
      case MapOpKind::kPut:
        model_[op.key] = op.value;
        break;
      case MapOpKind::kInsert:
        model_.emplace(op.key, op.value);
        break;
      case MapOpKind::kErase:
        model_.erase(op.key);
        break;
    }
    return existed;
  }

  MemoryStore store_;
  EditContext context_;
  MapRoot root_;
  OrderedModel model_;
  TreeContent content_;
};

}  // namespace eve

#endif  // EVE_TESTS_COLLECTIONS_BTREE_FIXTURE_H_
