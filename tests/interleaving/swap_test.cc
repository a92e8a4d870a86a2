// Commits that meet: lost races, restamps, creates, losers' bytes (P3, P8, P9,
// P10, I7).

#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/domain/registry.h"
#include "engine/format/commit_record.h"
#include "engine/reclaim/fold.h"
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

using testing::Quiet;

class SwapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings a, domain_.Collection<Strings>("a"));
    ASSERT_OK_AND_ASSIGN(Strings b, domain_.Collection<Strings>("b"));
    a_.emplace(a);
    b_.emplace(b);
  }
  void TearDown() override { ClearStepHook(); }

  // Runs `held` on a thread that stops before its first compare-and-swap,
  // meanwhile `others`, then lets it go on.
  void Interleave(const std::function<void()>& held,
                  const std::function<void()>& others,
                  std::string_view at = "commit.before_cas") {
    StepSync step;
    std::atomic<bool> is_held{false};
    std::thread::id id;
    SetStepHook([&](std::string_view name) {
      if (name != at || std::this_thread::get_id() != id ||
          is_held.exchange(true)) {
        return;
      }
      step.Signal(1);  // 1 -> everything is written but not published
      step.Await(2);   // 2 <- the others have published
    });
    std::thread thread([&] {
      id = std::this_thread::get_id();
      held();
    });
    step.Await(1);
    others();
    step.Signal(2);
    thread.join();
    ClearStepHook();
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> a_, b_;
};

// P9: a winner that changed another collection costs the loser only a new
// catalog path; the closure does not run again. The catalog nodes that it
// retires are the winner's, or the accounting would be off by them.
TEST_F(SwapTest, DisjointCommitsAreRestampedNotRerun) {
  int runs = 0;
  Interleave(
      [&] {
        ASSERT_OK(domain_.Swap([&](Transaction& txn) {
          ++runs;
          return a_->In(txn).Put("k", "a");
        }));
      },
      [&] {
        for (int i = 0; i < 3; ++i) {
          ASSERT_OK(b_->Put("k" + std::to_string(i), "b"));
        }
      });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(domain_.Stats().value().restamps, 1u);
  EXPECT_EQ(a_->Get("k").value(), "a");
  EXPECT_EQ(b_->size().value(), 3u);
  testing::ExpectCleanCheck(path_, domain_);
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
}

