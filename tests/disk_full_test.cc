// A full disk while the domain grows: a clear error, nothing lost, reads and
// erasing go on, and more space makes it work again.

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/domain/registry.h"
#include "engine/file/file.h"
#include "engine/reclaim/punch.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/memory_file_system.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::MemoryFileSystem;
using testing::SharedValue;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

void FillUntilFull(Domain& domain, Strings& map, int64_t* written) {
  absl::Status status;
  const std::string value(2000, 'x');
  for (int i = 0; i < 1000000; ++i) {
    status = map.Put("key" + std::to_string(i), value);
    if (!status.ok()) break;
    *written = i + 1;
  }
  EXPECT_CODE(status, absl::StatusCode::kResourceExhausted);
  for (int i = 0; i < *written; ++i) {
    ASSERT_EQ(map.Get("key" + std::to_string(i)).value(), value);
  }
  (void)domain;
}

void FillToTheLastBlock(const std::string& path) {
  ASSERT_OK_AND_ASSIGN(const File ballast, File::Open(path, O_CREAT | O_RDWR));
  for (uint64_t size = 0; ballast.Allocate(size, kPageBytes).ok();) {
    size += kPageBytes;
  }
}

TEST(DiskFullTest, FullFileSystemIsACleanError) {
  TempDir dir;
  MemoryFileSystem small(dir.File("small"), "size=16m");
  if (!small.mounted()) {
    GTEST_SKIP() << "no privilege to mount a small file system";
  }
  const std::string path = dir.File("small/d.eve");
  DomainOptions options;
  options.checkpoint_every = absl::Milliseconds(10);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  int64_t written = 0;
  FillUntilFull(domain, map, &written);
  if (HasFatalFailure()) return;
  EXPECT_GT(written, 1000);
  EXPECT_EQ(map.size().value(), static_cast<uint64_t>(written));
  EXPECT_OK(domain.Sync());
  testing::ExpectCleanCheck(path, domain);
  ASSERT_OK(domain.Close());
  ASSERT_OK_AND_ASSIGN(domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.size().value(), static_cast<uint64_t>(written));
}

TEST(DiskFullTest, CreatingOnAFullFileSystemLeavesNothing) {
  TempDir dir;
  MemoryFileSystem small(dir.File("small"), "size=16m");
  if (!small.mounted()) {
    GTEST_SKIP() << "no privilege to mount a small file system";
  }
  {
    ASSERT_OK_AND_ASSIGN(
        const File ballast,
        File::Open(dir.File("small/ballast"), O_CREAT | O_RDWR));
    ASSERT_OK(ballast.Allocate(0, (16 << 20) - (64 << 10)));
  }
  EXPECT_CODE(Domain::Open(dir.File("small/d.eve")),
              absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(std::filesystem::exists(dir.File("small/d.eve")));
  std::filesystem::remove(dir.File("small/ballast"));
  EXPECT_OK(Domain::Open(dir.File("small/d.eve")));
}

// P12: a punched segment has no space that is its own any more. A store into it
// without asking would be a SIGBUS here; a read of it takes none.
TEST(DiskFullTest, PunchedSegmentOnAFullFileSystemIsACleanError) {
  TempDir dir;
  MemoryFileSystem small(dir.File("small"), "size=64m");
  if (!small.mounted()) {
    GTEST_SKIP() << "no privilege to mount a small file system";
  }
  const std::string path = dir.File("small/d.eve");
  DomainOptions options = testing::Quiet();
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path, options));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  // Beyond the segments that are backed in steps.
  for (int i = 0; i < 6000; ++i) {
    ASSERT_OK(map.Put("small" + std::to_string(i), std::string(2000, 's')));
  }
  const std::string large(3 << 20, 'x');
  for (int i = 0; i < 8; ++i) {
    ASSERT_OK(map.Put("large" + std::to_string(i), large));
  }
  for (int i = 1; i < 8; ++i) {
    ASSERT_OK(map.Erase("large" + std::to_string(i)));
  }
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(map.Put("n", std::to_string(i)));
    ASSERT_OK(domain.Sync());
  }
  ASSERT_OK(domain.Reclaim());
  ASSERT_OK_AND_ASSIGN(const uint64_t punched,
                       PunchFree(impl->core(), 0, 1000));
  ASSERT_GE(punched, 8u);
  {
    ASSERT_OK_AND_ASSIGN(
        const File ballast,
        File::Open(dir.File("small/ballast"), O_CREAT | O_RDWR));
    uint64_t size = 0;
    for (uint64_t step = 1 << 20; step >= kPageBytes;) {
      if (ballast.Allocate(size, step).ok()) {
        size += step;
      } else {
        step /= 2;
      }
    }
  }
  // Runs, and segments for small values.
  EXPECT_CODE(map.Put("large1", large), absl::StatusCode::kResourceExhausted);
  int64_t written = 0;
  FillUntilFull(domain, map, &written);
  EXPECT_TRUE(map.Get("large0").value() == large);
  testing::ExpectCleanCheck(path, domain);
  std::filesystem::remove(dir.File("small/ballast"));
  ASSERT_OK(map.Put("large1", large));
  EXPECT_TRUE(map.Get("large1").value() == large);
  testing::ExpectCleanCheck(path, domain);
}

