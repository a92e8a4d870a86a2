// TreeDiff finds exactly what changed, and looks at little else.

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/collections/diff.h"
#include "tests/collections/btree_fixture.h"
#include "tests/collections/changes.h"

namespace eve {
namespace {

Changes DiffOf(TreeFixture& tree, NodeSlot before, NodeSlot after) {
  return CollectChanges(/*in_order=*/true, [&](DiffVisitor visit) {
    return TreeDiff(tree.store().view(), before, after, visit);
  });
}

TEST(TreeDiffTest, FindsExactlyTheChangesOfRandomBatches) {
  const uint64_t seed = ::testing::UnitTest::GetInstance()->random_seed() + 1;
  SCOPED_TRACE(absl::StrCat("--gtest_random_seed=", seed - 1));
  Random random(seed);
  TreeFixture tree;
  for (int round = 0; round < 150; ++round) {
    const OrderedModel model_before = tree.model();
    const NodeSlot before = tree.root().slot;
    tree.store().Seal();
    std::vector<TreeTestOp> ops;
    const uint64_t batches = random.OneIn(3) ? 2000 : 20;
    for (uint64_t i = random.Uniform(batches); i > 0; --i) {
      const bool erases = random.OneIn(3);
      ops.push_back({erases ? MapOpKind::kErase : MapOpKind::kPut,
                     absl::StrFormat("%08d", random.Uniform(8'000)),
                     std::string(random.OneIn(30) ? 900 : 20,
                                 static_cast<char>('a' + random.Uniform(3)))});
    }
    ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
    const Changes expected = ModelDiff(model_before, tree.model());
    ASSERT_TRUE(DiffOf(tree, before, tree.root().slot) == expected);
    ASSERT_TRUE(DiffOf(tree, tree.root().slot, before) == Reversed(expected));
  }
}

TEST(TreeDiffTest, StopsWhenTheVisitorHasEnough) {
  TreeFixture tree;
  std::vector<TreeTestOp> ops;
  for (int i = 0; i < 100; ++i) {
    ops.push_back({MapOpKind::kPut, absl::StrFormat("%03d", i), "v"});
  }
  tree.Apply(ops);
  int seen = 0;
  EXPECT_EQ(TreeDiff(tree.store().view(), NodeSlot{}, tree.root().slot,
                     [&](Bytes, const std::optional<Bytes>&,
                         const std::optional<Bytes>&) { return ++seen < 7; }),
            absl::OkStatus());
  EXPECT_EQ(seen, 7);
}

// Method: what both roots share is destroyed; a diff that looked at it would
// find damage.
TEST(TreeDiffTest, NeverLooksIntoWhatBothShare) {
  TreeFixture tree;
  std::vector<TreeTestOp> ops;
  for (int i = 0; i < 50'000; ++i) {
    ops.push_back({MapOpKind::kPut, absl::StrFormat("%08d", i), "value"});
  }
  tree.Apply(ops);
  const NodeSlot before = tree.root().slot;
  TreeContent old_content;
  ASSERT_EQ(CheckTree(tree.store().view(), TreeFixture::kCollection, before,
                      &old_content),
            absl::OkStatus());
  tree.store().Seal();
  tree.Put("00025000", "other");
  tree.Check();
  uint64_t shared = 0;
  for (const auto& [offset, bytes] : tree.content().blocks) {
    if (!old_content.blocks.contains(offset)) continue;
    ++shared;
    tree.store().MutableBase()[offset * kUnitBytes] = 0;
  }
  ASSERT_GT(shared, 100u);
  const Changes changes = DiffOf(tree, before, tree.root().slot);
  EXPECT_EQ(changes.size(), 1u);
  EXPECT_TRUE(changes.contains("00025000"));
}

}  // namespace
}  // namespace eve
