// Two that make their commits durable and one that frees what it has written
// over, in all orders of their steps with one preemption, many with two, and
// random ones by seed. Planted bugs must be found.
//
// Method: as explorer_test; the disk is a lazy one, which has nothing but what
// was there when the last flush began. Its slots name what was acknowledged,
// and after every eighth run it is opened, as the first opener does after a
// power failure. When segments are freed, and so written over, and when a
// version has become durable, the newest durable roots are verified in the file
// as it is then: a disk may have had all of it. Where a flusher would be waited
// for others go on, and the wait ends with its flush, or at once: no clock
// takes part.

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/checkpoint/durable_state.h"
#include "engine/domain/domain_impl.h"
#include "engine/file/file_lock.h"
#include "engine/format/commit_record.h"
#include "engine/format/commit_slot.h"
#include "engine/verify/verifier.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/interleaving/explorer.h"
#include "tests/testing/flushed_image.h"
#include "tests/testing/quiet.h"
#include "tests/testing/scheduler.h"
#include "tests/testing/status_matchers.h"

namespace eve {
namespace {

using internal::DomainImpl;
using testing::Quiet;
using testing::Scheduler;
using Strings = Map<std::string, std::string>;
using Numbers = Map<std::string, int64_t>;

// A segment of its own for each, so that one that was written over is free at
// the next pass of a collector.
constexpr size_t kBigBytes = 600 << 10;

// In every so many runs the whole disk is kept and opened, else its slots.
constexpr int kRunsAnOpening = 8;

DomainOptions With(Durability durability) {
  DomainOptions options = Quiet();
  options.durability = durability;
  return options;
}

struct Process {
  std::shared_ptr<DomainImpl> impl;
  std::optional<Numbers> counts;
  std::optional<Strings> texts;
  bool is_synchronous = false;
  uint64_t published = 0;     // its last commit
  uint64_t acknowledged = 0;  // what it was promised
  uint64_t beat = 0;          // that it sleeps on
};

class ExplorerDurableTest : public testing::Explorer {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(Explorer::SetUp());
    ASSERT_OK_AND_ASSIGN(Numbers counts, domain_.Collection<Numbers>("n"));
    ASSERT_OK_AND_ASSIGN(Strings texts, domain_.Collection<Strings>("t"));
    ASSERT_OK(texts.Put("big", std::string(kBigBytes, 'a')));
    ASSERT_OK_AND_ASSIGN(file_, File::Open(path_, O_RDONLY));
    scheduler_.sleep_step = "flusher.sleep";
    scheduler_.is_awake = [this](int body) {
      return words().beat.load() != Of(body).beat;
    };
    scheduler_.before = [this](int body, std::string_view step) {
      if (before_) before_(body, step);
      Look(body, step);
    };
    scheduler_.after = [this](int body, std::string_view step) {
      if (after_) after_(body, step);
    };
  }
  void TearDown() override {
    ClearFaultHook();
    Explorer::TearDown();
  }
  // Whether the first and the second commit synchronously; else they call
  // Sync().
  void Start(bool first, bool second) {
    for (size_t i = 0; i < processes_.size(); ++i) {
      Process& process = processes_[i];
      process.is_synchronous = i == 0 ? first : i == 1 && second;
      process.impl = std::make_shared<DomainImpl>(
          With(process.is_synchronous ? Durability::kSync : Durability::kNone));
      ASSERT_OK(process.impl->Start(path_));
      process.counts.emplace(Ref<Numbers>(process.impl, "n"));
      process.texts.emplace(Ref<Strings>(process.impl, "t"));
    }
    // The first runs make room: the next take the same steps.
    for (int i = 0; i < 3; ++i) RunOnce(Schedule{});
  }

  Process& Of(int body) { return processes_[static_cast<size_t>(body)]; }
  RegionWords& words() { return processes_[0].impl->core().region.words(); }

  // What a body does, and what it may believe of it afterwards.
  void Promise(int body) {
    Process& process = Of(body);
    if (!process.counts->Put(absl::StrCat("of", body), round_).ok()) {
      return Note("a commit fails");
    }
    if (!process.is_synchronous && !process.impl->Sync().ok()) {
      return Note("a checkpoint fails");
    }
    process.acknowledged = process.published;
    if (process.impl->durable_version() < process.acknowledged) {
      Note("what was acknowledged is not durable");
    }
    if (NewestOnDisk() < process.acknowledged) {
      Note("what was acknowledged is in no slot on the disk");
    }
  }
  void WriteAndReclaim(Process& process) {
    for (int i = 0; i < 2; ++i) {
      const char fill = static_cast<char>('a' + round_ % 26);
      EXPECT_OK(process.texts->Put("big", std::string(kBigBytes, fill)));
      EXPECT_OK(process.impl->Reclaim());
    }
  }

