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

std::string KeyOf(int number) { return "key " + std::to_string(number); }

template <class Collection, Durability kDurability>
struct Kind {
  using Strings = Collection;
  static constexpr Durability durability = kDurability;
};

template <class Kind>
class RebaseTest : public ::testing::Test {
 protected:
  using Strings = typename Kind::Strings;
  static constexpr int kRecords = 20'000;

  void SetUp() override {
    DomainOptions options = testing::Quiet();
    options.durability = Kind::durability;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("map"));
    map_.emplace(map);
    // The second time smaller, or a leaf would be split by the next change.
    for (const size_t bytes : {90, 60}) {
      ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
        for (int i = 0; i < kRecords; ++i) {
          absl::Status put =
              map_->In(txn).Put(KeyOf(i), std::string(bytes, 'v'));
          if (!put.ok()) return put;
        }
        return absl::OkStatus();
      }));
    }
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
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> map_;
  int rebases_ = 0;
  int replays_ = 0;
};

using Hashed = Map<std::string, std::string>;
using Ordered = OrderedMap<std::string, std::string>;
using Kinds = ::testing::Types<
    Kind<Hashed, Durability::kNone>, Kind<Hashed, Durability::kSync>,
    Kind<Ordered, Durability::kNone>, Kind<Ordered, Durability::kSync>>;
TYPED_TEST_SUITE(RebaseTest, Kinds);

