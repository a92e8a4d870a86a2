// Checkpoints through io_uring and by plain calls: the same steps in the same
// order, every result looked at, and never a ring of a parent's.

#include "engine/file/write_back.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "engine/format/constants.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/call_list.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::CallList;
using testing::ChildProcess;
using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

bool IsRingAllowed() { return IoRing::Create().ok(); }

int CountRings() {
  int rings = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const std::string to = std::filesystem::read_symlink(entry, ignored);
    rings += to.find("io_uring") != std::string::npos ? 1 : 0;
  }
  return rings;
}

class WriteBackTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (GetParam() == 0 && !IsRingAllowed()) {
      GTEST_SKIP() << "io_uring is refused here";
    }
    Refuse();
  }
  void TearDown() override { ClearFaultHook(); }

  bool has_ring() const { return GetParam() == 0; }
  void Refuse() {
    SetFaultHook([](std::string_view point) {
      return point == "ring.setup" ? GetParam() : 0;
    });
  }
  // The n-th time from now on a point has a fault; 0: each time.
  void Inject(std::string_view at, int error, int nth = 1) {
    count_ = 0;
    SetFaultHook([this, at, error, nth](std::string_view point) {
      if (point == "ring.setup") return GetParam();
      if (point != at) return 0;
      ++count_;
      return nth == 0 || count_ == nth ? error : 0;
    });
  }
  void Open() {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
  }
  void ExpectOnDisk(const std::string& value) {
    std::filesystem::copy_file(path_, dir_.File("copy.eve"));
    ASSERT_OK_AND_ASSIGN(Domain copy,
                         Domain::Open(dir_.File("copy.eve"), Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, copy.Collection<Strings>("m"));
    EXPECT_EQ(map.Get("k").value_or("none"), value);
    testing::ExpectCleanCheck(dir_.File("copy.eve"), copy);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> map_;
  int count_ = 0;
};

TEST_P(WriteBackTest, CheckpointsWorkAndSayHow) {
  ASSERT_NO_FATAL_FAILURE(Open());
  EXPECT_EQ(domain_.Stats().value().io_engine, "none");
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(map_->Put("k", std::to_string(i)));
    ASSERT_OK(
        map_->Put("large" + std::to_string(i), std::string(700'000, 'l')));
    ASSERT_OK(domain_.Sync());
    EXPECT_EQ(domain_.durable_version(), domain_.Now().value().version());
  }
  EXPECT_EQ(domain_.Stats().value().io_engine,
            has_ring() ? "io_uring" : "plain");
  ExpectOnDisk("4");
}

// What a simulated disk sees does not depend on the way.
TEST_P(WriteBackTest, StepsAreTheSameEitherWay) {
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_OK(map_->Put("k", "1"));
  ASSERT_OK(domain_.Sync());
  ASSERT_OK(map_->Put("k", "2"));
  CallList seen;
  ASSERT_OK(domain_.Sync());
  ASSERT_EQ(seen.calls.size(), 4u);
  EXPECT_EQ(seen.calls[0].op, FileOp::kWriteBack);
  EXPECT_GT(seen.calls[0].size, 0u);
  EXPECT_EQ(seen.calls[1].op, FileOp::kDatasync);
  EXPECT_EQ(seen.calls[2].op, FileOp::kWrite);
  EXPECT_EQ(seen.calls[2].size, kPageBytes);
  EXPECT_EQ(seen.calls[3].op, FileOp::kDatasync);
}

TEST_P(WriteBackTest, WhoNeverFlushesHasNoRing) {
  {
    Domain other;
    ASSERT_OK_AND_ASSIGN(other, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, other.Collection<Strings>("m"));
    ASSERT_OK(map.Put("k", "v"));
    EXPECT_EQ(map.Get("k").value(), "v");
    EXPECT_EQ(CountRings(), 0);
    ASSERT_OK(other.Sync());
    EXPECT_EQ(CountRings(), has_ring() ? 1 : 0);
  }
  EXPECT_EQ(CountRings(), 0);
  DomainOptions reader;
  reader.read_only = true;
  ASSERT_OK_AND_ASSIGN(Domain again, Domain::Open(path_, reader));
  EXPECT_EQ(CountRings(), 0);
}

INSTANTIATE_TEST_SUITE_P(Ways, WriteBackTest,
                         ::testing::Values(0, EPERM, ENOSYS, ENOMEM, EMFILE));

class RingTest : public WriteBackTest {};

// Results that say that nothing was begun, or that it may be tried again.
TEST_P(RingTest, WhatWasNotBegunIsDoneByPlainCalls) {
  for (const int error : {ECANCELED, EAGAIN}) {
    for (int nth = 1; nth <= 3; ++nth) {  // hint, flush, flush
      // A flush that gives EAGAIN has begun.
      if (error == EAGAIN && nth > 1) continue;
      SCOPED_TRACE(std::to_string(error) + " at " + std::to_string(nth));
      std::filesystem::remove(path_);
      std::filesystem::remove(path_ + "-lock");
      std::filesystem::remove(dir_.File("copy.eve"));
      std::filesystem::remove(dir_.File("copy.eve-lock"));
      ASSERT_NO_FATAL_FAILURE(Open());
      ASSERT_OK(map_->Put("k", "v"));
      Inject("ring.result", error, nth);
      ASSERT_OK(domain_.Sync());
      Refuse();
      EXPECT_EQ(domain_.Stats().value().io_engine, "io_uring");
      EXPECT_FALSE(domain_.Stats().value().poisoned);
      ExpectOnDisk("v");
      map_.reset();
      domain_ = Domain();
    }
  }
}

// The errors of the device, and for a flush all others: whatever it has not
// written it may never write, and the next one would not know.
TEST_P(RingTest, AFailedStepIsFinal) {
  for (const int error : {EIO, EINTR, ENOSPC}) {
    for (int nth = 1; nth <= 3; ++nth) {
      const bool is_flush = nth > 1;
      if (error == EINTR && !is_flush) continue;
      SCOPED_TRACE(std::to_string(error) + " at " + std::to_string(nth));
      std::filesystem::remove(path_);
      std::filesystem::remove(path_ + "-lock");
      ASSERT_NO_FATAL_FAILURE(Open());
      ASSERT_OK(map_->Put("k", "v"));
      const uint64_t durable = domain_.durable_version();
      Inject("ring.result", error, nth);
      EXPECT_CODE(domain_.Sync(), absl::StatusCode::kUnavailable);
      EXPECT_GE(count_, nth);
      Refuse();
      EXPECT_EQ(domain_.durable_version(), durable);
      EXPECT_TRUE(domain_.Stats().value().poisoned);
      EXPECT_CODE(domain_.Sync(), absl::StatusCode::kUnavailable);
      EXPECT_EQ(map_->Get("k").value(), "v");
      map_.reset();
      domain_ = Domain();
    }
  }
}

TEST_P(RingTest, HintsThatAreNotSupportedAreLeftOut) {
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_OK(map_->Put("k", "1"));
  Inject("ring.result", EINVAL, /*nth=*/1);
  ASSERT_OK(domain_.Sync());
  ASSERT_OK(map_->Put("k", "2"));
  ASSERT_OK(domain_.Sync());
  // The flushes of the first checkpoint behind the hint, those of the second.
  EXPECT_EQ(count_, 1 + 2 + 2);
  ExpectOnDisk("2");
}

// A ring that cannot be entered has taken nothing; it is left, for good.
TEST_P(RingTest, WithoutTheRingItGoesOn) {
  for (int nth = 1; nth <= 3; ++nth) {
    SCOPED_TRACE(nth);
    std::filesystem::remove(path_);
    std::filesystem::remove(path_ + "-lock");
    std::filesystem::remove(dir_.File("copy.eve"));
    std::filesystem::remove(dir_.File("copy.eve-lock"));
    ASSERT_NO_FATAL_FAILURE(Open());
    ASSERT_OK(map_->Put("k", "1"));
    Inject("ring.enter", EBUSY, nth);
    ASSERT_OK(domain_.Sync());
    EXPECT_EQ(count_, nth);
    EXPECT_EQ(CountRings(), 0);
    ASSERT_OK(map_->Put("k", "2"));
    ASSERT_OK(domain_.Sync());
    EXPECT_EQ(domain_.Stats().value().io_engine, "plain");
    Refuse();
    ExpectOnDisk("2");
    map_.reset();
    domain_ = Domain();
  }
}

// A forked child makes plain calls; the parent's ring is none the worse.
TEST_P(RingTest, AChildNeverUsesItsParentsRing) {
  ASSERT_OK_AND_ASSIGN(const File file,
                       File::Open(dir_.File("f"), O_RDWR | O_CREAT));
  ASSERT_OK(file.WriteAt(0, "parent", 6));
  auto through = std::make_unique<WriteBack>(&file);
  ASSERT_OK(through->Datasync());
  ASSERT_EQ(through->engine(), IoEngine::kRing);
  ChildProcess child([&] {
    int entered = 0;
    SetFaultHook([&entered](std::string_view point) {
      entered += point == "ring.enter" ? 1 : 0;
      return 0;
    });
    const bool done =
        through->Datasync().ok() && through->Start({{ByteRange{0, 6}}}).ok();
    through.reset();
    return done && entered == 0 && CountRings() == 0 ? 0 : 1;
  });
  EXPECT_EQ(child.Wait(), 0);
  ASSERT_OK(through->Start({{ByteRange{0, 6}}}));
  ASSERT_OK(through->Datasync());
  EXPECT_EQ(through->engine(), IoEngine::kRing);
}

// What becomes of a batch that the kernel takes in parts.
class BatchTest : public WriteBackTest {
 protected:
  void SetUp() override {
    if (!IsRingAllowed()) GTEST_SKIP() << "io_uring is refused here";
    ASSERT_OK_AND_ASSIGN(file_, File::Open(dir_.File("f"), O_RDWR | O_CREAT));
    ASSERT_OK_AND_ASSIGN(ring_, IoRing::Create());
    SetFaultHook([this](std::string_view point) {
      const std::string name(point);
      const int nth = ++passed_[name];
      const auto found = faults_.find({name, nth});
      return found == faults_.end() ? 0 : found->second;
    });
  }
  // Ten hints.
  std::optional<int> Start() {
    std::vector<ByteRange> ranges;
    for (uint64_t i = 0; i < 10; ++i) {
      ranges.push_back({i * kPageBytes, kPageBytes});
    }
    return ring_->StartWriteBack(file_.fd(), ranges);
  }

  File file_;
  std::unique_ptr<IoRing> ring_;
  std::map<std::pair<std::string, int>, int> faults_;  // by point, and which
  std::map<std::string, int> passed_;
};

// The kernel stops behind an entry that it refuses; the rest is handed over
// again, and each counts once.
TEST_P(BatchTest, TheRestIsHandedOver) {
  faults_[{"ring.entry", 4}] = 1;
  EXPECT_EQ(Start(), -EINVAL);
  EXPECT_EQ(passed_["ring.enter"], 2);
  EXPECT_EQ(passed_["ring.result"], 10);
  EXPECT_TRUE(ring_->is_usable());
  EXPECT_EQ(Start(), 0);
  EXPECT_EQ(passed_["ring.result"], 20);
}

// What was told of the part that it took is not forgotten with the rest.
TEST_P(BatchTest, ErrorsOfAPartAreKept) {
  faults_[{"ring.entry", 4}] = 1;
  faults_[{"ring.enter", 2}] = EBUSY;
  faults_[{"ring.result", 2}] = ENOSPC;
  EXPECT_EQ(Start(), -ENOSPC);
  EXPECT_EQ(passed_["ring.result"], 4);
  EXPECT_FALSE(ring_->is_usable());
  EXPECT_EQ(Start(), std::nullopt);
}

TEST_P(BatchTest, AnInterruptedCallIsMadeAgain) {
  faults_[{"ring.enter", 1}] = EINTR;
  EXPECT_EQ(Start(), 0);
  EXPECT_EQ(passed_["ring.enter"], 2);
  EXPECT_EQ(passed_["ring.result"], 10);
  EXPECT_TRUE(ring_->is_usable());
}

INSTANTIATE_TEST_SUITE_P(Ways, BatchTest, ::testing::Values(0));

// A slot is not written by the ring: it could be on its way when the process is
// dead and another one has its byte.
TEST_P(RingTest, TheRingFlushesAndDoesNotWrite) {
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_OK(map_->Put("k", "v"));
  int in_ring = 0;
  int at_slot = -1;
  SetFaultHook([&](std::string_view point) {
    in_ring += point == "ring.enter" ? 1 : 0;
    if (point == "file.write") at_slot = in_ring;
    return 0;
  });
  SetStepHook([&](std::string_view step) {
    if (step == "checkpoint.slot_written") {
      EXPECT_EQ(in_ring, at_slot);
    }
  });
  ASSERT_OK(domain_.Sync());
  ClearStepHook();
  EXPECT_EQ(at_slot, 2) << "behind the hint and the first flush";
  EXPECT_EQ(in_ring, 3);
}

// A domain's child has no descriptor of the ring either.
TEST_P(RingTest, AChildOfADomainHasNoRing) {
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_OK(map_->Put("k", "v"));
  ASSERT_OK(domain_.Sync());
  ASSERT_EQ(CountRings(), 1);
  ChildProcess child([] { return CountRings(); });
  EXPECT_EQ(child.Wait(), 0);
  ASSERT_OK(map_->Put("k", "w"));
  ASSERT_OK(domain_.Sync());
}

INSTANTIATE_TEST_SUITE_P(Ways, RingTest, ::testing::Values(0));

// What eve stat says of a checkpoint that takes long, in any process.
TEST(FlushFigureTest, ACheckpointUnderWayIsSeen) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", std::string(300'000, 'x')));
  EXPECT_EQ(domain.Stats().value().flushes, 0u);
  const auto is_seen = [](const DomainStats& stats) {
    return stats.flushes == 1 && stats.flush_ns > 0 &&
           stats.flush_bytes >= 300'000 &&
           (!stats.knows_dirty_bytes || stats.dirty_bytes >= 300'000);
  };
  int looked = 0;
  SetStepHook([&](std::string_view step) {
    if (step != "checkpoint.announced") return;
    ++looked;
    EXPECT_TRUE(is_seen(domain.Stats().value()));
    ChildProcess other([&] {
      ClearStepHook();
      DomainOptions reader;
      reader.read_only = true;
      auto there = Domain::Open(path, reader);
      return there.ok() && is_seen(there->Stats().value()) ? 0 : 1;
    });
    EXPECT_EQ(other.Wait(), 0);
  });
  ASSERT_OK(domain.Sync());
  ClearStepHook();
  EXPECT_EQ(looked, 1);
  const DomainStats after = domain.Stats().value();
  EXPECT_EQ(after.flushes, 0u);
  EXPECT_EQ(after.flush_ns, 0u);
  // One that died in it is not under way.
  ChildProcess dead([&] {
    auto mine = Domain::Open(path, Quiet());
    auto its = mine->Collection<Strings>("m");
    if (!its->Put("k", "y").ok()) return 1;
    testing::SignalSelfAt(1, SIGKILL, "checkpoint.data_flushed");
    return mine->Sync().ok() ? 2 : 3;
  });
  EXPECT_EQ(dead.Wait(), -SIGKILL);
  EXPECT_EQ(domain.Stats().value().flushes, 0u);
  ASSERT_OK(map.Put("k", "z"));
  ASSERT_OK(domain.Sync());
}

// How many pages of this range this process has in its page tables.
uint64_t CountPresent(const char* data, uint64_t bytes) {
  const File pagemap = File::Open("/proc/self/pagemap", O_RDONLY).value();
  std::vector<uint64_t> entries(bytes / kPageBytes);
  const uint64_t first = reinterpret_cast<uintptr_t>(data) / kPageBytes;
  EXPECT_OK(pagemap.ReadAt(first * sizeof(uint64_t), entries.data(),
                           entries.size() * sizeof(uint64_t)));
  return static_cast<uint64_t>(
      std::count_if(entries.begin(), entries.end(),
                    [](uint64_t entry) { return entry >> 63 != 0; }));
}

// Else the kernel would make each of them read-only by itself, and interrupt
// all readers each time.
TEST(DropPagesTest, ACheckpointFindsNoPagesThatAreMappedToBeWritten) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  const auto present = [&impl] {
    return CountPresent(impl->core().write_mapping.data(),
                        impl->core().file.Size().value());
  };
  // Of the whole file, and then of a small part.
  for (const int count : {6'000, 40}) {
    for (int i = 0; i < count; ++i) {
      ASSERT_OK(map.Put(absl::StrCat("k", i), std::string(1000, 'v')));
    }
    EXPECT_GT(present(), 10u);
    uint64_t left = 0;
    SetStepHook([&](std::string_view step) {
      if (step == "checkpoint.write_back_begun") left = present() + 1;
    });
    ASSERT_OK(domain.Sync());
    ClearStepHook();
    EXPECT_EQ(left, 1u) << count;
  }
  EXPECT_EQ(map.Get("k5999").value(), std::string(1000, 'v'));
  testing::ExpectCleanCheck(path, domain);
}

}  // namespace
}  // namespace eve
