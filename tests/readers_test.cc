// Who holds what: figures against the reuse rule, and pins of real processes.

#include <fcntl.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/domain/registry.h"
#include "engine/file/file_lock.h"
#include "engine/reclaim/holders.h"
#include "engine/reclaim/reuse_rule.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using internal::DomainImpl;
using testing::ChildProcess;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

AccountingRow Dead(uint64_t birth, uint64_t death, uint32_t units) {
  AccountingRow row{};
  row.birth = birth;
  row.death = death;
  row.fill_units = units;
  row.run_length = 1;
  return row;
}

AttachedProcess Process(uint32_t slot, std::vector<uint64_t> versions) {
  AttachedProcess process;
  process.slot = slot;
  for (const uint64_t version : versions) {
    process.pins.push_back(
        CellPin{static_cast<uint32_t>(process.pins.size()), version, false});
  }
  return process;
}

TEST(WhoHoldsTest, BytesOfOnePinAreItsAloneAndSharedOnesAreNobodys) {
  const std::vector<AccountingRow> dead = {
      Dead(1, 5, 1),      // seen by 3 only
      Dead(1, 20, 10),    // by 3 and 7, of different processes
      Dead(6, 20, 100),   // by 7 only
      Dead(8, 12, 1000),  // by 10 and 11, of one process
      Dead(30, 40, 10000),   Dead(50, 60, 100000),  // by a durable root
      Dead(1, 100, 1000000),                        // by all
  };
  const Holdings found =
      WhoHolds(dead, {Process(0, {3}), Process(1, {7}), Process(5, {11, 10})},
               {55}, false);
  const auto bytes = [](uint64_t units) { return units * kUnitBytes; };
  EXPECT_EQ(found.pins[0][0].held_bytes, bytes(1000011));
  EXPECT_EQ(found.pins[0][0].alone_bytes, bytes(1));
  EXPECT_EQ(found.pins[1][0].held_bytes, bytes(1000110));
  EXPECT_EQ(found.pins[1][0].alone_bytes, 0u)
      << "10 and 11 see what 7 sees of [6, 20)";
  EXPECT_EQ(found.pins[2][0].held_bytes, bytes(1001110));
  EXPECT_EQ(found.pins[2][1].held_bytes, bytes(1001110));
  EXPECT_EQ(found.pins[2][1].alone_bytes, 0u);
  EXPECT_EQ(found.alone_bytes[2], bytes(1000));
  EXPECT_EQ(found.alone_bytes[0], bytes(1));
  EXPECT_EQ(found.pinned_bytes, bytes(1001111));
  EXPECT_EQ(found.durable_held_bytes, bytes(100000));
  EXPECT_EQ(found.loose_bytes, bytes(10000));
}

TEST(WhoHoldsTest, RangePinsAreToldAndBlamedForNothing) {
  AttachedProcess process = Process(0, {5});
  process.pins.push_back(CellPin{1, 0, true});
  const Holdings found =
      WhoHolds({Dead(1, 9, 1), Dead(6, 9, 10)}, {process}, {}, false);
  EXPECT_EQ(found.pins[0][1].held_bytes, 11 * kUnitBytes);
  EXPECT_EQ(found.pins[0][1].alone_bytes, 0u);
  EXPECT_EQ(found.pins[0][0].alone_bytes, 1 * kUnitBytes);
  EXPECT_EQ(found.pinned_bytes, 1 * kUnitBytes);
  EXPECT_EQ(found.loose_bytes, 10 * kUnitBytes);
}

TEST(WhoHoldsTest, UnpinnedReaderHoldsEverything) {
  const Holdings found =
      WhoHolds({Dead(1, 9, 1), Dead(6, 9, 10)}, {Process(0, {5})}, {7}, true);
  EXPECT_EQ(found.pinned_bytes, 11 * kUnitBytes);
  EXPECT_EQ(found.durable_held_bytes, 0u);
  EXPECT_EQ(found.pins[0][0].held_bytes, 1 * kUnitBytes);
  EXPECT_EQ(found.pins[0][0].alone_bytes, 0u);
}

