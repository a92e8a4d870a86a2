// Pins, segment words and the reuse rule, step by step (P1, P2, P5, P25).

#include <fcntl.h>
#include <time.h>

#include <thread>
#include <vector>

#include "engine/alloc/segment_table.h"
#include "engine/alloc/segment_writer.h"
#include "engine/domain/registry.h"
#include "engine/epoch/reader_cells.h"
#include "engine/file/file_lock.h"
#include "engine/reclaim/collector.h"
#include "engine/reclaim/reuse_rule.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"

namespace eve {
namespace {

using internal::DomainImpl;
using testing::HeldThread;
using testing::StepSync;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

using testing::Quiet;

class PinsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
  }
  void TearDown() override { ClearStepHook(); }
  Core& core() { return impl_->core(); }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<DomainImpl> impl_;
};

AccountingRow Dead(uint64_t birth, uint64_t death) {
  AccountingRow row{};
  row.birth = birth;
  row.death = death;
  row.fill_units = 10;
  row.run_length = 1;
  return row;
}

TEST(ReuseRuleTest, OnlyWhatCanSeeTheLifeOfASegmentProtectsIt) {
  const AccountingRow row = Dead(200, 300);
  Protectors none;
  EXPECT_TRUE(MayReuse(row, none));
  for (const uint64_t pin : {100, 199, 300, 400}) {
    Protectors by_pin;
    by_pin.pins.exact = {pin};
    EXPECT_TRUE(MayReuse(row, by_pin)) << pin;
    Protectors by_root;
    by_root.durable = {pin};
    EXPECT_TRUE(MayReuse(row, by_root)) << pin;
  }
  for (const uint64_t pin : {200, 250, 299}) {
    Protectors by_pin;
    by_pin.pins.exact = {7, pin, 1000};
    EXPECT_FALSE(MayReuse(row, by_pin)) << pin;
    Protectors by_root;
    by_root.durable = {7, pin, 1000};
    EXPECT_FALSE(MayReuse(row, by_root)) << pin;
  }
  Protectors by_range;
  by_range.pins.range_low = 299;
  EXPECT_FALSE(MayReuse(row, by_range));
  by_range.pins.range_low = 300;
  EXPECT_TRUE(MayReuse(row, by_range));
}

// P6: what is one of the two newest durable roots only between the two reads
// lies between the second ones that they met.
TEST(ReuseRuleTest, WhatMayHaveBeenMissedIsKept) {
  const auto combine = [](uint64_t second_before, uint64_t second_after) {
    return Combine({{second_before, second_before + 1}, second_before}, {},
                   {{second_after, second_after + 1}, second_after});
  };
  const AccountingRow row = Dead(200, 300);
  EXPECT_TRUE(MayReuse(row, {}));
  EXPECT_TRUE(MayReuse(row, combine(100, 100)));
  EXPECT_TRUE(MayReuse(row, combine(100, 200 - 2)));
  // 201 is named by both, or by one.
  EXPECT_FALSE(MayReuse(row, combine(100, 202)));
  EXPECT_FALSE(MayReuse(row, combine(100, 400)));
  EXPECT_FALSE(MayReuse(row, combine(297, 400)));
  EXPECT_TRUE(MayReuse(row, combine(300, 400)));
  EXPECT_TRUE(MayReuse(row, combine(400, 400)));
  // A single version may have been missed, just inside or just outside.
  Protectors one;
  one.missed_above = 298;
  one.missed_below = 300;
  EXPECT_FALSE(MayReuse(row, one));
  one.missed_above = 299;
  one.missed_below = 301;
  EXPECT_TRUE(MayReuse(row, one));
  one.missed_above = 199;
  one.missed_below = 201;
  EXPECT_FALSE(MayReuse(row, one));
  one.missed_above = 198;
  one.missed_below = 200;
  EXPECT_TRUE(MayReuse(row, one));
}

TEST(ReuseRuleTest, LiveOrUnwrittenSegmentsAreNeverReused) {
  AccountingRow row = Dead(1, 2);
  row.live_units = 1;
  EXPECT_FALSE(MayReuse(row, {}));
  row = Dead(1, 2);
  row.fill_units = 0;
  EXPECT_FALSE(MayReuse(row, {}));
}

