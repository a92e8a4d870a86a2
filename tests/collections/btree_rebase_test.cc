// Two edits of one tree, made apart, become one.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/collections/btree.h"
#include "engine/collections/rebase.h"
#include "gtest/gtest.h"
#include "tests/collections/btree_fixture.h"
#include "tests/collections/fork_store.h"
#include "tests/testing/tree_checker.h"
#include "util/random.h"

namespace eve {
namespace {

using Ops = std::vector<TreeTestOp>;

std::string KeyOf(uint64_t number) {
  return absl::StrFormat("key-%08d", number);
}

TreeTestOp PutOp(uint64_t number, const std::string& value) {
  return {MapOpKind::kPut, KeyOf(number), value};
}

class TreeRebaseTest : public ::testing::Test {
 protected:
  // Every second number is a key. In a random order, or each leaf and node
  // would be full and split by the next change.
  void Fill(uint64_t records, size_t value_bytes) {
    std::vector<uint64_t> numbers(records);
    for (uint64_t i = 0; i < records; ++i) numbers[i] = 2 * i;
    Random random(3);
    std::shuffle(numbers.begin(), numbers.end(), random);
    base_ = std::make_unique<TreeFixture>();
    for (uint64_t begin = 0; begin < records; begin += 100) {
      Ops ops;
      for (uint64_t i = begin; i < std::min(begin + 100, records); ++i) {
        ops.push_back(PutOp(numbers[i], std::string(value_bytes, 'v')));
      }
      ASSERT_NO_FATAL_FAILURE(base_->Apply(ops));
    }
    ASSERT_NO_FATAL_FAILURE(base_->Check());
    base_->store().Seal();
  }

  MapRoot Edit(ForkStore& store, const Ops& ops) {
    EditContext context;
    context.store = &store;
    context.collection = TreeFixture::kCollection;
    MapRoot root = base_->root();
    std::vector<MapOp> tree_ops(ops.size());
    for (size_t i = 0; i < ops.size(); ++i) {
      tree_ops[i].kind = ops[i].kind;
      tree_ops[i].key = ops[i].key;
      tree_ops[i].value = ops[i].value;
    }
    EXPECT_EQ(TreeApply(context, absl::MakeSpan(tree_ops), root),
              absl::OkStatus());
    return root;
  }

  // Edits apart and rebases. If that can be done, the outcome must be what the
  // one edit after the other gives, to the block.
  bool Rebase(const Ops& theirs, const Ops& mine) {
    ForkStore their_store(&base_->store());
    const MapRoot newest = Edit(their_store, theirs);
    ForkStore my_store(&base_->store());
    const MapRoot ours = Edit(my_store, mine);
    if (!TreeRebase(my_store, base_->root().slot, newest.slot, ours.slot)) {
      return false;
    }
    EXPECT_EQ(my_store.open(), 0);
    OrderedModel expected = base_->model();
    for (const Ops* ops : {&theirs, &mine}) {
      for (const TreeTestOp& op : *ops) expected[op.key] = op.value;
    }
    TreeContent content;
    // Subtree counts among all else.
    EXPECT_EQ(CheckTree(base_->store().view(), TreeFixture::kCollection,
                        ours.slot, &content),
              absl::OkStatus());
    EXPECT_EQ(content.records.size(), expected.size());
    EXPECT_TRUE(std::equal(
        content.records.begin(), content.records.end(), expected.begin(),
        expected.end(), [](const auto& record, const auto& model) {
          return record.first == model.first && record.second == model.second;
        }));
    EXPECT_EQ(ours.count - base_->root().count + newest.count, expected.size());
    EXPECT_TRUE(my_store.After(their_store.After(base_->content().blocks)) ==
                content.blocks);
    return true;
  }

  std::unique_ptr<TreeFixture> base_;
};

TEST_F(TreeRebaseTest, PutsThatMeetInNoLeafBecomeOne) {
  ASSERT_NO_FATAL_FAILURE(Fill(20'000, 60));
  Random random(1);
  int rebased = 0;
  for (int round = 0; round < 60; ++round) {
    // Old keys and new ones, some with blocks of their own.
    const auto value = [&] { return std::string(random.Uniform(700), 'n'); };
    rebased += Rebase({PutOp(random.Uniform(40'000), value())},
                      {PutOp(random.Uniform(40'000), value())})
                   ? 1
                   : 0;
  }
  // Some split a leaf beside the other's.
  EXPECT_GE(rebased, 50);
}

TEST_F(TreeRebaseTest, BatchesOnTreesOfAllHeights) {
  Random random(2);
  int rebased = 0;
  for (const uint64_t records : {60, 600, 6'000, 20'000}) {
    ASSERT_NO_FATAL_FAILURE(Fill(records, 60));
    const auto batch = [&] {
      Ops ops;
      const uint64_t size = 1 + random.Uniform(records < 6'000 ? 2 : 8);
      for (uint64_t i = 0; i < size; ++i) {
        ops.push_back(PutOp(random.Uniform(2 * records),
                            std::string(random.Uniform(100), 'n')));
      }
      return ops;
    };
    for (int round = 0; round < 60 && !HasFailure(); ++round) {
      rebased += Rebase(batch(), batch()) ? 1 : 0;
    }
  }
  EXPECT_GE(rebased, 40);
}

TEST_F(TreeRebaseTest, TheSameLeafIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Fill(20'000, 60));
  EXPECT_FALSE(Rebase({PutOp(7, "theirs")}, {PutOp(7, "mine")}));
  EXPECT_FALSE(Rebase({PutOp(8, "theirs")}, {PutOp(10, "mine")}));
  EXPECT_TRUE(Rebase({PutOp(8, "theirs")}, {PutOp(30'000, "mine")}));
}

// Both have put so much beside each other that the node above has grown.
TEST_F(TreeRebaseTest, NodesOfAnotherShapeAreRefused) {
  ASSERT_NO_FATAL_FAILURE(Fill(20'000, 60));
  Ops many;
  for (uint64_t i = 0; i < 100; ++i) {
    many.push_back(PutOp(10'001 + 2 * i, std::string(60, 'n')));
  }
  const TreeTestOp beside = PutOp(10'400, "beside");
  EXPECT_FALSE(Rebase(many, {beside}));
  EXPECT_FALSE(Rebase({beside}, many));
  const TreeTestOp far = PutOp(30'000, "far away");
  EXPECT_TRUE(Rebase(many, {far}));
  EXPECT_TRUE(Rebase({far}, many));
}

TEST_F(TreeRebaseTest, ARootThatIsALeafIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Fill(5, 10));
  EXPECT_FALSE(Rebase({PutOp(0, "theirs")}, {PutOp(2, "mine")}));
}

}  // namespace
}  // namespace eve