// The figures must say of every segment what the collector will do with it.
TEST(WhoHoldsTest, AgreesWithTheReuseRuleOnRandomSegments) {
  Random random(20240607);
  for (int round = 0; round < 2000; ++round) {
    std::vector<AttachedProcess> processes;
    Protectors protectors;
    for (uint32_t p = 0; p < 3; ++p) {
      std::vector<uint64_t> versions(random.Uniform(3));
      for (uint64_t& version : versions) version = 1 + random.Uniform(20);
      for (uint64_t v : versions) protectors.pins.exact.push_back(v);
      processes.push_back(Process(p, versions));
    }
    std::sort(protectors.pins.exact.begin(), protectors.pins.exact.end());
    std::vector<uint64_t> durable = {1 + random.Uniform(20),
                                     1 + random.Uniform(20)};
    std::sort(durable.begin(), durable.end());
    const uint64_t birth = 1 + random.Uniform(20);
    const AccountingRow row = Dead(birth, birth + random.Uniform(9), 7);
    const Holdings found = WhoHolds({row}, processes, durable, false);
    const bool pinned = !MayReuse(row, protectors);
    EXPECT_EQ(found.pinned_bytes > 0, pinned);
    uint64_t alone = 0;
    bool any_held = false;
    for (const auto& pins : found.pins) {
      for (const PinHolding& pin : pins) {
        any_held |= pin.held_bytes > 0;
        alone += pin.alone_bytes;
      }
    }
    EXPECT_EQ(any_held, pinned);
    EXPECT_LE(alone, found.pinned_bytes) << "one pin at most is alone";
    protectors.durable = durable;
    EXPECT_EQ(found.loose_bytes > 0, MayReuse(row, protectors));
    EXPECT_EQ(found.pinned_bytes + found.durable_held_bytes + found.loose_bytes,
              7 * kUnitBytes);
  }
}

using testing::Quiet;

class ReadersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, Open(domain_));
  }
  static absl::StatusOr<std::optional<Strings>> Open(Domain& domain) {
    absl::StatusOr<Strings> map = domain.Collection<Strings>("m");
    if (!map.ok()) return map.status();
    return *map;
  }
  // Each is a run of three segments.
  void PutLarge(const std::string& key, char byte) {
    ASSERT_OK(map_->Put(key, std::string(kLarge, byte)));
  }
  std::vector<ReaderInfo> Readers() { return domain_.Readers().value(); }
  DomainStats Stats() { return domain_.Stats().value(); }

  static constexpr uint64_t kLarge = 5 << 20;
  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> map_;
};

TEST_F(ReadersTest, ProcessWithoutPinsIsListedAndItsCallPinsNothing) {
  const std::vector<ReaderInfo> readers = Readers();
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_TRUE(readers[0].is_self);
  EXPECT_EQ(readers[0].pid, static_cast<uint32_t>(::getpid()));
  EXPECT_TRUE(readers[0].pins.empty());
  EXPECT_GT(readers[0].commits, 0u);
  EXPECT_EQ(Stats().pins, 0u);
}