// P9: a winner may also be a fold, which retires the accounting nodes and the
// records that the loser's base still named.
TEST_F(SwapTest, CommitThatLosesToAFoldTakesOverItsAccounting) {
  for (int i = 0; i < 20; ++i) ASSERT_OK(a_->Put("k", std::to_string(i)));
  Interleave([&] { ASSERT_OK(a_->Put("k", "last")); },
             [&] { ASSERT_OK(domain_.Reclaim()); });
  EXPECT_EQ(domain_.Stats().value().restamps, 1u);
  EXPECT_EQ(domain_.Stats().value().conflicts, 0u);
  EXPECT_EQ(a_->Get("k").value(), "last");
  testing::ExpectCleanCheck(path_, domain_);
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(SwapTest, CommitsToTheSameCollectionRunAgain) {
  int runs = 0;
  Interleave(
      [&] {
        ASSERT_OK(domain_.Swap([&](Transaction& txn) {
          ++runs;
          auto writer = a_->In(txn);
          return writer.Put(
              "n", writer.Find("n").value_or(Bytes("")).ToString() + "x");
        }));
      },
      [&] { ASSERT_OK(a_->Put("n", "first-")); });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(a_->Get("n").value(), "first-x");
  testing::ExpectCleanCheck(path_, domain_);
}

// Puts mean the same whatever was there before: they are applied once more, on
// top of the winner's, without the closure.
TEST_F(SwapTest, PutsAreReplayedWithoutTheirClosure) {
  ASSERT_OK_AND_ASSIGN(
      const auto tree,
      (domain_.Collection<OrderedMap<std::string, int64_t>>("tree")));
  ASSERT_OK(b_->Put("limit", "1"));
  int runs = 0;
  Commit commit;
  Interleave(
      [&] {
        ASSERT_OK_AND_ASSIGN(
            commit, domain_.Swap([&](Transaction& txn) -> absl::Status {
              ++runs;
              // Only read, and not changed by anybody.
              EXPECT_EQ(b_->In(txn).Find("limit").value(), "1");
              auto in_tree = tree.In(txn);
              for (int64_t i = 0; i < 1000; ++i) {
                EXPECT_OK(in_tree.Put(std::to_string(i), i));
              }
              auto writer = a_->In(txn);
              EXPECT_OK(writer.Put("k", "older"));
              EXPECT_OK(writer.Put("mine", std::string(1000, 'm')));
              return writer.Put("k", "newer");
            }));
      },
      [&] {
        ASSERT_OK(a_->Put("k", "winner's"));
        ASSERT_OK(a_->Put("other", "kept"));
        ASSERT_OK(tree.Put("500", -1));
        ASSERT_OK(tree.Put("other", -2));
      });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(commit.attempts, 1);
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  EXPECT_EQ(commit.version, now.version());
  EXPECT_EQ(a_->At(now).Find("k").value(), "newer");
  EXPECT_EQ(a_->At(now).Find("other").value(), "kept");
  EXPECT_EQ(a_->At(now).size(), 3u);
  EXPECT_EQ(tree.At(now).Find("500").value(), 500);
  EXPECT_EQ(tree.At(now).Find("other").value(), -2);
  EXPECT_EQ(tree.At(now).size(), 1001u);
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain_.Stats());
  EXPECT_EQ(stats.replays, 1u);
  EXPECT_EQ(stats.conflicts, 0u);
  EXPECT_EQ(stats.attempts, stats.commits);
  testing::ExpectCleanCheck(path_, domain_);
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
}

// Whatever may have told the closure something makes it run again.
class RerunTest : public SwapTest {
 protected:
  using Run = std::function<absl::Status(Transaction&, Strings::Writer&)>;
  // `run` puts something new under "k", and loses to a commit to both.
  void ExpectRunAgain(const char* name, const Run& run) {
    SCOPED_TRACE(name);
    int runs = 0;
    Interleave(
        [&] {
          ASSERT_OK(domain_.Swap([&](Transaction& txn) {
            ++runs;
            auto writer = a_->In(txn);
            absl::Status done = run(txn, writer);
            return done.ok() ? writer.Put("k", name) : done;
          }));
        },
        [&] {
          ASSERT_OK(domain_.Swap([&](Transaction& txn) {
            absl::Status put = b_->In(txn).Put("limit", name);
            return put.ok() ? a_->In(txn).Put("other", name) : put;
          }));
        });
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(a_->Get("k").value(), name);
    EXPECT_EQ(domain_.Stats().value().replays, 0u);
  }
};

TEST_F(RerunTest, WhatHasReadIsNotReplayed) {
  ExpectRunAgain("find", [](Transaction&, Strings::Writer& w) {
    w.Find("k");
    return absl::OkStatus();
  });
  ExpectRunAgain("insert", [](Transaction&, Strings::Writer& w) {
    return w.Insert("k", "x").status();
  });
  ExpectRunAgain("erase", [](Transaction&, Strings::Writer& w) {
    return w.Erase("z").status();
  });
  ExpectRunAgain("clear",
                 [](Transaction&, Strings::Writer& w) { return w.Clear(); });
  ExpectRunAgain("size", [](Transaction&, Strings::Writer& w) {
    return w.size().status();
  });
  ExpectRunAgain("version", [](Transaction& txn, Strings::Writer&) {
    return txn.base_version() > 0 ? absl::OkStatus() : absl::UnknownError("");
  });
  ExpectRunAgain("savepoint", [](Transaction& txn, Strings::Writer& w) {
    absl::Status put = w.Put("j", "x");
    return put.ok() ? txn.Savepoint().status() : put;
  });
  ExpectRunAgain("bulk", [](Transaction&, Strings::Writer& w) {
    absl::Status put;
    for (int i = 0; i < 70'000 && put.ok(); ++i) {
      put = w.Put(std::to_string(i), "x");
    }
    return put;
  });
  ExpectRunAgain("another that changes",
                 [&](Transaction& txn, Strings::Writer&) {
                   b_->In(txn).Find("limit");
                   return absl::OkStatus();
                 });
  testing::ExpectCleanCheck(path_, domain_);
}

