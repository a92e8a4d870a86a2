// Copies of a domain: exactly one version, beside writers; whole, or not there.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "engine/format/commit_slot.h"
#include "engine/format/constants.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/backup_fixture.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::BackupTest;
using testing::Quiet;
using Strings = BackupTest::Strings;
using Ordered = BackupTest::Ordered;
using Pairs = BackupTest::Pairs;

TEST_P(BackupTest, HasEverythingAndOpens) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  ASSERT_OK_AND_ASSIGN(const BackupResult result,
                       domain_.Backup(to_, Options()));
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain_.Stats());
  EXPECT_EQ(result.version, stats.version);
  EXPECT_EQ(result.file_bytes, std::filesystem::file_size(to_));
  EXPECT_FALSE(std::filesystem::exists(to_ + "-lock"));
  ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(domain_, copy));
  testing::ExpectCleanCheck(to_, copy);
  // They go their own ways.
  ASSERT_OK_AND_ASSIGN(Strings there, copy.Collection<Strings>("map"));
  ASSERT_OK_AND_ASSIGN(Strings here, domain_.Collection<Strings>("map"));
  ASSERT_OK(there.Put("key1", "copy"));
  ASSERT_OK(here.Put("key1", "source"));
  EXPECT_EQ(there.Get("key1").value(), "copy");
  EXPECT_EQ(here.Get("key1").value(), "source");
  ASSERT_OK(copy.Close());
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_P(BackupTest, FreeSpaceStaysAHole) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  ASSERT_OK(domain_.Backup(to_, Options()));
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain_.Stats());
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(to_, O_RDONLY));
  ASSERT_OK_AND_ASSIGN(const uint64_t disk_bytes, file.DiskBytes());
  EXPECT_LT(disk_bytes + (uint64_t{6} << 20), stats.disk_bytes);
  // Packed, there are half-filled segments; plain, what is dead beside what
  // lives.
  EXPECT_LT(disk_bytes, GetParam() ? stats.live_bytes + (uint64_t{6} << 20)
                                   : stats.fill_bytes + (uint64_t{2} << 20));
}

// Half of a sum moves from one collection to another, and back, meanwhile.
TEST_P(BackupTest, HoldsOneVersionBesideWriters) {
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_));
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("map"));
  ASSERT_OK_AND_ASSIGN(Ordered tree, domain_.Collection<Ordered>("tree"));
  const auto write = [&](int version) {
    return domain_
        .Swap([&](Transaction& txn) -> absl::Status {
          for (int i = 0; i < 50; ++i) {
            const std::string key = absl::StrCat("k", i);
            const std::string value =
                absl::StrCat(version, std::string(version * i % 900, 'v'));
            absl::Status put = map.In(txn).Put(key, value);
            if (put.ok()) put = tree.In(txn).Put(key, value);
            if (!put.ok()) return put;
          }
          return absl::OkStatus();
        })
        .status();
  };
  ASSERT_OK(write(1));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int version = 2; !stop; ++version) EXPECT_OK(write(version));
  });
  for (int n = 0; n < 12; ++n) {
    BackupOptions options = Options();
    options.overwrite = true;
    ASSERT_OK_AND_ASSIGN(const BackupResult result,
                         domain_.Backup(to_, options));
    EXPECT_GT(result.version, 1u);
    ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Snapshot now, copy.Now());
    if (!GetParam()) {
      EXPECT_EQ(now.version(), result.version);
    }
    const auto in_map = ContentOf<Strings>(copy, now, "map");
    EXPECT_EQ(in_map.size(), 50u);
    EXPECT_EQ(in_map, ContentOf<Ordered>(copy, now, "tree"));
  }
  stop = true;
  writer.join();
}

TEST_P(BackupTest, ADomainInMemoryAndAnEmptyOneAreCopied) {
  DomainOptions options = Quiet();
  options.in_memory = true;
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open("backup", options));
  ASSERT_OK(domain_.Backup(dir_.File("empty.eve"), Options()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("map"));
  ASSERT_OK(map.Put("k", "v"));
  ASSERT_OK(domain_.Backup(to_, Options()));
  ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
  ASSERT_OK_AND_ASSIGN(map, copy.Collection<Strings>("map"));
  EXPECT_EQ(map.Get("k").value(), "v");
  ASSERT_OK_AND_ASSIGN(Domain empty, Domain::Open(dir_.File("empty.eve")));
  EXPECT_TRUE(empty.Collections().value().empty());
}

