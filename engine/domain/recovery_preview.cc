#include "engine/domain/recovery_preview.h"

#include <fcntl.h>

#include <utility>
#include <vector>

#include "engine/checkpoint/flush_death.h"
#include "engine/checkpoint/recovery.h"
#include "engine/domain/attach.h"
#include "engine/epoch/process_slots.h"
#include "engine/file/page_cache.h"
#include "engine/file/shared_region.h"
#include "engine/root/root_slot.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using Region = RecoveryPreview::Region;

// The lock file, for looking; not mapped if there is none of this form.
absl::StatusOr<SharedRegion> LookAtRegion(const Core& core) {
  EVE_ASSIGN_OR_RETURN(File file, File::Open(core.path + "-lock", O_RDONLY));
  EVE_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  if (size < kSegmentStatesOffset) {
    return absl::NotFoundError("shorter than a lock file");
  }
  return SharedRegion::Map(std::move(file), /*writable=*/false);
}

bool IsPoisoned(const SharedRegion& region) {
  return region.header().poison.load(std::memory_order_acquire) != 0;
}

void JudgeAll(const RecoveryContext& context,
              const std::vector<CommitSlot>& slots, RecoveryPreview* preview) {
  for (const CommitSlot& slot : slots) {
    preview->slots.push_back({slot.slot_index, slot.incarnation, slot.version,
                              slot.extent_count,
                              JudgeSlot(context, slot).status()});
  }
}

// Whether an opener would go by what was acknowledged only.
absl::StatusOr<bool> HasFailedFlush(const RecoveryContext& context,
                                    const SharedRegion& region, bool attached,
                                    const std::vector<CommitSlot>& slots) {
  if (IsPoisoned(region)) return true;
  // Of those who are attached somebody may be in one.
  if (attached || !IsFlushAnnounced(region)) return false;
  return DiedInFailedFlush(context, region, slots);
}

// What an opener would go on with; `region`: null if it is not this file's.
void ChooseRoot(const RecoveryContext& context, const SharedRegion* region,
                const std::vector<CommitSlot>& slots,
                RecoveryPreview* preview) {
  const absl::StatusOr<RootCandidate> durable = ChooseDurableRoot(
      context, slots, preview->damaged_slots,
      region != nullptr ? PromisedVersion(*region, slots) : 0);
  if (!durable.ok()) {
    preview->error = std::string(durable.status().message());
    if (region != nullptr && preview->region != Region::kPoisoned) {
      preview->region = Region::kRefused;
      preview->refusal = "not looked at: it needs a slot's root to go by";
    }
    return;
  }
  preview->chosen_version = durable->version;
  preview->chosen_slot = durable->slot;
  preview->why_whole_check = durable->why_verify;
  if (region == nullptr) return;
  const absl::StatusOr<std::optional<RootCandidate>> adopted =
      TryAdoptLiveRoot(context, *region, slots, *durable, &preview->refusal);
  if (!adopted.ok()) {  // nor would it open
    preview->error = std::string(adopted.status().message());
    preview->refusal = preview->error;
    preview->region = Region::kRefused;
    preview->chosen_version.reset();
    preview->chosen_slot.reset();
    preview->why_whole_check.clear();
    return;
  }
  const std::optional<RootCandidate>& live = *adopted;
  if (preview->region == Region::kPoisoned) return;
  preview->region = live.has_value() ? Region::kIntact : Region::kRefused;
  if (live.has_value() && live->version > durable->version) {
    preview->chosen_version = live->version;
    preview->chosen_slot.reset();
    preview->why_whole_check.clear();
  }
}

}  // namespace

absl::StatusOr<RecoveryPreview> PreviewRecovery(const std::string& path) {
  Core core;
  DomainOptions options;
  options.read_only = true;
  EVE_RETURN_IF_ERROR(OpenDataFile(path, options, core));
  // Before the size, which may grow meanwhile.
  RecoveryPreview preview;
  EVE_ASSIGN_OR_RETURN(
      std::vector<CommitSlot> slots,
      ReadCommitSlots(core.file, core.superblock, &preview.damaged_slots));
  EVE_ASSIGN_OR_RETURN(RecoveryContext context, MakeRecoveryContext(core));
  context.verify_fallback = nullptr;  // it is said that it would be called
  const absl::StatusOr<SharedRegion> region = LookAtRegion(core);
  if (region.ok()) {
    EVE_ASSIGN_OR_RETURN(preview.attached,
                         ProcessSlots::AnyAttached(region->file()));
  }
  JudgeAll(context, slots, &preview);
  bool belongs = false;
  if (region.ok()) {
    EVE_ASSIGN_OR_RETURN(belongs, RegionBelongs(*region, context));
  }
  EVE_ASSIGN_OR_RETURN(
      context.why_unknown,
      WhyUnknown(region.ok() ? &*region : nullptr, context, slots));
  if (belongs) {
    EVE_ASSIGN_OR_RETURN(
        const bool has_failed,
        HasFailedFlush(context, *region, preview.attached, slots));
    if (has_failed) {
      preview.region = Region::kPoisoned;
      DropUnacknowledged(*region, slots);
    }
  }
  if (!belongs && !preview.attached) {
    EVE_ASSIGN_OR_RETURN(const bool is_on_device,
                         IsCacheOnDevice(core.file, context.file_bytes));
    if (!is_on_device) {
      preview.is_cache_stale = true;
      preview.error =
          "memory shows other bytes than the disk has: a flush has failed. Who "
          "opens it goes by the disk, and is refused while another process has "
          "the file mapped. 'eve dump --rescue' saves what memory shows";
      return preview;
    }
  }
  ChooseRoot(context, belongs ? &*region : nullptr, slots, &preview);
  if (!belongs && region.ok()) {
    EVE_ASSIGN_OR_RETURN(preview.refusal, WhyOtherBuild(*region, context));
  }
  return preview;
}

}  // namespace eve
