// Two edits of one trie, made apart, become one.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/collections/hamt_map.h"
#include "engine/collections/rebase.h"
#include "gtest/gtest.h"
#include "tests/collections/fork_store.h"
#include "tests/collections/hamt_fixture.h"
#include "tests/testing/trie_checker.h"
#include "util/random.h"

namespace eve {
namespace {

// A trie, and two edits of it.
class HamtRebaseTest : public ::testing::Test {
 protected:
  void Fill(uint64_t records, size_t value_bytes) {
    std::vector<TestOp> ops;
    for (uint64_t i = 0; i < records; ++i) {
      ops.push_back({MapOpKind::kPut, KeyOf(i), std::string(value_bytes, 'v')});
    }
    base_ = std::make_unique<HamtFixture>();
    ASSERT_NO_FATAL_FAILURE(base_->Apply(ops));
    ASSERT_NO_FATAL_FAILURE(base_->Check());
    base_->store().Seal();
  }

  MapRoot Edit(ForkStore& store, const std::vector<TestOp>& ops) {
    EditContext context = base_->context();
    context.store = &store;
    MapRoot root = base_->root();
    std::vector<MapOp> map_ops = HamtFixture::MapOps(ops);
    EXPECT_EQ(HamtApply(context, absl::MakeSpan(map_ops), root),
              absl::OkStatus());
    return root;
  }

  // Edits apart and rebases. If that can be done, the outcome must be what the
  // one edit after the other gives, to the block.
  bool Rebase(const std::vector<TestOp>& theirs,
              const std::vector<TestOp>& mine) {
    ForkStore their_store(&base_->store());
    const MapRoot newest = Edit(their_store, theirs);
    ForkStore my_store(&base_->store());
    const MapRoot ours = Edit(my_store, mine);
    if (!HamtRebase(my_store, base_->root().slot, newest.slot, ours.slot)) {
      return false;
    }
    EXPECT_EQ(my_store.open(), 0);
    Model expected = base_->model();
    for (const auto* ops : {&theirs, &mine}) {
      for (const TestOp& op : *ops) {
        if (op.kind == MapOpKind::kErase) {
          expected.erase(op.key);
        } else {
          expected[op.key] = op.value;
        }
      }
    }
    TrieContent content;
    EXPECT_EQ(CheckTrie(base_->store().view(), base_->hasher(),
                        HamtFixture::kCollection, ours.slot, &content),
              absl::OkStatus());
    EXPECT_TRUE(content.records == expected);
    EXPECT_EQ(ours.count - base_->root().count + newest.count, expected.size());
    EXPECT_TRUE(my_store.After(their_store.After(base_->content().blocks)) ==
                content.blocks);
    return true;
  }

