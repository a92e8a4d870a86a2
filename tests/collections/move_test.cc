// Blocks moved out of a stretch of memory: content, books and what is left.
#include "engine/collections/move.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/collections/btree_fixture.h"
#include "tests/collections/hamt_fixture.h"
#include "util/align.h"

namespace eve {
namespace {

struct Shape {
  const char* name;
  uint64_t records;
  size_t value_bytes_max;
  uint64_t mask = ~uint64_t{0};
};

constexpr Shape kShapes[] = {
    {"one leaf", 3, 20},
    {"small values", 20000, 60},
    {"large values", 3000, 3000},
    {"no values", 5000, 0},
    {"all hashes equal", 300, 400, 0},
    {"four hash bits", 2000, 300, uint64_t{0xF} << 60},
};

std::string PaddedKey(uint64_t number) {
  std::string digits = std::to_string(number);
  return std::string(8 - digits.size(), '0') + digits;
}

absl::Status Move(HamtFixture& map, absl::Span<const Offset> blocks,
                  MoveResult* moved) {
  std::vector<MoveTarget> targets;
  MoveTarget target;
  for (const Offset block : blocks) {
    if (MakeHamtTarget(map.store().view(), map.hasher(), block, &target)) {
      targets.push_back(target);
    }
  }
  std::vector<MoveTarget> live = targets;
  KeepLiveInHamt(map.store().view(), map.root().slot, live);
  const uint64_t before = moved->blocks;
  const absl::Status status =
      HamtMove(map.context(), targets, map.root().slot, moved);
  if (status.ok()) {
    EXPECT_EQ(moved->blocks - before, live.size());
  }
  return status;
}
absl::Status Move(TreeFixture& map, absl::Span<const Offset> blocks,
                  MoveResult* moved) {
  std::vector<MoveTarget> targets;
  MoveTarget target;
  for (const Offset block : blocks) {
    if (MakeTreeTarget(map.store().view(), block, &target)) {
      targets.push_back(target);
    }
  }
  std::vector<MoveTarget> live = targets;
  KeepLiveInTree(map.store().view(), map.root().slot, live);
  const uint64_t before = moved->blocks;
  const absl::Status status =
      TreeMove(map.context(), targets, map.root().slot, moved);
  if (status.ok()) {
    EXPECT_EQ(moved->blocks - before, live.size());
  }
  return status;
}

// All blocks from `begin` to `end` that were ever placed, front to back.
std::vector<Offset> Walk(MemoryStore& store, uint64_t begin, uint64_t end) {
  std::vector<Offset> blocks;
  for (uint64_t at = begin; at < end;) {
    const Offset offset{at};
    const uint32_t units = store.view().As<BlockHeader>(offset)->size_units;
    if (units == 0) {  // sealed up to the end of a page
      at = AlignUp(at + 1, kPageBytes / kUnitBytes);
      continue;
    }
    blocks.push_back(offset);
    at += units;
  }
  return blocks;
}

template <class Fixture>
void Fill(Fixture& map, const Shape& shape, Random& random) {
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < shape.records; ++i) {
      const uint64_t number = random.Next() % shape.records;
      const size_t bytes = shape.value_bytes_max == 0
                               ? 0
                               : random.Next() % shape.value_bytes_max;
      ASSERT_NO_FATAL_FAILURE(
          map.Put(PaddedKey(number), RandomBytes(random, bytes)));
      if (i % 64 == 0) map.store().Seal();
    }
  }
}

// Empties what was filled first, in slices, and edits on in between, as
// writers do that pay for compaction.
template <class Fixture>
void EmptyInSlices(Fixture& map, const Shape& shape, size_t slice,
                   uint64_t* total) {
  Random random(17);
  ASSERT_NO_FATAL_FAILURE(Fill(map, shape, random));
  ASSERT_NO_FATAL_FAILURE(map.Check());
  map.store().Seal();
  const uint64_t first = kPageBytes / kUnitBytes;
  const uint64_t end = map.store().view().limit_units;
  const std::vector<Offset> blocks = Walk(map.store(), first, end);
  uint64_t live = 0;
  for (const auto& [offset, bytes] : map.store().live()) live += bytes;
  MoveResult moved;
  for (size_t i = 0; i < blocks.size(); i += slice) {
    // An edit of the same transaction: its blocks are changed in place.
    // Seldom: most blocks shall be moved and not be written anew by edits.
    if (i / slice % 256 == 100) {
      ASSERT_NO_FATAL_FAILURE(
          map.Put(PaddedKey(random.Next() % shape.records), "edited"));
    }
    ASSERT_EQ(Move(map, absl::MakeConstSpan(blocks).subspan(i, slice), &moved),
              absl::OkStatus());
    map.store().Seal();
  }
  ASSERT_NO_FATAL_FAILURE(map.Check());
  for (const auto& [offset, bytes] : map.store().live()) {
    EXPECT_GE(offset, end) << "left behind: " << bytes << " bytes";
  }
  *total += moved.blocks;
  EXPECT_LE(moved.bytes, live + 64 * blocks.size());
  // Now everything there is dead.
  MoveResult again;
  const MapRoot before = map.root();
  ASSERT_EQ(Move(map, blocks, &again), absl::OkStatus());
  EXPECT_EQ(again.blocks, 0u);
  EXPECT_EQ(map.root().slot, before.slot);
}