// What is open may end in a hole, where each commit is flushed, while segments
// that were emptied have all their space.
TEST(DiskFullTest, WhatIsFreeAndBackedIsUsedWhenTheOpenSegmentCannotGrow) {
  TempDir dir;
  MemoryFileSystem small(dir.File("small"), "size=64m");
  if (!small.mounted()) {
    GTEST_SKIP() << "no privilege to mount a small file system";
  }
  const std::string path = dir.File("small/d.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain,
                       Domain::Open(path, testing::Synchronous()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  const std::string value(2000, 'x');
  constexpr int kRecords = 18000;  // 36 MB
  const auto put = [&](int key) {
    return map.Put("key" + std::to_string(key), value);
  };
  ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
    auto all = map.In(txn);
    for (int i = 0; i < kRecords; ++i) {
      EVE_RETURN_IF_ERROR(all.Put("key" + std::to_string(i), value));
    }
    return absl::OkStatus();
  }));
  ASSERT_OK(domain.Swap([&](Transaction& txn) { return map.In(txn).Clear(); }));
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(put(i));
    ASSERT_OK(domain.Sync());
  }
  ASSERT_OK(domain.Reclaim());
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain.Stats());
  ASSERT_GT(stats.free_bytes, 30u << 20);
  FillToTheLastBlock(dir.File("small/ballast"));
  int written = 3;
  while (written < kRecords && put(written).ok()) ++written;
  // All but what is set aside, and the copies of the paths.
  EXPECT_GT(written, 5000);
  testing::ExpectCleanCheck(path, domain);
}

