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
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
// tell each other are durations: a flusher that is stopped is waited for as
// long as elsewhere, neither for days nor not at all, whoever's clock is ahead.
TEST_F(IdentityTest, ClocksMayDiffer) {
  constexpr uint64_t kTenDays = 10 * 86'400;
  SharedValue<std::atomic<bool>> is_refused;
  const auto put = [this] {
    const DomainOptions options = testing::Synchronous();
    auto other = Domain::Open(path_, options);
    if (!other.ok()) return 2;
    auto map = other->Collection<Strings>("m");
    return map.ok() && map->Put("k", "child's").ok() ? 0 : 3;
  };
  const auto flush_and_stop = [&] {
    testing::SignalSelfAt(1, SIGSTOP, "flusher.taken");
    return put();
  };
  const auto wait_for_it = [&] {
    int sleeps = 0;
    int in_vain = 0;
    SetStepHook([&](std::string_view step) {
      in_vain += step == "flusher.waited_in_vain" ? 1 : 0;
      // Of 10 ms; nobody waits for more than a second.
      if (step == "flusher.sleep" && ++sleeps > 200) ::_exit(4);
    });
    const int failed = put();
    ClearStepHook();
    if (failed != 0) return failed;
    return sleeps > 0 && in_vain == 1 ? 0 : 5;
  };
  for (const bool is_holder_ahead : {true, false}) {
    SCOPED_TRACE(is_holder_ahead);
    // Stops when its child has; goes on with it.
    ChildProcess holder([&] {
      if (is_holder_ahead && !MoveClockOfChildren(kTenDays)) {
        *is_refused = true;
      }
      ChildProcess inner(flush_and_stop);
      inner.AwaitStopped();
      ::raise(SIGSTOP);
      inner.Signal(SIGCONT);
      return inner.Wait();
    });
    holder.AwaitStopped();
    ChildProcess waiter([&] {
      if (!is_holder_ahead && !MoveClockOfChildren(kTenDays)) {
        *is_refused = true;
      }
      return ChildProcess(wait_for_it).Wait();
    });
    EXPECT_EQ(waiter.Wait(), 0);
    holder.Signal(SIGCONT);
    EXPECT_EQ(holder.Wait(), 0);
  }
  if (*is_refused) GTEST_SKIP() << "namespaces need root, and Linux 5.6";
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
