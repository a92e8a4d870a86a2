#include "tests/simdisk/planted_bug.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/file/file_observer.h"
#include "engine/file/shared_region.h"
#include "tests/simdisk/blind_recovery.h"

namespace eve::simdisk {
namespace {

struct Named {
  PlantedBug bug;
  std::string_view name;
};

constexpr Named kNames[] = {
    {PlantedBug::kNone, "none"},
    {PlantedBug::kSlotBeforeData, "slot-before-data"},
    {PlantedBug::kSlotNotFlushed, "slot-not-flushed"},
    {PlantedBug::kWriteBackIsNoFlush, "write-back-is-no-flush"},
    {PlantedBug::kFlushForgetsSize, "flush-forgets-size"},
    {PlantedBug::kFlushForgetsFresh, "flush-forgets-fresh"},
    {PlantedBug::kFailedFlushRetried, "failed-flush-retried"},
    {PlantedBug::kNewestSlotOverwritten, "newest-slot-overwritten"},
    {PlantedBug::kReusedOneEarly, "reused-one-early"},
    {PlantedBug::kReusedUnderDurable, "reused-under-durable"},
    {PlantedBug::kPendingIgnored, "pending-ignored"},
    {PlantedBug::kPunchedUnderDurable, "punched-under-durable"},
    {PlantedBug::kRecoveryWithoutFlush, "recovery-without-flush"},
    {PlantedBug::kCutBeforeSlots, "cut-before-slots"},
    {PlantedBug::kListIgnored, "list-ignored"},
    {PlantedBug::kExtentLeftOut, "extent-left-out"},
    {PlantedBug::kStoredChecksumIgnored, "stored-checksum-ignored"},
    {PlantedBug::kAdoptedUnsummed, "adopted-unsummed"},
    {PlantedBug::kAcknowledgedEarly, "acknowledged-early"},
    {PlantedBug::kCreatedUnflushed, "created-unflushed"},
    {PlantedBug::kCacheBelieved, "cache-believed"},
    {PlantedBug::kFlushUnannounced, "flush-unannounced"},
    {PlantedBug::kShortLockFileMapped, "short-lock-file-mapped"},
    {PlantedBug::kUnnamedSlotsDropped, "unnamed-slots-dropped"},
};

// The words of the live region, through a mapping of this file's own.
class Words {
 public:
  explicit Words(const std::string& path) : path_(path + "-lock") {}

  RegionWords* Get() {
    // The mapping is not inherited by who goes on after a death.
    if (region_ == nullptr || pid_ != ::getpid()) {
      // So its addresses belong to something else here: not to be unmapped.
      if (region_ != nullptr) (void)region_.release();
      pid_ = ::getpid();
      absl::StatusOr<File> file = File::Open(path_, O_RDWR);
      if (!file.ok()) return nullptr;
      absl::StatusOr<SharedRegion> region =
          SharedRegion::Map(*std::move(file), true);
      if (!region.ok()) return nullptr;
      region_ = std::make_unique<SharedRegion>(*std::move(region));
    }
    return &region_->words();
  }
  static uint32_t NewestDurable(const RegionWords& words) {
    uint32_t newest = 0;
    for (uint32_t i = 1; i < kCommitSlotCount; ++i) {
      if (words.durable[i].load() > words.durable[newest].load()) newest = i;
    }
    return newest;
  }

 private:
  const std::string path_;
  pid_t pid_ = 0;
  std::unique_ptr<SharedRegion> region_;
};

// What a collector reads of durable and pending words is less than there is.
class BlindCollector {
 public:
  BlindCollector(const std::string& path, bool to_newest, bool to_second,
                 bool to_pending)
      : words_(std::make_shared<Words>(path)),
        to_newest_(to_newest),
        to_second_(to_second),
        to_pending_(to_pending) {}

  void operator()(std::string_view step) {
    RegionWords* words = words_->Get();
    if (words == nullptr) return;
    if (step == "collect.accounted") {
      Hide(*words);
    } else if (step == "collect.durable_read") {
      for (uint32_t i = 0; i < kCommitSlotCount && is_hiding_; ++i) {
        words->durable[i].store(durable_[i]);
        words->pending[i].store(pending_[i]);
      }
      is_hiding_ = false;
    }
  }

 private:
  void Hide(RegionWords& words) {
    if (is_hiding_) return;  // the pass before ended early
    is_hiding_ = true;
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      durable_[i] = words.durable[i].load();
      pending_[i] = words.pending[i].load();
      if (to_pending_) words.pending[i].store(0);
    }
    const uint32_t newest = Words::NewestDurable(words);
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      if (i == newest ? to_newest_ : to_second_) words.durable[i].store(0);
    }
  }

  std::shared_ptr<Words> words_;
  bool to_newest_;
  bool to_second_;
  bool to_pending_;
  bool is_hiding_ = false;
  std::array<uint64_t, kCommitSlotCount> durable_{};
  std::array<uint64_t, kCommitSlotCount> pending_{};
};