TEST_P(BackupTest, WhatIsThereIsReplacedOnlyOnRequest) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  BackupOptions overwrite = Options();
  overwrite.overwrite = true;
  EXPECT_CODE(domain_.Backup(path_, overwrite),
              absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(domain_.Backup("/dev/null", overwrite),
              absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(domain_.Backup("", overwrite),
              absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(domain_.Backup(dir_.File("no/such"), overwrite),
              absl::StatusCode::kNotFound);
  ExpectNothingLeft();
  {
    ASSERT_OK_AND_ASSIGN(Domain other, Domain::Open(to_, Quiet()));
    EXPECT_CODE(domain_.Backup(to_, Options()),
                absl::StatusCode::kAlreadyExists);
    EXPECT_CODE(domain_.Backup(to_, overwrite),
                absl::StatusCode::kFailedPrecondition);
    ASSERT_OK_AND_ASSIGN(Strings map, other.Collection<Strings>("map"));
    ASSERT_OK(map.Put("k", "not replaced"));
  }
  EXPECT_CODE(domain_.Backup(to_, Options()), absl::StatusCode::kAlreadyExists);
  ASSERT_OK(domain_.Backup(to_, overwrite));
  ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(domain_, copy));
}

// A name that is taken while the copy is written is not taken away.
TEST_P(BackupTest, WhatComesMeanwhileIsNotReplaced) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  SetStepHook([this](std::string_view step) {
    if (step != "backup.before_rename") return;
    EXPECT_OK(File::Open(to_, O_CREAT | O_EXCL | O_RDWR));
  });
  EXPECT_CODE(domain_.Backup(to_, Options()), absl::StatusCode::kAlreadyExists);
  ClearStepHook();
  EXPECT_EQ(std::filesystem::file_size(to_), 0u);
}

TEST_P(BackupTest, EveryFailingCallLeavesNothing) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  int nth = 0;
  int calls = 0;
  int failures = 0;
  do {
    ++nth;
    calls = 0;
    int reads = 0;
    SetFaultHook([&](std::string_view point) {
      // Of the many reads some.
      if (point == "file.read") ++reads;
      if (point == "file.read" && (reads & (reads - 1)) != 0) return 0;
      const bool counts =
          point.substr(0, 5) == "file." || point.substr(0, 7) == "backup.";
      return counts && ++calls == nth ? ENOSPC : 0;
    });
    const absl::Status status = domain_.Backup(to_, Options()).status();
    ClearFaultHook();
    SCOPED_TRACE(absl::StrCat("call ", nth, ": ", status.ToString()));
    if (!status.ok()) {
      ++failures;
      // Flushing the folder comes after the name.
      if (std::filesystem::exists(to_)) {
        EXPECT_EQ(nth, calls);
      } else {
        ExpectNothingLeft();
      }
    }
    std::filesystem::remove(to_);
    ASSERT_FALSE(HasFailure());
  } while (calls >= nth);
  EXPECT_GT(failures, 10);
}

TEST_P(BackupTest, StoppedLeavesNothing) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  int reports = 0;
  uint64_t done = 0;
  BackupOptions options = Options();
  options.progress = [&](const BackupProgress& now) {
    EXPECT_LE(now.done, now.total);
    if (!now.is_verifying) done = now.done;
    ++reports;
    return true;
  };
  ASSERT_OK(domain_.Backup(to_, options));
  EXPECT_GT(reports, 2);
  EXPECT_GT(done, 0u);
  std::filesystem::remove(to_);
  const int all = reports;
  for (int last = 1; last <= all; ++last) {
    reports = 0;
    options.progress = [&](const BackupProgress&) { return ++reports < last; };
    EXPECT_CODE(domain_.Backup(to_, options), absl::StatusCode::kCancelled);
    ExpectNothingLeft();
  }
}

// Neither damage in the source nor in what was written of it goes unseen.
TEST_P(BackupTest, DamageIsFound) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  SpoilWhatIsWritten();
  EXPECT_CODE(domain_.Backup(to_, Options()), absl::StatusCode::kDataLoss);
  ClearStepHook();
  ExpectNothingLeft();

  // In a value, which no reader checks.
  const std::string needle(90'000, 'b');
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
  std::string bytes(std::filesystem::file_size(path_), '\0');
  ASSERT_OK(file.ReadAt(0, bytes.data(), bytes.size()));
  int found = 0;
  for (size_t at = bytes.find(needle); at != std::string::npos;
       at = bytes.find(needle, at + needle.size())) {
    ASSERT_OK(file.WriteAt(at + 1000, "x", 1));
    ++found;
  }
  ASSERT_GT(found, 0);
  EXPECT_CODE(domain_.Backup(to_, Options()), absl::StatusCode::kDataLoss);
  ExpectNothingLeft();
}

TEST_P(BackupTest, AStreamHasEverythingAndOpens) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  ASSERT_OK_AND_ASSIGN(const File file,
                       File::Open(to_, O_CREAT | O_EXCL | O_RDWR));
  ASSERT_OK_AND_ASSIGN(const BackupResult result,
                       domain_.BackupTo(file.fd(), Options()));
  EXPECT_EQ(NamesLeft(), std::vector<std::string>{"copy.eve"});
  EXPECT_EQ(file.Size().value(), result.file_bytes);
  ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(domain_, copy));
  testing::ExpectCleanCheck(to_, copy);
}

TEST_P(BackupTest, AStreamThatEndsEarlyDoesNotOpen) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  ASSERT_OK_AND_ASSIGN(const File file,
                       File::Open(to_, O_CREAT | O_EXCL | O_RDWR));
  ASSERT_OK(domain_.BackupTo(file.fd(), Options()));
  ASSERT_OK_AND_ASSIGN(const uint64_t size, file.Size());
  for (const uint64_t part :
       {size - 1, size / 2, kFirstBlockOffset, uint64_t{}}) {
    ASSERT_OK(file.Truncate(part));
    EXPECT_FALSE(Domain::Open(to_, Quiet()).ok()) << part;
  }
}