TEST_F(ReadersTest, PinIsListedWithItsLagAndWhatItHolds) {
  PutLarge("k", 'a');
  ASSERT_OK_AND_ASSIGN(std::optional<Snapshot> held, domain_.Now());
  PutLarge("k", 'b');
  PutLarge("k", 'c');
  std::vector<ReaderInfo> readers = Readers();
  ASSERT_EQ(readers[0].pins.size(), 1u);
  const PinInfo pin = readers[0].pins[0];
  EXPECT_EQ(pin.version, held->version());
  EXPECT_EQ(pin.lag, 2u);
  EXPECT_EQ(readers[0].lag, 2u);
  EXPECT_FALSE(pin.is_range);
  EXPECT_GE(pin.held_bytes, kLarge) << "what it saw, and not what came after";
  EXPECT_LT(pin.held_bytes, kLarge + kLarge / 2);
  EXPECT_EQ(pin.alone_bytes, pin.held_bytes);
  EXPECT_EQ(readers[0].alone_bytes, pin.held_bytes);
  DomainStats stats = Stats();
  EXPECT_EQ(stats.pinned_bytes, pin.held_bytes);
  EXPECT_EQ(stats.oldest_pin_lag, 2u);
  EXPECT_GE(stats.dead_bytes, 2 * kLarge) << "the loose one is dead as well";
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(Stats().pinned_bytes, pin.held_bytes) << "reuse spares it";

  // Two pins: what both see is nobody's alone.
  ASSERT_OK_AND_ASSIGN(std::optional<Snapshot> second, domain_.Now());
  PutLarge("k", 'd');
  readers = Readers();
  ASSERT_EQ(readers[0].pins.size(), 2u);
  EXPECT_EQ(readers[0].pins[0].version, held->version()) << "oldest first";
  EXPECT_GE(readers[0].pins[1].alone_bytes, kLarge);
  held.reset();
  second.reset();
  stats = Stats();
  EXPECT_EQ(stats.pinned_bytes, 0u) << "at once, before anything is freed";
  EXPECT_EQ(stats.oldest_pin_lag, 0u);
  const uint64_t free_before = stats.free_bytes;
  ASSERT_OK(domain_.Reclaim());
  EXPECT_GE(Stats().free_bytes, free_before + 2 * kLarge);
}

TEST_F(ReadersTest, WhatTwoPinsOfAProcessShareIsThatProcessesAlone) {
  PutLarge("k", 'a');
  ASSERT_OK_AND_ASSIGN(Snapshot first, domain_.Now());
  ASSERT_OK(map_->Put("other", "v"));
  ASSERT_OK_AND_ASSIGN(Snapshot second, domain_.Now());
  PutLarge("k", 'b');
  const std::vector<ReaderInfo> readers = Readers();
  ASSERT_EQ(readers[0].pins.size(), 2u);
  for (const PinInfo& pin : readers[0].pins) {
    EXPECT_GE(pin.held_bytes, kLarge);
    EXPECT_EQ(pin.alone_bytes, 0u);
  }
  EXPECT_GE(readers[0].alone_bytes, kLarge);
}

// Scenario 24: a reader that stays while everything is overwritten many times.
// It holds what it sees and no more, however far behind it is.
TEST_F(ReadersTest, LongReaderUnderChurnHoldsWhatItSees) {
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK(map_->Put(std::to_string(i), std::string(1000, 'o')));
  }
  ASSERT_OK(domain_.Reclaim());
  ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_OK(map_->Put(std::to_string(i % 1000), std::string(1000, 'n')));
    if (i % 1000 == 0) ASSERT_OK(domain_.Reclaim());
  }
  ASSERT_OK(domain_.Reclaim());
  const std::vector<ReaderInfo> readers = Readers();
  ASSERT_EQ(readers[0].pins.size(), 1u);
  EXPECT_GE(readers[0].lag, 20'000u);
  const DomainStats stats = Stats();
  EXPECT_EQ(stats.oldest_pin_lag, readers[0].lag);
  EXPECT_EQ(stats.pinned_bytes, readers[0].pins[0].held_bytes);
  EXPECT_GT(stats.pinned_bytes, 0u);
  EXPECT_GT(stats.bytes_committed, 40u << 20);
  // A megabyte is seen; it lies in the segments that its writing filled.
  EXPECT_LT(stats.pinned_bytes, 12u << 20);
  EXPECT_LT(stats.file_bytes, 40u << 20);
}