// A lock file that has some bytes is not made as long as one is.
class ShortLockFiles : public FileObserver {
 public:
  std::optional<int> Before(const FileCall& call) override {
    struct stat info;
    if (call.op != FileOp::kAllocate || call.offset != 0 ||
        !call.path.ends_with("-lock") || ::fstat(call.fd, &info) != 0 ||
        info.st_size == 0) {
      return std::nullopt;
    }
    return 0;
  }
  void After(const FileCall&, int) override {}
};

FlushFate If(bool lies, FlushFate fate) {
  return lies ? fate : FlushFate::kDone;
}

void PlantLie(PlantedBug bug, Recorder* recorder) {
  recorder->set_lie([bug](const FlushInfo& info) {
    switch (bug) {
      case PlantedBug::kSlotBeforeData:
        return If(info.any_block_page && !info.any_slot_page,
                  FlushFate::kForgotten);
      case PlantedBug::kSlotNotFlushed:
        return If(info.any_slot_page, FlushFate::kForgotten);
      case PlantedBug::kWriteBackIsNoFlush:
        return FlushFate::kForgotten;
      case PlantedBug::kFlushForgetsSize:
        return FlushFate::kForgetsSize;
      case PlantedBug::kFlushForgetsFresh:
        return FlushFate::kForgetsFreshPages;
      case PlantedBug::kFailedFlushRetried:
        return FlushFate::kFailedAndRetriedOk;
      case PlantedBug::kRecoveryWithoutFlush:
        // The first flush of an opening: nothing has been chosen yet.
        return If(info.last_step == "recover.flush_announced",
                  FlushFate::kForgotten);
      case PlantedBug::kCreatedUnflushed:
        return If(info.last_step == "create.written", FlushFate::kForgotten);
      case PlantedBug::kCutBeforeSlots:
        return If(info.last_step.substr(0, 8) == "shorten.",
                  FlushFate::kForgotten);
      default:
        return FlushFate::kDone;
    }
  });
}

}  // namespace

std::string_view NameOf(PlantedBug bug) {
  return kNames[static_cast<size_t>(bug)].name;
}

const std::vector<PlantedBug>& AllPlantedBugs() {
  static const auto* const kAll = [] {
    auto* all = new std::vector<PlantedBug>;
    for (const Named& named : kNames) {
      if (named.bug != PlantedBug::kNone) all->push_back(named.bug);
    }
    return all;
  }();
  return *kAll;
}

PlantedBug PlantedBugOfName(std::string_view name) {
  for (const Named& named : kNames) {
    if (named.name == name) return named.bug;
  }
  return PlantedBug::kNone;
}

std::function<void(const std::string& path)> TamperOf(PlantedBug bug) {
  const auto blind = [](Blindness blindness) {
    return [blindness](const std::string& path) { MakeBlind(path, blindness); };
  };
  switch (bug) {
    case PlantedBug::kListIgnored:
      return blind(Blindness::kToLists);
    case PlantedBug::kExtentLeftOut:
      return blind(Blindness::kToLastExtents);
    case PlantedBug::kStoredChecksumIgnored:
      return blind(Blindness::kToStoredChecksums);
    case PlantedBug::kAdoptedUnsummed:
      return TrustRegion;
    case PlantedBug::kFlushUnannounced:
      return WipeAnnouncements;
    case PlantedBug::kUnnamedSlotsDropped:
      return DropUnnamedSlots;
    case PlantedBug::kShortLockFileMapped:
      return [](const std::string&) {
        static ShortLockFiles kept_short;
        SetFileObserver(&kept_short);
      };
    default:
      return {};
  }
}

void Plant(PlantedBug bug, const std::string& path, Recorder* recorder) {
  switch (bug) {
    case PlantedBug::kNone:
      return;
    case PlantedBug::kNewestSlotOverwritten: {
      // The checkpointer believes that it holds nothing, and takes it.
      auto words = std::make_shared<Words>(path);
      recorder->set_step_watch([words](std::string_view step) {
        RegionWords* found = words->Get();
        if (step != "checkpoint.slot_taken" || found == nullptr) return;
        const uint32_t newest = Words::NewestDurable(*found);
        const uint64_t version = found->durable[newest].load();
        for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
          // All slots but the newest one look needed.
          if (i == newest) {
            found->durable[i].store(0);
          } else if (found->pending[i].load() == 0) {
            found->pending[i].store(version);
          }
        }
      });
      return;
    }
    case PlantedBug::kAcknowledgedEarly: {
      auto words = std::make_shared<Words>(path);
      recorder->set_step_watch([words](std::string_view step) {
        RegionWords* found = words->Get();
        if (step != "one_flush.slot_written" || found == nullptr) return;
        for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
          const uint64_t version = found->pending[i].load();
          if (version != 0) found->durable[i].store(version);
        }
      });
      return;
    }
    case PlantedBug::kReusedOneEarly:
      recorder->set_step_watch(BlindCollector(path, false, true, false));
      return;
    case PlantedBug::kReusedUnderDurable:
    case PlantedBug::kPunchedUnderDurable:
      recorder->set_step_watch(BlindCollector(path, true, true, false));
      return;
    case PlantedBug::kPendingIgnored:
      recorder->set_step_watch(BlindCollector(path, false, false, true));
      return;
    default:
      PlantLie(bug, recorder);
  }
}

}  // namespace eve::simdisk
