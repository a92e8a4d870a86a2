// What edits take along out of segments that are to be emptied.
#include "engine/collections/side_moves.h"

#include <cstddef>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/collections/btree_fixture.h"
#include "tests/collections/hamt_fixture.h"

namespace eve {
namespace {

constexpr uint64_t kRecords = 20000;
const std::string kNewValue(80, 'n');
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

std::string PaddedKey(uint64_t number) {
  std::string digits = std::to_string(number);
  return std::string(8 - digits.size(), '0') + digits;
}

// Puts that many records of random values, and has all that is placed so far
// emptied. Returns where that ends, in units.
template <class Op, class Fixture>
uint64_t FillToEmpty(Fixture& map, EmptiedSegments& emptied, uint64_t records,
                     size_t value_bytes) {
  Random random(11);
  std::vector<Op> ops;
  for (uint64_t i = 0; i < records; ++i) {
    ops.push_back(
        {MapOpKind::kPut, PaddedKey(i), RandomBytes(random, value_bytes)});
  }
  map.Apply(ops);
  map.store().SealSegment();
  const uint64_t end = map.store().used_bytes() / kSegmentBytes;
  for (uint64_t segment = 0; segment < end; ++segment) {
    emptied.Add(static_cast<uint32_t>(segment));
  }
  return end * kSegmentUnits;
}

template <class Fixture>
struct OpOf {
  using Type = TestOp;
};
template <>
struct OpOf<TreeFixture> {
  using Type = TreeTestOp;
};

template <class Fixture>
class SideMovesTest : public testing::Test {
 protected:
  using Op = typename OpOf<Fixture>::Type;

  // Fills the map; what it has placed so far is to be emptied.
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(end_units_ =
                                FillToEmpty<Op>(map_, emptied_, kRecords, 80));
  }

  void Allow(int64_t budget_bytes) {
    moves_ = SideMoves{&emptied_, budget_bytes, {}};
    map_.context().side_moves = &moves_;
  }

  bool IsLeaf(uint64_t units) {
    const auto type = static_cast<BlockType>(
        map_.store().view().template As<BlockHeader>(Offset{units})->type);
    return type == BlockType::kTrieLeaf || type == BlockType::kTreeLeaf;
  }

  // Live leaves in the segments to be emptied.
  uint64_t LeavesLeft() {
    uint64_t left = 0;
    for (const auto& [units, bytes] : map_.store().live()) {
      left += units < end_units_ && IsLeaf(units);
    }
    return left;
  }

  absl::Status ApplyTo(HamtFixture& map, MapOp op, MapRoot& root) {
    return HamtApply(map.context(), absl::MakeSpan(&op, 1), root);
  }
  absl::Status ApplyTo(TreeFixture& map, MapOp op, MapRoot& root) {
    return TreeApply(map.context(), absl::MakeSpan(&op, 1), root);
  }