// Dead, but the newest durable root still shows it.
TEST_F(ReadersTest, GarbageOfTheDurableRootIsToldFromPinnedGarbage) {
  PutLarge("k", 'a');
  ASSERT_OK(domain_.Sync());
  PutLarge("k", 'b');
  DomainStats stats = Stats();
  EXPECT_GE(stats.durable_held_bytes, kLarge);
  EXPECT_EQ(stats.pinned_bytes, 0u);
  // A pin besides holds it, but not alone.
  {
    PutLarge("j", 'a');
    ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
    ASSERT_OK(domain_.Sync());
    PutLarge("j", 'b');
    const std::vector<ReaderInfo> readers = Readers();
    ASSERT_EQ(readers[0].pins.size(), 1u);
    EXPECT_GE(readers[0].pins[0].held_bytes, kLarge);
    EXPECT_EQ(readers[0].pins[0].alone_bytes, 0u);
  }
  for (int i = 0; i < 2; ++i) {  // both durable roots move on
    ASSERT_OK(map_->Put("other", std::to_string(i)));
    ASSERT_OK(domain_.Sync());
  }
  stats = Stats();
  EXPECT_EQ(stats.durable_held_bytes, 0u);
  EXPECT_GE(stats.dead_bytes, 2 * kLarge) << "loose until it is freed";
  ASSERT_OK(domain_.Reclaim());
  EXPECT_LT(Stats().dead_bytes, kLarge);
}

// A reader of another process, stopped while it holds a snapshot.
TEST(OtherReadersTest, PinOfAnotherProcessIsListedUntilThatDies) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  constexpr uint64_t kLarge = 5 << 20;
  ChildProcess child([&] {
    absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
    if (!domain.ok()) return 1;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    if (!map.ok() || !map->Put("k", std::string(kLarge, 'a')).ok()) return 2;
    absl::StatusOr<Snapshot> held = domain->Now();
    if (!held.ok()) return 3;
    ::raise(SIGSTOP);
    return 0;
  });
  child.AwaitStopped();
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "small"));
  ASSERT_OK_AND_ASSIGN(std::vector<ReaderInfo> readers, domain.Readers());
  ASSERT_EQ(readers.size(), 2u);
  const ReaderInfo& other = readers[0].is_self ? readers[1] : readers[0];
  EXPECT_EQ(other.pid, static_cast<uint32_t>(child.pid()));
  EXPECT_FALSE(other.is_self);
  ASSERT_EQ(other.pins.size(), 1u);
  EXPECT_EQ(other.pins[0].lag, 1u);
  EXPECT_GE(other.pins[0].alone_bytes, kLarge);
  EXPECT_GE(other.alone_bytes, kLarge);
  EXPECT_GT(other.commits, 0u);
  const uint64_t commits = domain.Stats().value().commits;

  child.Signal(SIGKILL);
  EXPECT_EQ(child.Wait(), -SIGKILL);
  ASSERT_OK_AND_ASSIGN(readers, domain.Readers());
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_TRUE(readers[0].is_self);
  const DomainStats stats = domain.Stats().value();
  EXPECT_EQ(stats.pinned_bytes, 0u);
  EXPECT_EQ(stats.commits, commits) << "the counters of the dead stay";
}

// Counters begin with the region, whatever the lock file held before, and stay
// when a slot is taken by another process.
TEST(OtherReadersTest, CountersBeginWithTheFirstProcessAndOutliveTheOthers) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  const auto write = [&](int times) {
    ChildProcess child([&] {
      absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
      if (!domain.ok()) return 1;
      absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
      if (!map.ok()) return 2;
      for (int i = 0; i < times; ++i) {
        if (!map->Put("k", "v").ok()) return 3;
      }
      return domain->Close().ok() ? 0 : 4;
    });
    ASSERT_EQ(child.Wait(), 0);
  };
  write(100);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  EXPECT_EQ(domain.Stats().value().commits, 0u);
  write(20);
  EXPECT_EQ(domain.Stats().value().commits, 20u);
  write(5);
  EXPECT_EQ(domain.Stats().value().commits, 25u);
  EXPECT_EQ(domain.Readers().value().size(), 1u);
}

