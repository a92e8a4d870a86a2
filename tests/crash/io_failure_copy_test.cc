// The N-th call of a copy fails, for all N, once and from then on: on the
// source, on the target, and on what is made for it meanwhile. The status says
// so or there is a whole copy; never half of one under the name, nor anything
// beside it; and the source goes on as if nothing had been.

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/crash/io_failure_fixture.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::FailingCall;
using testing::FlushedImage;
using testing::Quiet;
using testing::Says;

class IoFailureCopyTest : public testing::IoFailureTest {
 protected:
  using Content = std::map<std::string, std::string>;

  // A value that is a run, garbage, and a second collection.
  void Fill() {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
    for (int i = 0; i < 12; ++i) {
      ASSERT_OK(Put(domain_, map_, absl::StrCat("k", i % 6),
                    std::string(3'000, static_cast<char>('a' + i)),
                    Durability::kNone));
    }
    ASSERT_OK(Put(domain_, map_, "run", std::string(3 << 20, 'r'),
                  Durability::kNone));
    ASSERT_OK(domain_.Collection<Strings>("other"));
    ASSERT_OK(domain_.Sync());
    history_.Acknowledge();
  }

  static Content ContentOf(Domain& domain) {
    Content content;
    const absl::StatusOr<Strings> map = domain.Collection<Strings>("m");
    const absl::StatusOr<Snapshot> now = domain.Now();
    EXPECT_OK(map);
    EXPECT_OK(now);
    if (!map.ok() || !now.ok()) return content;
    for (const auto& [key, value] : map->At(*now)) {
      content[std::string(key)] = std::string(value);
    }
    EXPECT_OK(now->status());
    return content;
  }

  void ExpectWholeCopy() {
    {
      ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(to_, Quiet()));
      EXPECT_EQ(copy.Collections().value().size(), 2u);
      EXPECT_TRUE(ContentOf(copy) == ContentOf(domain_));
      testing::ExpectCleanCheck(to_, copy);
    }
    std::filesystem::remove(to_ + "-lock");
  }

  // What cannot be read, of the source or of the copy, is damage.
  static void ExpectSays(const absl::Status& status) {
    if (absl::IsDataLoss(status)) {
      EXPECT_NE(status.message().find("cannot be read"), std::string::npos)
          << status;
    } else {
      Says(status);
    }
  }

  // The name leads to a whole copy, to `old`, or to nothing if that is empty.
  void ExpectNothingHalf(const absl::Status& status, const std::string& old) {
    bool is_old = old.empty() && !std::filesystem::exists(to_);
    if (!old.empty()) is_old = std::filesystem::file_size(to_) == old.size();
    EXPECT_FALSE(status.ok() && is_old);
    if (!is_old) {
      ASSERT_NO_FATAL_FAILURE(ExpectWholeCopy());
    }
    std::filesystem::remove(to_);
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      const std::string name = entry.path().filename();
      EXPECT_TRUE(name == "d.eve" || name == "d.eve-lock") << name;
    }
  }

  // It reads, writes and flushes.
  void ExpectSourceWorks(int nth) {
    ASSERT_OK(Put(domain_, map_, "a", absl::StrCat(nth), Durability::kSync));
    EXPECT_FALSE(domain_.Stats().value().poisoned);
    // Without folding, what is to be copied would grow with each call tried.
    ASSERT_OK(domain_.Reclaim());
  }

  // Copies to the path with the N-th call failing, for all N.
  void FailEach(const BackupOptions& options, std::string_view refused = {}) {
    ASSERT_NO_FATAL_FAILURE(Fill());
    FlushedImage image(path_);
    const std::string old = options.overwrite ? "old" : "";
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(absl::StrCat("call ", nth));
      if (!old.empty()) std::ofstream(to_) << old;
      FailingCall failing(nth, GetParam(), testing::IsOfACopy, refused);
      const absl::Status status = domain_.Backup(to_, options).status();
      failing.Stop();
      ExpectSays(status);
      // What is on no disk is no copy.
      EXPECT_FALSE(status.ok() && (failing.has_failed_to_sync() ||
                                   failing.has_failed_to_flush()));
      ASSERT_NO_FATAL_FAILURE(ExpectNothingHalf(status, old));
      ASSERT_NO_FATAL_FAILURE(ExpectSourceWorks(nth));
      ASSERT_FALSE(HasFailure()) << status;
      if (failing.calls() < nth) {
        ASSERT_OK(status);
        EXPECT_GT(nth, 30);
        break;
      }
    }
    ExpectSourceSurvives(image);
  }

  void FailEachOfAStream(const BackupOptions& options) {
    ASSERT_NO_FATAL_FAILURE(Fill());
    FlushedImage image(path_);
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(absl::StrCat("call ", nth));
      absl::StatusOr<File> file = File::Open(to_, O_CREAT | O_EXCL | O_RDWR);
      ASSERT_OK(file);
      FailingCall failing(nth, GetParam(), testing::IsOfACopy);
      const absl::Status status =
          domain_.BackupTo(file->fd(), options).status();
      failing.Stop();
      ExpectSays(status);
      // Of a stream that has ended early not even the length is right.
      const bool opens = Domain::Open(to_, Quiet()).ok();
      EXPECT_EQ(opens, status.ok()) << status;
      if (opens) {
        ASSERT_NO_FATAL_FAILURE(ExpectWholeCopy());
      }
      std::filesystem::remove(to_ + "-lock");
      std::filesystem::remove(to_);
      ASSERT_NO_FATAL_FAILURE(ExpectSourceWorks(nth));
      ASSERT_FALSE(HasFailure()) << status;
      if (failing.calls() < nth) {
        ASSERT_OK(status);
        EXPECT_GT(nth, 5);
        break;
      }
    }
    ExpectSourceSurvives(image);
  }

  void ExpectSourceSurvives(const FlushedImage& image) {
    ASSERT_NO_FATAL_FAILURE(ExpectSurvivesPowerLoss(dir_, path_, image));
    map_ = Strings(internal::CollectionRef{});
    ASSERT_OK(domain_.Close());
    ASSERT_NO_FATAL_FAILURE(ExpectThere(path_));
  }

  IoFailureCopyTest() { path_ = dir_.File("d.eve"); }

  const testing::TempDir dir_{Base()};
  const std::string to_ = dir_.File("copy.eve");
  Domain domain_;
  Strings map_{internal::CollectionRef{}};
};

TEST_P(IoFailureCopyTest, APlainCopyIsWholeOrNotThere) { FailEach({}); }

TEST_P(IoFailureCopyTest, APackedCopyIsWholeOrNotThere) {
  BackupOptions options;
  options.compact = true;
  FailEach(options);
}

TEST_P(IoFailureCopyTest, WhatIsToBeReplacedStaysUntilItIs) {
  BackupOptions options;
  options.overwrite = true;
  FailEach(options);
}

// On file systems without unnamed files.
TEST_P(IoFailureCopyTest, AFileThatHasAnotherNameAtFirstIsNotLeftBehind) {
  FailEach({}, /*refused=*/"file.create_unnamed");
}

TEST_P(IoFailureCopyTest, AStreamIsWholeOrDoesNotOpen) {
  FailEachOfAStream({});
}

TEST_P(IoFailureCopyTest, APackedStreamIsWholeOrDoesNotOpen) {
  ::setenv("TMPDIR", dir_.path().c_str(), 1);
  BackupOptions options;
  options.compact = true;
  FailEachOfAStream(options);
}

INSTANTIATE_TEST_SUITE_P(Errors, IoFailureCopyTest, testing::AllFailures(),
                         testing::NameOfFailure);

}  // namespace
}  // namespace eve
