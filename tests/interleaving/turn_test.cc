// A writer that keeps losing is let through (P20, WritersTurn).

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/time/clock.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using Strings = Map<std::string, std::string>;

class TurnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    DomainOptions options;
    options.background = false;
    options.durability = Durability::kNone;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(dir_.File("d.eve"), options));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
    SetStepHook([this](std::string_view step) {
      if (step == "turn.give_way") ++waiting_;
      if (step == "turn.waited_in_vain") ++in_vain_;
    });
  }
  void TearDown() override { ClearStepHook(); }

  // Loses two runs, the second of which takes `run_nanos`, and so has the turn
  // in the third, inside which `fn` is called.
  absl::StatusOr<Commit> SwapWithTurn(uint64_t run_nanos,
                                      const std::function<void()>& fn) {
    int runs = 0;
    return domain_.Swap([&](Transaction& transaction) -> absl::Status {
      ++runs;
      const uint64_t end = MonotonicNanos() + run_nanos;
      auto writer = map_->In(transaction);
      writer.Find("mine");  // or the put would be repeated without this
      absl::Status status = writer.Put("mine", "long");
      while (runs == 2 && MonotonicNanos() < end) std::this_thread::yield();
      if (runs <= 2) {
        std::thread([&] { EXPECT_OK(map_->Put("other", "short")); }).join();
      } else {
        fn();
      }
      return status;
    });
  }

  testing::TempDir dir_;
  Domain domain_;
  std::optional<Strings> map_;
  std::atomic<int> waiting_{0};
  std::atomic<int> in_vain_{0};
};

TEST_F(TurnTest, OthersWaitForAWriterThatKeepsLosing) {
  std::atomic<bool> done{false};
  std::thread rival;
  // Rivals wait for four times as long; this one is done at once.
  ASSERT_OK_AND_ASSIGN(const Commit commit,
                       SwapWithTurn(kNanosPerSecond / 2, [&] {
                         if (rival.joinable()) return;
                         rival = std::thread([&] {
                           EXPECT_OK(map_->Put("mine", "rival's"));
                           done = true;
                         });
                         while (waiting_ == 0 && !done) {
                           std::this_thread::yield();
                         }
                       }));
  rival.join();
  EXPECT_EQ(commit.attempts, 3);
  EXPECT_EQ(waiting_, 1);
  EXPECT_EQ(in_vain_, 0);
  // After it.
  EXPECT_EQ(map_->Get("mine").value(), "rival's");
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain_.Stats());
  EXPECT_EQ(stats.turns, 1u);
  EXPECT_EQ(stats.waits, 1u);
  EXPECT_EQ(stats.conflicts, 2u);
  // Nobody has it now.
  ASSERT_OK(map_->Put("mine", "last"));
  EXPECT_EQ(waiting_, 1);
}

// A holder that stands still costs others one bounded wait, all of them
// together, and then nothing.
TEST_F(TurnTest, AHolderThatStandsStillIsWaitedForOnce) {
  int runs = 0;
  ASSERT_OK_AND_ASSIGN(const Commit commit,
                       SwapWithTurn(2 * kNanosPerMilli, [&] {
                         if (++runs > 1) return;
                         std::thread([&] {
                           for (int i = 0; i < 100; ++i)
                             EXPECT_OK(map_->Put("other", "short"));
                         }).join();
                         EXPECT_EQ(waiting_, 1);
                         EXPECT_EQ(in_vain_, 1);
                       }));
  // It has lost once more, and got through then.
  EXPECT_EQ(commit.attempts, 4);
}

// Well before the wait for a holder that stands still would end.
TEST_F(TurnTest, ADeadlineEndsTheWaitForAnother) {
  int runs = 0;
  const auto put = [&](Transaction& transaction) {
    return map_->In(transaction).Put("a", "b");
  };
  const auto wait = [&] {
    // A machine that stands still before the wait makes it one of the past.
    while (waiting_ == 0) {
      SwapOptions options;
      options.deadline = absl::Now() + absl::Milliseconds(20);
      EXPECT_CODE(domain_.Swap(put, options).status(),
                  absl::StatusCode::kDeadlineExceeded);
    }
  };
  ASSERT_OK(SwapWithTurn(kNanosPerSecond / 2, [&] {
              if (++runs == 1) std::thread(wait).join();
            }).status());
  EXPECT_EQ(waiting_, 1);
  EXPECT_EQ(in_vain_, 0);
  EXPECT_CODE(map_->Get("a").status(), absl::StatusCode::kNotFound);
}

// A swap that ends without a commit gives the turn back.
TEST_F(TurnTest, AnErrorGivesTheTurnBack) {
  int runs = 0;
  EXPECT_CODE(
      domain_
          .Swap([&](Transaction& transaction) -> absl::Status {
            if (++runs == 3) return absl::CancelledError("enough");
            const uint64_t end = MonotonicNanos() + 2 * kNanosPerMilli;
            auto writer = map_->In(transaction);
            writer.Find("a");
            absl::Status status = writer.Put("a", "b");
            while (MonotonicNanos() < end) std::this_thread::yield();
            std::thread([&] { EXPECT_OK(map_->Put("other", "short")); }).join();
            return status;
          })
          .status(),
      absl::StatusCode::kCancelled);
  EXPECT_EQ(domain_.Stats().value().turns, 1u);
  ASSERT_OK(map_->Put("other", "short"));
  EXPECT_EQ(waiting_, 0);
}

}  // namespace
}  // namespace eve