// A collection that has only been read counts even while puts are replayed: it
// changes after the first loss.
TEST_F(RerunTest, AReplayThatLosesToWhatWasReadRunsAgain) {
  ASSERT_OK(b_->Put("limit", "1"));
  int runs = 0;
  int replays = 0;
  StepSync step;
  std::thread::id id;
  std::atomic<int> held{0};
  SetStepHook([&](std::string_view name) {
    if (std::this_thread::get_id() != id) return;
    if (name == "commit.replayed") ++replays;
    if (name == "commit.before_cas" && ++held <= 2) {
      step.Signal(2 * held - 1);  // 1, 3 -> about to publish, to replay
      step.Await(2 * held);       // 2, 4 <- another has
    }
  });
  std::thread thread([&] {
    id = std::this_thread::get_id();
    ASSERT_OK(domain_.Swap([&](Transaction& txn) {
      ++runs;
      const std::string limit = b_->In(txn).Find("limit").value().ToString();
      return a_->In(txn).Put("limit seen", limit);
    }));
  });
  step.Await(1);
  ASSERT_OK(a_->Put("k", "1"));
  step.Signal(2);
  step.Await(3);
  ASSERT_OK(b_->Put("limit", "2"));
  step.Signal(4);
  thread.join();
  ClearStepHook();
  EXPECT_EQ(replays, 1);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(a_->Get("limit seen").value(), "2");
}

// A collection that was only read counts: else write skew.
TEST_F(SwapTest, ReadingACollectionThatChangesIsAConflict) {
  ASSERT_OK(b_->Put("limit", "1"));
  Interleave(
      [&] {
        ASSERT_OK(domain_.Swap([&](Transaction& txn) {
          const std::string limit =
              b_->In(txn).Find("limit").value().ToString();
          return a_->In(txn).Put("limit seen", limit);
        }));
      },
      [&] { ASSERT_OK(b_->Put("limit", "2")); });
  EXPECT_EQ(a_->Get("limit seen").value(), "2");
}

// I7: a losing attempt gives back every byte, or a storm of conflicts grows
// the file without bound.
TEST_F(SwapTest, LosingAttemptsGiveBackTheirBytes) {
  const std::string value(100 << 10, 'v');
  ASSERT_OK(a_->Put("big", value));
  ASSERT_OK(domain_.Reclaim());
  const uint64_t live = domain_.Stats().value().live_bytes;
  const uint64_t segments = domain_.Stats().value().segments;
  for (int i = 0; i < 40; ++i) {
    Interleave([&] { ASSERT_OK(a_->Put("big", value)); },
               [&] { ASSERT_OK(a_->Put("other", std::to_string(i))); });
  }
  EXPECT_EQ(domain_.Stats().value().conflicts, 40u);
  ASSERT_OK(domain_.Reclaim());
  EXPECT_LT(domain_.Stats().value().live_bytes, live + (8 << 10));
  EXPECT_LE(domain_.Stats().value().segments, segments + 4);
  testing::ExpectCleanCheck(path_, domain_);
}

