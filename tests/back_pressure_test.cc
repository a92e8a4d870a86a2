// Readers that hold much garbage: who is told, who is refused, until when.

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"
#include "util/random.h"

namespace eve {
namespace {

using ::testing::AllOf;
using testing::ChildProcess;
using ::testing::HasSubstr;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

constexpr uint64_t kLarge = 5 << 20;
constexpr int kRoundsMax = 1000;

class BackPressureTest : public ::testing::TestWithParam<bool> {
 protected:
  DomainOptions Options() const {
    DomainOptions options;
    options.background = GetParam();
    options.durability = Durability::kNone;
    options.checkpoint_every = absl::Milliseconds(1);
    return options;
  }
  void Open(const DomainOptions& options) {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
    absl::StatusOr<Strings> map = domain_.Collection<Strings>("m");
    ASSERT_OK(map);
    map_ = *map;
  }
  absl::Status PutLarge(int i) {
    return map_->Put(absl::StrCat("k", i), std::string(kLarge, 'x'));
  }
  // Makes four large values and then garbage of all that a snapshot sees.
  void Fill() {
    for (int i = 0; i < 4; ++i) ASSERT_OK(PutLarge(i));
  }
  absl::Status Erase(int i) {
    return map_->Erase(absl::StrCat("k", i)).status();
  }
  // Writes small things until that is refused.
  absl::Status WriteUntilRefused() {
    for (int i = 0; i < kRoundsMax; ++i) {
      absl::Status done = PutLarge(10);
      if (!done.ok()) return done;
    }
    return absl::OkStatus();
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> map_;
};

TEST_P(BackPressureTest, RefusedWriterIsToldWhoHoldsTheMost) {
  DomainOptions options = Options();
  options.max_pinned_bytes = 12 << 20;
  Open(options);
  ASSERT_OK_AND_ASSIGN(Strings dropped, domain_.Collection<Strings>("dropped"));
  ASSERT_OK(dropped.Put("k", "v"));
  ASSERT_OK(domain_.Drop("dropped"));  // leaves work for Reclaim
  // Further behind, and sees next to nothing.
  ASSERT_OK_AND_ASSIGN(Snapshot harmless, domain_.Now());
  Fill();
  ASSERT_OK_AND_ASSIGN(std::optional<Snapshot> held, domain_.Now());
  const uint64_t version = held->version();
  for (int i = 0; i < 4; ++i) Erase(i).IgnoreError();
  const absl::Status refused = WriteUntilRefused();
  ASSERT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_OK_AND_ASSIGN(const std::vector<ReaderInfo> readers,
                       domain_.Readers());
  EXPECT_THAT(
      std::string(refused.message()),
      AllOf(HasSubstr(path_),
            HasSubstr(absl::StrCat("pid ", ::getpid(), " (this process)")),
            HasSubstr(absl::StrCat("slot ", readers[0].slot)),
            HasSubstr(absl::StrCat("version ", version)),
            HasSubstr("max_pinned_bytes is 12582912")));
  // The closure does not run; what only reads, or gives back, goes on.
  int runs = 0;
  EXPECT_CODE(domain_.Swap([&](Transaction&) {
    ++runs;
    return absl::OkStatus();
  }),
              absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(runs, 0);
  EXPECT_CODE(domain_.Drop("m"), absl::StatusCode::kResourceExhausted);
  EXPECT_CODE(domain_.Collection<Strings>("new"),
              absl::StatusCode::kResourceExhausted);
  EXPECT_OK(domain_.Collection<Strings>("m"));
  EXPECT_OK(domain_.Now());
  EXPECT_OK(domain_.Sync());
  EXPECT_OK(domain_.Reclaim());

  held.reset();
  EXPECT_OK(PutLarge(0));  // the first write after the pin is gone
  EXPECT_OK(domain_.Drop("m"));
}

// What a reader sees is not freed by being moved: the background would fill the
// file with copies instead.
TEST_P(BackPressureTest, NothingIsMovedWhileWritersAreRefused) {
  if (!GetParam()) return;  // there is no background
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  std::atomic<int> ticks{0};
  testing::StepSync ticked;
  const ScopedStepHook hook([&](std::string_view step) {
    if (step == "reclaimer.tick") ticked.Signal(++ticks);
  });
  const auto await_ticks = [&](int count) { ticked.Await(ticks + count); };
  DomainOptions options = Options();
  options.max_pinned_bytes = 16 << 20;
  Open(options);
  constexpr int kKeys = 20000;
  const auto put = [&](int key) {
    return map_->Put(absl::StrCat("k", key), std::string(1000, 'v'));
  };
  for (int i = 0; i < kKeys; ++i) ASSERT_OK(put(i));
  ASSERT_OK(domain_.Compact());
  std::optional<Snapshot> held = domain_.Now().value();
  Random random(7);
  absl::Status done;
  while (done.ok()) done = put(static_cast<int>(random.Next() % kKeys));
  EXPECT_CODE(done, absl::StatusCode::kResourceExhausted);
  await_ticks(2);  // one may have begun before
  const uint64_t moved = domain_.Stats()->bytes_moved;
  await_ticks(300);
  EXPECT_CODE(put(0), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(domain_.Stats()->bytes_moved, moved);
  // Nobody writes, and it goes on when the reader has let go.
  held.reset();
  while (domain_.Stats()->bytes_moved == moved) await_ticks(1);
}

TEST_P(BackPressureTest, WithoutALimitNobodyIsRefused) {
  Open(Options());
  Fill();
  ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
  for (int i = 0; i < 4; ++i) ASSERT_OK(Erase(i));
  for (int i = 0; i < 20; ++i) ASSERT_OK(PutLarge(10));
  ASSERT_OK(domain_.Reclaim());
  EXPECT_GE(domain_.Stats().value().pinned_bytes, 4 * kLarge);
}

// Garbage that nobody pins is no reason to refuse, however much it is; nor is
// a pin that sees little of it. The background thread pins as well, for
// moments.
TEST_P(BackPressureTest, GarbageWithoutAPinRefusesNobodyForLong) {
  DomainOptions options = Options();
  options.max_pinned_bytes = 1 << 20;
  Open(options);
  const auto put = [&](int i) {
    absl::Status done = PutLarge(i);
    for (int k = 0; GetParam() && k < 100'000 && !done.ok(); ++k) {
      done = PutLarge(i);
    }
    ASSERT_OK(done);
  };
  for (int i = 0; i < 50; ++i) put(i % 3);
  ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
  for (int i = 0; i < 50; ++i) put(9);
}

// The file need not grow for it: there may be room that garbage has left.
TEST_P(BackPressureTest, WriterIsRefusedWhileTheFileHasRoom) {
  DomainOptions options = Options();
  options.max_pinned_bytes = 12 << 20;
  Open(options);
  for (int i = 10; i < 30; ++i) ASSERT_OK(PutLarge(i));
  Fill();
  for (int i = 10; i < 30; ++i) ASSERT_OK(Erase(i));
  ASSERT_OK(domain_.Reclaim());
  const DomainStats before = domain_.Stats().value();
  ASSERT_GT(before.free_bytes, 10 * kLarge);
  ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
  absl::Status done;
  for (int i = 0; i < kRoundsMax && done.ok(); ++i) {
    done = i < 4 ? Erase(i) : map_->Put("k", "v");
  }
  EXPECT_CODE(done, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(domain_.Stats().value().segments, before.segments);
}

// The reader is stopped, and then killed, in another process: the block names
// it and ends with it.
TEST_P(BackPressureTest, BlockEndsWithTheDeathOfTheReader) {
  {
    Open(Options());
    Fill();
    map_.reset();
    ASSERT_OK(domain_.Close());
    domain_ = Domain();
  }
  ChildProcess child([&] {
    DomainOptions options;
    options.background = false;
    absl::StatusOr<Domain> domain = Domain::Open(path_, options);
    if (!domain.ok()) return 1;
    absl::StatusOr<Snapshot> held = domain->Now();
    if (!held.ok()) return 2;
    ::raise(SIGSTOP);
    return 0;
  });
  child.AwaitStopped();
  DomainOptions options = Options();
  options.max_pinned_bytes = 12 << 20;
  Open(options);
  for (int i = 0; i < 4; ++i) Erase(i).IgnoreError();
  const absl::Status refused = WriteUntilRefused();
  ASSERT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr(absl::StrCat("pid ", child.pid(), ",")));
  // A stopped process is alive.
  EXPECT_CODE(PutLarge(0), absl::StatusCode::kResourceExhausted);
  child.Signal(SIGKILL);
  EXPECT_EQ(child.Wait(), -SIGKILL);
  EXPECT_OK(PutLarge(0));
}

// What the callback was told, from whatever thread.
struct Told {
  std::mutex mutex;
  std::vector<SlowReader> readers;
  std::atomic<int> inside{0};
  std::atomic<bool> overlapped{false};

  size_t size() {
    std::lock_guard lock(mutex);
    return readers.size();
  }
};

TEST_P(BackPressureTest, CallbackIsToldOnceUntilThePinHoldsTwiceAsMuch) {
  Told told;
  DomainOptions options = Options();
  options.slow_reader_bytes = 3 << 20;
  Domain* domain = &domain_;  // not a handle, which would keep it open
  std::atomic<bool> could_read{false};
  options.on_slow_reader = [&told, domain,
                            &could_read](const SlowReader& slow) {
    if (told.inside.fetch_add(1) != 0) told.overlapped = true;
    // No lock is held: the domain can be used, also for writing. (Not for ever,
    // should each of these find the same pin again.)
    could_read =
        domain->Readers().ok() &&
        (told.size() > 10 || domain->Reclaim().ok()) &&
        domain->Swap([](Transaction&) { return absl::OkStatus(); }).ok();
    {
      std::lock_guard lock(told.mutex);
      told.readers.push_back(slow);
    }
    told.inside.fetch_sub(1);
  };
  Open(options);
  Fill();
  ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
  const auto reclaim_until = [&](size_t calls) {
    for (int i = 0; i < 100'000 && told.size() < calls; ++i) {
      ASSERT_OK(domain_.Reclaim());
    }
  };
  ASSERT_OK(Erase(0));  // 5 MB
  reclaim_until(1);
  ASSERT_EQ(told.size(), 1u);
  for (int i = 0; i < 10; ++i) ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(told.size(), 1u) << "the same garbage is told once";
  ASSERT_OK(Erase(1));  // 10 MB
  ASSERT_OK(Erase(2));  // 15 MB: twice 5 with what else died
  reclaim_until(2);
  ASSERT_EQ(told.size(), 2u);
  const SlowReader first = told.readers[0];
  EXPECT_EQ(first.pid, static_cast<uint32_t>(::getpid()));
  EXPECT_TRUE(first.is_self);
  EXPECT_EQ(first.pin.version, held.version());
  EXPECT_GE(first.pin.lag, 1u);
  EXPECT_GE(first.pin.alone_bytes, kLarge);
  EXPECT_LT(first.pin.alone_bytes, 2 * kLarge);
  EXPECT_GE(told.readers[1].pin.alone_bytes, 2 * first.pin.alone_bytes);
  EXPECT_FALSE(told.overlapped);
  EXPECT_TRUE(could_read);
}

// Nobody calls Reclaim: writing alone finds the slow reader.
TEST_P(BackPressureTest, CallbackIsToldWhileOthersWrite) {
  Told told;
  DomainOptions options = Options();
  options.slow_reader_bytes = 3 << 20;
  options.on_slow_reader = [&told](const SlowReader& slow) {
    std::lock_guard lock(told.mutex);
    told.readers.push_back(slow);
  };
  Open(options);
  Fill();
  ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
  for (int i = 0; i < 4; ++i) ASSERT_OK(Erase(i));
  for (int i = 0; i < kRoundsMax && told.size() == 0; ++i) {
    ASSERT_OK(PutLarge(10));
  }
  ASSERT_GE(told.size(), 1u);
  EXPECT_EQ(told.readers[0].pin.version, held.version());
}

// A callback that makes garbage, and finds it itself, is not called while it
// runs, but once more after it.
TEST_P(BackPressureTest, CallbackIsNotCalledInsideItself) {
  Told told;
  DomainOptions options = Options();
  options.slow_reader_bytes = 3 << 20;
  options.on_slow_reader = [&](const SlowReader& slow) {
    if (told.inside.fetch_add(1) != 0) told.overlapped = true;
    if (told.size() == 0) {
      for (int i = 1; i < 4; ++i) EXPECT_OK(Erase(i));
      EXPECT_OK(domain_.Reclaim());
    }
    {
      std::lock_guard lock(told.mutex);
      told.readers.push_back(slow);
    }
    told.inside.fetch_sub(1);
  };
  Open(options);
  Fill();
  ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
  ASSERT_OK(Erase(0));
  for (int i = 0; i < 100'000 && told.size() < 2; ++i) {
    ASSERT_OK(domain_.Reclaim());
  }
  EXPECT_GE(told.size(), 2u);
  EXPECT_FALSE(told.overlapped);
  domain_ = Domain();
  map_.reset();
}

INSTANTIATE_TEST_SUITE_P(Background, BackPressureTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "On" : "Off";
                         });

}  // namespace
}  // namespace eve
