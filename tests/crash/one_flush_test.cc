// Synchronous commits that take one flush: their slot lists what was written
// since the durable version before, and counts only if all of it is there (P15,
// P19).
//
// A power failure is imitated by a copy of the file in which some of what the
// flush would have taken is as it was before the commit.

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpointer.h"
#include "engine/checkpoint/recovery.h"
#include "engine/domain/registry.h"
#include "engine/file/file.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/file_bytes.h"
#include "tests/testing/lock_file.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::ReadFile;
using testing::SignalSelfAt;
using testing::Synchronous;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;
using Strings = Map<std::string, std::string>;

class OneFlushTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Synchronous()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Synchronous()));
  }
  void TearDown() override {
    ClearStepHook();
    ClearFaultHook();
  }
  void Write(int64_t n, Durability durability = Durability::kSync) {
    ASSERT_OK_AND_ASSIGN(const Numbers map, domain_.Collection<Numbers>("m"));
    SwapOptions options;
    options.durability = durability;
    ASSERT_OK(domain_.Swap(
        [&](Transaction& txn) { return map.In(txn).Put("n", n); }, options));
  }
  static int64_t Read(Domain& domain) {
    auto map = domain.Collection<Numbers>("m");
    EXPECT_OK(map);
    return map.ok() ? map->Get("n").value_or(-1) : -2;
  }
  // Flushes that `work` takes.
  static int Flushes(const std::function<void()>& work) {
    int flushes = 0;
    SetFaultHook([&](std::string_view point) {
      flushes += point == "file.datasync" ? 1 : 0;
      return 0;
    });
    work();
    ClearFaultHook();
    return flushes;
  }
  CommitSlot NewestSlot() {
    CommitSlot newest{};
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      CommitSlot slot;
      EXPECT_OK(impl_->core().file.ReadAt(CommitSlotPosition(i), &slot,
                                          sizeof(slot)));
      if (IsValidCommitSlot(slot, i, impl_->core().superblock.uuid) &&
          (slot.version > newest.version ||
           (slot.version == newest.version && slot.extent_count == 0))) {
        newest = slot;
      }
    }
    return newest;
  }
  // Opens a file of these bytes, as after a power failure.
  int64_t ReadAfter(const std::string& bytes) {
    const std::string path = dir_.File("copy.eve");
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-lock");
    {
      absl::StatusOr<File> file = File::Open(path, O_RDWR | O_CREAT);
      EXPECT_OK(file);
      EXPECT_OK(file->WriteAt(0, bytes.data(), bytes.size()));
    }
    absl::StatusOr<Domain> domain = Domain::Open(path, Synchronous());
    EXPECT_OK(domain);
    if (!domain.ok()) return -3;
    testing::ExpectCleanCheck(path, *domain);
    return Read(*domain);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<internal::DomainImpl> impl_;
};

TEST_F(OneFlushTest, ACommitTakesOneFlushAndSurvivesPowerLoss) {
  Write(0);
  for (int64_t n = 1; n <= 20; ++n) {
    EXPECT_EQ(Flushes([&] { Write(n); }), 1);
    EXPECT_EQ(domain_.durable_version(), domain_.Now().value().version());
    const CommitSlot slot = NewestSlot();
    EXPECT_EQ(slot.version, domain_.durable_version());
    EXPECT_GT(slot.extent_count, 0u);
    EXPECT_EQ(ReadAfter(ReadFile(path_)), n);
  }
}

// Whatever page of it the failure leaves out: the commit before, whole.
TEST_F(OneFlushTest, AMissingPageGivesTheCommitBefore) {
  Write(0);
  for (int64_t n = 1; n <= 6; ++n) {
    const std::string before = ReadFile(path_);
    Write(n);
    const std::string after = ReadFile(path_);
    int left_out = 0;
    for (uint64_t at = 0; at + kPageBytes <= after.size(); at += kPageBytes) {
      if (at + kPageBytes > before.size() ||
          after.compare(at, kPageBytes, before, at, kPageBytes) == 0) {
        continue;
      }
      SCOPED_TRACE(at);
      std::string torn = after;
      torn.replace(at, kPageBytes, before, at, kPageBytes);
      EXPECT_EQ(ReadAfter(torn), n - 1);
      ++left_out;
    }
    EXPECT_GE(left_out, 2) << "the slot and what it lists";
  }
}

