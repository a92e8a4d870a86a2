// A file of which the lock file says nothing may be a copy that was taken while
// others wrote: it is read whole before a root of it is believed. One that was
// open in another boot is known, and is not read.

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "engine/file/file.h"
#include "engine/format/constants.h"
#include "engine/format/shared_layout.h"
#include "engine/reclaim/poison.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/call_list.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/file_bytes.h"
#include "tests/testing/lock_file.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::Quiet;
using Strings = Map<std::string, std::string>;

const std::string kOld(64, '#');
const std::string kNew(64, '%');

DomainOptions ReadOnly() {
  DomainOptions options = Quiet();
  options.read_only = true;
  return options;
}

class CopiedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
    for (const std::string& value : {kOld, kNew}) {
      ASSERT_OK(map.Put("k", value));
      ASSERT_OK(domain_.Sync());
    }
  }
  // Without its lock file; what only the newest root reaches has changed behind
  // it.
  std::string DamagedCopy() {
    const std::string copy = dir_.File("copy.eve");
    std::filesystem::copy_file(path_, copy);
    const size_t at = testing::ReadFile(copy).find(kNew);
    EXPECT_NE(at, std::string::npos);
    const absl::StatusOr<File> file = File::Open(copy, O_RDWR);
    EXPECT_OK(file);
    EXPECT_OK(file->WriteAt(at, "rot", 3));
    return copy;
  }
  static void ExpectRefused(const std::string& path) {
    for (const DomainOptions& options : {Quiet(), ReadOnly()}) {
      const absl::Status refused = Domain::Open(path, options).status();
      EXPECT_CODE(refused, absl::StatusCode::kDataLoss);
      EXPECT_NE(refused.message().find("If it is a copy"),
                std::string_view::npos)
          << refused;
    }
  }
  static std::string ValueIn(const std::string& path,
                             const DomainOptions& options) {
    absl::StatusOr<Domain> domain = Domain::Open(path, options);
    EXPECT_OK(domain);
    if (!domain.ok()) return "";
    return std::string(
        domain->Collection<Strings>("m").value().Get("k").value_or(""));
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
};

TEST_F(CopiedFileTest, OneWithDamageIsRefused) { ExpectRefused(DamagedCopy()); }

TEST_F(CopiedFileTest, OneThatIsWholeOpens) {
  const std::string copy = dir_.File("copy.eve");
  std::filesystem::copy_file(path_, copy);
  EXPECT_EQ(ValueIn(copy, ReadOnly()), kNew);
  EXPECT_EQ(ValueIn(copy, Quiet()), kNew);
}

// What cp does that is slow: the slots first, the blocks when they have been
// reused.
TEST_F(CopiedFileTest, OneThatWasTakenOverTimeIsRefused) {
  SetPoisonFreedSegments(true);
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  const auto big = [](char fill) { return std::string(3 << 20, fill); };
  ASSERT_OK(map.Put("big", big('a')));
  ASSERT_OK(domain_.Sync());
  ASSERT_OK(map.Put("other", "small"));
  ASSERT_OK(domain_.Sync());
  const std::string slots =
      testing::ReadFile(path_).substr(0, kFirstBlockOffset);
  for (const char fill : {'b', 'c', 'd'}) {
    ASSERT_OK(map.Put("big", big(fill)));
    ASSERT_OK(domain_.Sync());
    ASSERT_OK(domain_.Reclaim());
  }
  SetPoisonFreedSegments(false);
  const std::string copy = dir_.File("copy.eve");
  std::filesystem::copy_file(path_, copy);
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(copy, O_RDWR));
  ASSERT_OK(file.WriteAt(0, slots.data(), slots.size()));
  ExpectRefused(copy);
  // As what it looks like with a lock file it would open, and the damage would
  // be found later, or not.
  ASSERT_TRUE(testing::WriteLockFileOfOtherBoot(copy));
  EXPECT_OK(Domain::Open(copy, Quiet()));
}

TEST_F(CopiedFileTest, AfterARebootNothingIsRead) {
  const std::string copy = DamagedCopy();
  ASSERT_TRUE(testing::WriteLockFileOfOtherBoot(copy));
  const std::string found = ValueIn(copy, ReadOnly());
  EXPECT_EQ(found, "rot" + kNew.substr(3));
  EXPECT_EQ(ValueIn(copy, Quiet()), found);
  // Nor the next time: opening has written a lock file for it.
  EXPECT_EQ(ValueIn(copy, Quiet()), found);
}

// Each word that ties the lock file to the file.
TEST_F(CopiedFileTest, OneWordOfTheLockFileIsEnough) {
  const std::string copy = DamagedCopy();
  for (const size_t at :
       {offsetof(RegionHeader, magic), offsetof(RegionHeader, data_inode),
        offsetof(RegionHeader, uuid), offsetof(RegionHeader, incarnation)}) {
    SCOPED_TRACE(at);
    ASSERT_TRUE(testing::WriteLockFileOfOtherBoot(copy));
    ASSERT_OK_AND_ASSIGN(const File lock, File::Open(copy + "-lock", O_RDWR));
    uint8_t byte;
    ASSERT_OK(lock.ReadAt(at, &byte, 1));
    ++byte;
    ASSERT_OK(lock.WriteAt(at, &byte, 1));
    ExpectRefused(copy);
  }
}

// As an opener leaves it that dies between its slot and its lock file. Two
// openings behind it is another's.
TEST_F(CopiedFileTest, ALockFileOneOpeningBehindIsOfTheFile) {
  const std::string copy = DamagedCopy();
  for (const uint64_t behind : {uint64_t{1}, uint64_t{2}}) {
    ASSERT_TRUE(testing::WriteLockFileOfOtherBoot(copy));
    ASSERT_OK_AND_ASSIGN(const File lock, File::Open(copy + "-lock", O_RDWR));
    constexpr uint64_t kAt = offsetof(RegionHeader, incarnation);
    uint64_t incarnation;
    ASSERT_OK(lock.ReadAt(kAt, &incarnation, sizeof(incarnation)));
    incarnation -= behind;
    ASSERT_OK(lock.WriteAt(kAt, &incarnation, sizeof(incarnation)));
    if (behind == 1) {
      EXPECT_EQ(ValueIn(copy, ReadOnly()), "rot" + kNew.substr(3));
    } else {
      ExpectRefused(copy);
    }
  }
}

// Put back where it was copied from, over the same inode: the lock file is of
// this boot, too, but knows of a later opening.
TEST_F(CopiedFileTest, OneThatWasPutBackIsReadWhole) {
  const std::string bytes = testing::ReadFile(DamagedCopy());
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(domain_.Close());
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
  }
  ASSERT_OK(domain_.Close());
  {
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
    ASSERT_OK(file.WriteAt(0, bytes.data(), bytes.size()));
  }
  ExpectRefused(path_);
}

// Else a power failure would make every file one that is not known.
TEST_F(CopiedFileTest, OpeningFlushesTheLockFile) {
  const std::string copy = dir_.File("copy.eve");
  std::filesystem::copy_file(path_, copy);
  testing::CallList seen;
  ASSERT_OK_AND_ASSIGN(const Domain domain, Domain::Open(copy, Quiet()));
  EXPECT_EQ(seen.CountOf(FileOp::kDatasync, copy + "-lock"), 1);
}

}  // namespace
}  // namespace eve
