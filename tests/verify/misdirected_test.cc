// A block that is whole, but not the one that belongs where it lies: written to
// the place of another, or out of another domain. A block's checksum knows its
// place and its domain (P15), so `eve check` finds it where it lies. Linked
// with unsalted_checksum.cc these must fail: unsalted_checksum_test.sh.

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "engine/file/file.h"
#include "engine/format/block.h"
#include "engine/format/node_layout.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/file_bytes.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/verify/verify_image.h"

namespace eve::testing {
namespace {

using Strings = Map<std::string, std::string>;

// Large enough to be alone in its block.
std::string Value(char c) { return std::string(600, c); }

// Puts both in turn, so that the first is a dead block in the same segment.
void WriteDomain(const std::string& path, char first, char second) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", Value(first)));
  ASSERT_OK(map.Put("k", Value(second)));
  ASSERT_OK(domain.Close());
}

void WriteAll(const std::string& path, const std::string& bytes) {
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(path, O_RDWR));
  ASSERT_OK(file.WriteAt(0, bytes.data(), bytes.size()));
}

struct Place {
  size_t at = 0;
  size_t size = 0;
};

// The block of a value, whose key has one byte.
Place FindBlock(const std::string& bytes, char c) {
  const size_t value = bytes.find(Value(c));
  EXPECT_NE(value, std::string::npos);
  Place place{value - 1 - sizeof(RecordBlock), 0};
  BlockHeader header;
  std::memcpy(&header, bytes.data() + place.at, sizeof(header));
  EXPECT_EQ(header.type, static_cast<uint8_t>(BlockType::kRecord));
  place.size = header.bytes();
  return place;
}

// What somebody reads who believes what `eve check` says.
void ExpectFoundIn(const std::string& path, const std::string& bytes,
                   uint64_t block, const std::string& right) {
  const absl::StatusOr<VerifyReport> report = VerifyImage(bytes);
  ASSERT_OK(report);
  // By its own checksum: other defences know no more than that something in
  // the segment is wrong, or happen to look at this kind of block.
  EXPECT_TRUE(std::any_of(report->errors.begin(), report->errors.end(),
                          [block](const VerifyError& error) {
                            return error.offset == block &&
                                   error.what.find("checksum") !=
                                       std::string::npos;
                          }))
      << "the checksum of the block at offset " << block << " fits; in all:\n"
      << ErrorsOf(*report);
  if (IsDamageFound(report)) return;
  WriteAll(path, bytes);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), right) << "although it passed the check";
}

class MisdirectedTest : public ::testing::Test {
 protected:
  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
};

TEST_F(MisdirectedTest, BlocksInEachOthersPlaceAreFound) {
  ASSERT_NO_FATAL_FAILURE(WriteDomain(path_, 'o', 'n'));
  std::string bytes = ReadFile(path_);
  ASSERT_FALSE(IsDamageFound(VerifyImage(bytes)));
  const Place before = FindBlock(bytes, 'o');
  const Place now = FindBlock(bytes, 'n');
  ASSERT_EQ(before.size, now.size);
  std::swap_ranges(bytes.begin() + static_cast<ptrdiff_t>(before.at),
                   bytes.begin() + static_cast<ptrdiff_t>(before.at + now.size),
                   bytes.begin() + static_cast<ptrdiff_t>(now.at));
  ExpectFoundIn(path_, bytes, now.at, Value('n'));
}

TEST_F(MisdirectedTest, ABlockOfAnotherDomainIsFoundWhereItLies) {
  const std::string other = dir_.File("other.eve");
  ASSERT_NO_FATAL_FAILURE(WriteDomain(path_, 'o', 'n'));
  ASSERT_NO_FATAL_FAILURE(WriteDomain(other, 'o', 'x'));
  std::string bytes = ReadFile(path_);
  const std::string foreign = ReadFile(other);
  const Place now = FindBlock(bytes, 'n');
  const Place there = FindBlock(foreign, 'x');
  ASSERT_EQ(now.at, there.at);
  ASSERT_EQ(now.size, there.size);
  bytes.replace(now.at, now.size, foreign, there.at, there.size);
  ExpectFoundIn(path_, bytes, now.at, Value('n'));
}

}  // namespace
}  // namespace eve::testing
