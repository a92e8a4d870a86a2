// The salt of a domain is found by what its blocks agree on, and by nothing
// less. Salts are made so that the search comes to them at once.

#include "engine/verify/salt_search.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "engine/format/block.h"
#include "engine/format/checksum.h"
#include "engine/format/constants.h"
#include "engine/format/offset.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve::verify {
namespace {

class SaltSearchTest : public ::testing::Test {
 protected:
  SaltProbe NewProbe() {
    SaltProbe probe;
    probe.header = MakeBlockHeader(BlockType::kTrieLeaf, 2, 7, 320,
                                   static_cast<uint32_t>(random_.Next()));
    probe.offset = Offset{random_.Uniform(1 << 30)};
    probe.body_hash = random_.Next();
    return probe;
  }
  static uint64_t HashOf(const SaltProbe& probe, uint64_t salt) {
    return BlockHashFromBody(probe.header, probe.body_hash, probe.offset, salt);
  }
  // So many of one domain. The upper half of the first one's hash is `upper`.
  std::vector<SaltProbe> NewDomain(int count, uint64_t upper) {
    std::vector<SaltProbe> probes;
    for (int i = 0; i < count; ++i) probes.push_back(NewProbe());
    salt_ = SaltOf(probes[0], upper << 32 | (random_.Next() >> 32));
    for (SaltProbe& probe : probes) {
      probe.header.checksum = ChecksumOf(HashOf(probe, salt_));
    }
    return probes;
  }

  Random random_{11};
  uint64_t salt_ = 0;
};

TEST_F(SaltSearchTest, AHashAndItsBlockGiveTheSalt) {
  for (int i = 0; i < 1000; ++i) {
    const SaltProbe probe = NewProbe();
    const uint64_t salt = random_.Next();
    ASSERT_EQ(SaltOf(probe, HashOf(probe, salt)), salt);
  }
}

TEST_F(SaltSearchTest, EachUpperHalfIsTried) {
  // In the first and the last place of what is done at once, and at the ends.
  for (const uint64_t upper : {uint64_t{0}, uint64_t{511}, uint64_t{512},
                               uint64_t{100'000}, uint64_t{UINT32_MAX}}) {
    const std::vector<SaltProbe> two = NewDomain(2, upper);
    EXPECT_EQ(TrySalts(two[0], two[1], upper, upper + 1),
              std::vector<uint64_t>{salt_});
    const uint64_t from = upper - upper % 512;
    EXPECT_EQ(TrySalts(two[0], two[1], from, from + 512),
              std::vector<uint64_t>{salt_});
    EXPECT_TRUE(TrySalts(two[0], two[1], upper + 1, upper + 512).empty());
    if (upper > 0) {
      EXPECT_TRUE(TrySalts(two[0], two[1], upper - 1, upper).empty());
    }
  }
}

TEST_F(SaltSearchTest, FourBlocksAreEnoughAndThreeAreNot) {
  std::vector<SaltProbe> probes = NewDomain(4, 1234);
  std::optional<FoundSalt> found = SearchSalt(probes);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->salt, salt_);
  EXPECT_EQ(found->agreeing, 4u);
  probes.pop_back();
  EXPECT_FALSE(SearchSalt(probes).has_value());
}

TEST_F(SaltSearchTest, BlocksThatDoNotAgreeAreOutvoted) {
  std::vector<SaltProbe> probes = NewDomain(5, 77);
  for (int i = 0; i < 200; ++i) probes.push_back(NewProbe());
  const std::optional<FoundSalt> found = SearchSalt(probes);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->salt, salt_);
  EXPECT_EQ(found->agreeing, 5u);
}

TEST_F(SaltSearchTest, ProbesAreBlocksThatWereCommitted) {
  testing::TempDir dir;
  ASSERT_OK_AND_ASSIGN(const File file,
                       File::Open(dir.File("f"), O_RDWR | O_CREAT));
  // Two that are whole, one without a checksum, and one that leads nowhere.
  std::string bytes(kSegmentBytes, '\0');
  uint64_t at = kFirstBlockOffset;
  const auto put = [&](uint64_t size, uint32_t checksum) {
    BlockHeader header = MakeBlockHeader(BlockType::kTrieLeaf, 0, 1, size, 3);
    header.checksum = checksum;
    std::memcpy(bytes.data() + at, &header, sizeof(header));
    for (uint64_t i = sizeof(header); i < size; ++i) {
      bytes[at + i] = static_cast<char>(200 + i % 50);
    }
    at += size;
  };
  const uint64_t first = at;
  put(160, 1);
  const uint64_t second = at;
  put(320, 2);
  put(160, 0);
  put(160, 3);
  std::memset(bytes.data() + at, 0xEE, 64);
  ASSERT_OK(file.WriteAt(0, bytes.data(), bytes.size()));
  std::vector<SaltProbe> probes = CollectProbes(file, bytes.size());
  std::sort(probes.begin(), probes.end(),
            [](const SaltProbe& a, const SaltProbe& b) {
              return a.offset.units < b.offset.units;
            });
  ASSERT_EQ(probes.size(), 2u);
  EXPECT_EQ(probes[0].offset.bytes(), first);
  EXPECT_EQ(probes[1].offset.bytes(), second);
  for (const SaltProbe& probe : probes) {
    EXPECT_EQ(HashOf(probe, 5),
              BlockHash(bytes.data() + probe.offset.bytes(), probe.offset, 5));
  }
}

}  // namespace
}  // namespace eve::verify