  Fixture map_;
  EmptiedSegments emptied_;
  SideMoves moves_;
  uint64_t end_units_ = 0;
};

using Fixtures = testing::Types<HamtFixture, TreeFixture>;
TYPED_TEST_SUITE(SideMovesTest, Fixtures);

TYPED_TEST(SideMovesTest, NeighboursOfAWriteAreTakenAlong) {
  const uint64_t before = this->LeavesLeft();
  this->Allow(kNoLimit);
  ASSERT_NO_FATAL_FAILURE(this->map_.Put(PaddedKey(7), kNewValue));
  EXPECT_GT(this->moves_.moved.blocks, 1u);
  // Those that were moved, and the one that was written anew.
  EXPECT_EQ(this->LeavesLeft(), before - this->moves_.moved.blocks - 1);
  ASSERT_NO_FATAL_FAILURE(this->map_.Check());
}

TYPED_TEST(SideMovesTest, NoMoreThanTheBudgetIsMoved) {
  this->Allow(1);
  ASSERT_NO_FATAL_FAILURE(this->map_.Put(PaddedKey(7), kNewValue));
  EXPECT_EQ(this->moves_.moved.blocks, 1u);
  EXPECT_EQ(this->moves_.budget_bytes,
            1 - static_cast<int64_t>(this->moves_.moved.bytes));
  this->Allow(0);
  ASSERT_NO_FATAL_FAILURE(this->map_.Put(PaddedKey(8), kNewValue));
  EXPECT_EQ(this->moves_.moved.blocks, 0u);
  ASSERT_NO_FATAL_FAILURE(this->map_.Check());
}

TYPED_TEST(SideMovesTest, SegmentsThatAreNotToBeEmptiedAreLeftAlone) {
  const uint64_t before = this->LeavesLeft();
  for (uint64_t at = 0; at < this->end_units_; at += kSegmentUnits) {
    this->emptied_.Remove(static_cast<uint32_t>(at / kSegmentUnits));
  }
  this->Allow(kNoLimit);
  ASSERT_NO_FATAL_FAILURE(this->map_.Put(PaddedKey(7), kNewValue));
  EXPECT_EQ(this->moves_.moved.blocks, 0u);
  EXPECT_EQ(this->LeavesLeft(), before - 1);
}

// A node that an edit leaves as it is would have to be copied.
TYPED_TEST(SideMovesTest, AnEditThatChangesNothingMovesNothing) {
  this->Allow(kNoLimit);
  const MapRoot before = this->map_.root();
  ASSERT_NO_FATAL_FAILURE(this->map_.Erase("absent"));
  ASSERT_NO_FATAL_FAILURE(
      this->map_.Apply({{MapOpKind::kInsert, PaddedKey(7), "there"}}));
  EXPECT_EQ(this->moves_.moved.blocks, 0u);
  EXPECT_EQ(this->map_.root().slot, before.slot);
}

TYPED_TEST(SideMovesTest, ManyWritesEmptyTheSegments) {
  const uint64_t before = this->LeavesLeft();
  Random random(13);
  for (uint64_t i = 0; i < kRecords; i += 20) {
    this->Allow(kNoLimit);
    std::vector<typename OpOf<TypeParam>::Type> ops;
    // Batches, single ops, and what makes leaves split and merge.
    for (uint64_t n = 0; n <= i % 3; ++n) {
      const uint64_t number = random.Next() % kRecords;
      if (i % 4 == 0) {
        ops.push_back({MapOpKind::kErase, PaddedKey(number), ""});
      } else {
        ops.push_back({MapOpKind::kPut, PaddedKey(number),
                       RandomBytes(random, random.Next() % 200)});
      }
    }
    ASSERT_NO_FATAL_FAILURE(this->map_.Apply(ops));
    if (i % 7 == 0) this->map_.store().Seal();
  }
  for (uint64_t i = 0; i < kRecords; i += 8) {
    this->Allow(kNoLimit);
    ASSERT_NO_FATAL_FAILURE(this->map_.Put(PaddedKey(i), "last"));
  }
  // The writes alone would leave a third. A leaf without another beside it
  // waits for its own.
  EXPECT_LT(this->LeavesLeft(), before / 20);
  ASSERT_NO_FATAL_FAILURE(this->map_.Check());
}

// Large values lie in blocks of their own, which the leaf above them leads to.
template <class Fixture>
class SideMovesOfValuesTest : public SideMovesTest<Fixture> {
 protected:
  static constexpr uint64_t kLargeRecords = 1500;
  static constexpr size_t kValueBytes = 1000;