// As often as it loses. What splits nothing, so that a tree keeps its shape.
// Two keys may share a leaf, one time in some hundreds: then it is tried again.
TYPED_TEST(RebaseTest, APutLosesThreeTimes) {
  bool done = false;
  for (int from = 1'000; from < 6'000 && !done; from += 1'000) {
    this->Interleave(
        [&] { ASSERT_OK(this->map_->Put(KeyOf(from), "mine")); }, 3,
        [&](int n) {
          ASSERT_OK(this->map_->Put(KeyOf(from + 100 * n), "theirs"));
          ASSERT_OK(this->map_->Erase(KeyOf(from + 6'000 + n)).status());
        });
    EXPECT_EQ(this->rebases_ + this->replays_, 3);
    done = this->replays_ == 0;
    EXPECT_EQ(this->map_->Get(KeyOf(from)).value(), "mine");
    EXPECT_EQ(this->map_->Get(KeyOf(from + 300)).value(), "theirs");
    EXPECT_FALSE(this->map_->Get(KeyOf(from + 6'003)).ok());
    EXPECT_EQ(this->map_->size().value(),
              TestFixture::kRecords - 3u * (from / 1'000));
  }
  EXPECT_TRUE(done);
  EXPECT_EQ(this->domain_.Stats().value().conflicts, 0u);
  this->ExpectSound();
}

// Its leaf is not the one that it has built on: only the put itself will do.
TYPED_TEST(RebaseTest, APutThatLosesToTheSameKeyIsAppliedOnceMore) {
  this->Interleave([&] { ASSERT_OK(this->map_->Put("same", "mine")); }, 1,
                   [&](int) { ASSERT_OK(this->map_->Put("same", "theirs")); });
  EXPECT_EQ(this->replays_, 1);
  EXPECT_EQ(this->map_->Get("same").value(), "mine");
  EXPECT_EQ(this->map_->size().value(), TestFixture::kRecords + 1u);
  this->ExpectSound();
}

// Puts that are no longer there to be applied once more, and more deltas than
// the commit record has room for.
TYPED_TEST(RebaseTest, ALargeBatchLosesToAPut) {
  constexpr int kLarge = 36;
  const std::string large(600 << 10, 'l');
  int runs = 0;
  for (int beside = 377; beside < 5'000 && runs != 1; beside += 900) {
    runs = 0;
    this->Interleave(
        [&] {
          ASSERT_OK(this->domain_.Swap([&](Transaction& txn) -> absl::Status {
            ++runs;
            for (int i = 0; i < kLarge; ++i) {
              absl::Status put = this->map_->In(txn).Put(KeyOf(300 * i), large);
              if (!put.ok()) return put;
            }
            return absl::OkStatus();
          }));
        },
        2,
        [&](int n) {
          ASSERT_OK(this->map_->Put(KeyOf(beside + 300 * n), "beside"));
        });
    EXPECT_EQ(this->map_->Get(KeyOf(300 * 35)).value(), large);
    EXPECT_EQ(this->map_->Get(KeyOf(beside + 600)).value(), "beside");
    EXPECT_EQ(this->map_->size().value(), TestFixture::kRecords + 0u);
  }
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(this->rebases_, 2);
  this->ExpectSound();
}

// What it has only read must be the same, in whatever collection.
TYPED_TEST(RebaseTest, WhatHasReadRunsAgain) {
  int runs = 0;
  this->Interleave(
      [&] {
        ASSERT_OK(this->domain_.Swap([&](Transaction& txn) {
          ++runs;
          auto writer = this->map_->In(txn);
          const bool seen = writer.Find("theirs").has_value();
          return writer.Put("mine", seen ? "after" : "before");
        }));
      },
      1, [&](int) { ASSERT_OK(this->map_->Put("theirs", "t")); });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(this->rebases_, 0);
  EXPECT_EQ(this->map_->Get("mine").value(), "after");
}

// Of two collections the first can be rebased and the second cannot: both are
// replayed, from the start.
TYPED_TEST(RebaseTest, OneOfTwoCollectionsIsRefused) {
  using Strings = typename TestFixture::Strings;
  ASSERT_OK_AND_ASSIGN(Strings small,
                       this->domain_.template Collection<Strings>("small"));
  ASSERT_OK(small.Put("same", "base"));
  this->Interleave(
      [&] {
        ASSERT_OK(this->domain_.Swap([&](Transaction& txn) {
          absl::Status put = this->map_->In(txn).Put(KeyOf(5'000), "mine");
          return put.ok() ? small.In(txn).Put("same", "mine") : put;
        }));
      },
      1,
      [&](int) {
        ASSERT_OK(this->map_->Put(KeyOf(100), "theirs"));
        ASSERT_OK(small.Put("other", "theirs"));
      });
  EXPECT_EQ(this->rebases_, 0);
  EXPECT_EQ(this->replays_, 1);
  EXPECT_EQ(this->map_->Get(KeyOf(5'000)).value(), "mine");
  EXPECT_EQ(this->map_->Get(KeyOf(100)).value(), "theirs");
  EXPECT_EQ(small.Get("same").value(), "mine");
  EXPECT_EQ(small.Get("other").value(), "theirs");
  this->ExpectSound();
}

// A map that was emptied meanwhile has no place for what was built.
TYPED_TEST(RebaseTest, APutLosesToAClear) {
  this->Interleave([&] { ASSERT_OK(this->map_->Put("mine", "m")); }, 1,
                   [&](int) {
                     ASSERT_OK(this->domain_.Swap([&](Transaction& txn) {
                       return this->map_->In(txn).Clear();
                     }));
                   });
  EXPECT_EQ(this->replays_, 1);
  EXPECT_EQ(this->map_->Get("mine").value(), "m");
  EXPECT_EQ(this->map_->size().value(), 1u);
  this->ExpectSound();
}

// Threads on one map, each with its own keys and some of everybody's.
TYPED_TEST(RebaseTest, NoPutIsLost) {
  constexpr int kThreads = 4;
  constexpr int kPuts = 1'500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPuts; ++i) {
        const std::string own = std::to_string(t) + "-" + std::to_string(i);
        ASSERT_OK(this->map_->Put(own, own));
        ASSERT_OK(this->map_->Put("shared " + std::to_string(i % 50), own));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(this->map_->size().value(),
            TestFixture::kRecords + kThreads * kPuts + 50u);
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kPuts; ++i) {
      const std::string own = std::to_string(t) + "-" + std::to_string(i);
      ASSERT_EQ(this->map_->Get(own).value(), own);
    }
  }
  this->ExpectSound();
}

}  // namespace
}  // namespace eve