  // Of the slots that a disk has that writes nothing before it has to.
  uint64_t NewestOnDisk() {
    uint64_t newest = 0;
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      CommitSlot page;
      disk_.ReadAt(static_cast<off_t>(CommitSlotPosition(i)), &page,
                   sizeof(page));
      if (IsValid(page, i)) newest = std::max(newest, page.version);
    }
    return newest;
  }
  bool IsValid(const CommitSlot& page, uint32_t slot) {
    return IsValidCommitSlot(page, slot,
                             processes_[0].impl->core().superblock.uuid);
  }

  // At each step, while nobody else goes on.
  void Look(int body, std::string_view step) {
    steps_.emplace_back(step);
    if (step == "commit.after_cas") {
      const Core& core = Of(body).impl->core();
      Of(body).published =
          core.view.As<CommitRecord>(core.root->Load())->version;
    }
    if (step == "flusher.sleep") Of(body).beat = words().beat.load();
    const uint64_t durable = ReadDurableWords().newest;
    if (durable < durable_) Note("the durable version goes back");
    if (durable > durable_ && NewestOnDisk() < durable) {
      Note("a version counts as durable that is in no slot on the disk");
    }
    durable_ = durable;
    if (step == "poison.filled") {
      if (++poisoned_ % 2 == 0) LookAtDurableRoots(/*verify_from=*/1);
    } else if (step == "checkpoint.durable") {
      LookAtDurableRoots(durable);
    } else if (step == "checkpoint.slot_written" ||
               step == "one_flush.slot_written") {
      LookAtDurableRoots(UINT64_MAX);
    }
  }
  // I10: neither their slots nor, of versions from that on, what they lead to
  // has changed.
  void LookAtDurableRoots(uint64_t verify_from) {
    const DurableCandidates durable = ReadDurableWords();
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      const uint64_t version = words().durable[i].load();
      if (version == 0 ||
          (version != durable.newest && version != durable.second)) {
        continue;
      }
      CommitSlot page;
      EXPECT_OK(file_.ReadAt(CommitSlotPosition(i), &page, sizeof(page)));
      if (!IsValid(page, i) || page.version != version) {
        // Of several of one version all but the lowest may be taken.
        if (!IsNamedBelow(i, version)) Note("a durable slot is written over");
        continue;
      }
      if (version < verify_from) continue;
      VerifyOptions options;
      options.record_offset = page.record.bytes();
      const absl::StatusOr<VerifyReport> report = VerifyDomain(file_, options);
      if (!report.ok() || !report->ok()) {
        Note(absl::StrCat("durable version ", version, " is damaged"));
      }
    }
  }
  bool IsNamedBelow(uint32_t slot, uint64_t version) {
    for (uint32_t i = 0; i < slot; ++i) {
      if (words().durable[i].load() == version) return true;
    }
    return false;
  }
  // Without the engine's own, which passes steps.
  DurableCandidates ReadDurableWords() {
    DurableCandidates found;
    for (const SharedWord& word : words().durable) {
      const uint64_t version = word.load();
      if (version > found.newest) {
        found.second = found.newest;
        found.newest = version;
      } else if (version > found.second && version != found.newest) {
        found.second = version;
      }
    }
    return found;
  }

  std::vector<Scheduler::Body> Bodies() override {
    return {[this] { Promise(0); }, [this] { Promise(1); },
            [this] { WriteAndReclaim(Of(2)); }};
  }
  bool IsWholeRun() const { return round_ % kRunsAnOpening == 0; }
  void Prepare() override {
    steps_.clear();
    disk_.set_bytes_max(IsWholeRun() ? testing::FlushedImage::kBytesMax
                                     : kFirstBlockOffset);
  }
  void Judge() override {
    for (const SharedWord& word : words().pending) {
      if (word.load() != 0) Note("a slot stays announced");
    }
    if (words().flusher.load() != 0) Note("the ticket is not given back");
    if (IsWholeRun()) OpenWhatIsOnTheDisk();
  }
  // Those of a pin are explorer_test's.
  std::function<bool(uint64_t)> WhereToPreempt() override {
    EXPECT_GT(points_, 60u);
    return [steps = steps_](uint64_t point) {
      return !steps[point].starts_with("pin.");
    };
  }
  void OpenWhatIsOnTheDisk() {
    const std::string copy = dir_.File("copy.eve");
    EXPECT_TRUE(disk_.SaveTo(copy));
    {
      absl::StatusOr<Domain> left = Domain::Open(copy, Quiet());
      if (!left.ok()) return Note(std::string(left.status().message()));
      if (left->durable_version() <
          std::max(Of(0).acknowledged, Of(1).acknowledged)) {
        Note("what was acknowledged is not on the disk");
      }
      const Numbers counts = left->Collection<Numbers>("n").value();
      for (int body = 0; body < 2; ++body) {
        if (counts.Get(absl::StrCat("of", body)).value_or(0) != round_) {
          Note("a put is not on the disk");
        }
      }
      const auto file = File::Open(copy, O_RDONLY);
      const auto report = VerifyDomain(*file);
      if (!report.ok() || !report->ok()) Note("the disk has damage");
    }
    std::filesystem::remove(copy);
    std::filesystem::remove(copy + "-lock");
  }

  // Of the first, when its slot is announced.
  void DropPins(int body, std::string_view step) {
    if (body != 0 || step != "checkpoint.announced") return;
    const Core& core = Of(body).impl->core();
    for (uint32_t i = 0; i < core.slots->own().cells_used; ++i) {
      core.region.cell(core.slots->index(), i).word = 0;
    }
  }
  // Waits for a flusher end at once: who comes takes its ticket over.
  static void MakeImpatient() {
    SetFaultHook([](std::string_view point) {
      return point == "flusher.patience" ? 1 : 0;
    });
  }

  testing::FlushedImage disk_{path_};
  File file_;
  std::array<Process, 3> processes_;
  Scheduler::Observe before_;  // of a test
  Scheduler::Observe after_;
  std::vector<std::string> steps_;  // of a run
  uint64_t durable_ = 0;
  int poisoned_ = 0;
};