// Any byte of what it lists: the contents, the checksums in the headers, and
// the record. A block can be right by its sum while its header has not got its
// checksum yet.
TEST_F(OneFlushTest, AWrongByteAnywhereGivesTheCommitBefore) {
  Write(1);
  Write(2);
  const std::string whole = ReadFile(path_);
  const CommitSlot slot = NewestSlot();
  ASSERT_GT(slot.extent_count, 0u);
  for (uint32_t i = 0; i < slot.extent_count; ++i) {
    const CommitExtent& extent = slot.extents[i];
    const uint64_t base = SegmentOffset(extent.segment).bytes();
    for (uint64_t at = extent.from_units * kUnitBytes;
         at < extent.to_units * kUnitBytes; at += 13) {
      SCOPED_TRACE(at);
      std::string torn = whole;
      torn[base + at] = static_cast<char>(torn[base + at] ^ 0x10);
      EXPECT_EQ(ReadAfter(torn), 1);
    }
    uint64_t at = base + extent.from_units * kUnitBytes;
    while (at < base + extent.to_units * kUnitBytes) {
      SCOPED_TRACE(at);
      BlockHeader header;
      std::memcpy(&header, whole.data() + at, sizeof(header));
      std::string torn = whole;
      std::memset(torn.data() + at + offsetof(BlockHeader, checksum), 0, 4);
      EXPECT_EQ(ReadAfter(torn), 1);
      at += header.bytes();
    }
  }
}

// A segment that was filled and emptied since the durable version may be
// anybody's at once: it is not listed, or the reuse would cost an acknowledged
// commit.
TEST_F(OneFlushTest, WhatIsDeadIsNotListed) {
  Write(0);
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("s"));
  SwapOptions none;
  none.durability = Durability::kNone;
  const std::string run(3 << 20, 'r');
  ASSERT_OK(domain_.Swap(
      [&](Transaction& txn) { return map.In(txn).Put("k", run); }, none));
  ASSERT_OK(domain_.Swap(
      [&](Transaction& txn) { return map.In(txn).Erase("k").status(); }, none));
  EXPECT_EQ(Flushes([&] { Write(1); }), 1);
  std::string bytes = ReadFile(path_);
  const size_t middle = bytes.find(run);
  ASSERT_NE(middle, std::string::npos);
  bytes.replace(middle, 1000, 1000, 'x');
  EXPECT_EQ(ReadAfter(bytes), 1);
  const CommitSlot slot = NewestSlot();
  for (uint32_t i = 0; i < slot.extent_count; ++i) {
    EXPECT_NE(slot.extents[i].segment, middle / kSegmentBytes);
  }
}

// A run is listed as a whole, by its head.
TEST_F(OneFlushTest, ARunIsListed) {
  Write(1);
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("s"));
  Write(2);
  const std::string run(3 << 20, 'r');
  EXPECT_EQ(Flushes([&] { ASSERT_OK(map.Put("k", run)); }), 1);
  std::string bytes = ReadFile(path_);
  const size_t begin = bytes.find(run);
  ASSERT_NE(begin, std::string::npos);
  EXPECT_EQ(ReadAfter(bytes), 2);
  bytes[begin + run.size() - 5] = 'x';
  EXPECT_EQ(ReadAfter(bytes), 2) << "the version before has no run, but the 2";
  ASSERT_OK_AND_ASSIGN(Domain copy,
                       Domain::Open(dir_.File("copy.eve"), Synchronous()));
  ASSERT_OK_AND_ASSIGN(const Strings other, copy.Collection<Strings>("s"));
  EXPECT_CODE(other.Get("k"), absl::StatusCode::kNotFound);
}

// Below a fold the chain is not protected, so its records cannot be listed.
TEST_F(OneFlushTest, AfterAFoldTwoFlushes) {
  Write(1);
  Write(2, Durability::kNone);
  Write(3, Durability::kNone);
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(Flushes([&] { Write(4); }), 2);
  EXPECT_EQ(NewestSlot().extent_count, 0u);
  EXPECT_EQ(Flushes([&] { Write(5); }), 1);
  EXPECT_EQ(ReadAfter(ReadFile(path_)), 5);
}

TEST_F(OneFlushTest, TooMuchForAListTakesTwoFlushes) {
  Write(1);
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("s"));
  Write(2);
  const std::string large(DirtyExtents::kBytesMax, 'l');
  EXPECT_EQ(Flushes([&] { ASSERT_OK(map.Put("k", large)); }), 2);
  EXPECT_EQ(NewestSlot().extent_count, 0u);
  EXPECT_EQ(Flushes([&] { Write(3); }), 1);
}

// Commits of other durability in between are listed with the next.
TEST_F(OneFlushTest, ListsAllSinceTheDurableVersion) {
  Write(1);
  for (int64_t n = 2; n < 300; ++n) Write(n, Durability::kNone);
  const std::string before = ReadFile(path_);
  EXPECT_EQ(Flushes([&] { Write(300); }), 1);
  EXPECT_EQ(ReadAfter(ReadFile(path_)), 300);
  // What had been written without a flush is as good as not there.
  EXPECT_EQ(ReadAfter(before), 1);
}