  void SetUp() override { Fill(kValueBytes); }
  void Fill(size_t value_bytes) {
    using Op = typename OpOf<Fixture>::Type;
    ASSERT_NO_FATAL_FAILURE(this->end_units_ =
                                FillToEmpty<Op>(this->map_, this->emptied_,
                                                kLargeRecords, value_bytes));
  }
  bool IsValue(uint64_t units) {
    const auto type =
        static_cast<BlockType>(this->map_.store()
                                   .view()
                                   .template As<BlockHeader>(Offset{units})
                                   ->type);
    return type == BlockType::kRecord || type == BlockType::kTreeValue;
  }
  // Live values in the segments to be emptied.
  uint64_t ValuesLeft() {
    uint64_t left = 0;
    for (const auto& [units, bytes] : this->map_.store().live()) {
      left += units < this->end_units_ && IsValue(units);
    }
    return left;
  }
};

TYPED_TEST_SUITE(SideMovesOfValuesTest, Fixtures);

// The first that brings 8 KiB is the last, and a small put, for which a tree's
// leaf is split, pays as well as one of a large value.
TYPED_TEST(SideMovesOfValuesTest, ThoseOfTheLeafThatIsEditedAreTakenAlong) {
  for (const std::string& value : {std::string(1000, 'n'), std::string("n")}) {
    const uint64_t before = this->ValuesLeft();
    this->Allow(kNoLimit);
    ASSERT_NO_FATAL_FAILURE(
        this->map_.Put(PaddedKey(700 + value.size()), value));
    const uint64_t gone = before - this->ValuesLeft();
    // With the one that is replaced.
    EXPECT_GT(gone, 5u) << value.size();
    const uint64_t leaves = value.size() == 1 ? 2 : 1;
    EXPECT_LE(gone, 1 + leaves * (kSideBytesMax / this->kValueBytes + 1))
        << value.size();
    ASSERT_NO_FATAL_FAILURE(this->map_.Check());
  }
}

TYPED_TEST(SideMovesOfValuesTest, NoMoreThanTheBudgetIsMoved) {
  const uint64_t before = this->ValuesLeft();
  this->Allow(1);
  ASSERT_NO_FATAL_FAILURE(this->map_.Put(PaddedKey(7), "new"));
  EXPECT_EQ(this->moves_.moved.blocks, 1u);
  EXPECT_GT(this->moves_.moved.bytes, this->kValueBytes);
  EXPECT_EQ(this->ValuesLeft(), before - 2);
  ASSERT_NO_FATAL_FAILURE(this->map_.Check());
}

TYPED_TEST(SideMovesOfValuesTest, LargerOnesStayWhereTheyAre) {
  ASSERT_NO_FATAL_FAILURE(this->Fill(kSideBytesMax + 1));
  const uint64_t before = this->ValuesLeft();
  this->Allow(kNoLimit);
  ASSERT_NO_FATAL_FAILURE(this->map_.Put(PaddedKey(7), "new"));
  EXPECT_EQ(this->ValuesLeft(), before - 1);
  ASSERT_NO_FATAL_FAILURE(this->map_.Check());
}

TYPED_TEST(SideMovesOfValuesTest, AnEditThatChangesNothingMovesNothing) {
  this->Allow(kNoLimit);
  ASSERT_NO_FATAL_FAILURE(this->map_.Erase("absent"));
  ASSERT_NO_FATAL_FAILURE(
      this->map_.Apply({{MapOpKind::kInsert, PaddedKey(7), "there"}}));
  EXPECT_EQ(this->moves_.moved.blocks, 0u);
}

// Puts, erasures and batches, after which a leaf has large and small values.
TYPED_TEST(SideMovesOfValuesTest, ManyWritesEmptyTheSegments) {
  const uint64_t before = this->ValuesLeft();
  Random random(17);
  for (uint64_t i = 0; i < this->kLargeRecords; ++i) {
    this->Allow(kNoLimit);
    std::vector<typename OpOf<TypeParam>::Type> ops;
    for (uint64_t n = 0; n <= i % 3; ++n) {
      const std::string key =
          PaddedKey(random.Next() % (2 * this->kLargeRecords));
      if (i % 4 == 0) {
        ops.push_back({MapOpKind::kErase, key, ""});
      } else {
        ops.push_back({MapOpKind::kPut, key,
                       RandomBytes(random, random.OneIn(2) ? 1000 : 20)});
      }
    }
    ASSERT_NO_FATAL_FAILURE(this->map_.Apply(ops));
    if (i % 7 == 0) this->map_.store().Seal();
  }
  // The writes alone would leave a third.
  EXPECT_LT(this->ValuesLeft(), before / 20);
  ASSERT_NO_FATAL_FAILURE(this->map_.Check());
}

// What has been copied before a value finds no room is moved; the rest stays
// what it was.
TYPED_TEST(SideMovesOfValuesTest, WithoutRoomForOneTheEditGoesOn) {
  std::set<uint64_t> moved;
  for (uint64_t n = 1; n < 20; ++n) {
    this->map_.store().Seal();  // or a rewind would not undo all
    const MemoryStore::Mark mark = this->map_.store().TakeMark();
    const std::string key = PaddedKey(7);
    MapOp op{};
    op.key = key;
    op.value = "new";
    MapRoot root = this->map_.root();
    this->Allow(kNoLimit);
    this->map_.store().FailOnceAt(n);
    const absl::Status status = this->ApplyTo(this->map_, op, root);
    this->map_.store().Rewind(mark);
    if (status.ok()) {
      this->Allow(kNoLimit);
      this->map_.store().FailOnceAt(n);
      ASSERT_NO_FATAL_FAILURE(this->map_.Put(key, "new"));
      moved.insert(this->moves_.moved.blocks);
    } else {
      EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    }
    this->map_.store().FailOnceAt(0);
    ASSERT_NO_FATAL_FAILURE(this->map_.Check());
  }
  EXPECT_GT(moved.size(), 2u);
}

// Nodes two levels above the leaves' have nodes below them that hold a few
// leaves each: those are taken along as well, with their leaves.
class SideMovesOfNodesTest : public testing::Test {
 protected:
  static constexpr uint32_t kDepth = 3;  // of what is taken along

  // All hashes begin with so many zeroes: then there is one node above, of
  // depth 2.
  explicit SideMovesOfNodesTest(int zeroes = 10)
      : map_(~uint64_t{0} >> zeroes) {
    map_.context().side_moves = &moves_;
  }

  void Fill(uint64_t records) {
    ASSERT_NO_FATAL_FAILURE(
        end_units_ = FillToEmpty<TestOp>(map_, emptied_, records, 220));
    moves_ = SideMoves{&emptied_, kNoLimit, {}};
  }

  // Of that depth, in the segments to be emptied.
  std::vector<Offset> NodesLeft(uint32_t depth = kDepth) {
    std::vector<Offset> left;
    for (const auto& [units, bytes] : map_.store().live()) {
      const auto* header = map_.store().view().As<BlockHeader>(Offset{units});
      if (units < end_units_ && header->depth == depth &&
          header->type == static_cast<uint8_t>(BlockType::kTrieNode)) {
        left.push_back(Offset{units});
      }
    }
    return left;
  }