// I22 on a file system: what is set aside is backed before the disk is full.
TEST(DiskFullTest, AFullFileSystemIsErasedKeyByKey) {
  TempDir dir;
  MemoryFileSystem small(dir.File("small"), "size=48m");
  if (!small.mounted()) {
    GTEST_SKIP() << "no privilege to mount a small file system";
  }
  const std::string path = dir.File("small/d.eve");
  DomainOptions options = testing::Quiet();
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  int64_t written = 0;
  FillUntilFull(domain, map, &written);
  if (HasFatalFailure()) return;
  EXPECT_GT(written, 8000);
  // Nothing else is left of the disk either.
  FillToTheLastBlock(dir.File("small/ballast"));
  for (int64_t i = 0; i < written; ++i) {
    // Far apart from each other.
    const int64_t key = i * 7919 % written;
    SCOPED_TRACE(i);
    ASSERT_OK(map.Erase("key" + std::to_string(key)));
  }
  EXPECT_OK(domain.Sync());
  testing::ExpectCleanCheck(path, domain);
  int64_t again = 0;
  FillUntilFull(domain, map, &again);
  EXPECT_GT(again, written / 2);
  ASSERT_OK(domain.Close());
  ASSERT_OK_AND_ASSIGN(domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(map, domain.Collection<Strings>("m"));
  for (int64_t i = 0; i < again; ++i) {
    SCOPED_TRACE(i);
    ASSERT_OK(map.Erase("key" + std::to_string(i)));
  }
  testing::ExpectCleanCheck(path, domain);
}

absl::Status ReadAndErase(Domain& domain, int key) {
  EVE_ASSIGN_OR_RETURN(const Strings map, domain.Collection<Strings>("m"));
  EVE_RETURN_IF_ERROR(map.Get("key" + std::to_string(key)).status());
  // Of those who erase at once in so small a domain not all may.
  return key == 0 ? map.Erase("key0").status() : absl::OkStatus();
}

// Holds as many snapshots as it can.
size_t CountSnapshots(const Domain& domain) {
  std::vector<Snapshot> held;
  absl::StatusOr<Snapshot> now = domain.Now();
  for (; now.ok(); now = domain.Now()) held.push_back(*std::move(now));
  EXPECT_CODE(now, absl::StatusCode::kResourceExhausted);
  return held.size();
}

// Each process needs a page of the lock file. Those of four to come are set
// aside: to open and erase is what one does about a full disk. Beyond those it
// is an error, and no SIGBUS.
TEST(DiskFullTest, ProcessesJoinOnAFullFileSystem) {
  TempDir dir;
  MemoryFileSystem small(dir.File("small"), "size=48m");
  if (!small.mounted()) {
    GTEST_SKIP() << "no privilege to mount a small file system";
  }
  const std::string path = dir.File("small/d.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, testing::Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  int64_t written = 0;
  FillUntilFull(domain, map, &written);
  if (HasFatalFailure()) return;
  std::vector<ChildProcess> children;
  SharedValue<std::array<std::atomic<absl::StatusCode>, 20>> outcomes;
  int next = 0;
  // A process that opens and reads, and stays. Returns how that went.
  const auto join = [&] {
    const int key = next++;
    children.emplace_back([&, key] {
      DomainOptions options = testing::Quiet();
      options.read_only = key == 1;
      absl::StatusOr<Domain> joined = Domain::Open(path, options);
      (*outcomes)[key] = joined.ok() ? ReadAndErase(*joined, key).code()
                                     : joined.status().code();
      ::raise(SIGSTOP);
      return 0;
    });
    children.back().AwaitStopped();
    return (*outcomes)[key].load();
  };
  const auto leave = [&] {
    children.back().Signal(SIGCONT);
    EXPECT_EQ(children.back().Wait(), 0);
    children.pop_back();
  };
  const std::string ballast = dir.File("small/ballast");
  for (int round = 0; round < 2; ++round) {
    FillToTheLastBlock(ballast);
    for (int p = 0; p < 4; ++p) EXPECT_EQ(join(), absl::StatusCode::kOk) << p;
    EXPECT_EQ(join(), absl::StatusCode::kResourceExhausted);
    leave();
    EXPECT_EQ(CountSnapshots(domain), 128u) << "as many again as it had";
    // Who leaves, leaves room for another.
    leave();
    EXPECT_EQ(join(), absl::StatusCode::kOk);
    // The next that finds some sets aside again, for four more.
    std::filesystem::remove(ballast);
    EXPECT_EQ(join(), absl::StatusCode::kOk);
  }
  while (!children.empty()) leave();
  testing::ExpectCleanCheck(path, domain);
}

// The N-th allocation or write fails, once and from then on, for all N.
TEST(DiskFullTest, FaultInjectedAtEveryCallLosesNothing) {
  for (const bool sticky : {false, true}) {
    for (int fail_at = 1; fail_at < 40; ++fail_at) {
      SCOPED_TRACE((sticky ? "from call " : "only call ") +
                   std::to_string(fail_at));
      TempDir dir;
      const std::string path = dir.File("d.eve");
      DomainOptions options;
      options.background = false;
      options.durability = Durability::kNone;
      ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
      ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
      ASSERT_OK(domain.Sync());
      int calls = 0;
      SetFaultHook([&](std::string_view point) {
        if (point != "file.allocate" && point != "file.write") return 0;
        ++calls;
        return calls == fail_at || (sticky && calls > fail_at) ? ENOSPC : 0;
      });
      const std::string value(60000, 'x');
      std::vector<bool> ok;
      for (int i = 0; i < 200; ++i) {
        const absl::Status put = map.Put(std::to_string(i), value);
        if (!put.ok()) {
          EXPECT_CODE(put, absl::StatusCode::kResourceExhausted);
        }
        ok.push_back(put.ok());
      }
      ClearFaultHook();
      for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(map.Get(std::to_string(i)).ok(), ok[i]) << i;
      }
      ASSERT_OK(map.Put("after", "works"));
      testing::ExpectCleanCheck(path, domain);
      if (HasFailure()) return;
      if (calls < fail_at) break;
    }
  }
}

// A limit on the file's size (ulimit -f) is met like a full disk.
TEST(DiskFullTest, FileSizeLimitIsACleanError) {
  TempDir dir;
  ChildProcess child([&] {
    DomainOptions options;
    options.durability = Durability::kNone;
    auto domain = Domain::Open(dir.File("d.eve"), options);
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    if (!map.ok()) return 2;
    // The lock file is sparse and long; it has its size already.
    const rlimit limit{20 << 20, 20 << 20};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 3;
    absl::Status put;
    int i = 0;
    for (; put.ok() && i < 100000; ++i) {
      put = map->Put(std::to_string(i), std::string(2000, 'x'));
    }
    if (!absl::IsResourceExhausted(put)) return 4;
    return map->Get("0").ok() ? 0 : 5;
  });
  EXPECT_EQ(child.Wait(), 0);
}

}  // namespace
}  // namespace eve
