#include "engine/domain/attach_reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
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

// Who recovers or cuts is waited for so long: where commits are known to have
// been made, and where not.
constexpr uint64_t kInitNanosMax = kNanosPerSecond;
constexpr uint64_t kInitNanosIdle = kNanosPerMilli;
constexpr absl::Duration kInitPoll = absl::Microseconds(100);
// After a look that has failed: doubled each time.
constexpr uint64_t kBackoffNanosMin = 10 * kNanosPerMilli;
constexpr uint64_t kBackoffNanosMax = kNanosPerSecond;

struct Choice {
  RootCandidate durable;
  uint64_t segments = 0;  // that the file has room for
  std::string note;
  absl::Status newer;  // an error: there are commits that want recovery
};

// The newest durable root. REQUIRES: the readers' byte of the data file, and
// the init byte, shared, if there is a region.
absl::StatusOr<Choice> ChooseRoot(const Core& core, bool has_region) {
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
  Choice choice;
  EVE_ASSIGN_OR_RETURN(
      choice.durable,
      ChooseDurableRoot(context, slots, damaged,
                        belongs ? PromisedVersion(core.region, slots) : 0));
  if (belongs && RootSlot(&core.region).Load() != choice.durable.record) {
    choice.newer = absl::FailedPreconditionError(absl::StrCat(
        core.path,
        ": was not closed; its newest commits need recovery, which "
        "a read-only open does not do. Open it for writing once"));
  }
  choice.note = absl::StrCat("durable version ", choice.durable.version,
                             choice.durable.note);
  EVE_RETURN_IF_ERROR(ReadIfDoubtful(context, choice.durable, &choice.note));
  choice.segments = SegmentsForBytes(context.file_bytes);
  return choice;
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

// REQUIRES: the init byte, shared, if there is a region.
absl::Status Freeze(Core& core, LateJoiner& joiner, bool has_region) {
  // Held exclusively by somebody who is cutting the file, for a moment.
  EVE_RETURN_IF_ERROR(LockByte(core.file, kUnpinnedReadersLockByte,
                               LockKind::kShared, kInitTimeout));
  EVE_ASSIGN_OR_RETURN(const Choice choice, ChooseRoot(core, has_region));
  EVE_RETURN_IF_ERROR(choice.newer);
  core.recovery_note = choice.note;
  joiner.Freeze(choice.durable, choice.segments);
  return absl::OkStatus();
}

LateJoiner::Sight SightOf(RegionHeader& header, const SharedWord& root) {
  // Another opener may be about to write it: then it is looked at again.
  return {root.load(std::memory_order_seq_cst),
          std::atomic_ref(header.incarnation).load(std::memory_order_relaxed)};
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
    late.SetRegion(is_writable,
                   SightOf(core.region.header(), core.region.words().root));
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

void LateJoiner::SetSeen(Sight seen) {
  // relaxed: before the pointer is stored, or under the mutex; who looks
  // without looks again under it.
  seen_root_.store(seen.root, std::memory_order_relaxed);
  seen_incarnation_.store(seen.incarnation, std::memory_order_relaxed);
}

void LateJoiner::SetRegion(bool is_writable, Sight seen) {
  is_writable_ = is_writable;
  SetSeen(seen);
  header_.store(&core_->region.header(), std::memory_order_relaxed);
  // release: pairs with HasNews.
  root_word_.store(&core_->region.words().root, std::memory_order_release);
}

void LateJoiner::Freeze(const RootCandidate& root, uint64_t segments) {
  FrozenRoot& frozen = core_->frozen;
  frozen.segments_word.store(segments, std::memory_order_seq_cst);
  frozen.version_word.store(root.version, std::memory_order_seq_cst);
  frozen.record_units.store(root.record.units, std::memory_order_seq_cst);
  frozen.is_current_word.store(true, std::memory_order_seq_cst);
  // After the store: who counts itself later takes the new one (I23).
  if (frozen.uses.load(std::memory_order_seq_cst) == 0) roots_.clear();
  roots_.push_back(root.record);
}

bool LateJoiner::HasNews() const {
  SharedWord* const word = root_word_.load(std::memory_order_acquire);
  if (word != nullptr) {
    // relaxed: as they were stored. A region that is replaced meanwhile stays
    // mapped.
    const Sight seen{seen_root_.load(std::memory_order_relaxed),
                     seen_incarnation_.load(std::memory_order_relaxed)};
    RegionHeader* const header = header_.load(std::memory_order_relaxed);
    return SightOf(*header, *word) != seen;
  }
  struct ::stat info;
  return !is_denied_ && ::stat((core_->path + "-lock").c_str(), &info) == 0 &&
         static_cast<uint64_t>(info.st_size) >= kSegmentStatesOffset;
}

void LateJoiner::Look(bool also_idle) {
  if (!also_idle && !HasNews()) return;
  std::lock_guard lock(mutex_);
  if (!core_->is_frozen()) return;
  const bool has_news = HasNews();
  const uint64_t now = MonotonicNanos();
  if ((!also_idle && !has_news) || now < not_before_) return;
  const absl::Status followed = Follow(has_news);
  if (followed.ok()) {
    backoff_nanos_ = 0;
    has_waited_ = false;
    return;
  }
  why_not_ = std::string(followed.message());
  // Who looks without news must not keep back who has some.
  if (!has_news) return;
  backoff_nanos_ =
      std::clamp(2 * backoff_nanos_, kBackoffNanosMin, kBackoffNanosMax);
  not_before_ = MonotonicNanos() + backoff_nanos_;
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
  if (core_->root != nullptr) replaced_.push_back(std::move(core_->region));
  core_->region = std::move(region);
  core_->root = std::make_unique<RootSlot>(&core_->region);
  SetRegion(is_writable, Sight{});
  return absl::OkStatus();
}

// Somebody deletes a lock file, which is allowed while nobody writes, and who
// comes to write makes another.
absl::Status LateJoiner::CheckStillNamed() {
  const File& held = core_->region.file();
  EVE_ASSIGN_OR_RETURN(const FileIdentity own, held.Identity());
  const absl::StatusOr<FileIdentity> named = IdentityOfPath(held.path());
  if (named.ok() && *named != own) return MapRegion();
  return absl::OkStatus();  // it may come back
}

// LockByte would find out who has it, which takes some ten ms.
absl::Status LateJoiner::LockInit(bool has_news) {
  const File& file = core_->region.file();
  const uint64_t begin = MonotonicNanos();
  const uint64_t most =
      has_news && !has_waited_ ? kInitNanosMax : kInitNanosIdle;
  while (true) {
    EVE_ASSIGN_OR_RETURN(const bool taken,
                         TryLockByte(file, kInitLockByte, LockKind::kShared));
    if (taken) return absl::OkStatus();
    if (MonotonicNanos() - begin >= most) {
      has_waited_ |= has_news;
      return absl::UnavailableError(absl::StrCat(
          core_->path, ": somebody is opening the domain, or closing it"));
    }
    EVE_STEP("late_join.wait");
    absl::SleepFor(kInitPoll);
  }
}

absl::Status LateJoiner::Follow(bool has_news) {
  if (root_word_.load() == nullptr) {
    EVE_RETURN_IF_ERROR(MapRegion());
  } else {
    EVE_RETURN_IF_ERROR(CheckStillNamed());
  }
  if (root_word_.load() == nullptr) return absl::OkStatus();
  EVE_STEP("late_join.found");
  EVE_RETURN_IF_ERROR(LockInit(has_news));
  const File& file = core_->region.file();
  absl::Cleanup unlock = [&file] { UnlockByte(file, kInitLockByte); };
  const Sight sight =
      SightOf(core_->region.header(), core_->region.words().root);
  EVE_ASSIGN_OR_RETURN(const bool attached, ProcessSlots::AnyAttached(file));
  if (attached) return JoinThem();
  if (HasNews()) return TakeWhatWasLeft(sight);
  if (!has_newer_) why_not_.clear();
  return absl::OkStatus();
}

absl::Status LateJoiner::TakeWhatWasLeft(Sight sight) {
  EVE_ASSIGN_OR_RETURN(const Choice choice, ChooseRoot(*core_, true));
  Freeze(choice.durable, choice.segments);
  // Of one that died all that it had made durable; not looked at again until
  // somebody recovers the rest.
  has_newer_ = !choice.newer.ok();
  why_not_ = std::string(choice.newer.message());
  SetSeen(sight);
  return absl::OkStatus();
}

// A death between the steps drops all locks with the slot.
absl::Status LateJoiner::JoinThem() {
  FrozenRoot& frozen = core_->frozen;
  if (!is_writable_) {
    EVE_RETURN_IF_ERROR(CheckLiveRegion(*core_));
    why_not_.clear();
    frozen.is_current_word.store(false, std::memory_order_seq_cst);
    return absl::OkStatus();  // the readers' byte is its pin for ever
  }
  EVE_RETURN_IF_ERROR(Join(*core_, /*in_memory=*/false));
  EVE_STEP("late_join.attached");
  std::vector<PinnedRoot> pins;
  for (const Offset root : roots_) {
    // Nobody has freed anything of it: the readers' byte is still held.
    absl::StatusOr<PinnedRoot> pin =
        PinnedRoot::PinKept(core_->cells.get(), core_->view, root);
    if (!pin.ok()) {
      pins.clear();
      DetachRegion(*core_);
      core_->cells.reset();
      core_->slots.reset();
      return pin.status();
    }
    pins.push_back(*std::move(pin));
  }
  frozen.pins = std::move(pins);
  EVE_STEP("late_join.pinned");
  why_not_.clear();
  frozen.is_current_word.store(false, std::memory_order_seq_cst);
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
