// Who is attached: slots that are freed by death and by nothing else, whatever
// a process is called, forked by or built as (P21, scenarios 18, 19, 25).

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "engine/file/file_lock.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::SharedValue;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// Children that are forked from now on have a monotonic clock that is ahead.
bool MoveClockOfChildren(uint64_t seconds) {
  if (::unshare(CLONE_NEWTIME) != 0) return false;
  std::ofstream offsets("/proc/self/timens_offsets");
  offsets << "monotonic " << seconds << " 0\n" << std::flush;
  return offsets.good();
}

class IdentityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    map_.emplace(std::move(map));
    ASSERT_OK(map_->Put("k", "parent's"));
  }
  void TearDown() override { ClearFaultHook(); }

  // What a process that comes now sees attached, itself left out.
  int CountAttached() {
    ChildProcess child([&] {
      auto other = Domain::Open(path_, Quiet());
      if (!other.ok()) return 100;
      auto readers = other->Readers();
      return readers.ok() ? static_cast<int>(readers->size()) - 1 : 101;
    });
    return child.Wait();
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> map_;
};

// Without fork(), and so without its handlers: a child's handles refuse, and
// what it destroys is not the parent's.
TEST_F(IdentityTest, ARawCloneHarmsNobody) {
  std::optional<Snapshot> held(domain_.Now().value());
  auto in_child = std::make_unique<Domain>(domain_);
  const auto child = static_cast<pid_t>(
      ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto run = [&] {
      const auto refused = [](const absl::Status& status) {
        return status.code() == absl::StatusCode::kFailedPrecondition;
      };
      if (!refused(map_->Put("k", "child's"))) return 1;
      if (!refused(in_child->Now().status())) return 2;
      // Anew beside the handles that are of no use.
      auto early = Domain::Open(path_, Quiet());
      if (!early.ok() || !early->Now().ok()) return 6;
      early = Domain();
      map_.reset();
      in_child.reset();
      domain_ = Domain();
      held.reset();  // the last that keeps it open
      auto again = Domain::Open(path_, Quiet());
      if (!again.ok()) return 3;
      auto map = again->Collection<Strings>("m");
      if (!map.ok() || !map->Put("from", "child").ok()) return 4;
      return again->Close().ok() ? 0 : 5;
    };
    ::_exit(run());
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(CountAttached(), 1);
  EXPECT_EQ(map_->Get("from").value(), "child");
  EXPECT_EQ(map_->At(*held).Find("k").value(), Bytes("parent's"));
  EXPECT_EQ(domain_.Stats().value().oldest_pin, held->version());
  ASSERT_OK(map_->Put("k", "new"));
  testing::ExpectCleanCheck(path_, domain_);
}

// Processes that all are number 1, each in a namespace of its own: one dies,
// and the next comes into its slot with its number. Neither is taken for the
// other, nor for dead.
TEST_F(IdentityTest, NumbersOfProcessesMeanNothing) {
  SharedValue<std::atomic<int>> pinned;
  SharedValue<std::atomic<bool>> is_refused;
  const auto start = [&] {
    return ChildProcess([&] {
      if (::unshare(CLONE_NEWPID) != 0) {
        *is_refused = true;
        return 0;
      }
      ChildProcess first([&] {
        if (::getpid() != 1) return 1;
        auto other = Domain::Open(path_, Quiet());
        if (!other.ok()) return 2;
        auto now = other->Now();
        if (!now.ok()) return 3;
        ++*pinned;
        ::pause();
        return 4;
      });
      return first.Wait() == -SIGKILL ? 0 : 5;
    });
  };
  const auto await_pins = [&](int count) {
    while (*pinned < count && !*is_refused) ::sched_yield();
  };
  // Of the number 1 as others see them.
  const auto ones = [&] {
    std::vector<ReaderInfo> found;
    const std::vector<ReaderInfo> readers = domain_.Readers().value();
    for (const ReaderInfo& reader : readers) {
      if (reader.pid == 1) found.push_back(reader);
    }
    return found;
  };
  std::vector<ChildProcess> outer;
  outer.push_back(start());
  await_pins(1);
  if (*is_refused) GTEST_SKIP() << "namespaces need root";
  const uint64_t first_version = domain_.Now().value().version();
  ASSERT_OK(map_->Put("k", "between"));
  outer.push_back(start());
  await_pins(2);
  ASSERT_EQ(ones().size(), 2u);
  EXPECT_EQ(domain_.Stats().value().oldest_pin, first_version);
  const uint32_t slot = ones()[0].slot;
  // The inner process is the only child of the outer one: the kernel kills a
  // whole namespace with its number 1, so it is told to by its own pid here.
  const std::string children = absl::StrCat("/proc/", outer[0].pid(), "/task/",
                                            outer[0].pid(), "/children");
  int inner = 0;
  {
    std::unique_ptr<FILE, int (*)(FILE*)> file(
        std::fopen(children.c_str(), "re"), &std::fclose);
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(std::fscanf(file.get(), "%d", &inner), 1);
  }
  ASSERT_EQ(::kill(inner, SIGKILL), 0);
  EXPECT_EQ(outer[0].Wait(), 0);
  EXPECT_EQ(ones().size(), 1u);
  EXPECT_GT(domain_.Stats().value().oldest_pin, first_version);
  outer.push_back(start());
  await_pins(3);
  ASSERT_EQ(ones().size(), 2u);
  EXPECT_EQ(ones()[0].slot, slot);
  EXPECT_GT(domain_.Stats().value().oldest_pin, first_version);
}

// Containers may have monotonic clocks of their own, days apart. What processes
// tell each other are durations, so nobody waits for another's clock, and all
// that was counted is there.
TEST_F(IdentityTest, ClocksMayDiffer) {
  constexpr int kSwaps = 2000;
  constexpr int kSwapsPerFlush = 100;
  constexpr uint64_t kDay = 86'400 * kNanosPerSecond;
  SharedValue<std::atomic<bool>> is_refused;
  // Counts up, mostly without a flush, among others that do the same.
  const auto count = [this](uint64_t clock_least) {
    if (MonotonicNanos() < clock_least) return 1;
    auto other = Domain::Open(path_, DomainOptions{});
    if (!other.ok()) return 2;
    auto map = other->Collection<Strings>("m");
    if (!map.ok()) return 2;
    for (int i = 0; i < kSwaps; ++i) {
      SwapOptions options;
      options.durability =
          i % kSwapsPerFlush == 0 ? Durability::kSync : Durability::kNone;
      const auto done = other->Swap(
          [&](Transaction& transaction) -> absl::Status {
            auto writer = map->In(transaction);
            int n = 0;
            const auto found = writer.Find("n");
            if (found.has_value() && !absl::SimpleAtoi(*found, &n)) {
              return absl::InternalError("not a number");
            }
            return writer.Put("n", absl::StrCat(n + 1));
          },
          options);
      if (!done.ok()) return 3;
    }
    return 0;
  };
  const auto start = [&](uint64_t ahead) {
    return ChildProcess([&, ahead] {
      const uint64_t least = MonotonicNanos() + ahead;
      if (ahead > 0 && !MoveClockOfChildren(ahead / kNanosPerSecond)) {
        *is_refused = true;
        return 0;
      }
      ChildProcess inner([&] { return count(least); });
      return inner.Wait();
    });
  };
  std::vector<ChildProcess> processes;
  for (const uint64_t days : {0, 1, 10}) {
    processes.push_back(start(days * kDay));
  }
  for (ChildProcess& process : processes) EXPECT_EQ(process.Wait(), 0);
  if (*is_refused) GTEST_SKIP() << "namespaces need root, and Linux 5.6";
  EXPECT_EQ(map_->Get("n").value(), absl::StrCat(3 * kSwaps));
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(IdentityTest, ReopeningTenThousandTimesLeavesNothing) {
  ChildProcess child([&] {
    for (int i = 0; i < 10'000; ++i) {
      auto other = Domain::Open(path_, Quiet());
      if (!other.ok()) return 1;
      if (i % 100 == 0) {
        auto map = other->Collection<Strings>("m");
        if (!map.ok() || !map->Put("i", absl::StrCat(i)).ok()) return 2;
      }
    }
    return 0;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(CountAttached(), 1);
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  EXPECT_EQ(impl->core().region.words().processes_used, 2u);
  ASSERT_OK(domain_.Reclaim());
  const DomainStats stats = domain_.Stats().value();
  EXPECT_EQ(stats.pins, 0u);
  EXPECT_LT(stats.segments, 16u);
  EXPECT_EQ(map_->Get("i").value(), "9900");
  testing::ExpectCleanCheck(path_, domain_);
}

// No slot is left: said, not waited for; and one that is given back will do.
TEST_F(IdentityTest, RunningOutOfSlotsIsAClearError) {
  ASSERT_OK_AND_ASSIGN(const File lock, File::Open(path_ + "-lock", O_RDWR));
  for (uint32_t i = 1; i < kProcessesMax; ++i) {
    ASSERT_OK_AND_ASSIGN(
        const bool taken,
        TryLockByte(lock, kProcessLockBase + i, LockKind::kExclusive));
    ASSERT_TRUE(taken) << i;
  }
  const auto open = [&] {
    ChildProcess child([&] {
      return static_cast<int>(Domain::Open(path_, Quiet()).status().code());
    });
    return static_cast<absl::StatusCode>(child.Wait());
  };
  EXPECT_EQ(open(), absl::StatusCode::kResourceExhausted);
  UnlockByte(lock, kProcessLockBase + kProcessesMax - 1);
  EXPECT_EQ(open(), absl::StatusCode::kOk);
}

// A build with another shared layout is told which both are.
TEST_F(IdentityTest, AnotherBuildIsRefusedWithBothLayouts) {
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  RegionHeader& header = impl->core().region.header();
  const uint64_t other = header.abi_hash + 1;
  header.abi_hash = other;
  ChildProcess child([&] {
    const absl::Status status = Domain::Open(path_, Quiet()).status();
    if (status.code() != absl::StatusCode::kFailedPrecondition) return 1;
    const std::string text(status.message());
    if (text.find(absl::StrCat("0x", absl::Hex(other))) == text.npos) return 2;
    return text.find(absl::StrCat("0x", absl::Hex(SharedAbiHash()))) ==
                   text.npos
               ? 3
               : 0;
  });
  EXPECT_EQ(child.Wait(), 0);
  header.abi_hash = SharedAbiHash();
  EXPECT_EQ(CountAttached(), 1);
}

TEST_F(IdentityTest, UnsupportedFileSystemsAreRefusedByName) {
  int magic = 0;
  SetFaultHook([&magic](std::string_view point) {
    return point == "file.statfs" ? magic : 0;
  });
  const auto open = [&](uint32_t type) {
    magic = static_cast<int>(type);
    return Domain::Open(dir_.File("other.eve"), Quiet()).status();
  };
  const std::pair<uint32_t, const char*> kTypes[] = {
      {0x6969, " NFS,"},
      {0xFF534D42, " CIFS,"},
      {0xFE534D42, " SMB2,"},
      {0x01021997, " 9p,"},
      {0x65735546, " FUSE "},
      {0x00C36400, " Ceph,"},
      {0x12345678, " 0x12345678 "},  // which nobody has heard of
  };
  for (const auto& [type, name] : kTypes) {
    const absl::Status status = open(type);
    EXPECT_CODE(status, absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(std::string(status.message()).find(name), std::string::npos)
        << status;
  }
  EXPECT_CODE(open(EIO), absl::StatusCode::kUnknown);
  const uint32_t kLocal[] = {
      0xEF53 /* ext4 */,         0x58465342 /* XFS */,
      0x01021994 /* tmpfs */,    0xF2F52010 /* F2FS */,
      0x9123683E /* Btrfs */,    0x2FC12FC1 /* ZFS */,
      0xCA451A4E /* bcachefs */, 0x794C7630 /* overlay: containers */};
  for (const uint32_t type : kLocal) EXPECT_OK(open(type));
}

}  // namespace
}  // namespace eve