// P1: a reader stopped between its range pin and its exact pin would protect
// everything that dies from then on. The second scan that meets the same range
// revokes it, and the reader starts again.
TEST_F(PinsTest, SecondMeetingRevokesARangePin) {
  ReaderCells& cells = *core().cells;
  ASSERT_OK_AND_ASSIGN(const uint32_t cell, cells.Acquire());
  cells.BeginPin(cell);
  RangePinMemory memory;
  PinSet first = ScanPins(core().region, *core().slots, memory);
  EXPECT_NE(first.range_low, UINT64_MAX) << "the first meeting honours it";
  PinSet second = ScanPins(core().region, *core().slots, memory);
  EXPECT_EQ(second.range_low, UINT64_MAX) << "the second revokes it";
  EXPECT_FALSE(cells.FinishPin(cell, 5)) << "the reader must begin again";
  cells.BeginPin(cell);
  EXPECT_TRUE(cells.FinishPin(cell, 5));
  PinSet third = ScanPins(core().region, *core().slots, memory);
  EXPECT_EQ(third.exact, std::vector<uint64_t>{5});
  cells.Unpin(cell);
  cells.Release(cell);
}

// P1: what a reader has loaded since his range was revoked is no commit record
// that is damaged, though the root is what it was: another may have come to the
// same place since.
TEST_F(PinsTest, WhatARevokedPinLoadsIsNotJudged) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "v"));
  const Offset root = core().root->Load();
  auto* const record = static_cast<CommitRecord*>(
      static_cast<void*>(core().write_mapping.data() + root.bytes()));
  const uint64_t version = record->version;
  RangePinMemory memory;
  bool is_revoked = false;
  SetStepHook([&](std::string_view step) {
    if (step == "pin.loaded" && !is_revoked) {
      is_revoked = true;
      record->version = 0;  // its segment was freed, and punched
      ScanPins(core().region, *core().slots, memory);
      ScanPins(core().region, *core().slots, memory);
    } else if (step == "pin.no_version") {
      record->version = version;
    }
  });
  const absl::StatusOr<Snapshot> now = domain_.Now();
  ClearStepHook();
  record->version = version;
  ASSERT_OK(now.status());
  EXPECT_EQ(now->version(), version);
}

// P1, when space runs out: a range pin that this collector has never met is
// met twice before the file grows for it. A storm of processes, each with a
// collector of its own, grew the file without bound.
TEST_F(PinsTest, FileDoesNotGrowForARangePin) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  const auto overwrite = [&](int times) {
    for (int i = 0; i < times; ++i) {
      ASSERT_OK(map.Put("k", std::string(400'000, static_cast<char>(i))));
    }
  };
  overwrite(100);
  ASSERT_OK_AND_ASSIGN(const DomainStats before, domain_.Stats());
  ReaderCells& cells = *core().cells;
  // As in a process that has just begun: the cell has seen no version yet.
  std::vector<uint32_t> taken;
  for (int i = 0; i < 8; ++i) {
    ASSERT_OK_AND_ASSIGN(const uint32_t next, cells.Acquire());
    taken.push_back(next);
  }
  const uint32_t cell = taken.back();
  cells.BeginPin(cell);
  overwrite(100);
  ASSERT_OK_AND_ASSIGN(const DomainStats after, domain_.Stats());
  EXPECT_EQ(after.segments, before.segments);
  EXPECT_FALSE(cells.FinishPin(cell, 5)) << "nothing met the pin";
  cells.Unpin(cell);
  for (const uint32_t each : taken) cells.Release(each);
}

// P1: until it is revoked, a range pin keeps what its owner may be about to
// read. One pass honours it; only the next may take what it kept.
TEST_F(PinsTest, FirstPassKeepsWhatARangePinMayNeed) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", std::string(3 << 20, 'r')));  // a run of its own
  HeldThread reader([&] { EXPECT_OK(domain_.Now()); },
                    HeldThread::At("pin.loaded"));
  ASSERT_TRUE(reader.AwaitHeld());
  ASSERT_OK(map.Put("k", "v"));
  Collector collector(&core(), [] { return DurableSet(); });
  EXPECT_EQ(collector.FreeSegments().value(), 0u);
  EXPECT_GT(collector.FreeSegments().value(), 0u);
}

// P1, from outside: a reader held between the steps costs no space, and then
// reads correctly.
TEST_F(PinsTest, ReaderHeldBetweenItsPinStepsDelaysNoReuse) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "v"));
  StepSync step;
  std::thread::id reader_id;
  std::atomic<bool> held{false};
  SetStepHook([&](std::string_view name) {
    if (name != "pin.loaded" || std::this_thread::get_id() != reader_id ||
        held.exchange(true)) {
      return;
    }
    step.Signal(1);  // 1 -> the reader has loaded a root that will die
    step.Await(2);   // 2 <- the writer has overwritten and reclaimed
  });
  std::string seen;
  std::thread reader([&] {
    reader_id = std::this_thread::get_id();
    auto now = domain_.Now();
    ASSERT_OK(now);
    seen = map.At(*now).Find("k").value().ToString();
  });
  step.Await(1);
  const std::string value(1000, 'w');
  for (int i = 0; i < 20000; ++i) {
    ASSERT_OK(map.Put("k", value));
    if (i % 2000 == 0) ASSERT_OK(domain_.Reclaim());
  }
  EXPECT_LT(domain_.Stats().value().segments, 12u);
  step.Signal(2);
  reader.join();
  EXPECT_EQ(seen, value);
}