TEST_P(BackupTest, NobodyReadsTheStreamAnyMore) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const absl::Status status = domain_.BackupTo(ends[1], Options()).status();
  ::signal(SIGPIPE, before);
  ::close(ends[1]);
  EXPECT_NE(status.message().find("writing the copy"), std::string::npos)
      << status;
}

INSTANTIATE_TEST_SUITE_P(Ways, BackupTest, ::testing::Bool(),
                         testing::NameOfWay);

class PlainBackupTest : public BackupTest {};

// Put in the source's place, byte by byte: its lock file has a newer root, and
// says that a flush has failed, but that is not of the copy.
TEST_P(PlainBackupTest, RestoredInPlaceItIsNotTakenForTheSource) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("map"));
  ASSERT_OK(domain_.Backup(to_));
  ASSERT_OK(map.Put("key1", "newer"));
  ASSERT_OK(domain_.Sync());
  ASSERT_OK(map.Put("key1", "newest"));
  SetFaultHook(
      [](std::string_view at) { return at == "file.datasync" ? EIO : 0; });
  EXPECT_CODE(domain_.Sync(), absl::StatusCode::kUnavailable);
  ClearFaultHook();
  map = Strings(internal::CollectionRef{});
  domain_ = Domain();
  std::string bytes(std::filesystem::file_size(to_), '\0');
  {
    ASSERT_OK_AND_ASSIGN(const File copy, File::Open(to_, O_RDONLY));
    ASSERT_OK(copy.ReadAt(0, bytes.data(), bytes.size()));
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
    ASSERT_OK(file.WriteAt(0, bytes.data(), bytes.size()));
    ASSERT_OK(file.Truncate(bytes.size()));
  }
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(domain_, copy));
}

INSTANTIATE_TEST_SUITE_P(Ways, PlainBackupTest, ::testing::Values(false));

class PackedBackupTest : public BackupTest {
 protected:
  // The status of a packed stream, and how much of it came.
  std::pair<absl::Status, uint64_t> Stream(BackupOptions options) {
    const absl::StatusOr<File> file = File::CreateMemory("stream");
    EXPECT_OK(file);
    if (!file.ok()) return {file.status(), 0};
    absl::Status status = domain_.BackupTo(file->fd(), options).status();
    const absl::StatusOr<uint64_t> size = file->Size();
    EXPECT_OK(size);
    return {status, size.value_or(0)};
  }
};

// What is wrong in the file that it is packed in reaches nobody.
TEST_P(PackedBackupTest, AStreamBeginsWhenAllOfItIsVerified) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  SpoilWhatIsWritten();
  const auto [status, bytes] = Stream(Options());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_EQ(bytes, 0u);
  ExpectNothingLeft();
}

TEST_P(PackedBackupTest, AStreamIsPackedInAFileWithoutAName) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  // Nor has it one where files need one to be made.
  bool is_written = false;
  for (const bool has_unnamed : {true, false}) {
    const ScopedStepHook written([&](std::string_view step) {
      if (step != "backup.written") return;
      is_written = true;
      ExpectNothingLeft();
    });
    int named = 0;
    const ScopedFaultHook no_unnamed([&](std::string_view point) {
      // Until then it has a name, but for nobody else.
      if (point == "backup.unlink") {
        for (const std::string& name : NamesLeft()) {
          ++named;
          EXPECT_EQ(std::filesystem::status(dir_.File(name)).permissions() &
                        std::filesystem::perms::mask,
                    std::filesystem::perms::owner_read |
                        std::filesystem::perms::owner_write)
              << name;
        }
      }
      return !has_unnamed && point == "file.create_unnamed" ? EOPNOTSUPP : 0;
    });
    const auto [status, bytes] = Stream(Options());
    ASSERT_OK(status);
    EXPECT_GT(bytes, 0u);
    EXPECT_TRUE(std::exchange(is_written, false));
    EXPECT_EQ(named, has_unnamed ? 0 : 1);
    ExpectNothingLeft();
  }
  ::setenv("TMPDIR", dir_.File("no-folder").c_str(), 1);
  const auto [status, bytes] = Stream(Options());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_NE(status.message().find("no-folder"), std::string::npos) << status;
  EXPECT_EQ(bytes, 0u);
}

TEST_P(PackedBackupTest, AStreamIsStoppedWhileItIsSent) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  BackupOptions options = Options();
  bool was_verified = false;
  options.progress = [&](const BackupProgress& now) {
    if (!was_verified) {
      was_verified = now.is_verifying;
      return true;
    }
    EXPECT_GT(now.done, 0u);
    EXPECT_LT(now.done, now.total);
    return false;
  };
  const auto [status, bytes] = Stream(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  EXPECT_EQ(bytes, kSegmentBytes);
}

INSTANTIATE_TEST_SUITE_P(Ways, PackedBackupTest, ::testing::Values(true));

}  // namespace
}  // namespace eve
