// A domain that can grow no further: what adds is refused, and erasing goes on
// until nothing is left, in any order; then adding goes on (I22). Who keeps
// space is named, and a death while room is made costs nothing.
//
// Without a background thread and with kNone nothing else gives space back, and
// no checkpoint is made but for room. The orders are fixed; where keys lie is
// up to the domain's own seed, so what is tested holds for all of them.

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/alloc/segment_source.h"
#include "engine/domain/registry.h"
#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"
#include "util/failpoint.h"
#include "util/random.h"

namespace eve {
namespace {

using testing::ChildProcess;
using ::testing::HasSubstr;
using testing::SharedValue;
using testing::TempDir;
using Hashed = Map<std::string, std::string>;
using Sorted = OrderedMap<std::string, std::string>;

constexpr uint64_t kSegments = 16;
constexpr size_t kValueBytes = 400;

DomainOptions Small(uint64_t segments = kSegments) {
  DomainOptions options = testing::Quiet();
  options.max_bytes = segments * kSegmentBytes;
  return options;
}

std::string KeyOf(size_t i) { return absl::StrCat("key", i * 7919 % 999983); }

// Puts keys from `from` on, several in a transaction, until that is refused.
// Returns how many there are then.
template <class M>
size_t FillUntilRefused(Domain& domain, const M& map, size_t from = 0,
                        size_t batch = 20) {
  const std::string value(kValueBytes, 'v');
  absl::StatusOr<Commit> done = Commit{};
  size_t n = from;
  while (true) {
    done = domain.Swap([&](Transaction& txn) {
      auto editor = map.In(txn);
      absl::Status put;
      for (size_t i = n; i < n + batch && put.ok(); ++i) {
        put = editor.Put(KeyOf(i), value);
      }
      return put;
    });
    if (!done.ok()) break;
    n += batch;
  }
  EXPECT_CODE(done, absl::StatusCode::kResourceExhausted);
  return n;
}

std::vector<size_t> Shuffled(size_t n, uint64_t seed) {
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = i;
  Random random(seed);
  for (size_t i = n; i > 1; --i) {
    std::swap(order[i - 1], order[random.Uniform(i)]);
  }
  return order;
}

// Erases [from, to) of `order`; returns the first error.
template <class M>
absl::Status Erase(Domain& domain, const M& map,
                   const std::vector<size_t>& order, size_t* from, size_t to,
                   size_t batch) {
  while (*from < to) {
    const size_t end = std::min(to, *from + batch);
    const absl::StatusOr<Commit> done =
        domain.Swap([&](Transaction& txn) -> absl::Status {
          auto editor = map.In(txn);
          for (size_t i = *from; i < end; ++i) {
            const absl::StatusOr<bool> erased = editor.Erase(KeyOf(order[i]));
            if (!erased.ok()) return erased.status();
            if (!*erased) return absl::InternalError("it was not there");
          }
          return absl::OkStatus();
        });
    if (!done.ok()) return done.status();
    *from = end;
  }
  return absl::OkStatus();
}

template <class M>
void FillEraseAndFillAgain(const DomainOptions& options, uint64_t seed,
                           size_t batch) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(M map, domain.Collection<M>("m"));
  const size_t n = FillUntilRefused(domain, map);
  EXPECT_GT(n, 5'000u);
  size_t erased = 0;
  EXPECT_OK(Erase(domain, map, Shuffled(n, seed), &erased, n, batch));
  ASSERT_EQ(erased, n);
  EXPECT_EQ(map.size().value(), 0u);
  // Nobody has to do anything for this.
  const size_t again = FillUntilRefused(domain, map);
  EXPECT_GT(again, n * 3 / 4);
  EXPECT_EQ(map.size().value(), again);
  EXPECT_OK(domain.Sync());
  testing::ExpectCleanCheck(path, domain);
}

TEST(ReserveTest, AFullMapIsErasedKeyByKey) {
  FillEraseAndFillAgain<Hashed>(Small(), /*seed=*/1, /*batch=*/1);
}

TEST(ReserveTest, AFullOrderedMapIsErasedKeyByKey) {
  FillEraseAndFillAgain<Sorted>(Small(), /*seed=*/2, /*batch=*/1);
}

TEST(ReserveTest, SoItIsInBatches) {
  FillEraseAndFillAgain<Hashed>(Small(), /*seed=*/3, /*batch=*/64);
  FillEraseAndFillAgain<Sorted>(Small(), /*seed=*/4, /*batch=*/64);
}

TEST(ReserveTest, SoItIsInTheSmallestDomainWithAReserve) {
  FillEraseAndFillAgain<Hashed>(Small(kReserveFrom + 2), /*seed=*/5,
                                /*batch=*/1);
}

TEST(ReserveTest, SoItIsBesideABackgroundThread) {
  DomainOptions options = Small();
  options.background = true;
  options.durability = Durability::kCheckpoint;
  options.checkpoint_every = absl::Milliseconds(5);
  FillEraseAndFillAgain<Hashed>(options, /*seed=*/6, /*batch=*/10);
}

// The background thread is in the middle of a move: what it has pinned keeps
// all that died since. Who makes room waits for it.
TEST(ReserveTest, AMoveAtRestIsWaitedFor) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  static thread_local bool is_own = false;
  is_own = true;
  TempDir dir;
  DomainOptions options = Small();
  options.background = true;
  options.durability = Durability::kCheckpoint;
  options.checkpoint_every = absl::Milliseconds(5);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(dir.File("d.eve"), options));
  ASSERT_OK_AND_ASSIGN(Hashed map, domain.Collection<Hashed>("m"));
  // Blocks that stay where they are when their neighbours are erased.
  const std::string value(60'000, 'v');
  const size_t n = 7 * kSegmentBytes / value.size();
  for (size_t i = 0; i < n; ++i) ASSERT_OK(map.Put(KeyOf(i), value));
  std::atomic<bool> is_held{false};
  std::atomic<bool> may_go_on{false};
  const ScopedStepHook hook([&](std::string_view step) {
    if (is_own && step == "room.wait") may_go_on = true;
    if (is_own || step != "commit.before_cas" || is_held.exchange(true)) return;
    while (!may_go_on) std::this_thread::yield();
  });
  const std::vector<size_t> order = Shuffled(n, 13);
  size_t erased = 0;
  ASSERT_OK(Erase(domain, map, order, &erased, n * 3 / 4, n));
  // Of what is left in each segment.
  while (!is_held) std::this_thread::yield();
  ASSERT_OK(Erase(domain, map, order, &erased, n, n));
  EXPECT_FALSE(may_go_on) << "room was needed too early";
  EXPECT_GT(FillUntilRefused(domain, map),
            (kSegments - kReserveMin) * kSegmentBytes / 3 / kValueBytes);
  EXPECT_TRUE(may_go_on);
  may_go_on = true;
}

// What is erased behind the checkpoints of one that makes room in vain is room
// for the next, who has not to wait for more to be committed.
TEST(ReserveTest, WhatIsErasedWhileRoomIsMadeIsFound) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(dir.File("d.eve"), Small()));
  ASSERT_OK_AND_ASSIGN(Hashed map, domain.Collection<Hashed>("m"));
  ASSERT_OK(map.Put("big", std::string(6 * kSegmentBytes, 'b')));
  const size_t n = FillUntilRefused(domain, map);
  ASSERT_OK(map.Erase(KeyOf(0)));
  size_t more = 0;
  testing::HeldThread adder(
      [&] { more = FillUntilRefused(domain, map, n, /*batch=*/1); },
      testing::HeldThread::At("room.advanced"));
  ASSERT_TRUE(adder.AwaitHeld());
  ASSERT_OK(map.Erase("big"));
  adder.LetGo();
  EXPECT_LT(more, n + kSegmentBytes / kValueBytes) << "it has found room";
  EXPECT_OK(map.Put("more", std::string(kValueBytes, 'x')));
  EXPECT_GT(FillUntilRefused(domain, map, more), more + n / 4);
}

