// What a host program may do to the descriptors and the memory of a domain that
// it has open: fork in the middle of everything, vfork and exec, close what is
// not its own, open the file again under other names (scenarios 19 and 20). The
// process that has it open is unharmed, as others see it, and who may not go on
// is told so.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;
using Sorted = OrderedMap<std::string, std::string>;

bool IsRefused(const absl::Status& status) {
  return status.code() == absl::StatusCode::kFailedPrecondition &&
         std::string(status.message()).find("fork") != std::string::npos;
}

class ForkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    map_.emplace(std::move(map));
    ASSERT_OK(map_->Put("k", "parent's"));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
  }

  // What a process that comes now sees attached, itself left out; and its pins.
  int CountAttached() {
    return CountInChild([](const Domain& other) {
      auto readers = other.Readers();
      return readers.ok() ? static_cast<int>(readers->size()) - 1 : 101;
    });
  }
  int CountPins() {
    return CountInChild([](const Domain& other) {
      auto stats = other.Stats();
      return stats.ok() ? static_cast<int>(stats->pins) : 101;
    });
  }
  int CountInChild(const std::function<int(const Domain&)>& count) {
    ChildProcess child([&] {
      auto other = Domain::Open(path_, Quiet());
      return other.ok() ? count(*other) : 100;
    });
    return child.Wait();
  }
  void ExpectUnharmed() {
    EXPECT_EQ(CountAttached(), 1);
    ASSERT_OK(map_->Put("last", "v"));
    ASSERT_OK(domain_.Reclaim());
    EXPECT_EQ(map_->Get("k").value(), "parent's");
    testing::ExpectCleanCheck(path_, domain_);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> map_;
  std::shared_ptr<internal::DomainImpl> impl_;
};

// A planted bug: a child gives back what it has inherited, as a close that does
// not know that it was forked would. Its parent counts as dead from then on,
// which is what all tests here look for; so it is a process of its own, which
// does not go on.
TEST_F(ForkTest, FindsACloseInTheChildThatFreesTheParentsSlot) {
  ChildProcess parent([&] {
    auto own = std::make_shared<internal::DomainImpl>(Quiet());
    if (!own->Start(path_).ok()) return 1;
    const auto held = own->Now();
    if (!held.ok() || CountAttached() != 2 || CountPins() != 1) return 2;
    // The engine closes its own descriptor at fork().
    const int inherited = ::dup(own->core().region.file().fd());
    const uint64_t byte = kProcessLockBase + own->core().slots->index();
    ChildProcess child([&] {
      struct flock lock = {};
      lock.l_type = F_UNLCK;
      lock.l_start = static_cast<off_t>(byte);
      lock.l_len = 1;
      return ::fcntl(inherited, F_OFD_SETLK, &lock);
    });
    if (child.Wait() != 0) return 3;
    ::_exit(CountAttached() == 1 && CountPins() == 0 ? 0 : 4);
  });
  EXPECT_EQ(parent.Wait(), 0);
  ExpectUnharmed();
}

