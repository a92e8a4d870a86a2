#include "engine/epoch/process_slots.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "engine/file/file_lock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {

absl::Status ProcessSlots::Claim() {
  EVE_RETURN_IF_ERROR(TakeSlot());
  BeginLife();
  return absl::OkStatus();
}

absl::Status ProcessSlots::TakeSlot() {
  for (uint32_t index = 0; index < kProcessesMax; ++index) {
    EVE_ASSIGN_OR_RETURN(bool taken,
                         TryLockByte(region_->file(), kProcessLockBase + index,
                                     LockKind::kExclusive));
    if (!taken) continue;
    index_ = index;
    claimed_ = true;
    EVE_STEP("process.locked");
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat(region_->file().path(), ": ", kProcessesMax,
                   " processes are attached; close one of them"));
}

void ProcessSlots::BeginLife() {
  ProcessSlot& slot = own();
  // acq_rel: a reader of the new generation sees nothing of the old life.
  generation_ = slot.generation.fetch_add(1, std::memory_order_acq_rel) + 1;
  EVE_STEP("process.generation");
  const uint32_t cells = slot.cells_used.load(std::memory_order_acquire);
  for (uint32_t cell = 0; cell < cells; ++cell) {
    region_->cell(index_, cell).word.store(0, std::memory_order_release);
  }
  slot.pid.store(static_cast<uint32_t>(::getpid()), std::memory_order_relaxed);
  EVE_STEP("process.swept");
  SharedHalf& used = region_->words().processes_used;
  uint32_t seen = used.load(std::memory_order_acquire);
  // seq_cst: a collector that scans after our first pin must see the slot;
  // pairs with the fence before its scan (I3).
  while (seen < index_ + 1 &&
         !used.compare_exchange_weak(seen, index_ + 1,
                                     std::memory_order_seq_cst)) {
  }
  EVE_STEP("process.counted");
}

void ProcessSlots::Release() {
  if (!claimed_) return;
  claimed_ = false;
  region_->process(index_).pid.store(0, std::memory_order_relaxed);
  UnlockByte(region_->file(), kProcessLockBase + index_);
}

uint32_t ProcessSlots::used() const {
  return region_->words().processes_used.load(std::memory_order_seq_cst);
}

bool ProcessSlots::IsAlive(uint32_t index) const {
  if (claimed_ && index == index_) return true;
  absl::StatusOr<bool> locked =
      IsRangeLockedByOther(region_->file(), kProcessLockBase + index, 1);
  return !locked.ok() || *locked;
}

absl::StatusOr<bool> ProcessSlots::AnyAttached(const File& lock_file) {
  return IsRangeLockedByOther(lock_file, kProcessLockBase, kProcessesMax);
}

}  // namespace eve