// A map that has been filled until that was refused.
class FullDomainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Small()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Hashed>("m"));
    n_ = FillUntilRefused(domain_, *map_);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Hashed> map_;
  size_t n_ = 0;  // how many records it has
};

TEST_F(FullDomainTest, SpaceComesBackOnRequest) {
  EXPECT_OK(domain_.Sync());
  EXPECT_OK(domain_.Reclaim());
  size_t erased = 0;
  ASSERT_OK(Erase(domain_, *map_, Shuffled(n_, 7), &erased, n_ / 2, 50));
  ASSERT_OK(domain_.Compact());
  const DomainStats stats = domain_.Stats().value();
  EXPECT_GE(stats.segments_free * kSegmentBytes + stats.live_bytes * 5 / 4,
            (kSegments - 4) * kSegmentBytes);
  EXPECT_EQ(map_->size().value(), n_ - erased);
  testing::ExpectCleanCheck(path_, domain_);
}

// Nobody but the one that has tried has committed since then.
TEST_F(FullDomainTest, WhatHasFailedIsNotTriedAgain) {
  int begun = 0;
  const ScopedStepHook hook([&](std::string_view step) {
    if (step == "room.begun") ++begun;
  });
  const std::string value(kSegmentBytes / 2, 'x');
  EXPECT_CODE(map_->Put("more", value), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(begun, 0);
  ASSERT_OK(map_->Erase(KeyOf(0)));
  EXPECT_CODE(map_->Put("more", value), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(begun, kFailpointsEnabled ? 1 : 0);
}

// Half of it was erased and nothing freed: whoever adds makes the room.
TEST_F(FullDomainTest, WhatAddsGetsTheSpaceOfWhatIsErased) {
  size_t erased = 0;
  ASSERT_OK(Erase(domain_, *map_, Shuffled(n_, 8), &erased, n_ / 2, 50));
  EXPECT_GT(FillUntilRefused(domain_, *map_, n_), n_ + n_ / 4);
  testing::ExpectCleanCheck(path_, domain_);
}

// Erases what there is for as long as a reader sees all of it.
TEST_F(FullDomainTest, AReaderThatKeepsAllIsNamedAndItsEndIsEnough) {
  ASSERT_OK_AND_ASSIGN(std::optional<Snapshot> held, domain_.Now());
  const uint64_t version = held->version();
  const std::vector<size_t> order = Shuffled(n_, 9);
  size_t erased = 0;
  const absl::Status refused = Erase(domain_, *map_, order, &erased, n_, 1);
  EXPECT_CODE(refused, absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              ::testing::AllOf(
                  HasSubstr(absl::StrCat("pid ", ::getpid())),
                  HasSubstr(absl::StrCat("its pin on version ", version))));
  // What a round needs is still there, but for what a fold has opened.
  EXPECT_GE(domain_.Stats().value().segments_free,
            RoundNeeds(ReserveOf(kSegments)) - 1);
  EXPECT_CODE(map_->Put("more", std::string(kValueBytes, 'x')),
              absl::StatusCode::kResourceExhausted);
  EXPECT_OK(domain_.Sync());
  EXPECT_EQ(map_->At(*held).size(), n_);
  held.reset();
  ASSERT_OK(Erase(domain_, *map_, order, &erased, n_, 1));
  EXPECT_OK(map_->Put("more", std::string(kValueBytes, 'x')));
  testing::ExpectCleanCheck(path_, domain_);
}

// Whoever watches may write, and need room for that.
TEST_F(FullDomainTest, WhoWatchesACompactionMayWrite) {
  const std::vector<size_t> order = Shuffled(n_, 12);
  size_t erased = 0;
  ASSERT_OK(Erase(domain_, *map_, order, &erased, n_ / 4, 50));
  int refused = 0;
  CompactOptions options;
  options.progress = [&](const CompactProgress&) {
    FillUntilRefused(domain_, *map_, n_);
    ++refused;
    const size_t to = std::min(n_, erased + 100);
    EXPECT_OK(Erase(domain_, *map_, order, &erased, to, 50));
    return refused < 20;
  };
  domain_.Compact(options).IgnoreError();  // kCancelled, or nothing was left
  EXPECT_GT(refused, 0);
  testing::ExpectCleanCheck(path_, domain_);
}

// A transaction that has claimed all that there is and failed keeps none of it.
TEST(ReserveTest, WhatFailsHoldsNothing) {
  TempDir dir;
  constexpr uint64_t kMost = 40;
  ASSERT_OK_AND_ASSIGN(Domain domain,
                       Domain::Open(dir.File("d.eve"), Small(kMost)));
  ASSERT_OK_AND_ASSIGN(Hashed map, domain.Collection<Hashed>("m"));
  const auto put_much = [&](uint64_t bytes, const SwapOptions& options) {
    return domain
        .Swap(
            [&](Transaction& txn) -> absl::Status {
              auto editor = map.In(txn);
              const std::string value(60'000, 'v');
              for (size_t i = 0; i * value.size() < bytes; ++i) {
                const absl::Status put = editor.Put(KeyOf(i), value);
                if (!put.ok()) return put;
              }
              return absl::CancelledError("as wanted");
            },
            options)
        .status();
  };
  const auto held = [&] {
    const DomainStats stats = domain.Stats().value();
    return stats.segments - stats.segments_free;
  };
  EXPECT_CODE(put_much(30 * kSegmentBytes, {}), absl::StatusCode::kCancelled);
  EXPECT_LE(held(), 8u);
  EXPECT_CODE(put_much(2 * kMost * kSegmentBytes, {}),
              absl::StatusCode::kResourceExhausted);
  EXPECT_LE(held(), 8u);
}

// There are free segments, but no two that lie side by side: the closure is not
// run again and again for that.
TEST(ReserveTest, RoomThatCannotBeHadIsNotTriedForLong) {
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(Domain domain,
                       Domain::Open(dir.File("d.eve"), Small(40)));
  ASSERT_OK_AND_ASSIGN(Hashed map, domain.Collection<Hashed>("m"));
  ASSERT_OK(map.Put("a", "b"));
  ASSERT_OK_AND_ASSIGN(auto impl,
                       internal::OpenInstance(dir.File("d.eve"), Small(40)));
  SegmentSource& source = *impl->core().source;
  while (source.Claim(ClaimPurpose::kMakeRoom).ok()) {
  }
  for (uint32_t at = 20; at < 40; at += 2) {
    impl->core().table->ReleaseFree(at);
  }
  source.Look();
  int runs = 0;
  const absl::StatusOr<Commit> done = domain.Swap([&](Transaction& txn) {
    ++runs;
    return map.In(txn).Put("big", std::string(2 * kSegmentBytes + 1, 'x'));
  });
  EXPECT_CODE(done, absl::StatusCode::kResourceExhausted);
  EXPECT_LE(runs, 16);
}

// Two processes erase, with some segments open each.
TEST(ReserveTest, TwoProcessesEraseAtOnce) {
  TempDir dir;
  const DomainOptions options = Small(/*segments=*/40);
  const std::string path = dir.File("d.eve");
  size_t n = 0;
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
    ASSERT_OK_AND_ASSIGN(Hashed map, domain.Collection<Hashed>("m"));
    n = FillUntilRefused(domain, map);
  }
  const std::vector<size_t> order = Shuffled(n, 10);
  const auto erase_part = [&](size_t from, size_t to) {
    absl::StatusOr<Domain> domain = Domain::Open(path, options);
    if (!domain.ok()) return 1;
    absl::StatusOr<Hashed> map = domain->Collection<Hashed>("m");
    if (!map.ok()) return 2;
    const absl::Status done = Erase(*domain, *map, order, &from, to, 5);
    if (!done.ok()) {
      std::fprintf(stderr, "%s\n", std::string(done.message()).c_str());
    }
    return done.ok() ? 0 : 3;
  };
  ChildProcess one([&] { return erase_part(0, n / 2); });
  ChildProcess other([&] { return erase_part(n / 2, n); });
  EXPECT_EQ(one.Wait(), 0);
  EXPECT_EQ(other.Wait(), 0);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(Hashed map, domain.Collection<Hashed>("m"));
  EXPECT_EQ(map.size().value(), 0u);
  testing::ExpectCleanCheck(path, domain);
}

// The one that makes room dies at a step of it; the next one goes on.
TEST(ReserveTest, ADeathWhileRoomIsMadeStopsNobody) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  size_t n = 0;
  SharedValue<size_t> erased;
  const auto fill = [&] {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Small()));
    ASSERT_OK_AND_ASSIGN(Hashed map, domain.Collection<Hashed>("m"));
    n = FillUntilRefused(domain, map, n);
    testing::ExpectCleanCheck(path, domain);
  };
  for (const char* step : {"room.begun", "room.claimed", "room.moved",
                           "room.advanced", "room.collected", "lease.held",
                           "lease.before_release", "lease.released"}) {
    for (int nth : {1, 2}) {
      SCOPED_TRACE(absl::StrCat(step, " ", nth));
      ASSERT_NO_FATAL_FAILURE(fill());
      ChildProcess child([&] {
        absl::StatusOr<Domain> domain = Domain::Open(path, Small());
        if (!domain.ok()) return 1;
        absl::StatusOr<Hashed> map = domain->Collection<Hashed>("m");
        if (!map.ok()) return 2;
        int left = nth;
        SetStepHook([&](std::string_view name) {
          if (name == step && --left == 0) ::raise(SIGKILL);
        });
        for (size_t& i = *erased; i < n; ++i) {
          // It may be gone: the child before died behind it.
          if (!map->Erase(KeyOf(i)).ok()) return 3;
        }
        return 0;
      });
      ASSERT_EQ(child.Wait(), -SIGKILL);
    }
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Small()));
  ASSERT_OK_AND_ASSIGN(Hashed map, domain.Collection<Hashed>("m"));
  for (size_t i = *erased; i < n; ++i) ASSERT_OK(map.Erase(KeyOf(i)));
  EXPECT_EQ(map.size().value(), 0u);
  testing::ExpectCleanCheck(path, domain);
}

