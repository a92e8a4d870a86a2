#include "engine/domain/attach_reader.h"

#include <fcntl.h>

#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/domain/attach.h"
#include "engine/domain/join.h"
#include "engine/file/file_lock.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Who recovers or cuts is waited for no longer by readers that have a root, and
// looked for again so much later.
constexpr uint64_t kInitNanosMax = kNanosPerMilli;
constexpr absl::Duration kInitPoll = absl::Microseconds(100);
constexpr uint64_t kLookAgainNanos = 10 * kNanosPerMilli;

// The newest durable root, and how many segments the file has room for.
// REQUIRES: the readers' byte of the data file, shared.
absl::StatusOr<RootCandidate> ChooseRoot(Core& core, bool has_region,
                                         uint64_t* segments,
                                         std::string* note) {
  // Before the size: somebody may be at work whom this one cannot see, and let
  // the file grow.
  std::vector<uint32_t> damaged;
  EVE_ASSIGN_OR_RETURN(std::vector<CommitSlot> slots,
                       ReadCommitSlots(core.file, core.superblock, &damaged));
  EVE_ASSIGN_OR_RETURN(RecoveryContext context, MakeRecoveryContext(core));
  if (slots.empty()) {
    return absl::DataLossError(
        absl::StrCat(core.path, ": all commit slots fail their checksums"));
  }
  // A slot whose flush failed, or that nobody lived to flush, is in the cache
  // only, and this opener may not write what would change that.
  bool belongs = false;
  if (has_region) {
    EVE_ASSIGN_OR_RETURN(belongs, RegionBelongs(core.region, context));
  }
  EVE_ASSIGN_OR_RETURN(
      context.why_unknown,
      WhyUnknown(has_region ? &core.region : nullptr, context, slots));
  if (belongs) DropUnacknowledged(core.region, slots);
  EVE_ASSIGN_OR_RETURN(
      RootCandidate durable,
      ChooseDurableRoot(context, slots, damaged,
                        belongs ? PromisedVersion(core.region, slots) : 0));
  if (belongs && RootSlot(&core.region).Load() != durable.record) {
    return absl::FailedPreconditionError(absl::StrCat(
        core.path,
        ": was not closed; its newest commits need recovery, which "
        "a read-only open does not do. Open it for writing once"));
  }
  *note = absl::StrCat("durable version ", durable.version, durable.note);
  EVE_RETURN_IF_ERROR(ReadIfDoubtful(context, durable, note));
  *segments = SegmentsForBytes(context.file_bytes);
  return durable;
}

// What is there and may not be read says as little as what is not. But of who
// has no descriptor left, all others may be attached.
absl::StatusOr<File> OpenLockFile(const Core& core, bool* is_writable) {
  const std::string path = core.path + "-lock";
  *is_writable = true;
  absl::StatusOr<File> opened = File::OpenUninherited(path, O_RDWR);
  if (absl::IsPermissionDenied(opened.status())) {
    *is_writable = false;
    opened = File::OpenUninherited(path, O_RDONLY);
  }
  return opened;
}

absl::StatusOr<bool> IsEmpty(const File& lock_file) {
  EVE_ASSIGN_OR_RETURN(const uint64_t size, lock_file.Size());
  return size < kSegmentStatesOffset;
}

absl::Status LockInitBriefly(const File& lock_file) {
  const uint64_t begin = MonotonicNanos();
  while (true) {
    EVE_ASSIGN_OR_RETURN(const bool taken, TryLockByte(lock_file, kInitLockByte,
                                                       LockKind::kShared));
    if (taken) return absl::OkStatus();
    if (MonotonicNanos() - begin >= kInitNanosMax) {
      return absl::UnavailableError(absl::StrCat(
          lock_file.path(), ": somebody is opening the domain, or closing it"));
    }
    absl::SleepFor(kInitPoll);
  }
}

