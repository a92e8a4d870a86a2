// A trie that shrinks gives its blocks back: leaves unite, nodes collapse.
#include <algorithm>
#include <string>
#include <vector>

#include "engine/collections/hamt_map.h"
#include "gtest/gtest.h"
#include "tests/collections/hamt_fixture.h"

namespace eve {
namespace {

constexpr uint64_t kRecords = 100000;

void Fill(HamtFixture& map, uint64_t records, size_t value_bytes) {
  std::vector<TestOp> ops;
  for (uint64_t i = 0; i < records; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), std::string(value_bytes, 'v')});
  }
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

// Erases all but the first `kept` keys in a random order, `batch` at a time.
void EraseDownTo(HamtFixture& map, uint64_t kept, uint64_t batch) {
  Random random(11);
  std::vector<uint64_t> numbers;
  for (uint64_t i = kept; i < kRecords; ++i) numbers.push_back(i);
  std::shuffle(numbers.begin(), numbers.end(), random);
  std::vector<TestOp> ops;
  for (uint64_t number : numbers) {
    ops.push_back({MapOpKind::kErase, KeyOf(number), ""});
    if (ops.size() < batch) continue;
    ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
    ops.clear();
    map.store().Seal();
  }
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
}

TEST(HamtMergeTest, ErasingOneByOneLeavesOneLeafForTenRecords) {
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(Fill(map, kRecords, 20));
  EXPECT_GT(map.content().nodes, 100u);
  ASSERT_NO_FATAL_FAILURE(EraseDownTo(map, 10, 1));
  ASSERT_NO_FATAL_FAILURE(map.Check());
  // 10 * (3 + 2 + 5 + 20) bytes are less than kLeafMergeBytes.
  EXPECT_EQ(map.content().leaves, 1u);
  EXPECT_EQ(map.content().nodes, 0u);
}

TEST(HamtMergeTest, ErasingInBatchesDoesTheSame) {
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(Fill(map, kRecords, 20));
  ASSERT_NO_FATAL_FAILURE(EraseDownTo(map, 10, 3000));
  ASSERT_NO_FATAL_FAILURE(map.Check());
  EXPECT_EQ(map.content().leaves, 1u);
  EXPECT_EQ(map.content().nodes, 0u);
}

TEST(HamtMergeTest, ErasingEverythingLeavesNothing) {
  for (uint64_t batch : {uint64_t{1}, uint64_t{1000}, kRecords}) {
    HamtFixture map;
    ASSERT_NO_FATAL_FAILURE(Fill(map, kRecords, 20));
    ASSERT_NO_FATAL_FAILURE(EraseDownTo(map, 0, batch));
    ASSERT_NO_FATAL_FAILURE(map.Check());
    EXPECT_TRUE(map.root().slot.is_empty());
    EXPECT_EQ(map.root().count, 0u);
    EXPECT_EQ(map.store().live_bytes(), 0u);
  }
}

// Between half and all of the limit nothing moves: an insert and an erase at
// the border do not split and merge in turn.
TEST(HamtMergeTest, ALeafThatWasJustSplitDoesNotMergeAtOnce) {
  HamtFixture map;
  uint64_t number = 0;
  while (map.root().slot.kind() != SlotKind::kNode) {
    map.Put(KeyOf(number++), std::string(100, 'v'));
  }
  ASSERT_NO_FATAL_FAILURE(map.Check());
  map.Erase(KeyOf(0));
  EXPECT_EQ(map.root().slot.kind(), SlotKind::kNode);
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

// Overwriting by less shrinks a leaf as much as erasing does.
TEST(HamtMergeTest, ShorterValuesMergeLeavesToo) {
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(Fill(map, 2000, 200));
  const uint64_t leaves = map.content().leaves;
  std::vector<TestOp> ops;
  for (uint64_t i = 0; i < 2000; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), ""});
  }
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
  ASSERT_NO_FATAL_FAILURE(map.Check());
  EXPECT_LT(map.content().leaves, leaves / 4);
}

// Retiring in slices takes every block exactly once, and what is left between
// two slices is a trie that keeps its rules.
TEST(HamtMergeTest, RetiringInSlicesEndsWithNothing) {
  for (uint64_t mask : {~uint64_t{0}, uint64_t{0xF}}) {
    HamtFixture map(mask);
    Random random(3);
    std::vector<TestOp> ops;
    for (uint64_t i = 0; i < 3000; ++i) {
      ops.push_back({MapOpKind::kPut, KeyOf(i),
                     RandomBytes(random, random.Uniform(400))});
    }
    ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
    bool done = false;
    uint64_t slices = 0;
    while (!done) {
      map.store().Seal();
      const uint64_t live = map.store().live().size();
      ASSERT_EQ(HamtRetireSome(map.context(), 100, map.root().slot, &done),
                absl::OkStatus());
      ++slices;
      ASSERT_LT(map.store().live().size(), live);
      TrieContent content;
      ASSERT_EQ(CheckTrie(map.store().view(), map.hasher(),
                          HamtFixture::kCollection, map.root().slot, &content),
                absl::OkStatus());
      ASSERT_TRUE(content.blocks == map.store().live());
    }
    EXPECT_GT(slices, 5u);
    EXPECT_TRUE(map.root().slot.is_empty());
    EXPECT_EQ(map.store().live_bytes(), 0u);
  }
}

}  // namespace
}  // namespace eve
