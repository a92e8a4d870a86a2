// An outsider has cut a domain that nobody has open, at every page: it opens
// whole, at an older durable version, or says how far the file goes. Who has it
// open dies when it meets the end, and serves nothing wrong until then.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "engine/file/file.h"
#include "engine/format/constants.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

void ExpectFallback(const std::string& path, absl::StatusOr<Domain> domain) {
  if (!domain.ok()) {
    EXPECT_TRUE(absl::IsDataLoss(domain.status()) ||
                absl::IsFailedPrecondition(domain.status()))
        << domain.status();
    return;
  }
  const std::string note = domain->Stats().value().recovery;
  EXPECT_NE(note.find("truncated"), std::string::npos) << note;
  testing::ExpectCleanCheck(path, *domain);
}

class TruncationTest : public ::testing::TestWithParam<bool> {};

TEST_P(TruncationTest, AtEveryPageIsACleanError) {
  const bool keeps_lock_file = GetParam();
  TempDir dir;
  const std::string path = dir.File("d.eve");
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    for (int i = 0; i < 100; ++i) {
      ASSERT_OK(map.Put("k" + std::to_string(i), std::string(3000, 'v')));
    }
    ASSERT_OK(domain.Close());
  }
  const uint64_t size = std::filesystem::file_size(path);
  const std::string whole =
      testing::CopyAfterPowerLoss(path, dir.File("whole.eve"));
  for (uint64_t at = 0; at < size; at += kPageBytes) {
    SCOPED_TRACE("cut at " + std::to_string(at));
    // The same inode, so that the lock file belongs to it.
    std::filesystem::copy_file(
        whole, path, std::filesystem::copy_options::overwrite_existing);
    if (!keeps_lock_file) std::filesystem::remove(path + "-lock");
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(at)), 0);
    for (const bool is_read_only : {true, false}) {
      DomainOptions options = Quiet();
      options.create = false;
      options.read_only = is_read_only;
      absl::StatusOr<Domain> domain = Domain::Open(path, options);
      if (at >= kSegmentBytes) {
        // Long enough for a durable root of before the file grew. Of a slot
        // that reached the disk before the size did one falls back to that too.
        ExpectFallback(path, std::move(domain));
        continue;
      }
      if (at == 0) {
        EXPECT_CODE(domain.status(), absl::StatusCode::kInvalidArgument);
      } else {
        EXPECT_CODE(domain.status(), absl::StatusCode::kDataLoss);
        const std::string message(domain.status().message());
        EXPECT_NE(message.find("truncated"), std::string::npos) << message;
        EXPECT_NE(message.find(std::to_string(at)), std::string::npos)
            << message;
      }
    }
    if (HasFailure()) return;
    // A failed opening has changed nothing.
    if (at < kSegmentBytes) {
      EXPECT_EQ(std::filesystem::file_size(path), at);
    }
  }
}

TEST(MappedTruncationTest, WhoMeetsTheEndDies) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  constexpr int kKeys = 3000;
  const std::string value(3000, 'v');
  testing::ChildProcess child([&] {
    absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
    if (!domain.ok()) return 1;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    if (!map.ok()) return 2;
    for (int i = 0; i < kKeys; ++i) {
      if (!map->Put("k" + std::to_string(i), value).ok()) return 3;
    }
    if (!domain->Sync().ok()) return 4;
    ::raise(SIGSTOP);
    for (int i = 0; i < kKeys; ++i) {
      const absl::StatusOr<std::string> got = map->Get("k" + std::to_string(i));
      if (!got.ok() || *got != value) return 5;
    }
    return 0;
  });
  child.AwaitStopped();
  ASSERT_EQ(::truncate(path.c_str(), 2 * kSegmentBytes), 0);
  child.Signal(SIGCONT);
  EXPECT_EQ(child.Wait(), -SIGBUS);
  DomainOptions options = Quiet();
  options.create = false;
  ExpectFallback(path, Domain::Open(path, options));
}

INSTANTIATE_TEST_SUITE_P(LockFile, TruncationTest, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& info) {
                           return info.param ? "Kept" : "Gone";
                         });

}  // namespace
}  // namespace eve