TEST_F(ExplorerDurableTest, TwoCheckpoints) {
  Start(false, false);
  EXPECT_TRUE(Explore(/*pairs=*/80)) << Found();
}

TEST_F(ExplorerDurableTest, TwoSynchronousCommits) {
  Start(true, true);
  EXPECT_TRUE(Explore(/*pairs=*/80)) << Found();
}

TEST_F(ExplorerDurableTest, TwoFlushersThatDoNotWaitForEachOther) {
  Start(true, true);
  MakeImpatient();
  EXPECT_TRUE(Explore(/*pairs=*/80)) << Found();
}

// A synchronous commit and a checkpoint.
TEST_F(ExplorerDurableTest, RandomSchedulesBySeed) {
  Start(true, false);
  EXPECT_TRUE(ExploreRandomly(/*seeds=*/100)) << Found();
}

// The pins of the first are ignored from when it has announced its slot, as
// those of a dead one are: the announcement alone must do (P17, I9).
TEST_F(ExplorerDurableTest, AnAnnouncementProtectsWithoutAPin) {
  Start(false, true);
  before_ = [this](int body, std::string_view step) { DropPins(body, step); };
  EXPECT_TRUE(Explore(/*pairs=*/0)) << Found();
}

// A planted bug: a collector that does not look at what is announced.
TEST_F(ExplorerDurableTest, FindsACollectorThatIgnoresAnnouncements) {
  Start(false, true);
  std::optional<std::array<uint64_t, kCommitSlotCount>> hidden;
  bool is_behind_pins = false;
  after_ = [&](int body, std::string_view step) {
    if (body != 2) return;
    is_behind_pins = step == "collect.pins_scanned" || is_behind_pins;
    if (step != "collect.accounted") return;
    is_behind_pins = false;
    hidden.emplace();
    for (size_t i = 0; i < kCommitSlotCount; ++i) {
      (*hidden)[i] = words().pending[i].exchange(0);
    }
  };
  before_ = [&](int body, std::string_view step) {
    DropPins(body, step);
    if (body != 2 || step != "candidates.pending_read" || !hidden ||
        !is_behind_pins) {
      return;
    }
    for (size_t i = 0; i < kCommitSlotCount; ++i) {
      words().pending[i] = (*hidden)[i];
    }
    hidden.reset();
  };
  ExpectFound(Explore(/*pairs=*/0), {"is damaged"});
}

// Another: the byte of a slot excludes nobody, so that two take the same before
// either has announced it.
TEST_F(ExplorerDurableTest, FindsTwoInOneSlot) {
  Start(false, false);
  before_ = [this](int body, std::string_view step) {
    if (step != "checkpoint.slot_taken") return;
    const File& locks = Of(body).impl->core().region.file();
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      UnlockByte(locks, kCommitSlotLockBase + i);
    }
  };
  ExpectFound(Explore(/*pairs=*/0), {"a durable slot is written over"});
}

// Another: a version counts as durable once its slot is written.
TEST_F(ExplorerDurableTest, FindsAnAcknowledgementBeforeTheFlush) {
  Start(true, true);
  before_ = [this](int, std::string_view step) {
    if (step != "one_flush.slot_written") return;
    for (size_t i = 0; i < kCommitSlotCount; ++i) {
      const uint64_t version = words().pending[i];
      if (version != 0) words().durable[i] = version;
    }
  };
  ExpectFound(Explore(/*pairs=*/0), {"that is in no slot on the disk"});
}

}  // namespace
}  // namespace eve
