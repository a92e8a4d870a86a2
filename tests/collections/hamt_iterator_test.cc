// A walk sees every record once, in the order of the hashes.
#include "engine/collections/hamt_iterator.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/collections/hamt_fixture.h"

namespace eve {
namespace {

void ExpectWalk(HamtFixture& map) {
  Model seen;
  uint64_t last_hash = 0;
  HamtIterator it(map.store().view(), map.root().slot);
  for (; it.Valid(); it.Next()) {
    const uint64_t hash = map.hasher()(it.key());
    ASSERT_GE(hash, last_hash);
    last_hash = hash;
    ASSERT_TRUE(
        seen.emplace(it.key().ToString(), it.value().ToString()).second);
  }
  ASSERT_FALSE(it.damaged());
  ASSERT_TRUE(seen == map.model());
}

TEST(HamtIteratorTest, AnEmptyMapIsAtItsEnd) {
  HamtFixture map;
  const HamtIterator it(map.store().view(), NodeSlot{});
  EXPECT_FALSE(it.Valid());
  EXPECT_FALSE(it.damaged());
}

TEST(HamtIteratorTest, SeesEveryRecordOnceInOrderOfHash) {
  for (uint64_t mask :
       {~uint64_t{0}, uint64_t{0xF}, uint64_t{0}, uint64_t{0xFFF} << 52}) {
    for (uint64_t records : {1, 8, 100, 3000}) {
      SCOPED_TRACE(testing::Message() << mask << " " << records);
      HamtFixture map(mask);
      Random random(records);
      std::vector<TestOp> ops;
      for (uint64_t i = 0; i < records; ++i) {
        ops.push_back({MapOpKind::kPut, KeyOf(i),
                       RandomBytes(random, random.Uniform(300))});
      }
      ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
      ASSERT_NO_FATAL_FAILURE(ExpectWalk(map));
    }
  }
}

TEST(HamtIteratorTest, AnOlderRootIsWalkedAsItWas) {
  HamtFixture map;
  std::vector<TestOp> ops;
  for (uint64_t i = 0; i < 2000; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), "old"});
  }
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
  const TestSnapshot before = map.TakeSnapshot();
  HamtIterator it(map.store().view(), before.root.slot);
  for (TestOp& op : ops) op.kind = MapOpKind::kErase;
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
  uint64_t seen = 0;
  for (; it.Valid(); it.Next()) {
    ASSERT_EQ(it.value(), Bytes("old"));
    ++seen;
  }
  EXPECT_EQ(seen, 2000u);
}

}  // namespace
}  // namespace eve
