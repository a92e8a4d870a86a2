// A device that runs full under a flush, as thin storage does: the kernel loses
// what it had promised room for. The image of an ext4 is sparse, and the tmpfs
// that it lies on is full.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "engine/domain/recovery_preview.h"
#include "engine/file/file.h"
#include "engine/file/file_lock.h"
#include "engine/format/shared_layout.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/disks/loop_disk.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "util/check.h"
#include "util/failpoint.h"

namespace eve::disks {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using Strings = Map<std::string, std::string>;

void FillUp(const std::string& path) {
  ASSERT_OK_AND_ASSIGN(const File ballast, File::Open(path, O_CREAT | O_RDWR));
  uint64_t size = 0;
  for (uint64_t step = 1 << 20; step >= 4096;) {
    if (ballast.Allocate(size, step).ok()) {
      size += step;
    } else {
      step /= 2;
    }
  }
}

// An ext4 without a journal on a tmpfs, with room to spare for now, and a
// domain in which "n" is 1, durably. Why there is none: this may not mount,
// say.
std::string StartDisk(LoopDisk& disk, std::string* path) {
  const std::string why =
      disk.Start(LoopDisk::Kind::kNoJournal, 48 << 20, 64 << 20);
  if (!why.empty()) return why;
  *path = disk.path() + "/d.eve";
  auto domain = Domain::Open(*path, Quiet());
  EXPECT_OK(domain.status());
  EXPECT_OK(domain->Collection<Strings>("m").value().Put("n", "1"));
  EXPECT_OK(domain->Close());
  return "";
}

// Into segments that are new: the loop device (Linux 6.18) takes a write that
// begins where the image has space, and is cut short, for a whole one.
absl::Status WriteMuch(Domain& domain, const Strings& map) {
  return domain
      .Swap([&](Transaction& transaction) {
        auto writer = map.In(transaction);
        EXPECT_OK(writer.Put("n", "2"));
        for (int i = 0; i < 1500; ++i) {
          EXPECT_OK(
              writer.Put("fill" + std::to_string(i), std::string(5000, 'f')));
        }
        return absl::OkStatus();
      })
      .status();
}

int64_t Written(Domain& domain) {
  auto map = domain.Collection<Strings>("m");
  return map.ok() ? std::stoll(map->Get("n").value_or("-1")) : -2;
}

TEST(FullDeviceTest, LostWriteBackIsNeverAcknowledged) {
  LoopDisk disk;
  std::string path;
  const std::string why = StartDisk(disk, &path);
  if (!why.empty()) GTEST_SKIP() << why;
  int to_child[2];
  int to_parent[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(to_parent), 0);
  const auto is_refused = [](Domain& domain) {
    return domain.Sync().code() == absl::StatusCode::kUnavailable;
  };
  // Attached before the failure.
  ChildProcess other([&] {
    char byte;
    if (::read(to_child[0], &byte, 1) != 1) return 1;
    auto domain = Domain::Open(path, Quiet());
    if (!domain.ok() || ::write(to_parent[1], "o", 1) != 1) return 2;
    if (::read(to_child[0], &byte, 1) != 1) return 3;
    return is_refused(*domain) && Written(*domain) == 2 ? 0 : 4;
  });
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    ASSERT_EQ(::write(to_child[1], "o", 1), 1);
    char byte;
    ASSERT_EQ(::read(to_parent[0], &byte, 1), 1);
    const uint64_t durable = domain.durable_version();
    ASSERT_NO_FATAL_FAILURE(FillUp(disk.BesideImage("ballast")));
    // There is room in the file system.
    ASSERT_OK(WriteMuch(domain, map));
    EXPECT_CODE(domain.Sync(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(domain.durable_version(), durable);
    std::filesystem::remove(disk.BesideImage("ballast"));
    // There is room again, and a retry would be told that all is well.
    EXPECT_CODE(domain.Sync(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(domain.durable_version(), durable);
    EXPECT_EQ(Written(domain), 2);  // reading goes on
    ASSERT_OK(map.Put("after", "x"));
    ASSERT_EQ(::write(to_child[1], "g", 1), 1);
    EXPECT_EQ(other.Wait(), 0);
    // And one that has never seen an error of its own.
    ChildProcess later([&] {
      auto joined = Domain::Open(path, Quiet());
      return joined.ok() && is_refused(*joined) ? 0 : 1;
    });
    EXPECT_EQ(later.Wait(), 0);
    EXPECT_CODE(domain.Close(), absl::StatusCode::kUnavailable);
  }
  for (const bool is_remounted : {false, true}) {
    if (is_remounted) {
      disk.Unmount();
      disk.Mount();
    }
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    EXPECT_EQ(Written(domain), 1);
    testing::ExpectCleanCheck(path, domain);
    ASSERT_OK(domain.Sync());
    ASSERT_OK(domain.Close());
  }
}

// One that lives nowhere but in segments that are new, in a synchronous commit.
absl::Status WriteBig(Domain& domain, const Strings& map) {
  SwapOptions options;
  options.durability = Durability::kSync;
  return domain
      .Swap(
          [&](Transaction& transaction) {
            auto writer = map.In(transaction);
            EXPECT_OK(writer.Put("n", "2"));
            return writer.Put("big", std::string(8 << 20, 'b'));
          },
          options)
      .status();
}

// From now on this process is told of a failed flush of the file, as the kernel
// does once, and dies of it, or is stopped: it can tell nobody, and the next
// flush of anybody who opens the file later succeeds. REQUIRES: `fd` was opened
// before the failure.
void EndInAFailedFlush(int fd, int signal = SIGKILL) {
  SetFaultHook([fd, signal](std::string_view point) {
    if (point != "file.datasync") return 0;
    if (::fdatasync(fd) != 0) ::raise(signal);
    return EIO;  // it has not failed, which no test expects
  });
}

// Who died in which flush, and who comes next.
enum class Death {
  kInACheckpoint,
  kInRecovery,
  // Beside a third, who was attached before:
  kBesideAThird,
  kEvicted,                // the cache drops what was lost before anybody comes
  kSuperseded,             // who comes erases what was lost first
  kSupersededThenEvicted,  // so that only the list of the slot tells
  kStopped,                // he is stopped, not dead
};

class FlushDeathTest : public ::testing::TestWithParam<Death> {
 protected:
  void SetUp() override {
    const std::string why = StartDisk(disk_, &path_);
    if (!why.empty()) GTEST_SKIP() << why;
  }
  void ExpectNothingLost();
  // In a child. Stops when the domain is open.
  int WriteAndDie() {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    auto domain = Domain::Open(path_, Quiet());
    if (fd < 0 || !domain.ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    ::raise(SIGSTOP);
    if (!map.ok()) return 2;
    if (!has_big() && !WriteMuch(*domain, *map).ok()) return 3;
    // Nobody has flushed yet, so the next opener's is the one that fails.
    if (GetParam() == Death::kInRecovery) ::raise(SIGKILL);
    EndInAFailedFlush(fd, GetParam() == Death::kStopped ? SIGSTOP : SIGKILL);
    if (has_big()) {
      WriteBig(*domain, *map).IgnoreError();
    } else {
      domain->Sync().IgnoreError();
    }
    return 4;
  }
  int RecoverAndDie() {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return 1;
    EndInAFailedFlush(fd);
    return Domain::Open(path_, Quiet()).ok() ? 2 : 3;
  }
  int EraseAndDie() {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    if (!map.ok() || !map->Erase("big").ok()) return 2;
    ::raise(SIGKILL);
    return 3;
  }
  // Where what is lost is one value, so that all else can be read and written.
  bool has_big() const {
    return is_evicted() || GetParam() == Death::kSuperseded;
  }
  bool is_evicted() const {
    return GetParam() == Death::kEvicted ||
           GetParam() == Death::kSupersededThenEvicted;
  }
  bool is_alone() const {
    return GetParam() == Death::kInACheckpoint ||
           GetParam() == Death::kInRecovery;
  }
  // Of what was written after "n" was 1 much is not on the disk, and there is
  // room on it again.
  void Die() {
    dying_.emplace([&] { return WriteAndDie(); });
    dying_->AwaitStopped();
    if (!is_alone()) {
      third_.emplace([&] {
        const auto domain = Domain::Open(path_, Quiet());
        ::raise(SIGSTOP);
        return 1;
      });
      third_->AwaitStopped();
    }
    const std::string ballast = disk_.BesideImage("ballast");
    ASSERT_NO_FATAL_FAILURE(FillUp(ballast));
    dying_->Signal(SIGCONT);
    if (GetParam() == Death::kStopped) {
      dying_->AwaitStopped();
    } else {
      ASSERT_EQ(dying_->Wait(), -SIGKILL);
      dying_.reset();
    }
    if (GetParam() == Death::kInRecovery) {
      ChildProcess next([&] { return RecoverAndDie(); });
      ASSERT_EQ(next.Wait(), -SIGKILL);
    }
    std::filesystem::remove(ballast);
    if (GetParam() == Death::kSupersededThenEvicted) {
      ChildProcess eraser([&] { return EraseAndDie(); });
      ASSERT_EQ(eraser.Wait(), -SIGKILL);
    }
    if (is_evicted()) {
      ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
      ASSERT_OK(file.Datasync());  // what has not been tried is written now
      file.DropCache();
    }
  }
  // Whoever comes first. What he is told is OK is there afterwards.
  void ComeFirst();
  // Who comes while somebody else is attached is told of no success.
  void Join();

  LoopDisk disk_;
  std::string path_;
  std::optional<ChildProcess> dying_;
  std::optional<ChildProcess> third_;
};

void FlushDeathTest::ComeFirst() {
  ASSERT_OK_AND_ASSIGN(const RecoveryPreview preview, PreviewRecovery(path_));
  EXPECT_EQ(preview.region, RecoveryPreview::Region::kPoisoned);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  EXPECT_EQ(Written(domain), 1);
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  ASSERT_OK(map.Put("after", "x"));
  EXPECT_OK(domain.Sync());
  EXPECT_OK(domain.Close());
}

void FlushDeathTest::Join() {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  const uint64_t durable = domain.durable_version();
  EXPECT_EQ(Written(domain), 2);
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  if (GetParam() == Death::kSuperseded) {
    ASSERT_OK_AND_ASSIGN(const Snapshot before, domain.Now());
    ASSERT_OK(map.Erase("big"));
    EXPECT_CODE(domain.WaitDurable(before.version(), absl::InfiniteDuration()),
                absl::StatusCode::kUnavailable);
  }
  ASSERT_OK(map.Put("after", "x"));
  EXPECT_CODE(domain.Sync(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(domain.durable_version(), durable);
  dying_.reset();
  third_->Signal(SIGKILL);
  EXPECT_EQ(third_->Wait(), -SIGKILL);
  EXPECT_CODE(domain.Close(), absl::StatusCode::kUnavailable);
}

// P22. Nobody believes the next flush: what was acknowledged before stays, what
// is acknowledged after is there.
void FlushDeathTest::ExpectNothingLost() {
  ASSERT_NO_FATAL_FAILURE(Die());
  if (is_alone()) {
    ASSERT_NO_FATAL_FAILURE(ComeFirst());
  } else {
    ASSERT_NO_FATAL_FAILURE(Join());
  }
  disk_.Unmount();
  disk_.Mount();
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  EXPECT_EQ(Written(domain), 1);
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("after").value_or("gone"), is_alone() ? "x" : "gone");
  testing::ExpectCleanCheck(path_, domain);
  ASSERT_OK(domain.Close());
}

TEST_P(FlushDeathTest, LosesNothing) { ExpectNothingLost(); }

// As before Linux 6.5.
TEST_P(FlushDeathTest, LosesNothingWhereTheKernelDoesNotSayWhatIsCached) {
  const ScopedFaultHook old_kernel([](std::string_view point) {
    return point == "file.cachestat" ? ENOSYS : 0;
  });
  ExpectNothingLost();
}

std::string NameOf(const ::testing::TestParamInfo<Death>& info) {
  switch (info.param) {
    case Death::kInACheckpoint:
      return "InACheckpoint";
    case Death::kBesideAThird:
      return "BesideAThird";
    case Death::kEvicted:
      return "Evicted";
    case Death::kSuperseded:
      return "Superseded";
    case Death::kSupersededThenEvicted:
      return "SupersededThenEvicted";
    case Death::kStopped:
      return "Stopped";
    case Death::kInRecovery:
      break;
  }
  return "InRecovery";
}

INSTANTIATE_TEST_SUITE_P(
    All, FlushDeathTest,
    ::testing::Values(Death::kInACheckpoint, Death::kInRecovery,
                      Death::kBesideAThird, Death::kEvicted, Death::kSuperseded,
                      Death::kSupersededThenEvicted, Death::kStopped),
    NameOf);

// Has the file mapped and has looked at all of it, as a reader may who has no
// slot: the page cache cannot be dropped.
class OneWhoLooks {
 public:
  explicit OneWhoLooks(const std::string& path)
      : file_(File::Open(path, O_RDONLY).value()), size_(file_.Size().value()) {
    EVE_CHECK(
        TryLockByte(file_, kUnpinnedReadersLockByte, LockKind::kShared).value(),
        "nobody cuts the file");
    view_ = static_cast<const char*>(
        ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file_.fd(), 0));
    EVE_CHECK(view_ != MAP_FAILED, "a mapping");
    for (size_t at = 0; at < size_; at += 4096) sum_ = sum_ + view_[at];
  }
  ~OneWhoLooks() { ::munmap(const_cast<char*>(view_), size_); }

 private:
  const File file_;
  const size_t size_;
  const char* view_ = nullptr;
  int sum_ = 0;
};

// A flush has failed, and what says so is gone. What has been lost is in the
// cache, as whole as ever.
TEST(FullDeviceTest, WithoutItsLockFileWhatWasLostIsNotBelieved) {
  LoopDisk disk;
  std::string path;
  const std::string why = StartDisk(disk, &path);
  if (!why.empty()) GTEST_SKIP() << why;
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    ASSERT_NO_FATAL_FAILURE(FillUp(disk.BesideImage("ballast")));
    ASSERT_OK(WriteMuch(domain, map));
    EXPECT_CODE(domain.Sync(), absl::StatusCode::kUnavailable);
    std::filesystem::remove(disk.BesideImage("ballast"));
  }
  {
    const OneWhoLooks reader(path);
    std::filesystem::remove(path + "-lock");
    // Who asks what an opener would find is told, and nothing is dropped.
    for (int i = 0; i < 2; ++i) {
      ASSERT_OK_AND_ASSIGN(const RecoveryPreview preview,
                           PreviewRecovery(path));
      EXPECT_TRUE(preview.is_cache_stale);
      EXPECT_FALSE(preview.chosen_version.has_value());
      EXPECT_NE(preview.error.find("a flush has failed"), std::string::npos)
          << preview.error;
    }
    const absl::Status refused = Domain::Open(path, Quiet()).status();
    EXPECT_CODE(refused, absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(refused.message().find("a flush has failed"), std::string::npos)
        << refused;
    // Nor is it believed by one who cannot look.
    for (const std::string_view call :
         {"file.open_device", "file.mincore", "file.read_device"}) {
      const ScopedFaultHook fails([call](std::string_view point) {
        return point == call ? EMFILE : 0;
      });
      std::filesystem::remove(path + "-lock");
      const absl::Status failed = Domain::Open(path, Quiet()).status();
      EXPECT_FALSE(failed.ok()) << call;
      EXPECT_NE(failed.message().find("Too many open files"), std::string::npos)
          << call << ": " << failed;
    }
  }
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    EXPECT_EQ(Written(domain), 1);
    testing::ExpectCleanCheck(path, domain);
    ASSERT_OK(domain.Close());
  }
  // All of it is on the disk: he who looks is in nobody's way.
  const OneWhoLooks reader(path);
  std::filesystem::remove(path + "-lock");
  ASSERT_OK_AND_ASSIGN(const RecoveryPreview preview, PreviewRecovery(path));
  EXPECT_FALSE(preview.is_cache_stale);
  EXPECT_TRUE(preview.chosen_version.has_value()) << preview.error;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  EXPECT_EQ(Written(domain), 1);
}

}  // namespace
}  // namespace eve::disks