// It may have had the courtesy lease: another one that makes room takes it at
// once.
TEST(ReserveTest, TheLeaseOfADeadOneIsNotWaitedFor) {
  for (const char* step :
       {"lease.held", "lease.before_release", "lease.released"}) {
    SCOPED_TRACE(step);
    TempDir dir;
    const std::string path = dir.File("d.eve");
    ASSERT_OK_AND_ASSIGN(Domain survivor, Domain::Open(path, Small()));
    ASSERT_OK_AND_ASSIGN(Hashed map, survivor.Collection<Hashed>("m"));
    const size_t n = FillUntilRefused(survivor, map);
    SharedValue<size_t> erased;
    ChildProcess child([&] {
      absl::StatusOr<Domain> domain = Domain::Open(path, Small());
      if (!domain.ok()) return 1;
      absl::StatusOr<Hashed> same = domain->Collection<Hashed>("m");
      if (!same.ok()) return 2;
      testing::SignalSelfAt(1, SIGKILL, step);
      for (size_t& i = *erased; i < n; ++i) {
        if (!same->Erase(KeyOf(i)).ok()) return 3;
      }
      return 0;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
    const uint64_t waits = testing::TimedWaits();
    bool has_held = false;
    {
      const ScopedStepHook hook([&](std::string_view name) {
        has_held = has_held || name == "lease.held";
      });
      for (size_t i = *erased; i < n; ++i) ASSERT_OK(map.Erase(KeyOf(i)));
    }
    EXPECT_TRUE(has_held) << "it made no room";
    EXPECT_EQ(testing::TimedWaits(), waits) << "it has waited";
    EXPECT_EQ(map.size().value(), 0u);
    testing::ExpectCleanCheck(path, survivor);
  }
}

}  // namespace
}  // namespace eve