// P2 and the point of exact pins: a snapshot protects what it can see, not
// what was written since.
TEST_F(PinsTest, LongSnapshotCostsOnlyWhatItSees) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK(map.Put(std::to_string(i), "old" + std::to_string(i)));
  }
  ASSERT_OK_AND_ASSIGN(Snapshot old, domain_.Now());
  const Snapshot copy = old;  // shares the pin
  for (int i = 0; i < 60000; ++i) {
    ASSERT_OK(map.Put(std::to_string(i % 1000), std::string(100, 'n')));
    if (i % 1000 == 0) ASSERT_OK(domain_.Reclaim());
  }
  // 60,000 commits wrote over 100 MB.
  EXPECT_GT(domain_.Stats().value().bytes_committed, 60u << 20);
  EXPECT_LT(domain_.Stats().value().file_bytes, 40u << 20);
  int seen = 0;
  for (auto [key, value] : map.At(copy)) {
    EXPECT_EQ(value, Bytes("old" + key.ToString()));
    ++seen;
  }
  EXPECT_EQ(seen, 1000);
  EXPECT_OK(copy.status());
  testing::ExpectCleanCheck(path_, domain_);
}

// P5: a collector that was stopped between its decision and its compare-and-
// swap must not free a segment that was freed, refilled and sealed meanwhile.
TEST_F(PinsTest, StaleDecisionCannotFreeARefilledSegment) {
  SegmentTable& table = *core().table;
  ASSERT_OK_AND_ASSIGN(ClaimedSegment claimed, core().source->Claim());
  const uint32_t segment = claimed.segment;
  table.ReleaseSealed(segment);
  const SegmentWord decided = table.Load(segment);  // the collector stops here
  ASSERT_TRUE(table.TryFree(segment, decided));     // another one frees it
  ASSERT_TRUE(table.TryClaimFree(segment));         // a writer refills it
  table.ReleaseSealed(segment);
  EXPECT_FALSE(table.TryFree(segment, decided))
      << "same state, same owner: only the tag tells the lives apart";
  EXPECT_EQ(table.Load(segment).state(), SegmentState::kSealed);
  ASSERT_TRUE(table.TryFree(segment, table.Load(segment)));
}

// I3, for real: either the reader sees the new root or the collector sees its
// pin. On real cores; `begin_pin` is the reader's step 1.
class LitmusTest : public PinsTest {
 protected:
  // What all threads have worked.
  static uint64_t ProcessNanos() {
    timespec now;
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * kNanosPerSecond +
           static_cast<uint64_t>(now.tv_nsec);
  }
  static constexpr uint32_t kEarlyCell = 32;

  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "it knows no fences, and what it adds makes up for one";
#endif
    PinsTest::SetUp();
  }
  // How often both missed, of so many rounds or until it happens.
  uint64_t CountMisses(uint64_t rounds, bool until_missed,
                       const std::function<void(uint32_t cell)>& begin_pin) {
    ReaderCells& cells = *core().cells;
    // By a thread that has no hint from other tests: if the scan passes many
    // cells before it comes to this one, any store is seen by then.
    absl::StatusOr<uint32_t> cell;
    std::thread([&] { cell = cells.Acquire(); }).join();
    EXPECT_OK(cell);
    EXPECT_LT(*cell, kEarlyCell);
    std::atomic<uint64_t> root{0};
    std::atomic<uint64_t> begun{0};
    std::atomic<uint64_t> loaded{0};  // of the round before
    std::atomic<uint64_t> ended{0};
    std::atomic<bool> is_over{false};
    const auto await = [&is_over](const std::atomic<uint64_t>& word,
                                  uint64_t round) {
      for (int spins = 0; word.load() < round && !is_over; ++spins) {
        if (spins > 1000) std::this_thread::yield();
      }
    };
    std::thread reader([&] {
      for (uint64_t round = 1; !is_over; ++round) {
        await(begun, round);
        begin_pin(*cell);
        loaded.store(root.load(std::memory_order_seq_cst),
                     std::memory_order_relaxed);
        ended.fetch_add(1);
        await(ended, 2 * round);
        cells.Unpin(*cell);
      }
    });
    uint64_t missed = 0;
    for (uint64_t round = 1; round <= rounds; ++round) {
      begun = round;
      // The two meet at another point each time.
      for (std::atomic<uint64_t> wait{round % 64}; wait > 0; --wait) {
      }
      RangePinMemory memory;
      root.exchange(round);
      const PinSet pins = ScanPins(core().region, *core().slots, memory);
      await(ended, 2 * round - 1);
      const bool saw_pin = pins.range_low != UINT64_MAX;
      if (!saw_pin && loaded.load() != round) ++missed;
      if (until_missed && missed > 0) break;
      ended.fetch_add(1);
    }
    is_over = true;
    reader.join();
    cells.Unpin(*cell);
    cells.Release(*cell);
    return missed;
  }
};

