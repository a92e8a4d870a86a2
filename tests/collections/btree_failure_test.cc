// A store that fails at any allocation: the error comes back, and after a
// rewind nothing has changed. Method: the n-th block that an edit asks for is
// refused, for every n.
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/collections/btree_fixture.h"

namespace eve {
namespace {

std::string KeyOf(uint64_t i) { return absl::StrFormat("%06d", i); }

std::string ValueOf(Random& random) {
  return std::string(random.Uniform(random.OneIn(20) ? 1500 : 30), 'v');
}

TEST(TreeFailureTest, AFailedAllocationLeavesTheTreeAsItWas) {
  Random random(11);
  TreeFixture tree;
  std::vector<TreeTestOp> ops;
  for (uint64_t i = 0; i < 4000; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), ValueOf(random)});
  }
  ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
  tree.store().Seal();
  ops.clear();
  for (uint64_t i = 0; i < 60; ++i) {
    ops.push_back(
        {MapOpKind::kPut, KeyOf(random.Uniform(6000)), ValueOf(random)});
    ops.push_back({MapOpKind::kErase, KeyOf(1000 + i / 2), ""});
  }
  const MapRoot before = tree.root();
  const MemoryStore::Mark mark = tree.store().TakeMark();
  uint64_t failures = 0;
  for (uint64_t n = 1;; ++n) {
    std::vector<MapOp> tree_ops(ops.size());
    for (size_t i = 0; i < ops.size(); ++i) {
      tree_ops[i].kind = ops[i].kind;
      tree_ops[i].key = ops[i].key;
      tree_ops[i].value = ops[i].value;
    }
    tree.store().FailAt(n);
    const absl::Status status =
        TreeApply(tree.context(), absl::MakeSpan(tree_ops), tree.root());
    tree.store().FailAt(0);
    if (status.ok()) break;
    ++failures;
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    ASSERT_EQ(tree.root().slot, before.slot);
    ASSERT_EQ(tree.root().count, before.count);
    tree.store().Rewind(mark);
    ASSERT_NO_FATAL_FAILURE(tree.Check());
  }
  EXPECT_GT(failures, 30u);
  tree.store().Rewind(mark);
  tree.root() = before;
  ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
  ASSERT_NO_FATAL_FAILURE(tree.Check());
}

TEST(TreeFailureTest, AFailedAllocationLeavesARangeAndAGraveAsTheyWere) {
  TreeFixture tree;
  std::vector<TreeTestOp> ops;
  for (uint64_t i = 0; i < 20'000; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), "value"});
  }
  ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
  tree.store().Seal();
  const MapRoot before = tree.root();
  const MemoryStore::Mark mark = tree.store().TakeMark();
  const std::string from = KeyOf(321);
  const std::string to = KeyOf(17'000);
  uint64_t failures = 0;
  for (uint64_t n = 1;; ++n) {
    uint64_t erased = 0;
    std::vector<NodeSlot> buried;
    tree.store().FailAt(n);
    const absl::Status status = TreeEraseRange(tree.context(), {from, to},
                                               tree.root(), &erased, buried);
    tree.store().FailAt(0);
    if (status.ok()) break;
    ++failures;
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    ASSERT_EQ(tree.root().slot, before.slot);
    ASSERT_EQ(tree.root().count, before.count);
    ASSERT_TRUE(buried.empty());
    tree.store().Rewind(mark);
    ASSERT_NO_FATAL_FAILURE(tree.Check());
  }
  EXPECT_GT(failures, 3u);
  tree.store().Rewind(mark);
  tree.root() = before;
  for (uint64_t n = 1;; ++n) {
    NodeSlot grave = before.slot;
    bool done = false;
    tree.store().FailAt(n);
    const absl::Status status =
        TreeRetireSome(tree.context(), 10, grave, &done);
    tree.store().FailAt(0);
    if (status.ok()) break;
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    ASSERT_EQ(grave, before.slot);
    tree.store().Rewind(mark);
    ASSERT_NO_FATAL_FAILURE(tree.Check());
  }
}

}  // namespace
}  // namespace eve