// At rest and after closing, rot costs no commit: a slot without a list names
// the newest root, and only one of two versions is counted.
TEST_F(OneFlushTest, SettledSlotsNeedNoList) {
  Write(1);
  Write(2);
  RegionWords& words = impl_->core().region.words();
  const DurableCandidates before = ReadDurableCandidates(impl_->core().region);
  const CommitSlot listed = NewestSlot();
  ASSERT_GT(listed.extent_count, 0u);
  EXPECT_LT(words.settled, listed.version);
  Checkpointer checkpointer(&impl_->core());
  EXPECT_EQ(Flushes([&] { EXPECT_OK(checkpointer.Settle()); }), 1);
  EXPECT_EQ(Flushes([&] { EXPECT_OK(checkpointer.Settle()); }), 0);
  EXPECT_EQ(words.settled, listed.version);
  const CommitSlot settled = NewestSlot();
  EXPECT_EQ(settled.version, listed.version);
  EXPECT_EQ(settled.extent_count, 0u);
  EXPECT_EQ(words.durable[listed.slot_index], listed.version)
      << "a scan may have passed the new word (P6)";
  const DurableCandidates after = ReadDurableCandidates(impl_->core().region);
  EXPECT_EQ(after.newest, before.newest);
  EXPECT_EQ(after.second, before.second);
  // An old leaf's checksum rots: the newest version is there all the same.
  std::string bytes = ReadFile(path_);
  bytes[SegmentOffset(listed.extents[0].segment).bytes() +
        listed.extents[0].from_units * kUnitBytes + 20] ^= 1;
  const std::string path = dir_.File("rot.eve");
  {
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path, O_RDWR | O_CREAT));
    ASSERT_OK(file.WriteAt(0, bytes.data(), bytes.size()));
  }
  ASSERT_TRUE(testing::WriteLockFileOfOtherBoot(path));
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Synchronous()));
  EXPECT_EQ(domain.durable_version(), listed.version);
}

TEST_F(OneFlushTest, ClosingSettles) {
  Write(1);
  Write(2);
  EXPECT_GT(NewestSlot().extent_count, 0u);
  const Superblock superblock = impl_->core().superblock;
  impl_.reset();
  ASSERT_OK(domain_.Close());
  {
    // Before the next opener writes a slot of its own.
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDONLY));
    ASSERT_OK_AND_ASSIGN(const std::vector<CommitSlot> slots,
                         ReadCommitSlots(file, superblock));
    EXPECT_EQ(slots.front().extent_count, 0u);
    EXPECT_EQ(slots[1].version, slots.front().version);
  }
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Synchronous()));
  ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Synchronous()));
  EXPECT_EQ(Read(domain_), 2);
}

// P17: a flusher that dies leaves a slot and data that may land at any time.
TEST_F(OneFlushTest, DeathAtEachStepLosesNothing) {
  int64_t n = 10;
  for (const char* step : {"one_flush.announced", "one_flush.slot_written",
                           "one_flush.flushed", "checkpoint.durable"}) {
    SCOPED_TRACE(step);
    n += 10;
    Write(n);
    const int64_t committed = n + 1;
    ChildProcess child([&] {
      auto other = Domain::Open(path_, Synchronous());
      if (!other.ok()) return 1;
      auto map = other->Collection<Numbers>("m");
      if (!map.ok()) return 2;
      SignalSelfAt(1, SIGKILL, step);
      return map->Put("n", committed).ok() ? 0 : 3;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
    EXPECT_EQ(Read(domain_), committed);
    const DurableCandidates left = ReadDurableCandidates(impl_->core().region);
    ASSERT_EQ(left.pending.size(), 1u);
    EXPECT_EQ(left.pending.front(), domain_.Now().value().version());
    Write(n + 2);
    EXPECT_TRUE(ReadDurableCandidates(impl_->core().region).pending.empty());
    EXPECT_EQ(ReadAfter(ReadFile(path_)), n + 2);
    testing::ExpectCleanCheck(path_, domain_);
  }
}

// P18: after a failed flush nothing is acknowledged, the commit says that it is
// visible, and recovery takes only slots that were acknowledged, whatever the
// cache shows of others.
// A transaction that wrote nothing may well be repeated.
TEST_F(OneFlushTest, WhoWroteNothingIsNotToldThatItIsPublished) {
  Write(1);
  Write(2, Durability::kNone);
  SetFaultHook([](std::string_view point) {
    return point == "file.datasync" ? EIO : 0;
  });
  SwapOptions synchronous;
  synchronous.durability = Durability::kSync;
  const absl::Status failed =
      domain_.Swap([](Transaction&) { return absl::OkStatus(); }, synchronous)
          .status();
  ClearFaultHook();
  EXPECT_CODE(failed, absl::StatusCode::kUnavailable);
  EXPECT_NE(failed.message().find("wrote nothing"), std::string::npos)
      << failed;
  EXPECT_EQ(failed.message().find("everybody can see it"), std::string::npos)
      << failed;
}

TEST_F(OneFlushTest, AFailedFlushPoisonsAndOnlyAcknowledgedSlotsCount) {
  Write(1);
  const uint64_t durable = domain_.durable_version();
  SetFaultHook([](std::string_view point) {
    return point == "file.datasync" ? EIO : 0;
  });
  const absl::Status failed =
      domain_.Collection<Numbers>("m").value().Put("n", 2);
  ClearFaultHook();
  EXPECT_CODE(failed, absl::StatusCode::kUnavailable);
  EXPECT_NE(failed.message().find("everybody can see it"), std::string::npos)
      << failed;
  EXPECT_EQ(Read(domain_), 2);
  EXPECT_EQ(domain_.durable_version(), durable);
  EXPECT_EQ(NewestSlot().version, durable + 1) << "in the cache";
  EXPECT_EQ(ReadDurableCandidates(impl_->core().region).pending,
            std::vector<uint64_t>{durable + 1});
  // Others are told before they publish, and with another code.
  ChildProcess child([&] {
    auto other = Domain::Open(path_, Synchronous());
    if (!other.ok()) return 1;
    auto numbers = other->Collection<Numbers>("m");
    if (!numbers.ok()) return 2;
    const absl::Status put = numbers->Put("n", 3);
    if (put.code() != absl::StatusCode::kFailedPrecondition) return 3;
    return numbers->Get("n").value_or(0) == 2 ? 0 : 4;
  });
  EXPECT_EQ(child.Wait(), 0);
  Write(4, Durability::kNone);
  EXPECT_EQ(Read(domain_), 4);
  impl_.reset();
  EXPECT_CODE(domain_.Close(), absl::StatusCode::kUnavailable);
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Synchronous()));
  EXPECT_EQ(Read(domain_), 1);
  ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Synchronous()));
  Write(5);
  EXPECT_EQ(Read(domain_), 5);
}

