// Puts that lose a race to other keys of the same map are carried over with
// what they have built (I21).

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::StepSync;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

std::string KeyOf(int number) { return "key " + std::to_string(number); }

class RebaseTest : public ::testing::TestWithParam<Durability> {
 protected:
  static constexpr int kRecords = 20'000;

  void SetUp() override {
    DomainOptions options = testing::Quiet();
    options.durability = GetParam();
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("map"));
    map_.emplace(map);
    ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
      for (int i = 0; i < kRecords; ++i) {
        absl::Status put = map_->In(txn).Put(KeyOf(i), std::string(60, 'v'));
        if (!put.ok()) return put;
      }
      return absl::OkStatus();
    }));
  }
  void TearDown() override { ClearStepHook(); }

  // Runs `held` on a thread that stops before each of its first `losses`
  // compare-and-swaps until `other(n)` has published. Counts its steps.
  void Interleave(const std::function<void()>& held, int losses,
                  const std::function<void(int)>& other) {
    StepSync step;
    std::thread::id id;
    int swaps = 0;
    rebases_ = replays_ = 0;
    SetStepHook([&](std::string_view name) {
      if (std::this_thread::get_id() != id) return;
      if (name == "commit.rebased") ++rebases_;
      if (name == "commit.replayed") ++replays_;
      if (name != "commit.before_cas" || ++swaps > losses) return;
      step.Signal(2 * swaps - 1);  // odd -> it is about to publish
      step.Await(2 * swaps);       // even <- another has published
    });
    std::thread thread([&] {
      id = std::this_thread::get_id();
      held();
    });
    for (int n = 1; n <= losses; ++n) {
      step.Await(2 * n - 1);
      other(n);
      step.Signal(2 * n);
    }
    thread.join();
    ClearStepHook();
  }

  void ExpectSound() {
    testing::ExpectCleanCheck(path_, domain_);
    ASSERT_OK(domain_.Reclaim());
    testing::ExpectCleanCheck(path_, domain_);
    EXPECT_EQ(domain_.Stats().value().conflicts, 0u);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> map_;
  int rebases_ = 0;
  int replays_ = 0;
};

INSTANTIATE_TEST_SUITE_P(All, RebaseTest,
                         ::testing::Values(Durability::kNone,
                                           Durability::kSync));

// As often as it loses.
TEST_P(RebaseTest, APutLosesThreeTimes) {
  Interleave([&] { ASSERT_OK(map_->Put("mine", "m")); }, 3,
             [&](int n) {
               ASSERT_OK(map_->Put("theirs " + std::to_string(n), "t"));
               ASSERT_OK(map_->Erase(KeyOf(n)).status());
             });
  EXPECT_EQ(rebases_, 3);
  EXPECT_EQ(replays_, 0);
  EXPECT_EQ(map_->Get("mine").value(), "m");
  EXPECT_EQ(map_->Get("theirs 3").value(), "t");
  EXPECT_FALSE(map_->Get(KeyOf(3)).ok());
  EXPECT_EQ(map_->size().value(), kRecords + 4u - 3u);
  ExpectSound();
}

// Its leaf is not the one that it has built on: only the put itself will do.
TEST_P(RebaseTest, APutThatLosesToTheSameKeyIsAppliedOnceMore) {
  Interleave([&] { ASSERT_OK(map_->Put("same", "mine")); }, 1,
             [&](int) { ASSERT_OK(map_->Put("same", "theirs")); });
  EXPECT_EQ(replays_, 1);
  EXPECT_EQ(map_->Get("same").value(), "mine");
  EXPECT_EQ(map_->size().value(), kRecords + 1u);
  ExpectSound();
}

// Puts that are no longer there to be applied once more, and more deltas than
// the commit record has room for.
TEST_P(RebaseTest, ALargeBatchLosesToAPut) {
  constexpr int kLarge = 36;
  const std::string large(600 << 10, 'l');
  int runs = 0;
  Interleave(
      [&] {
        ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
          ++runs;
          for (int i = 0; i < kLarge; ++i) {
            absl::Status put =
                map_->In(txn).Put("large " + std::to_string(i), large);
            if (!put.ok()) return put;
          }
          return absl::OkStatus();
        }));
      },
      2,
      [&](int n) { ASSERT_OK(map_->Put("beside " + std::to_string(n), "b")); });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(rebases_, 2);
  EXPECT_EQ(map_->Get("large 35").value(), large);
  EXPECT_EQ(map_->Get("beside 2").value(), "b");
  EXPECT_EQ(map_->size().value(), kRecords + kLarge + 2u);
  ExpectSound();
}

// What it has only read must be the same, in whatever collection.
TEST_P(RebaseTest, WhatHasReadRunsAgain) {
  int runs = 0;
  Interleave(
      [&] {
        ASSERT_OK(domain_.Swap([&](Transaction& txn) {
          ++runs;
          auto writer = map_->In(txn);
          const bool seen = writer.Find("theirs").has_value();
          return writer.Put("mine", seen ? "after" : "before");
        }));
      },
      1, [&](int) { ASSERT_OK(map_->Put("theirs", "t")); });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(rebases_, 0);
  EXPECT_EQ(map_->Get("mine").value(), "after");
}

// A map that was emptied meanwhile has no place for what was built.
TEST_P(RebaseTest, APutLosesToAClear) {
  Interleave([&] { ASSERT_OK(map_->Put("mine", "m")); }, 1,
             [&](int) {
               ASSERT_OK(domain_.Swap(
                   [&](Transaction& txn) { return map_->In(txn).Clear(); }));
             });
  EXPECT_EQ(replays_, 1);
  EXPECT_EQ(map_->Get("mine").value(), "m");
  EXPECT_EQ(map_->size().value(), 1u);
  ExpectSound();
}

// Threads on one map, each with its own keys and some of everybody's.
TEST_P(RebaseTest, NoPutIsLost) {
  constexpr int kThreads = 4;
  constexpr int kPuts = 1'500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPuts; ++i) {
        const std::string own = std::to_string(t) + "-" + std::to_string(i);
        ASSERT_OK(map_->Put(own, own));
        ASSERT_OK(map_->Put("shared " + std::to_string(i % 50), own));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(map_->size().value(), kRecords + kThreads * kPuts + 50u);
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kPuts; ++i) {
      const std::string own = std::to_string(t) + "-" + std::to_string(i);
      ASSERT_EQ(map_->Get(own).value(), own);
    }
  }
  ExpectSound();
}

}  // namespace
}  // namespace eve
