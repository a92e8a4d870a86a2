#include <cstdint>

#include "gtest/gtest.h"
#include "util/align.h"
#include "util/bits.h"
#include "util/cache_line.h"

namespace eve {
namespace {

static_assert(kCacheLineBytes == 64);
static_assert(AlignUp(1, 8) == 8 && AlignDown(15, 8) == 8);

TEST(AlignTest, AnAlignedValueStaysAsItIs) {
  EXPECT_EQ(AlignUp(4096, 4096), 4096u);
  EXPECT_EQ(AlignDown(4096, 4096), 4096u);
  EXPECT_TRUE(IsAligned(4096, 4096));
  EXPECT_TRUE(IsAligned(0, 4096));
}

TEST(AlignTest, RoundsToTheNeighbourOnEachSide) {
  EXPECT_EQ(AlignUp(4097, 4096), 8192u);
  EXPECT_EQ(AlignDown(8191, 4096), 4096u);
  EXPECT_FALSE(IsAligned(4097, 4096));
  EXPECT_EQ(AlignUp(UINT64_MAX - 7, 8), UINT64_MAX - 7);
}

TEST(AlignTest, OneAlignsEverything) {
  EXPECT_EQ(AlignUp(UINT64_MAX, 1), UINT64_MAX);
  EXPECT_TRUE(IsAligned(7, 1));
}

TEST(AlignDeathTest, RefusesWhatIsNoPowerOfTwo) {
#ifndef NDEBUG
  EXPECT_DEATH(AlignUp(1, 3), "power of two");
  EXPECT_DEATH(AlignUp(UINT64_MAX, 8), "overflows");
#endif
  EXPECT_FALSE(IsPowerOfTwo(0));
  EXPECT_FALSE(IsPowerOfTwo(12));
  EXPECT_TRUE(IsPowerOfTwo(uint64_t{1} << 63));
}

TEST(BitsTest, LowBitsReachesBothEnds) {
  EXPECT_EQ(LowBits(0), 0u);
  EXPECT_EQ(LowBits(1), 1u);
  EXPECT_EQ(LowBits(63), UINT64_MAX >> 1);
  EXPECT_EQ(LowBits(64), UINT64_MAX);
}

TEST(BitsTest, CountBitsBelowDoesNotCountTheBitItself) {
  const uint64_t word = 0b1011;
  EXPECT_EQ(CountBitsBelow(word, 0), 0u);
  EXPECT_EQ(CountBitsBelow(word, 1), 1u);
  EXPECT_EQ(CountBitsBelow(word, 3), 2u);
  EXPECT_EQ(CountBitsBelow(word, 63), 3u);
  EXPECT_TRUE(TestBit(word, 3));
  EXPECT_FALSE(TestBit(word, 2));
}

TEST(BitsTest, LogarithmsAgreeOnPowersAndDifferBetween) {
  EXPECT_EQ(Log2Floor(1), 0u);
  EXPECT_EQ(Log2Ceil(1), 0u);
  EXPECT_EQ(Log2Floor(1024), 10u);
  EXPECT_EQ(Log2Ceil(1024), 10u);
  EXPECT_EQ(Log2Floor(1025), 10u);
  EXPECT_EQ(Log2Ceil(1025), 11u);
  EXPECT_EQ(Log2Floor(UINT64_MAX), 63u);
  EXPECT_EQ(Log2Ceil(UINT64_MAX), 64u);
}

TEST(BitFieldTest, SetChangesOnlyItsOwnBits) {
  using Low = BitField<0, 16>;
  using Middle = BitField<16, 40>;
  using High = BitField<56, 8>;
  static_assert((Low::kMask | Middle::kMask | High::kMask) == UINT64_MAX);
  uint64_t word = UINT64_MAX;
  word = Middle::Set(word, 0x12'3456'789a);
  EXPECT_EQ(Low::Get(word), Low::kMax);
  EXPECT_EQ(Middle::Get(word), 0x12'3456'789au);
  EXPECT_EQ(High::Get(word), High::kMax);
  EXPECT_EQ((BitField<0, 64>::Set(word, 7)), 7u);
}

}  // namespace
}  // namespace eve
