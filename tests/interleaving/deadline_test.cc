// SwapOptions::deadline: after it no run begins and nothing is published,
// whether others are in the way or not.

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/time/clock.h"
#include "engine/format/constants.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// Until a deadline so near has passed: later at each try, for a machine on
// which nothing is done by an early one.
SwapOptions Soon(int tries) {
  SwapOptions options;
  options.deadline = absl::Now() + absl::Milliseconds(20 << std::min(tries, 8));
  return options;
}
void OutWait(const SwapOptions& options) {
  while (absl::Now() < options.deadline) std::this_thread::yield();
}

class DeadlineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(dir_.File("d.eve"), Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    map_.emplace(std::move(map));
    ASSERT_OK(map_->Put("k", "old"));
  }
  void TearDown() override { ClearStepHook(); }

  uint64_t Newest() { return domain_.Now().value().version(); }

  TempDir dir_;
  Domain domain_;
  std::optional<Strings> map_;
};

TEST_F(DeadlineTest, AfterItNoRunBegins) {
  const uint64_t newest = Newest();
  for (const absl::Time past : {absl::InfinitePast(), absl::Now()}) {
    SwapOptions options;
    options.deadline = past;
    int runs = 0;
    const auto put = [&](Transaction& txn) {
      ++runs;
      return map_->In(txn).Put("k", "new");
    };
    EXPECT_CODE(domain_.Swap(put, options).status(),
                absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(runs, 0);
  }
  EXPECT_EQ(Newest(), newest);
}

TEST_F(DeadlineTest, BeforeItAllIsAsWithoutOne) {
  SwapOptions options;
  options.deadline = absl::Now() + absl::Hours(1);
  const auto put = [&](Transaction& txn) {
    return map_->In(txn).Put("k", "new");
  };
  ASSERT_OK(domain_.Swap(put, options).status());
  EXPECT_EQ(map_->Get("k").value(), "new");
}

// What a run has put by the time that it passes is not published, though nobody
// is in the way; there is nothing to refuse where it has put nothing.
TEST_F(DeadlineTest, WhatPassesItInARunIsNotPublished) {
  const uint64_t newest = Newest();
  for (const bool puts : {true, false}) {
    // A machine that stands still before the run makes it a deadline of the
    // past.
    int runs = 0;
    for (int tries = 0; runs == 0; ++tries) {
      const SwapOptions options = Soon(tries);
      const auto wait = [&](Transaction& txn) {
        ++runs;
        OutWait(options);
        return puts ? map_->In(txn).Put("k", "new") : absl::OkStatus();
      };
      const absl::Status status = domain_.Swap(wait, options).status();
      EXPECT_LE(runs, 1);
      if (!puts && runs == 1) {
        EXPECT_OK(status);
      } else {
        EXPECT_CODE(status, absl::StatusCode::kDeadlineExceeded);
      }
    }
  }
  EXPECT_EQ(Newest(), newest);
  EXPECT_EQ(map_->Get("k").value(), "old");
}

// Nor is a run that has lost to another when it passes, and would be published
// on top of that one, repeated or not.
TEST_F(DeadlineTest, NorWhatPassesItAfterALostRace) {
  ASSERT_OK_AND_ASSIGN(const Strings other, domain_.Collection<Strings>("o"));
  for (const bool is_conflict : {true, false}) {
    SCOPED_TRACE(is_conflict);
    std::atomic<bool> has_lost{false};
    int runs = 0;
    for (int tries = 0; !has_lost; ++tries) {
      const SwapOptions options = Soon(tries);
      const std::thread::id swapper = std::this_thread::get_id();
      std::atomic<bool> has_met{false};
      SetStepHook([&](std::string_view step) {
        if (std::this_thread::get_id() != swapper) return;
        if (step == "commit.before_cas" && !has_met.exchange(true)) {
          std::thread([&] {
            const Strings& map = is_conflict ? *map_ : other;
            EXPECT_OK(map.Put("k", "winner"));
          }).join();
        } else if (step == "commit.lost") {
          has_lost = true;
          OutWait(options);
        }
      });
      runs = 0;
      const auto put = [&](Transaction& txn) {
        ++runs;
        map_->In(txn).Find("k");
        return map_->In(txn).Put("k", "loser");
      };
      EXPECT_CODE(domain_.Swap(put, options).status(),
                  absl::StatusCode::kDeadlineExceeded);
      ClearStepHook();
    }
    EXPECT_EQ(runs, 1);
    EXPECT_NE(map_->Get("k").value(), "loser");
  }
}

// A full domain: another thread is making room in it, and is not waited for
// beyond the deadline either.
TEST(FullDomainDeadlineTest, ADeadlineEndsTheWaitForWhoMakesRoom) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  const TempDir dir;
  DomainOptions small = Quiet();
  small.max_bytes = 16 * kSegmentBytes;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(dir.File("d.eve"), small));
  ASSERT_OK_AND_ASSIGN(const Strings map, domain.Collection<Strings>("m"));
  int n = 0;
  const auto fill = [&] {
    const std::string value(4'000, 'v');
    while (map.Put(std::to_string(n), value).ok()) ++n;
  };
  fill();
  // So that room is looked for again.
  ASSERT_OK(map.Erase("0"));
  testing::HeldThread maker(fill, testing::HeldThread::At("room.begun"));
  ASSERT_TRUE(maker.AwaitHeld());
  const std::string large(8 * kSegmentBytes, 'v');
  const auto put = [&](Transaction& txn) {
    return map.In(txn).Put("k", large);
  };
  absl::Status refused = absl::DeadlineExceededError("not yet");
  // A machine that stands still before the run makes it a deadline of the past.
  for (int tries = 0; absl::IsDeadlineExceeded(refused); ++tries) {
    refused = domain.Swap(put, Soon(tries)).status();
  }
  EXPECT_CODE(refused, absl::StatusCode::kResourceExhausted);
  maker.LetGo();
}

}  // namespace
}  // namespace eve