// I7: a run that was rolled back gives its segments back at once, although the
// transaction goes on.
TEST_F(SwapTest, RolledBackRunsAreGivenBack) {
  const std::string run(3 << 20, 'r');
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
      const auto savepoint = txn.Savepoint();
      if (!savepoint.ok()) return savepoint.status();
      absl::Status put = a_->In(txn).Put("undone", run);
      if (put.ok()) put = txn.RollBackTo(*savepoint);
      return put.ok() ? a_->In(txn).Put("k", std::to_string(i)) : put;
    }));
  }
  EXPECT_LE(domain_.Stats().value().segments_claimed, 2u);
  EXPECT_LT(domain_.Stats().value().segments, 8u);
  testing::ExpectCleanCheck(path_, domain_);
}

// P10: two creators of different names must not get the same id by restamping.
TEST_F(SwapTest, ConcurrentCreatesGetDifferentIds) {
  Interleave([&] { ASSERT_OK(domain_.Collection<Strings>("c")); },
             [&] { ASSERT_OK(domain_.Collection<Strings>("d")); });
  ASSERT_OK_AND_ASSIGN(Strings c, domain_.Collection<Strings>("c"));
  ASSERT_OK_AND_ASSIGN(Strings d, domain_.Collection<Strings>("d"));
  ASSERT_OK(c.Put("k", "c"));
  ASSERT_OK(d.Put("k", "d"));
  EXPECT_EQ(c.Get("k").value(), "c");
  // The verifier checks that ids are unique.
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(SwapTest, ConcurrentCreatesOfOneNameGiveOneCollection) {
  std::optional<Strings> held, other;
  Interleave(
      [&] {
        ASSERT_OK_AND_ASSIGN(Strings c, domain_.Collection<Strings>("c"));
        held.emplace(c);
      },
      [&] {
        ASSERT_OK_AND_ASSIGN(Strings c, domain_.Collection<Strings>("c"));
        other.emplace(c);
      });
  ASSERT_OK(held->Put("k", "v"));
  EXPECT_EQ(other->Get("k").value(), "v");
  EXPECT_EQ(domain_.Collections().value().size(), 3u);
}

// A drop must bury the root that it saw: a write in between would be lost from
// the accounting.
TEST_F(SwapTest, WriteDuringADropIsAConflictOfTheDrop) {
  ASSERT_OK(a_->Put("k", "1"));
  Interleave([&] { ASSERT_OK(domain_.Drop("a")); },
             [&] { ASSERT_OK(a_->Put("k2", std::string(200, 'x'))); });
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
  EXPECT_EQ(domain_.Collections().value().size(), 1u);
}

TEST_F(SwapTest, DropDuringAWriteFailsTheWrite) {
  absl::Status put;
  Interleave([&] { put = a_->Put("k", "1"); },
             [&] { ASSERT_OK(domain_.Drop("a")); });
  EXPECT_CODE(put, absl::StatusCode::kFailedPrecondition);
  // Nor is it put into another collection of that name.
  Interleave([&] { put = b_->Put("k", "1"); },
             [&] {
               ASSERT_OK(domain_.Drop("b"));
               ASSERT_OK(domain_.Collection<Strings>("b"));
             });
  EXPECT_CODE(put, absl::StatusCode::kFailedPrecondition);
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
}

// A fold that loses to users restamps; one that loses to a fold gives up, or
// the same records would be retired twice.
TEST_F(SwapTest, FoldsRestampOverUsersAndYieldToFolds) {
  for (int i = 0; i < 100; ++i) ASSERT_OK(a_->Put("k", std::to_string(i)));
  Interleave([&] { ASSERT_OK(domain_.Reclaim()); },
             [&] { ASSERT_OK(a_->Put("during", "fold")); }, "fold.before_cas");
  testing::ExpectCleanCheck(path_, domain_);
  for (int i = 0; i < 100; ++i) ASSERT_OK(a_->Put("k", std::to_string(i)));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  SegmentWriter writer(impl->core().source.get(),
                       impl->core().write_mapping.data());
  Attempt attempt(&writer, impl->core().view, impl->core().salt);
  absl::StatusOr<bool> held_fold = false;
  Interleave([&] { held_fold = Fold(impl->core(), attempt, 1); },
             [&] { ASSERT_OK(domain_.Reclaim()); }, "fold.before_cas");
  ASSERT_OK(held_fold);
  EXPECT_FALSE(*held_fold);
  writer.Release();
  testing::ExpectCleanCheck(path_, domain_);
}

// P8: records are retired by the fold that covers them, not by nobody: the live
// bytes of a domain that is only overwritten stay the same. And a pin protects
// its whole chain: the accounting of an old snapshot can still be verified.
TEST_F(SwapTest, CommitRecordsAreRetiredByFoldsAndKeptForPins) {
  ASSERT_OK(a_->Put("k", "v"));
  for (int i = 0; i < 50; ++i) ASSERT_OK(a_->Put("k", "v"));
  ASSERT_OK(domain_.Reclaim());
  const uint64_t live = domain_.Stats().value().live_bytes;
  for (int i = 0; i < 50; ++i) ASSERT_OK(a_->Put("k", "v"));
  ASSERT_OK_AND_ASSIGN(const Snapshot old, domain_.Now());
  for (int i = 0; i < 30000; ++i) {
    ASSERT_OK(a_->Put("k", "v"));
    if (i % 1000 == 0) ASSERT_OK(domain_.Reclaim());
  }
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(domain_.Stats().value().live_bytes, live);
  EXPECT_GT(domain_.Stats().value().segments_freed, 0u);
  testing::ExpectCleanCheckAt(path_, old);
}

// P8, P13: delta lists that did not fit their records are retired with them.
TEST_F(SwapTest, SpilledDeltasAreRetiredByFolds) {
  const std::string own_segment(600 << 10, 's');
  const auto fill_and_empty = [&] {
    for (const bool put : {true, false}) {
      ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
        auto writer = a_->In(txn);
        for (uint32_t i = 0; i <= kInlineDeltasMax; ++i) {
          const std::string key = std::to_string(i);
          absl::Status done =
              put ? writer.Put(key, own_segment) : writer.Erase(key).status();
          if (!done.ok()) return done;
        }
        return absl::OkStatus();
      }));
    }
    ASSERT_OK(domain_.Reclaim());
  };
  fill_and_empty();
  const uint64_t live = domain_.Stats().value().live_bytes;
  for (int i = 0; i < 3; ++i) fill_and_empty();
  EXPECT_EQ(domain_.Stats().value().live_bytes, live);
  testing::ExpectCleanCheck(path_, domain_);
}