TEST_F(LitmusTest, PinOrRootIsSeen) {
  EXPECT_EQ(CountMisses(300'000, /*until_missed=*/false,
                        [&](uint32_t cell) { core().cells->BeginPin(cell); }),
            0u);
}

// The test above would fail: with a store that releases only, as in many a
// hazard pointer that was wrong, the root is loaded before others see the pin.
TEST_F(LitmusTest, AStoreWithoutABarrierIsMissed) {
  if (std::thread::hardware_concurrency() < 2) {
    GTEST_SKIP() << "one processor sees its own stores";
  }
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "what is checked between the two instructions is too long";
#endif
  const uint32_t process = core().slots->index();
  // Where others have the processors the two seldom run at once.
  constexpr uint64_t kRounds = 1'000'000;
  const uint64_t began = MonotonicNanos();
  const uint64_t worked_before = ProcessNanos();
  const uint64_t misses =
      CountMisses(kRounds, /*until_missed=*/true, [&](uint32_t cell) {
        core()
            .region.cell(process, cell)
            .word.store(kRangePinBit, std::memory_order_release);
      });
  const uint64_t worked = ProcessNanos() - worked_before;
  if (misses == 0 && 10 * worked < 19 * (MonotonicNanos() - began)) {
    GTEST_SKIP() << "others had the processors: the two seldom ran at once";
  }
  EXPECT_GT(misses, 0u);
}

// What was published is immutable, although the segment goes on being filled.
TEST_F(PinsTest, PublishedBlocksAreNotEditedInPlace) {
  SegmentWriter writer(core().source.get(), core().write_mapping.data());
  ASSERT_OK_AND_ASSIGN(const Offset first, writer.Allocate(0, 64));
  EXPECT_TRUE(writer.CanEdit(first));
  writer.Committed();
  EXPECT_FALSE(writer.CanEdit(first));
  ASSERT_OK_AND_ASSIGN(const Offset second, writer.Allocate(0, 64));
  EXPECT_TRUE(writer.CanEdit(second));
  EXPECT_FALSE(writer.CanEdit(first));
  writer.RewindAll();
  writer.Release();
}

// P25: while a reader without a process slot is attached, nothing is freed.
TEST_F(PinsTest, UnpinnedReaderHoldsBackAllReuse) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK_AND_ASSIGN(const File reader, File::Open(path_, O_RDONLY));
  ASSERT_OK_AND_ASSIGN(bool taken, TryLockByte(reader, kUnpinnedReadersLockByte,
                                               LockKind::kShared));
  ASSERT_TRUE(taken);
  const std::string value(1000, 'w');
  for (int i = 0; i < 10000; ++i) ASSERT_OK(map.Put("k", value));
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(domain_.Stats().value().segments_freed, 0u);
  UnlockByte(reader, kUnpinnedReadersLockByte);
  ASSERT_OK(domain_.Reclaim());
  EXPECT_GT(domain_.Stats().value().segments_freed, 0u);
}

// A process that runs out of cells gets a clear error; releasing helps.
TEST_F(PinsTest, TooManySnapshotsIsAClearError) {
  std::vector<Snapshot> held;
  while (true) {
    auto now = domain_.Now();
    if (!now.ok()) {
      EXPECT_CODE(now, absl::StatusCode::kResourceExhausted);
      break;
    }
    held.push_back(*std::move(now));
    ASSERT_LE(held.size(), kCellsPerProcessMax);
  }
  EXPECT_EQ(held.size(), kCellsPerProcessMax);
  held.pop_back();
  EXPECT_OK(domain_.Now());
}

}  // namespace
}  // namespace eve
