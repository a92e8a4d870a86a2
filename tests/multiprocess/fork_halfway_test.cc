// Forks while another thread is in the middle of opening or closing a domain,
// when no handle leads to it yet, or any more. What the child has inherited
// must not make its parent look alive.

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/check.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::HeldThread;
using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

constexpr int kHasNoSuchStep = 7;

HeldThread::StopAt AtNth(int nth) {
  return
      [nth, passed = 0](std::string_view) mutable { return ++passed == nth; };
}

// How many of this process's descriptors lead to files whose names begin so.
int CountDescriptors(const std::string& path) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone && target.string().rfind(path, 0) == 0) ++count;
  }
  return count;
}

// A child of a child, which outlives that.
class Orphan {
 public:
  Orphan() { EVE_CHECK(::pipe(report_) == 0 && ::pipe(life_) == 0, "pipes"); }
  ~Orphan() {
    for (const int fd : {report_[0], report_[1], life_[0], life_[1]}) {
      ::close(fd);
    }
  }
  Orphan(const Orphan&) = delete;
  Orphan& operator=(const Orphan&) = delete;

  // Forks it, from the process that is to die.
  void Fork(const std::string& path) {
    ::close(life_[1]);  // it lives until nobody has this end any more
    const pid_t pid = ::fork();
    EVE_CHECK(pid >= 0, "fork works");
    if (pid != 0) return;
    const char count = static_cast<char>(CountDescriptors(path));
    EVE_CHECK(::write(report_[1], &count, 1) == 1, "somebody reads");
    char none;
    (void)!::read(life_[0], &none, 1);
    ::_exit(0);
  }
  // How many descriptors of the domain it has.
  int AwaitReport() {
    char count = -1;
    EVE_CHECK(::read(report_[0], &count, 1) == 1, "it writes");
    return count;
  }

 private:
  int report_[2];
  int life_[2];
};

class ForkHalfwayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kFailpointsEnabled) GTEST_SKIP() << "built without steps";
    ASSERT_OK(Domain::Open(path_, Quiet()).status());
  }

  int CountAttached() {
    auto domain = Domain::Open(path_, Quiet());
    EXPECT_OK(domain.status());
    if (!domain.ok()) return -1;
    auto readers = domain->Readers();
    return readers.ok() ? static_cast<int>(readers->size()) - 1 : -2;
  }

  // A parent runs `act` with each step in turn, in which it is killed after it
  // has forked the orphan; until there is no such step.
  void ExpectOrphansLetGo(
      const std::function<int(Orphan& orphan, int step)>& act,
      int descriptors_max) {
    int step = 0;
    while (true) {
      SCOPED_TRACE(++step);
      Orphan orphan;
      ChildProcess parent([&] { return act(orphan, step); });
      const int end = parent.Wait();
      if (end == kHasNoSuchStep) break;
      ASSERT_EQ(end, -SIGKILL);
      const int descriptors = orphan.AwaitReport();
      EXPECT_GE(descriptors, 0);
      EXPECT_LE(descriptors, descriptors_max);
      EXPECT_EQ(CountAttached(), 0);
    }
    EXPECT_GT(step, 10);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
};

TEST_F(ForkHalfwayTest, ChildOfAnyMomentOfAClosingLetsItsParentDie) {
  const auto close = [&](Orphan& orphan, int step) {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    {
      auto map = domain->Collection<Strings>("m");
      if (!map.ok() || !map->Put("k", "v").ok()) return 2;
    }
    HeldThread closer([&] { *domain = Domain(); }, AtNth(step));
    if (!closer.AwaitHeld()) return kHasNoSuchStep;
    orphan.Fork(path_);
    return ::kill(::getpid(), SIGKILL);
  };
  ExpectOrphansLetGo(close, /*descriptors_max=*/0);
}

// The opening goes on in the parent, and takes its lock bytes when the child
// has been there for long.
TEST_F(ForkHalfwayTest, ChildOfAnyMomentOfAnOpeningLetsItsParentDie) {
  const auto open = [&](Orphan& orphan, int step) {
    absl::StatusOr<Domain> domain = absl::UnknownError("not yet");
    HeldThread opener([&] { domain = Domain::Open(path_, Quiet()); },
                      AtNth(step));
    if (!opener.AwaitHeld()) return kHasNoSuchStep;
    orphan.Fork(path_);
    opener.LetGo();
    return domain.ok() ? ::kill(::getpid(), SIGKILL) : 1;
  };
  // What was opened in this moment is opened again by the parent.
  ExpectOrphansLetGo(open, /*descriptors_max=*/1);
}

// If this hangs, somebody waits for the opener that is held.
TEST_F(ForkHalfwayTest, AnOpeningKeepsNeitherForksNorOtherOpeningsWaiting) {
  absl::StatusOr<Domain> held = absl::UnknownError("not yet");
  HeldThread opener([&] { held = Domain::Open(path_, Quiet()); },
                    HeldThread::At("open.init_exclusive"));
  ASSERT_TRUE(opener.AwaitHeld());
  const std::string other = dir_.File("other.eve");
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(Domain::Open(other, Quiet()).status());  // a new one first
  }
  DomainOptions in_memory = Quiet();
  in_memory.in_memory = true;
  EXPECT_OK(Domain::Open("memory", in_memory).status());
  ChildProcess child([&] {
    return Domain::Open(other, Quiet()).ok() ? CountDescriptors(path_) : 100;
  });
  EXPECT_EQ(child.Wait(), 0);
  opener.LetGo();
  EXPECT_OK(held.status());
}

// In a child that was forked during an opening nobody is at work on it.
TEST_F(ForkHalfwayTest, ChildOfAnOpeningOpensTheSameFile) {
  absl::StatusOr<Domain> held = absl::UnknownError("not yet");
  // With a slot, and without the init byte.
  HeldThread opener([&] { held = Domain::Open(path_, Quiet()); },
                    HeldThread::At("process.counted"));
  ASSERT_TRUE(opener.AwaitHeld());
  ChildProcess child([&] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 100;
    auto readers = domain->Readers();
    return readers.ok() ? static_cast<int>(readers->size()) : 101;
  });
  EXPECT_EQ(child.Wait(), 2);
  opener.LetGo();
  EXPECT_OK(held.status());
}

}  // namespace
}  // namespace eve