// Nor does a reader that may not write take the slot for durable that the cache
// shows and the disk may lack.
TEST_F(OneFlushTest, ReadOnlyOpenerBelievesAcknowledgedSlotsOnly) {
  Write(1);
  SetFaultHook([](std::string_view point) {
    return point == "file.datasync" ? EIO : 0;
  });
  EXPECT_CODE(domain_.Collection<Numbers>("m").value().Put("n", 2),
              absl::StatusCode::kUnavailable);
  ClearFaultHook();
  impl_.reset();
  EXPECT_CODE(domain_.Close(), absl::StatusCode::kUnavailable);
  DomainOptions read_only;
  read_only.read_only = true;
  EXPECT_CODE(Domain::Open(path_, read_only).status(),
              absl::StatusCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Synchronous()));
  EXPECT_EQ(Read(domain_), 1);
  ASSERT_OK(domain_.Close());
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, read_only));
  EXPECT_EQ(Read(domain_), 1);
}

// A torn write over a torn slot may take just the sectors that were wrong. Then
// the slot counts after all: the recovery that passed it over has not ended,
// and has promised and written nothing else.
TEST(TornSlotTest, OneThatIsMendedBeforeRecoveryEndsCounts) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, testing::Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, domain.Collection<Strings>("m"));
    for (const char* value : {"older", "newer"}) {
      ASSERT_OK(map.Put("k", value));
      ASSERT_OK(domain.Sync());
    }
  }
  const auto read = [](const std::string& of) -> absl::StatusOr<std::string> {
    std::filesystem::remove(of + "-lock");  // it is another boot
    EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(of, testing::Quiet()));
    EVE_ASSIGN_OR_RETURN(const Strings map, domain.Collection<Strings>("m"));
    return map.Get("k");
  };
  Superblock superblock;
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(path, O_RDWR));
  ASSERT_OK(file.ReadAt(0, &superblock, sizeof(superblock)));
  const CommitSlot newest = ReadCommitSlots(file, superblock).value().front();
  const uint64_t at = CommitSlotPosition(newest.slot_index) + 3 * 512;
  ASSERT_OK(file.WriteAt(at, "torn", 4));
  const std::string copy = dir.File("copy.eve");
  std::filesystem::copy_file(path, copy);
  EXPECT_EQ(read(copy).value(), "older");
  ChildProcess child([&] {
    SignalSelfAt(1, SIGKILL, "recover.chosen");
    return read(path).ok() ? 0 : 1;
  });
  ASSERT_EQ(child.Wait(), -SIGKILL);
  ASSERT_OK(file.WriteAt(at, "\0\0\0\0", 4));
  EXPECT_EQ(read(path).value(), "newer");
}

}  // namespace
}  // namespace eve
