// Lock files that a power failure leaves: each kind is what it is called.

#include "tests/simdisk/lock_files.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "engine/checkpoint/boot_id.h"
#include "engine/file/file.h"
#include "engine/format/shared_layout.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve::simdisk {
namespace {

class LockFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, testing::Quiet()));
    ASSERT_OK(domain.Close());
    image_ = Read();
    ASSERT_GT(image_.size(), kSegmentStatesOffset);
    image_.resize(kProcessSlotsOffset + kPageBytes);
  }
  std::vector<char> Read() const {
    const File file = File::Open(path_ + "-lock", O_RDONLY).value();
    std::vector<char> bytes(file.Size().value());
    EXPECT_OK(file.ReadAt(0, bytes.data(), bytes.size()));
    return bytes;
  }
  std::vector<char> Write(LockFileKind kind, uint64_t seed = 1) const {
    ::unlink((path_ + "-lock").c_str());
    WriteLockFile(kind, image_, seed, path_);
    return Read();
  }
  template <class T>
  static T At(const std::vector<char>& bytes, uint64_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
  }
  static uint64_t IncarnationOf(const std::vector<char>& bytes) {
    return At<uint64_t>(bytes, offsetof(RegionHeader, incarnation));
  }

  const testing::TempDir folder_;
  const std::string path_ = folder_.path() + "/d.eve";
  RegionImage image_;
};

TEST_F(LockFilesTest, EachIsWhatItIsCalled) {
  const std::vector<char> newest = Write(LockFileKind::kNewest);
  EXPECT_EQ(IncarnationOf(newest), IncarnationOf(image_));
  EXPECT_LT(IncarnationOf(Write(LockFileKind::kOlder)), IncarnationOf(newest));

  const std::vector<char> zeroes = Write(LockFileKind::kZeroes);
  EXPECT_EQ(zeroes, std::vector<char>(newest.size()));

  // All of it, but of another boot.
  const std::vector<char> as_it_was = Write(LockFileKind::kAsItWas);
  constexpr uint64_t kRoot = kRegionWordsOffset + offsetof(RegionWords, root);
  EXPECT_NE(At<uint64_t>(image_, kRoot), 0u);
  EXPECT_EQ(At<uint64_t>(as_it_was, kRoot), At<uint64_t>(image_, kRoot));
  EXPECT_EQ(At<uint32_t>(as_it_was, offsetof(RegionHeader, ready)), 1u);
  uint8_t boot_id[16];
  ASSERT_TRUE(ReadBootId(boot_id).value());
  constexpr uint64_t kBootId = offsetof(RegionHeader, boot_id);
  EXPECT_EQ(std::memcmp(image_.data() + kBootId, boot_id, sizeof(boot_id)), 0);
  EXPECT_NE(std::memcmp(as_it_was.data() + kBootId, boot_id, sizeof(boot_id)),
            0);

  std::set<bool> ends_at_page;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const std::vector<char> cut = Write(LockFileKind::kShort, seed);
    EXPECT_LT(cut.size(), as_it_was.size());
    EXPECT_TRUE(std::equal(cut.begin(), cut.end(), as_it_was.begin()));
    ends_at_page.insert(cut.size() % kPageBytes == 0);
  }
  EXPECT_EQ(ends_at_page.size(), 2u);

  const std::vector<char> garbage = Write(LockFileKind::kGarbage);
  EXPECT_EQ(garbage.size(), as_it_was.size());
  EXPECT_NE(garbage, as_it_was);
  EXPECT_EQ(Write(LockFileKind::kGarbage), garbage);
}

// Nothing is acknowledged behind a failed flush, so the words of before do not
// go with the note of it.
TEST_F(LockFilesTest, WordsAreNotOlderThanTheNoteOfAFailedFlush) {
  RegionImage earlier(image_.size());
  uint64_t stale_words = 0;
  for (const bool is_poisoned : {false, true}) {
    RegionImage now = image_;
    now[offsetof(RegionHeader, poison)] = is_poisoned ? 5 : 0;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      const RegionImage mixed = MixRegions(now, earlier, seed);
      const bool has_note = mixed[offsetof(RegionHeader, poison)] != 0;
      const bool has_words = std::equal(mixed.begin() + kRegionWordsOffset,
                                        mixed.begin() + kProcessSlotsOffset,
                                        now.begin() + kRegionWordsOffset);
      EXPECT_TRUE(!has_note || has_words) << seed;
      stale_words += has_words ? 0 : 1;
    }
  }
  EXPECT_GT(stale_words, 10u);
}

}  // namespace
}  // namespace eve::simdisk