// REQUIRES: the init byte, shared, if there is a region.
absl::Status Freeze(Core& core, LateJoiner& joiner, bool has_region) {
  // Held exclusively by somebody who is cutting the file, for a moment.
  EVE_RETURN_IF_ERROR(LockByte(core.file, kUnpinnedReadersLockByte,
                               LockKind::kShared, kInitTimeout));
  uint64_t segments = 0;
  EVE_ASSIGN_OR_RETURN(
      const RootCandidate durable,
      ChooseRoot(core, has_region, &segments, &core.recovery_note));
  joiner.Freeze(durable.record, segments);
  return absl::OkStatus();
}

}  // namespace

absl::Status AttachReader(Core& core) {
  auto joiner = std::make_unique<LateJoiner>(&core);
  LateJoiner& late = *joiner;
  core.frozen.lookout = std::move(joiner);
  bool is_writable = false;
  absl::StatusOr<File> lock_file = OpenLockFile(core, &is_writable);
  if (absl::IsPermissionDenied(lock_file.status())) late.Deny();
  if (absl::IsNotFound(lock_file.status()) ||
      absl::IsPermissionDenied(lock_file.status())) {
    return Freeze(core, late, /*has_region=*/false);
  }
  EVE_RETURN_IF_ERROR(lock_file.status());
  EVE_ASSIGN_OR_RETURN(const bool is_empty, IsEmpty(*lock_file));
  if (is_empty) return Freeze(core, late, /*has_region=*/false);
  EVE_ASSIGN_OR_RETURN(core.region,
                       SharedRegion::Map(*std::move(lock_file), is_writable));
  core.root = std::make_unique<RootSlot>(&core.region);
  const File& file = core.region.file();
  EVE_RETURN_IF_ERROR(
      LockByte(file, kInitLockByte, LockKind::kShared, kInitTimeout));
  absl::Cleanup unlock = [&file] { UnlockByte(file, kInitLockByte); };
  EVE_ASSIGN_OR_RETURN(const bool attached, ProcessSlots::AnyAttached(file));
  if (!attached) {
    late.SetRegion(is_writable, core.root->Load().units);
    return Freeze(core, late, /*has_region=*/true);
  }
  if (is_writable) return Join(core, /*in_memory=*/false);
  EVE_RETURN_IF_ERROR(CheckLiveRegion(core));
  EVE_ASSIGN_OR_RETURN(
      const bool taken,
      TryLockByte(core.file, kUnpinnedReadersLockByte, LockKind::kShared));
  if (!taken) return absl::UnavailableError(core.path + ": readers' lock held");
  return absl::OkStatus();
}

void LateJoiner::SetRegion(bool is_writable, uint64_t seen) {
  is_writable_ = is_writable;
  // relaxed: published with has_region_.
  seen_.store(seen, std::memory_order_relaxed);
  // release: who sees it set reads the region; pairs with HasNews.
  has_region_.store(true, std::memory_order_release);
}

void LateJoiner::Freeze(Offset record, uint64_t segments) {
  FrozenRoot& frozen = core_->frozen;
  frozen.segments.store(segments, std::memory_order_seq_cst);
  frozen.record_units.store(record.units, std::memory_order_seq_cst);
  frozen.is_current.store(true, std::memory_order_seq_cst);
  // After the store: who counts itself later takes the new one (I23).
  if (frozen.uses.load(std::memory_order_seq_cst) == 0) roots_.clear();
  roots_.push_back(record);
}

bool LateJoiner::HasNews() const {
  if (has_region_.load(std::memory_order_acquire)) {
    return core_->root->Load().units !=
           seen_.load(std::memory_order_relaxed);  // as above
  }
  return !is_denied_ && IdentityOfPath(core_->path + "-lock").ok();
}

void LateJoiner::Look(bool also_idle) {
  if (core_->fork_guard.IsForkedChild()) return;
  if (!also_idle && !HasNews()) return;
  std::lock_guard lock(mutex_);
  // relaxed: a figure under the mutex, but for the look before it.
  if (!core_->is_frozen() || (!also_idle && !HasNews()) ||
      MonotonicNanos() < not_before_.load(std::memory_order_relaxed)) {
    return;
  }
  const absl::Status followed = Follow();
  why_not_ = std::string(followed.message());
  if (!followed.ok()) {
    not_before_.store(MonotonicNanos() + kLookAgainNanos,
                      std::memory_order_relaxed);
  }
}