  HamtFixture map_;
  EmptiedSegments emptied_;
  SideMoves moves_;
  uint64_t end_units_ = 0;
};

class SideMovesOfManyNodesTest : public SideMovesOfNodesTest {
 protected:
  SideMovesOfManyNodesTest() : SideMovesOfNodesTest(/*zeroes=*/0) {}
};

TEST_F(SideMovesOfManyNodesTest, NodesBesideAnEditAreTakenAlong) {
  ASSERT_NO_FATAL_FAILURE(Fill(150'000));
  const size_t before = NodesLeft().size();
  ASSERT_GT(before, 1000u);
  ASSERT_NO_FATAL_FAILURE(map_.Put(PaddedKey(7), kNewValue));
  // Three and the one on the way.
  EXPECT_EQ(NodesLeft().size(), before - 4);
  EXPECT_GT(moves_.moved.blocks, 3u);
  ASSERT_NO_FATAL_FAILURE(map_.Check());
  moves_ = SideMoves{&emptied_, 1, {}};
  ASSERT_NO_FATAL_FAILURE(map_.Put(PaddedKey(8), kNewValue));
  EXPECT_EQ(moves_.moved.blocks, 1u);
  ASSERT_NO_FATAL_FAILURE(map_.Check());
}

// What they cost comes on top of the edit: the first that brings 8 KiB is the
// last.
TEST_F(SideMovesOfNodesTest, OfNodesWithManyLeavesOneIsTakenAlong) {
  ASSERT_NO_FATAL_FAILURE(Fill(3000));
  const size_t before = NodesLeft().size();
  ASSERT_EQ(before, kTrieFanout);
  ASSERT_NO_FATAL_FAILURE(map_.Put(PaddedKey(7), kNewValue));
  // And the one on the way.
  EXPECT_EQ(NodesLeft().size(), before - 2);
  EXPECT_GT(moves_.moved.bytes, 8u << 10);
  ASSERT_NO_FATAL_FAILURE(map_.Check());
}

// It would be retired twice.
TEST_F(SideMovesOfNodesTest, AChildThatDamageHasInManySlotsIsTakenAlongOnce) {
  ASSERT_NO_FATAL_FAILURE(Fill(300));
  const size_t before = NodesLeft().size();
  const std::vector<Offset> above = NodesLeft(kDepth - 1);
  ASSERT_EQ(above.size(), 1u);
  char* const bytes = map_.store().MutableBase() + above.front().bytes() +
                      offsetof(TrieNode, slots);
  NodeSlot slots[kTrieFanout];
  std::memcpy(slots, bytes, sizeof(slots));
  const std::string key = PaddedKey(7);
  const uint32_t on_the_way = TrieSlotIndex(map_.hasher()(key), kDepth - 1);
  NodeSlot child;
  int copies = 0;
  for (uint32_t i = 0; i < kTrieFanout; ++i) {
    if (i == on_the_way || slots[i].kind() != SlotKind::kNode) continue;
    if (child.is_empty()) child = slots[i];
    slots[i] = child;
    ++copies;
  }
  ASSERT_GT(copies, 2);
  std::memcpy(bytes, slots, sizeof(slots));
  MapOp op{.key = key, .value = kNewValue};
  ASSERT_EQ(HamtApply(map_.context(), absl::MakeSpan(&op, 1), map_.root()),
            absl::OkStatus());
  EXPECT_EQ(NodesLeft().size(), before - 2);
}

// As with any failed edit: the caller rewinds and has what it had.
TYPED_TEST(SideMovesTest, WithoutRoomTheRootStaysAsItWas) {
  const MapRoot before = this->map_.root();
  const MemoryStore::Mark mark = this->map_.store().TakeMark();
  const std::string key = PaddedKey(7);
  MapOp op{};
  op.key = key;
  op.value = "new";
  uint64_t failures = 0;
  for (uint64_t n = 1;; ++n) {
    this->Allow(kNoLimit);
    MapRoot root = before;
    this->map_.store().FailAt(n);
    const absl::Status status = this->ApplyTo(this->map_, op, root);
    this->map_.store().FailAt(0);
    this->map_.store().Rewind(mark);
    if (status.ok() && this->moves_.moved.blocks > 0) break;
    ++failures;
    // An edit of a trie has all that it needs before it moves anything.
    ASSERT_LT(failures, 100u);
    if (status.ok()) continue;
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(root.slot, before.slot);
    ASSERT_NO_FATAL_FAILURE(this->map_.Check());
  }
  EXPECT_GT(failures, 3u);
}

}  // namespace
}  // namespace eve
