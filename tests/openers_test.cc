// Threads of one process that open one file at once: they get one instance,
// however they come to it.

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using internal::DomainImpl;
using internal::OpenInstance;
using testing::HeldThread;
using testing::Quiet;
using testing::StepSync;
using testing::TempDir;
using Opened = absl::StatusOr<std::shared_ptr<DomainImpl>>;

// A file that is not there yet, and one that is; no order is scripted.
TEST(OpenersTest, ThreadsThatOpenOneFileAtOnceGetOneInstance) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 40;
  // Abseil's names of errors are filled in by who asks first, which TSan does
  // not see: the library was built without it.
  EXPECT_FALSE(absl::ErrnoToStatus(ENOENT, "").ok());
  const TempDir dir;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    const std::string path = dir.File(absl::StrCat(round / 2, ".eve"));
    std::vector<Opened> opened(kThreads, absl::UnknownError("not yet"));
    std::vector<std::thread> threads;
    std::atomic<int> waiting{0};
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        ++waiting;
        while (waiting < kThreads) std::this_thread::yield();
        opened[i] = OpenInstance(path, Quiet());
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Opened& one : opened) {
      ASSERT_OK(one.status());
      EXPECT_EQ(*one, *opened[0]);
    }
    ASSERT_OK_AND_ASSIGN(const auto readers, (*opened[0])->Readers());
    EXPECT_EQ(readers.size(), 1u) << "a slot is left over";
  }
}

// The first creates the file, and cannot know what to wait for. The second does
// so, too, under another name, or finds the file, which somebody has made
// meanwhile.
struct Course {
  bool is_there;  // when the second comes
  bool is_open;   // when the first is done; else the second is still at it
};

TEST(OpenersTest, WhoCreatesAFileThatAnotherThreadOpensGetsThatInstance) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "built without steps";
  for (const auto& [is_there, is_open] :
       {Course{false, true}, Course{true, true}, Course{true, false}}) {
    SCOPED_TRACE(is_there ? is_open ? "there and open" : "there" : "new");
    const TempDir dir;
    const std::string path = dir.File("d.eve");
    Opened first = absl::UnknownError("not yet");
    Opened second = absl::UnknownError("not yet");
    HeldThread creator([&] { first = OpenInstance(path, Quiet()); },
                       HeldThread::At("create.written"));
    ASSERT_TRUE(creator.AwaitHeld());
    const std::string other_name = dir.File("./d.eve");
    if (is_there) {
      ASSERT_OK(OpenInstance(other_name, Quiet()).status());
    }
    HeldThread opener([&] { second = OpenInstance(other_name, Quiet()); },
                      HeldThread::At("process.counted"));
    ASSERT_TRUE(opener.AwaitHeld());
    if (is_open) {
      opener.LetGo();
      creator.LetGo();
    } else {
      // It gives up what it has opened, and waits for the second.
      StepSync gave_up;
      SetStepHook([&](std::string_view step) {
        if (step == "close.released") gave_up.Signal(1);
      });
      std::thread let_go([&] {
        creator.LetGo();
        gave_up.Signal(1);
      });
      gave_up.Await(1);
      opener.LetGo();
      let_go.join();
      ClearStepHook();
    }
    ASSERT_OK(first.status());
    ASSERT_OK(second.status());
    EXPECT_EQ(*first, *second);
    ASSERT_OK_AND_ASSIGN(const auto readers, (*first)->Readers());
    EXPECT_EQ(readers.size(), 1u) << "a slot is left over";
  }
}

// Who has waited for one that fails tries by itself.
TEST(OpenersTest, WhoHasWaitedForOneThatFailsTries) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "built without steps";
  const TempDir dir;
  const std::string path = dir.File("d.eve");
  ASSERT_OK(OpenInstance(path, Quiet()).status());
  static thread_local bool fails = false;
  const ScopedFaultHook fault([](std::string_view point) {
    return fails && point == "file.map" ? ENOMEM : 0;
  });
  StepSync waiting;
  Opened first = absl::UnknownError("not yet");
  HeldThread opener(
      [&] {
        fails = true;
        first = OpenInstance(path, Quiet());
      },
      HeldThread::At("file.opened"));
  ASSERT_TRUE(opener.AwaitHeld());
  SetStepHook([&](std::string_view step) {
    if (step == "registry.wait") waiting.Signal(1);
  });
  std::thread next([&] { EXPECT_OK(OpenInstance(path, Quiet()).status()); });
  waiting.Await(1);
  opener.LetGo();
  next.join();
  ClearStepHook();
  EXPECT_CODE(first.status(), absl::StatusCode::kResourceExhausted);
}

TEST(OpenersTest, FailedOpeningLetsTheNextOneTry) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "built without steps";
  const TempDir dir;
  const std::string path = dir.File("d.eve");
  ASSERT_OK(OpenInstance(path, Quiet()).status());
  {
    const ScopedFaultHook fault([](std::string_view point) {
      return point == "file.map" ? ENOMEM : 0;
    });
    EXPECT_CODE(OpenInstance(path, Quiet()).status(),
                absl::StatusCode::kResourceExhausted);
  }
  EXPECT_OK(OpenInstance(path, Quiet()).status());
}

}  // namespace
}  // namespace eve
