// A progress function that forks, and returns in the child as well, which it
// must not: the child is told so before it reads by descriptors that may lead
// elsewhere by now, or writes to the output of its parent, and the parent's
// call goes on as if nothing had been.
//
// Method: a fork at every single call of the function. The child comes first,
// to its end; the descriptors that the engine has closed there lead to another
// file.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

constexpr int kRecords = 40;
constexpr uint64_t kValueBytes = 200'000;  // four segments, and garbage
constexpr int kDescriptors = 64;

bool IsRefused(const absl::Status& status) {
  return status.code() == absl::StatusCode::kFailedPrecondition &&
         std::string(status.message()).find("fork") != std::string::npos;
}

// A function that forks at one of its calls.
class Forker {
 public:
  explicit Forker(int at) : at_(at) {}

  // What the function returns, in parent and child.
  bool Call() {
    if (child_ == 0) ::_exit(3);  // it was asked once more
    if (++calls_ != at_) return true;
    child_ = ::fork();
    if (child_ == 0) {
      for (int i = 0; i < kDescriptors; ++i) {
        if (::open("/dev/zero", O_RDONLY | O_CLOEXEC) < 0) ::_exit(4);
      }
      return true;
    }
    EXPECT_EQ(::waitpid(child_, &ended_, 0), child_);
    return true;
  }

  // To be called with what the call has returned, in both.
  void Check(const absl::Status& returned) const {
    if (child_ == 0) ::_exit(IsRefused(returned) ? 0 : 2);
    EXPECT_OK(returned);
    if (!has_forked()) return;
    EXPECT_TRUE(WIFEXITED(ended_) && WEXITSTATUS(ended_) == 0)
        << "call " << at_ << ": " << ended_;
  }
  bool has_forked() const { return child_ >= 0; }

 private:
  const int at_;
  int calls_ = 0;
  pid_t child_ = -1;
  int ended_ = -1;
};

class ForkProgressTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ::setenv("TMPDIR", dir_.path().c_str(), 1);
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < kRecords; ++i) {
        ASSERT_OK(map.Put(
            absl::StrCat(i),
            std::string(kValueBytes, static_cast<char>('a' + round + i % 7))));
      }
    }
  }
  void TearDown() override { ClearFaultHook(); }

  void ExpectWhole(const std::string& path) {
    ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, copy.Collection<Strings>("m"));
    for (int i = 0; i < kRecords; ++i) {
      ASSERT_OK_AND_ASSIGN(const std::string value, map.Get(absl::StrCat(i)));
      EXPECT_EQ(value,
                std::string(kValueBytes, static_cast<char>('b' + i % 7)));
    }
    testing::ExpectCleanCheck(path, copy);
  }

  // Runs `backup` with a fork at each call of its progress, one after another.
  void ForkAtEachCall(
      const std::function<absl::Status(const BackupOptions&)>& backup) {
    int at = 1;
    for (bool has_forked = true; has_forked; ++at) {
      Forker forker(at);
      BackupOptions options;
      options.compact = GetParam();
      options.overwrite = true;
      options.progress = [&](const BackupProgress&) { return forker.Call(); };
      forker.Check(backup(options));
      has_forked = forker.has_forked();
      ExpectWhole(copy_);
    }
    EXPECT_GT(at, 3) << "it was hardly ever asked";
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  const std::string copy_ = dir_.File("copy.eve");
  Domain domain_;
};

TEST_P(ForkProgressTest, OfABackupToAFile) {
  ForkAtEachCall([&](const BackupOptions& options) {
    return domain_.Backup(copy_, options).status();
  });
}

// Where a file has a name before it is whole, the child does not take it away.
TEST_P(ForkProgressTest, OfABackupToAFileThatHasAName) {
  SetFaultHook([](std::string_view point) {
    return point == "file.create_unnamed" ? EOPNOTSUPP : 0;
  });
  ForkAtEachCall([&](const BackupOptions& options) {
    return domain_.Backup(copy_, options).status();
  });
}

TEST_P(ForkProgressTest, OfABackupToAStream) {
  ForkAtEachCall([&](const BackupOptions& options) {
    std::filesystem::remove(copy_);
    std::filesystem::remove(copy_ + "-lock");
    const int fd = ::open(copy_.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
    EXPECT_GE(fd, 0);
    const absl::Status status = domain_.BackupTo(fd, options).status();
    ::close(fd);
    return status;
  });
}

INSTANTIATE_TEST_SUITE_P(PlainAndPacked, ForkProgressTest, ::testing::Bool());

}  // namespace
}  // namespace eve
