// Keys of equal hash, which no seed can rule out and an adversary may find.
#include <string>
#include <vector>

#include "engine/collections/hamt_map.h"
#include "gtest/gtest.h"
#include "tests/collections/hamt_fixture.h"

namespace eve {
namespace {

// All hashes are equal.
constexpr uint64_t kNoHash = 0;

std::vector<TestOp> Puts(uint64_t first, uint64_t count) {
  std::vector<TestOp> ops;
  for (uint64_t i = first; i < first + count; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), "v"});
  }
  return ops;
}

TEST(HamtCollisionTest, FewKeysOfOneHashShareALeaf) {
  HamtFixture map(kNoHash);
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(0, 20)));
  ASSERT_NO_FATAL_FAILURE(map.Check());
  EXPECT_EQ(map.root().slot.kind(), SlotKind::kLeaf);
}

TEST(HamtCollisionTest, ManyGetACollisionLeafAndComeBack) {
  HamtFixture map(kNoHash);
  constexpr uint64_t kMany = 5000;
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(0, kMany)));
  ASSERT_NO_FATAL_FAILURE(map.Check());
  EXPECT_EQ(map.content().collision_leaves, 1u);
  EXPECT_EQ(map.content().nodes, uint64_t{kTrieDepthMax});
  ASSERT_NO_FATAL_FAILURE(map.CheckFinds(map.root(), map.model()));
  EXPECT_EQ(map.Find(map.root(), "absent").outcome, FindOutcome::kAbsent);
  const TestSnapshot many = map.TakeSnapshot();
  for (uint64_t i = 0; i < 4990; ++i) {
    ASSERT_NO_FATAL_FAILURE(map.Erase(KeyOf(i)));
  }
  ASSERT_NO_FATAL_FAILURE(map.Check());
  // Ten markers fit one leaf, and one leaf needs no path.
  EXPECT_EQ(map.root().slot.kind(), SlotKind::kLeaf);
  ASSERT_NO_FATAL_FAILURE(map.CheckFinds(many.root, many.model));
  for (uint64_t i = 4990; i < kMany; ++i) {
    ASSERT_NO_FATAL_FAILURE(map.Erase(KeyOf(i)));
  }
  EXPECT_EQ(map.store().live_bytes(), 0u);
}

TEST(HamtCollisionTest, ReplacingInACollisionLeafRetiresTheOldRecord) {
  HamtFixture map(kNoHash);
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(0, 1000)));
  map.store().Seal();
  ASSERT_NO_FATAL_FAILURE(map.Apply({{MapOpKind::kPut, KeyOf(5), "new"},
                                     {MapOpKind::kInsert, KeyOf(6), "no"},
                                     {MapOpKind::kErase, KeyOf(7), ""},
                                     {MapOpKind::kErase, "absent", ""},
                                     {MapOpKind::kInsert, KeyOf(7), "again"}}));
  ASSERT_NO_FATAL_FAILURE(map.Check());
  EXPECT_EQ(map.Find(map.root(), KeyOf(5)).value, Bytes("new"));
}

TEST(HamtCollisionTest, TooManyAreRefusedAndTheMapStays) {
  HamtFixture map(kNoHash);
  constexpr uint64_t kMost =
      (kCollisionLeafBytesMax - sizeof(CollisionLeaf)) / sizeof(CollisionEntry);
  // In pieces: a batch into a leaf compares each key with all before it.
  for (uint64_t i = 0; i < kMost; i += 1000) {
    const uint64_t count = std::min<uint64_t>(1000, kMost - i);
    ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(i, count)));
  }
  map.store().Seal();
  const NodeSlot before = map.root().slot;
  MapOp op{.key = "one more"};
  const absl::Status status =
      HamtApply(map.context(), absl::MakeSpan(&op, 1), map.root());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("one 64-bit hash"), std::string::npos);
  EXPECT_EQ(map.root().slot, before);
  EXPECT_EQ(map.root().count, kMost);
  EXPECT_EQ(map.Find(map.root(), KeyOf(kMost - 1)).outcome,
            FindOutcome::kFound);
}

}  // namespace
}  // namespace eve
