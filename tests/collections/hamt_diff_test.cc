// HamtDiff finds exactly what changed, and looks at little else.

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/collections/diff.h"
#include "tests/collections/changes.h"
#include "tests/collections/hamt_fixture.h"

namespace eve {
namespace {

Changes DiffOf(HamtFixture& map, NodeSlot before, NodeSlot after) {
  return CollectChanges(/*in_order=*/false, [&](DiffVisitor visit) {
    return HamtDiff(map.store().view(), map.hasher(), before, after, visit);
  });
}

// All ones: leaves and nodes. Few bits: collision leaves, of all depths, at the
// last of which an index has more bits than are left.
class HamtDiffTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(HamtDiffTest, FindsExactlyTheChangesOfRandomBatches) {
  const uint64_t seed = ::testing::UnitTest::GetInstance()->random_seed() + 1;
  SCOPED_TRACE(absl::StrCat("--gtest_random_seed=", seed - 1));
  Random random(seed);
  HamtFixture map(GetParam());
  std::vector<TestSnapshot> versions = {map.TakeSnapshot()};
  for (int round = 0; round < 60; ++round) {
    std::vector<TestOp> ops;
    // Growing, shrinking to nothing, and little in between.
    const uint64_t most = random.OneIn(3) ? 3000 : 8;
    const uint64_t erased_of_4 = round % 20 < 12 ? 1 : 4;
    for (uint64_t i = random.Uniform(most); i > 0; --i) {
      const bool erases = random.Uniform(4) < erased_of_4;
      ops.push_back({erases ? MapOpKind::kErase : MapOpKind::kPut,
                     KeyOf(random.Uniform(1'500)),
                     std::string(random.OneIn(30) ? 900 : 20,
                                 static_cast<char>('a' + random.Uniform(3)))});
    }
    ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
    versions.push_back(map.TakeSnapshot());
    const TestSnapshot& after = versions.back();
    // The one before, and any older one: all their blocks are still there.
    for (const size_t index :
         {versions.size() - 2, size_t{random.Uniform(versions.size() - 1)}}) {
      const TestSnapshot& before = versions[index];
      const Changes expected = ModelDiff(before.model, after.model);
      ASSERT_TRUE(DiffOf(map, before.root.slot, after.root.slot) == expected);
      ASSERT_TRUE(DiffOf(map, after.root.slot, before.root.slot) ==
                  Reversed(expected));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Hashes, HamtDiffTest,
                         ::testing::Values(~uint64_t{0}, uint64_t{0xFF} << 56,
                                           uint64_t{0x7F}, uint64_t{0xF0F} << 4,
                                           uint64_t{0}));

TEST(HamtDiffStopTest, StopsWhenTheVisitorHasEnough) {
  HamtFixture map;
  for (int i = 0; i < 100; ++i) map.Put(KeyOf(i), "v");
  for (const bool forward : {true, false}) {
    int seen = 0;
    const NodeSlot root = map.root().slot;
    EXPECT_EQ(HamtDiff(map.store().view(), map.hasher(),
                       forward ? NodeSlot{} : root, forward ? root : NodeSlot{},
                       [&](Bytes, const std::optional<Bytes>&,
                           const std::optional<Bytes>&) { return ++seen < 7; }),
              absl::OkStatus());
    EXPECT_EQ(seen, 7);
  }
}

// Method: what both roots share is destroyed; a diff that looked at it would
// find damage.
TEST(HamtDiffSharedTest, NeverLooksIntoWhatBothShare) {
  HamtFixture map;
  std::vector<TestOp> ops;
  for (int i = 0; i < 50'000; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), "value"});
  }
  map.Apply(ops);
  map.Check();
  const auto old_blocks = map.content().blocks;
  const TestSnapshot before = map.TakeSnapshot();
  map.Put(KeyOf(25'000), "other");
  map.Check();
  uint64_t shared = 0;
  for (const auto& [offset, bytes] : map.content().blocks) {
    if (!old_blocks.contains(offset)) continue;
    ++shared;
    map.store().MutableBase()[offset * kUnitBytes] = 0;
  }
  ASSERT_GT(shared, 1000u);
  EXPECT_EQ(DiffOf(map, before.root.slot, map.root().slot),
            (Changes{{KeyOf(25'000), Change("value", "other")}}));
}

// Compaction changes where everything lies, and nothing of what it says.
TEST(HamtDiffMovedTest, SaysNothingOfEqualRecordsInOtherPlaces) {
  HamtFixture map;
  for (int i = 0; i < 3'000; ++i) {
    map.Put(KeyOf(i), std::string(i % 500 == 0 ? 900 : 20, 'v'));
  }
  const TestSnapshot before = map.TakeSnapshot();
  // All written anew: no block is shared.
  std::vector<TestOp> ops;
  for (const auto& [key, value] : before.model) {
    ops.push_back({MapOpKind::kPut, key, value});
  }
  map.Apply(ops);
  map.Put(KeyOf(7), "other");
  EXPECT_EQ(DiffOf(map, before.root.slot, map.root().slot),
            (Changes{{KeyOf(7), Change(std::string(20, 'v'), "other")}}));
}

}  // namespace
}  // namespace eve