// A child that goes on with what it has inherited until it ends in order.
TEST_F(ForkTest, ChildThatClosesAllLeavesTheParentItsSlot) {
  std::optional<Snapshot> held(domain_.Now().value());
  const uint64_t version = held->version();
  ChildProcess child([&] {
    if (!IsRefused(map_->Put("k", "child's"))) return 1;
    if (!IsRefused(domain_.Now().status())) return 2;
    if (!IsRefused(domain_.Sync())) return 3;
    held.reset();
    map_.reset();
    impl_.reset();
    const absl::Status closed = domain_.Close();
    return closed.ok() || IsRefused(closed) ? 0 : 4;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(domain_.Stats().value().oldest_pin, version);
  EXPECT_EQ(CountPins(), 1);
  ExpectUnharmed();
}

// A program that is started gets no descriptor of the domain, and its parent
// loses none.
TEST_F(ForkTest, VforkAndExecPassNothingOn) {
  ASSERT_OK_AND_ASSIGN(const Snapshot held, domain_.Now());
  // 3 if one of its descriptors leads to the domain or its lock file.
  const std::string script =
      absl::StrCat("for fd in /proc/self/fd/*; do case $(readlink $fd) in ",
                   path_, "*) exit 3;; esac; done");
  const char* const shell = "/bin/sh";
  const char* const text = script.c_str();
  const pid_t child = ::vfork();
  if (child == 0) {
    ::execl(shell, "sh", "-c", text, nullptr);
    ::_exit(127);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(CountPins(), 1);
  ExpectUnharmed();
}

// The closure of a swap forks. In the child it is told so, at the next read
// that needs what it has put or when it returns; the parent's run goes on.
TEST_F(ForkTest, ForkInsideAClosureIsTheParentsSwap) {
  for (const bool reads : {false, true}) {
    pid_t child = -1;
    bool is_refused = true;
    const absl::StatusOr<Commit> done = domain_.Swap([&](Transaction& txn) {
      auto writer = map_->In(txn);
      absl::Status status = writer.Put("from", "closure");
      child = ::fork();
      if (child == 0 && reads) {
        is_refused = !writer.Find("from").has_value();
      }
      return status.ok() ? writer.Put("more", "closure") : status;
    });
    if (child == 0) {
      is_refused = is_refused && IsRefused(done.status());
      ::_exit(is_refused && IsRefused(map_->Put("k", "child's")) ? 0 : 1);
    }
    EXPECT_OK(done.status());
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_EQ(map_->Get("more").value(), "closure");
    EXPECT_EQ(domain_.Stats().value().pins, 0u);
    ExpectUnharmed();
  }
}

// Whether it touched the collection before it forked or not.
TEST_F(ForkTest, ForkInsideAClosureBeforeItTouchesACollection) {
  pid_t child = -1;
  bool is_refused = false;
  const absl::StatusOr<Commit> done = domain_.Swap([&](Transaction& txn) {
    child = ::fork();
    if (child != 0) return map_->In(txn).Put("from", "closure");
    is_refused = !map_->In(txn).Find("k").has_value() &&
                 !map_->In(txn).Put("from", "child").ok();
    return absl::OkStatus();
  });
  if (child == 0) ::_exit(is_refused && IsRefused(done.status()) ? 0 : 1);
  EXPECT_OK(done.status());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(map_->Get("from").value(), "closure");
  ExpectUnharmed();
}

// What it is pinned by is the parent's, who may let it go at any time.
TEST_F(ForkTest, InheritedSnapshotsShowNothing) {
  ASSERT_OK_AND_ASSIGN(const Sorted sorted,
                       domain_.Collection<Sorted>("sorted"));
  ASSERT_OK(sorted.Put("k", "v"));
  ASSERT_OK_AND_ASSIGN(Snapshot before, domain_.Now());
  ASSERT_OK(map_->Put("k", "newer"));
  ASSERT_OK_AND_ASSIGN(Snapshot after, domain_.Now());
  ChildProcess child([&] {
    if (!IsRefused(before.status())) return 1;
    if (map_->At(before).Find("k").has_value()) return 2;
    const auto none = [](Bytes, auto, auto) { return true; };
    if (!IsRefused(map_->Diff(before, after, none))) return 3;
    for ([[maybe_unused]] const auto& entry : sorted.At(before)) return 4;
    if (!IsRefused(sorted.Diff(before, after, none))) return 5;
    return IsRefused(after.status()) ? 0 : 6;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(map_->At(before).Find("k"), "parent's");
  EXPECT_OK(before.status());
  ASSERT_OK(map_->Put("k", "parent's"));
  ExpectUnharmed();
}

// Its runs of segments and its packed leaves are the parent's, too.
TEST_F(ForkTest, ForkInsideAClosureThatAppendsOrRollsBack) {
  ASSERT_OK_AND_ASSIGN(const Sorted sorted,
                       domain_.Collection<Sorted>("sorted"));
  for (const bool rolls_back : {false, true}) {
    pid_t child = -1;
    bool is_refused = false;
    const absl::StatusOr<Commit> done =
        domain_.Swap([&](Transaction& txn) -> absl::Status {
          auto writer = sorted.In(txn);
          const absl::StatusOr<Savepoint> before = txn.Savepoint();
          absl::Status status = writer.Append(rolls_back ? "c" : "a", "v");
          if (status.ok()) {
            status = map_->In(txn).Put("run", std::string(3 << 20, 'r'));
          }
          child = ::fork();
          if (child != 0) return status;
          if (rolls_back) {
            is_refused = IsRefused(txn.RollBackTo(*before));
          } else {
            is_refused = IsRefused(writer.Append("b", std::string(3000, 'v')));
          }
          return absl::OkStatus();
        });
    if (child == 0) ::_exit(is_refused && IsRefused(done.status()) ? 0 : 1);
    EXPECT_OK(done.status());
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    ExpectUnharmed();
  }
  EXPECT_EQ(sorted.Get("a").value(), "v");
}

// In the child the callback's thread ends, and with it the child.
TEST_F(ForkTest, ForkInsideACallbackEndsTheWatchOfTheChild) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "what the child still has when it ends is leaked, to it";
#endif
  std::atomic<bool> has_forked{false};
  std::atomic<int> ended{-1};
  const pid_t parent = ::getpid();
  ASSERT_OK_AND_ASSIGN(const Watch watch, domain_.OnChange([&](uint64_t) {
    // In the child it is not called once more: it would fork again.
    if (::getpid() != parent) ::_exit(1);
    if (has_forked.exchange(true)) return;
    const pid_t child = ::fork();
    if (child == 0) return;
    int status = -1;
    ::waitpid(child, &status, 0);
    ended = status;
  }));
  ASSERT_OK(map_->Put("seen", "by the callback"));
  while (ended == -1) std::this_thread::yield();
  EXPECT_EQ(ended, 0);
  ExpectUnharmed();
}

// Whatever its threads are about when it forks.
TEST_F(ForkTest, ForksAmongThreadsThatWrite) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "a fork may copy a lock of its allocator that is held";
#endif
  constexpr int kThreads = 4;
  constexpr int kForks = 10;
  std::atomic<bool> is_over{false};
  std::atomic<int> writes{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      while (!is_over) {
        EXPECT_OK(map_->Put(absl::StrCat("thread", i), "v"));
        ++writes;
      }
    });
  }
  for (int i = 0; i < kForks; ++i) {
    // Among other moments of theirs each time.
    for (const int seen = writes; writes < seen + 20;)
      std::this_thread::yield();
    ChildProcess child([&] {
      if (!IsRefused(map_->Put("k", "child's"))) return 1;
      auto anew = Domain::Open(path_, Quiet());
      if (!anew.ok()) return 2;
      auto map = anew->Collection<Strings>("m");
      return map.ok() && map->Put("child", absl::StrCat(i)).ok() ? 0 : 3;
    });
    EXPECT_EQ(child.Wait(), 0);
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(map_->Get("child").value(), absl::StrCat(kForks - 1));
  ExpectUnharmed();
}

// Opening and closing the files by other means takes no lock away, which it
// would if the locks were of the process.
TEST_F(ForkTest, FilesThatAreOpenedAndClosedByTheProgramKeepTheirLocks) {
  ASSERT_OK_AND_ASSIGN(const Snapshot held, domain_.Now());
  for (const std::string& path : {path_, path_ + "-lock"}) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::close(fd), 0);
  }
  EXPECT_EQ(CountPins(), 1);
  ExpectUnharmed();
}