  std::unique_ptr<HamtFixture> base_;
};

TestOp PutOp(uint64_t number, const std::string& value) {
  return {MapOpKind::kPut, KeyOf(number), value};
}

TEST_F(HamtRebaseTest, PutsThatMeetInNoLeafBecomeOne) {
  ASSERT_NO_FATAL_FAILURE(Fill(20'000, 60));
  Random random(1);
  int rebased = 0;
  for (int round = 0; round < 60; ++round) {
    const auto value = [&] { return RandomBytes(random, random.Uniform(300)); };
    rebased += Rebase({PutOp(random.Uniform(24'000), value())},
                      {PutOp(random.Uniform(24'000), value())})
                   ? 1
                   : 0;
  }
  // Of 20,000 records in leaves of ten, two are seldom in the same.
  EXPECT_GE(rebased, 50);
}

// The same of several at once, erased, too large for a leaf, on tries of all
// sizes: leaves split and unite, nodes come and go on either side.
TEST_F(HamtRebaseTest, BatchesOfAllKinds) {
  Random random(2);
  int rebased = 0;
  for (const uint64_t records : {40, 400, 4'000, 20'000}) {
    ASSERT_NO_FATAL_FAILURE(Fill(records, 60));
    const auto batch = [&] {
      std::vector<TestOp> ops;
      const uint64_t size = 1 + random.Uniform(records < 4'000 ? 3 : 40);
      for (uint64_t i = 0; i < size; ++i) {
        const uint64_t number = random.Uniform(records + records / 4);
        if (random.Uniform(3) == 0) {
          ops.push_back({MapOpKind::kErase, KeyOf(number), ""});
        } else {
          ops.push_back(
              PutOp(number, RandomBytes(random, random.Uniform(500))));
        }
      }
      return ops;
    };
    for (int round = 0; round < 60 && !HasFailure(); ++round) {
      rebased += Rebase(batch(), batch()) ? 1 : 0;
    }
  }
  EXPECT_GE(rebased, 60);
}

TEST_F(HamtRebaseTest, TheSameRecordOrLeafIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Fill(20'000, 60));
  EXPECT_FALSE(Rebase({PutOp(7, "theirs")}, {PutOp(7, "mine")}));
  EXPECT_FALSE(Rebase({PutOp(1, "x"), PutOp(7, "theirs"), PutOp(9, "x")},
                      {PutOp(3, "x"), PutOp(7, "mine"), PutOp(5, "x")}));
  EXPECT_FALSE(Rebase({{MapOpKind::kErase, KeyOf(7), ""}}, {PutOp(7, "mine")}));
}

// The records of a model, in the order of their hashes.
std::vector<std::string> ByHash(HamtFixture& map) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : map.model()) keys.push_back(key);
  std::sort(keys.begin(), keys.end(), [&](const auto& a, const auto& b) {
    return map.hasher()(Bytes(a)) < map.hasher()(Bytes(b));
  });
  return keys;
}

// Small tries whose leaves are nearly empty: ranges are left and taken over all
// the time. A leaf takes over that of a neighbour that was erased with its own
// slots as they were, and to put into it is a change of the same range.
TEST_F(HamtRebaseTest, ThinLeaves) {
  Random random(5);
  int rebased = 0;
  for (int fill = 0; fill < 60 && !HasFailure(); ++fill) {
    const uint64_t records = 20 + random.Uniform(400);
    ASSERT_NO_FATAL_FAILURE(Fill(records, 20 + random.Uniform(200)));
    for (uint64_t i = 0; i < records; ++i) {
      if (random.Uniform(4) != 0) base_->Erase(KeyOf(i));
    }
    ASSERT_NO_FATAL_FAILURE(base_->Check());
    base_->store().Seal();
    const std::vector<std::string> keys = ByHash(*base_);
    if (keys.empty()) continue;
    // Neighbours, so that a range loses all it has.
    const auto batch = [&] {
      std::vector<TestOp> ops;
      const size_t first = random.Uniform(keys.size());
      const bool erases = random.Uniform(2) == 0;
      const size_t size = 1 + random.Uniform(erases ? 12 : 2);
      for (size_t i = first; i < std::min(first + size, keys.size()); ++i) {
        ops.push_back({erases ? MapOpKind::kErase : MapOpKind::kPut, keys[i],
                       erases ? "" : RandomBytes(random, random.Uniform(250))});
      }
      return ops;
    };
    for (int round = 0; round < 60 && !HasFailure(); ++round) {
      rebased += Rebase(batch(), batch()) ? 1 : 0;
    }
  }
  EXPECT_GE(rebased, 300);
}

TEST_F(HamtRebaseTest, ARootThatIsNoNodeIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Fill(5, 10));
  EXPECT_FALSE(Rebase({PutOp(1, "theirs")}, {PutOp(2, "mine")}));
}

// Each takes what is left of a node; together nothing would be.
TEST_F(HamtRebaseTest, ANodeThatBothEmptyIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Fill(12, 200));  // more than a leaf, less than two
  TrieContent content;
  ASSERT_EQ(CheckTrie(base_->store().view(), base_->hasher(),
                      HamtFixture::kCollection, base_->root().slot, &content),
            absl::OkStatus());
  ASSERT_EQ(content.nodes, 1u);
  const auto* const root =
      base_->store().view().As<TrieNode>(base_->root().slot.offset());
  const NodeSlot first = root->slots[0];
  std::vector<TestOp> low, high;
  for (const auto& [key, value] : base_->model()) {
    const uint32_t index = TrieSlotIndex(base_->hasher()(Bytes(key)), 0);
    (root->slots[index] == first ? low : high)
        .push_back({MapOpKind::kErase, key, ""});
  }
  ASSERT_FALSE(low.empty());
  ASSERT_FALSE(high.empty());
  EXPECT_FALSE(Rebase(low, high));
}

}  // namespace
}  // namespace eve