// P8: a chain of nothing but folds asks for no fold, or Reclaim never ends.
TEST_F(SwapTest, FoldsOfNothingDoNotHappen) {
  ASSERT_OK(a_->Put("k", "v"));
  ASSERT_OK(domain_.Reclaim());
  const uint64_t version = domain_.Now().value().version();
  for (int i = 0; i < 5; ++i) ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(domain_.Now().value().version(), version);
}

TEST_F(SwapTest, MaxAttemptsAreHonoured) {
  const auto lose = [this](bool reads, const SwapOptions& options) {
    absl::Status status;
    Interleave(
        [&] {
          const auto put = [&](Transaction& txn) {
            if (reads) a_->In(txn).Find("k");
            return a_->In(txn).Put("k", "loser");
          };
          status = domain_.Swap(put, options).status();
        },
        [&] { ASSERT_OK(a_->Put("k", "winner")); });
    return status;
  };
  SwapOptions once;
  once.max_attempts = 1;
  EXPECT_CODE(lose(/*reads=*/true, once), absl::StatusCode::kAborted);
  EXPECT_EQ(a_->Get("k").value(), "winner");
  // What is put once more is no run of the closure.
  ASSERT_OK(lose(/*reads=*/false, once));
  EXPECT_EQ(a_->Get("k").value(), "loser");
}

}  // namespace
}  // namespace eve