// P25: they have no slot, so all that can be said is that they are there.
TEST_F(ReadersTest, ReadersWithoutASlotAreOneEntryThatHoldsEverything) {
  PutLarge("k", 'a');
  PutLarge("k", 'b');
  EXPECT_EQ(Stats().pinned_bytes, 0u);
  ASSERT_OK_AND_ASSIGN(const File reader, File::Open(path_, O_RDONLY));
  ASSERT_OK_AND_ASSIGN(bool taken, TryLockByte(reader, kUnpinnedReadersLockByte,
                                               LockKind::kShared));
  ASSERT_TRUE(taken);
  const std::vector<ReaderInfo> readers = Readers();
  ASSERT_EQ(readers.size(), 2u);
  EXPECT_TRUE(readers[1].is_unpinned);
  EXPECT_FALSE(readers[1].is_self);
  EXPECT_TRUE(Stats().has_unpinned_reader);
  EXPECT_GE(Stats().pinned_bytes, kLarge);
}

// A domain that joined to read sees the same as the writers.
TEST_F(ReadersTest, ReadOnlyProcessSeesEveryPin) {
  PutLarge("k", 'a');
  ASSERT_OK_AND_ASSIGN(Snapshot held, domain_.Now());
  PutLarge("k", 'b');
  ChildProcess child([&] {
    DomainOptions options;
    options.read_only = true;
    absl::StatusOr<Domain> domain = Domain::Open(path_, options);
    if (!domain.ok()) return 1;
    absl::StatusOr<std::vector<ReaderInfo>> readers = domain->Readers();
    if (!readers.ok() || readers->size() != 2) return 2;
    const ReaderInfo& other =
        (*readers)[0].is_self ? (*readers)[1] : (*readers)[0];
    if (other.pins.size() != 1 || other.alone_bytes < kLarge) return 3;
    const absl::StatusOr<DomainStats> stats = domain->Stats();
    if (!stats.ok() || stats->pinned_bytes != other.alone_bytes) return 4;
    return stats->processes == 2 ? 0 : 5;
  });
  EXPECT_EQ(child.Wait(), 0);
}

// Nobody is attached: no region to look at, but the accounting is there.
TEST_F(ReadersTest, ReadOnlyOpenOfAClosedDomainListsItselfAlone) {
  PutLarge("k", 'a');
  PutLarge("k", 'b');
  map_.reset();
  ASSERT_OK(domain_.Close());
  DomainOptions options;
  options.read_only = true;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, options));
  ASSERT_OK_AND_ASSIGN(const std::vector<ReaderInfo> readers, domain.Readers());
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_TRUE(readers[0].is_unpinned);
  EXPECT_TRUE(readers[0].is_self);
}

// What stat says of a closed domain is what the next opener finds.
TEST_F(ReadersTest, SpaceOfAClosedDomainIsWhatTheNextOpenerFinds) {
  for (int i = 0; i < 4; ++i) PutLarge("k", static_cast<char>('a' + i));
  for (int i = 0; i < 4000; ++i) {
    ASSERT_OK(map_->Put(std::to_string(i % 1000), std::string(1000, 'v')));
  }
  map_.reset();
  ASSERT_OK(domain_.Close());
  DomainOptions read_only;
  read_only.read_only = true;
  ASSERT_OK_AND_ASSIGN(Domain closed, Domain::Open(path_, read_only));
  ASSERT_OK_AND_ASSIGN(const DomainStats before, closed.Stats());
  ASSERT_OK(closed.Close());
  ASSERT_OK_AND_ASSIGN(Domain opened, Domain::Open(path_, testing::Quiet()));
  ASSERT_OK_AND_ASSIGN(const DomainStats after, opened.Stats());
  EXPECT_GE(before.segments_free, 1u);
  EXPECT_GT(before.dead_bytes, 0u);
  EXPECT_EQ(before.segments, after.segments);
  EXPECT_EQ(before.segments_free, after.segments_free);
  EXPECT_EQ(before.segments_sealed, after.segments_sealed);
  EXPECT_EQ(before.free_bytes, after.free_bytes);
  EXPECT_EQ(before.live_bytes, after.live_bytes);
  EXPECT_EQ(before.fill_bytes, after.fill_bytes);
  EXPECT_EQ(before.dead_bytes, after.dead_bytes);
}

}  // namespace
}  // namespace eve