// The program closes a descriptor that is the engine's. The mapping keeps the
// open file, and with it the lock bytes: to others it lives, and its pins
// count.
TEST_F(ForkTest, StrayCloseOfTheLockFileIsNotDeath) {
  ASSERT_OK_AND_ASSIGN(const Snapshot held, domain_.Now());
  ASSERT_EQ(::close(impl_->core().region.file().fd()), 0);
  EXPECT_EQ(CountAttached(), 1);
  EXPECT_EQ(CountPins(), 1);
  ASSERT_OK(map_->Put("more", "v"));
  EXPECT_EQ(map_->At(held).Find("k").value(), Bytes("parent's"));
  ChildProcess other([&] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok() || !domain->Reclaim().ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    return map.ok() && map->Put("other", "v").ok() ? 0 : 2;
  });
  EXPECT_EQ(other.Wait(), 0);
  EXPECT_EQ(map_->Get("other").value(), "v");
  testing::ExpectCleanCheck(path_, domain_);
}

// Of the data file: what needs the descriptor is an error, and nothing else.
TEST_F(ForkTest, StrayCloseOfTheDataFileIsAnError) {
  ASSERT_EQ(::close(impl_->core().file.fd()), 0);
  ASSERT_OK(map_->Put("more", "v"));
  EXPECT_FALSE(domain_.Sync().ok()) << "a flush that did not happen";
  EXPECT_EQ(CountAttached(), 1);
  EXPECT_EQ(map_->Get("k").value(), "parent's");
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  testing::ExpectCleanCheckAt(path_, now);
}

// Names of one file are one domain in a process; in others a symbolic link
// leads to the same lock file, and a hard link, which does not, is refused.
TEST_F(ForkTest, OtherNamesAreTheSameDomain) {
  const std::string hard = dir_.File("hard.eve");
  const std::string soft = dir_.File("soft.eve");
  std::filesystem::create_hard_link(path_, hard);
  std::filesystem::create_symlink(path_, soft);
  for (const std::string& name : {hard, soft}) {
    ASSERT_OK_AND_ASSIGN(const auto again,
                         internal::OpenInstance(name, Quiet()));
    EXPECT_EQ(again, impl_) << name;
  }
  const auto open = [](const std::string& name) {
    ChildProcess child([&] {
      return static_cast<int>(Domain::Open(name, Quiet()).status().code());
    });
    return static_cast<absl::StatusCode>(child.Wait());
  };
  EXPECT_EQ(open(soft), absl::StatusCode::kOk);
  EXPECT_EQ(open(hard), absl::StatusCode::kFailedPrecondition);
  ExpectUnharmed();
}

}  // namespace
}  // namespace eve