std::string LateJoiner::why_not() const {
  std::lock_guard lock(mutex_);
  return why_not_;
}

// OK without a region: there is none yet.
absl::Status LateJoiner::MapRegion() {
  bool is_writable = false;
  absl::StatusOr<File> lock_file = OpenLockFile(*core_, &is_writable);
  if (absl::IsPermissionDenied(lock_file.status())) Deny();
  if (absl::IsNotFound(lock_file.status())) return absl::OkStatus();
  EVE_RETURN_IF_ERROR(lock_file.status());
  EVE_ASSIGN_OR_RETURN(const bool is_empty, IsEmpty(*lock_file));
  if (is_empty) return absl::OkStatus();
  EVE_ASSIGN_OR_RETURN(SharedRegion region,
                       SharedRegion::Map(*std::move(lock_file), is_writable));
  core_->region = std::move(region);
  core_->root = std::make_unique<RootSlot>(&core_->region);
  SetRegion(is_writable, 0);
  return absl::OkStatus();
}

absl::Status LateJoiner::Follow() {
  if (!has_region_) EVE_RETURN_IF_ERROR(MapRegion());
  if (!has_region_) return absl::OkStatus();
  EVE_STEP("late_join.found");
  const File& file = core_->region.file();
  EVE_RETURN_IF_ERROR(LockInitBriefly(file));
  absl::Cleanup unlock = [&file] { UnlockByte(file, kInitLockByte); };
  const uint64_t word = core_->root->Load().units;
  EVE_ASSIGN_OR_RETURN(const bool attached, ProcessSlots::AnyAttached(file));
  if (attached) return JoinThem();
  if (word == seen_.load(std::memory_order_relaxed)) return absl::OkStatus();
  uint64_t segments = 0;
  std::string note;
  EVE_ASSIGN_OR_RETURN(const RootCandidate durable,
                       ChooseRoot(*core_, true, &segments, &note));
  Freeze(durable.record, segments);
  seen_.store(word, std::memory_order_relaxed);
  return absl::OkStatus();
}

// A death between the steps drops all locks with the slot.
absl::Status LateJoiner::JoinThem() {
  FrozenRoot& frozen = core_->frozen;
  if (!is_writable_) {
    EVE_RETURN_IF_ERROR(CheckLiveRegion(*core_));
    frozen.is_current.store(false, std::memory_order_seq_cst);
    return absl::OkStatus();  // the readers' byte is its pin for ever
  }
  const absl::Status joined = Join(*core_, /*in_memory=*/false);
  EVE_STEP("late_join.attached");
  absl::Status pinned = joined;
  for (const Offset root : roots_) {
    if (!pinned.ok()) break;
    // Nobody has freed anything of it: the readers' byte is still held.
    absl::StatusOr<PinnedRoot> pin =
        PinnedRoot::PinKept(core_->cells.get(), core_->view, root);
    pinned = pin.status();
    if (pin.ok()) frozen.pins.push_back(*std::move(pin));
  }
  if (!pinned.ok()) {
    frozen.pins.clear();
    DetachRegion(*core_);
    core_->cells.reset();
    core_->slots.reset();
    return pinned;
  }
  EVE_STEP("late_join.pinned");
  frozen.is_current.store(false, std::memory_order_seq_cst);
  // Whoever counts himself from now on sees that (I23).
  if (frozen.uses.load(std::memory_order_seq_cst) == 0) DropPins();
  // What is shown is pinned, or nobody's: the collectors' business again.
  UnlockByte(core_->file, kUnpinnedReadersLockByte);
  EVE_STEP("late_join.joined");
  return absl::OkStatus();
}

void LateJoiner::DropPins() {
  if (core_->frozen.are_pins_dropped.exchange(true)) return;
  core_->frozen.pins.clear();
}

}  // namespace eve
