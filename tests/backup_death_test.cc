// Copies whose writer is killed: nothing is left of them, and what they were to
// replace is as it was.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/file.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/backup_fixture.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::SignalSelfAt;

class BackupDeathTest : public testing::BackupTest {
 protected:
  // A process that copies and kills itself at that report of its progress, or
  // at that step.
  void CopyAndDie(const BackupOptions& options, int report,
                  std::string_view step) {
    ChildProcess child([&] {
      absl::StatusOr<Domain> mine = Domain::Open(path_, Quiet());
      BackupOptions dying = options;
      int reports = 0;
      dying.progress = [&](const BackupProgress&) {
        if (++reports == report) ::kill(::getpid(), SIGKILL);
        return true;
      };
      if (!step.empty()) SignalSelfAt(1, SIGKILL, step);
      return mine.ok() && mine->Backup(to_, dying).ok() ? 1 : 2;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL) << report << " " << step;
  }
};

// Whoever dies anywhere leaves the name to a whole copy, or to nothing.
TEST_P(BackupDeathTest, ADeathLeavesNoHalfCopy) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  for (const int report : {1, 2}) {
    ASSERT_NO_FATAL_FAILURE(CopyAndDie(Options(), report, ""));
    ExpectNothingLeft();
  }
  for (const std::string_view step :
       {"backup.written", "backup.before_rename"}) {
    ASSERT_NO_FATAL_FAILURE(CopyAndDie(Options(), 0, step));
    ExpectNothingLeft();
  }
  ASSERT_NO_FATAL_FAILURE(CopyAndDie(Options(), 0, "backup.renamed"));
  EXPECT_EQ(NamesLeft(), std::vector<std::string>{"copy.eve"});
  ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(domain_, copy));
}

// What is to be replaced is what it was until it is replaced. A file has to
// have a name then: who dies with it leaves it, a whole copy.
TEST_P(BackupDeathTest, ADeathLeavesWhatWasToBeReplaced) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  {
    ASSERT_OK_AND_ASSIGN(const File old, File::Open(to_, O_CREAT | O_RDWR));
    ASSERT_OK(old.WriteAt(0, "old", 3));
  }
  const auto expect_untouched = [this] {
    EXPECT_EQ(std::filesystem::file_size(to_), 3u);
  };
  BackupOptions options = Options();
  options.overwrite = true;
  ASSERT_NO_FATAL_FAILURE(CopyAndDie(options, 1, ""));
  expect_untouched();
  for (const std::string_view step :
       {"backup.written", "backup.before_rename"}) {
    ASSERT_NO_FATAL_FAILURE(CopyAndDie(options, 0, step));
    expect_untouched();
    EXPECT_EQ(NamesLeft(), std::vector<std::string>{"copy.eve"});
  }
  ASSERT_NO_FATAL_FAILURE(CopyAndDie(options, 0, "backup.named"));
  expect_untouched();
  std::vector<std::string> names = NamesLeft();
  ASSERT_EQ(names.size(), 2u);
  const std::string left = dir_.File(std::max(names[0], names[1]));
  EXPECT_TRUE(left.starts_with(to_ + ".copy-")) << left;
  {
    ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(left, Quiet()));
    ASSERT_NO_FATAL_FAILURE(ExpectSame(domain_, copy));
  }
  std::filesystem::remove(left);
  std::filesystem::remove(left + "-lock");
  ASSERT_NO_FATAL_FAILURE(CopyAndDie(options, 0, "backup.renamed"));
  EXPECT_EQ(NamesLeft(), std::vector<std::string>{"copy.eve"});
  ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(domain_, copy));
}

TEST_P(BackupDeathTest, WhereFilesNeedANameNothingElseIsLeft) {
  ASSERT_NO_FATAL_FAILURE(Fill());
  int opened = 0;
  SetFaultHook([&](std::string_view point) {
    return point == "file.open" && ++opened == 1 ? EOPNOTSUPP : 0;
  });
  bool had_name = false;
  SetStepHook([&](std::string_view step) {
    if (step != "backup.written") return;
    const std::vector<std::string> names = NamesLeft();
    had_name = names.size() == 1 && names[0].starts_with("copy.eve.copy-");
  });
  ASSERT_OK(domain_.Backup(to_, Options()));
  ClearStepHook();
  ClearFaultHook();
  EXPECT_TRUE(had_name);
  EXPECT_EQ(NamesLeft(), std::vector<std::string>{"copy.eve"});
  ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(domain_, copy));
}

INSTANTIATE_TEST_SUITE_P(Ways, BackupDeathTest, ::testing::Bool(),
                         testing::NameOfWay);

}  // namespace
}  // namespace eve