TEST(MoveTest, TriesAreMovedInSlices) {
  uint64_t total = 0;
  for (const Shape& shape : kShapes) {
    for (const size_t slice : {size_t{1}, size_t{50}, size_t{100000}}) {
      SCOPED_TRACE(testing::Message() << shape.name << ", slices of " << slice);
      HamtFixture map(shape.mask);
      ASSERT_NO_FATAL_FAILURE(EmptyInSlices(map, shape, slice, &total));
    }
  }
  // Edits in between leave few to move where blocks are few.
  EXPECT_GT(total, 5000u);
}

TEST(MoveTest, TreesAreMovedInSlices) {
  uint64_t total = 0;
  for (const Shape& shape : kShapes) {
    for (const size_t slice : {size_t{1}, size_t{50}, size_t{100000}}) {
      SCOPED_TRACE(testing::Message() << shape.name << ", slices of " << slice);
      TreeFixture map;
      ASSERT_NO_FATAL_FAILURE(EmptyInSlices(map, shape, slice, &total));
    }
  }
  // Edits in between leave few to move where blocks are few.
  EXPECT_GT(total, 5000u);
}

// Only what was asked for is moved, and its path.
template <class Fixture>
void MoveOneLeaf(Fixture& map, BlockType leaf_type, uint64_t path_max) {
  Random random(3);
  const Shape shape{"small values", 20000, 60};
  ASSERT_NO_FATAL_FAILURE(Fill(map, shape, random));
  map.store().Seal();
  const auto before = map.store().live();
  Offset leaf;
  for (const auto& [offset, bytes] : before) {
    if (map.store().view().template As<BlockHeader>(Offset{offset})->type ==
        static_cast<uint8_t>(leaf_type)) {
      leaf = Offset{offset};
    }
  }
  MoveResult moved;
  ASSERT_EQ(Move(map, {leaf}, &moved), absl::OkStatus());
  EXPECT_EQ(moved.blocks, 1u);
  EXPECT_EQ(moved.bytes, before.at(leaf.units));
  uint64_t gone = 0;
  for (const auto& [offset, bytes] : before) {
    gone += !map.store().live().contains(offset);
  }
  EXPECT_GE(gone, 2u);
  EXPECT_LE(gone, path_max);
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

TEST(MoveTest, OnlyThePathOfATrieLeafIsCopied) {
  HamtFixture map;
  MoveOneLeaf(map, BlockType::kTrieLeaf, 5);
}

TEST(MoveTest, OnlyThePathOfATreeLeafIsCopied) {
  TreeFixture map;
  MoveOneLeaf(map, BlockType::kTreeLeaf, 5);
}

// Older roots read on: a move changes no block that somebody may see.
TEST(MoveTest, SnapshotsAreNotTouched) {
  Random random(5);
  const Shape shape{"large values", 2000, 1000};
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(Fill(map, shape, random));
  const TestSnapshot snapshot = map.TakeSnapshot();
  const std::vector<Offset> blocks = Walk(map.store(), kPageBytes / kUnitBytes,
                                          map.store().view().limit_units);
  MoveResult moved;
  ASSERT_EQ(Move(map, blocks, &moved), absl::OkStatus());
  ASSERT_NO_FATAL_FAILURE(map.Check());
  ASSERT_NO_FATAL_FAILURE(map.CheckFinds(snapshot.root, snapshot.model));
}

// A full disk, or damage, in the middle: the root is what it was.
TEST(MoveTest, RootStaysWhenAMoveFails) {
  Random random(7);
  const Shape shape{"large values", 150, 1000};
  TreeFixture map;
  ASSERT_NO_FATAL_FAILURE(Fill(map, shape, random));
  map.store().Seal();
  const std::vector<Offset> blocks = Walk(map.store(), kPageBytes / kUnitBytes,
                                          map.store().view().limit_units);
  const MapRoot before = map.root();
  for (uint64_t n = 1;; n += 1 + n / 8) {
    const MemoryStore::Mark mark = map.store().TakeMark();
    map.store().FailAt(n);
    MoveResult moved;
    const absl::Status status = Move(map, blocks, &moved);
    map.store().FailAt(0);
    if (status.ok()) break;
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    ASSERT_EQ(map.root().slot, before.slot);
    map.store().Rewind(mark);
    ASSERT_NO_FATAL_FAILURE(map.Check());
  }
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

}  // namespace
}  // namespace eve
