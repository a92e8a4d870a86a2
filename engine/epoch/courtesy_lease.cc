#include "engine/epoch/courtesy_lease.h"

#include "util/failpoint.h"

namespace eve {
namespace {

constexpr int kOwnerBits = 10;
constexpr int kGenerationBits = 16;
constexpr int kBeatShift = kOwnerBits + kGenerationBits;
constexpr uint64_t kOwnerMask = (uint64_t{1} << kOwnerBits) - 1;
constexpr uint64_t kGenerationMask = (uint64_t{1} << kGenerationBits) - 1;
static_assert(kProcessesMax <= uint64_t{1} << kOwnerBits);

}  // namespace

uint64_t CourtesyLease::Mine(uint64_t beat) const {
  return slots_->index() |
         (slots_->generation() & kGenerationMask) << kOwnerBits |
         beat << kBeatShift;
}

bool CourtesyLease::IsMine(uint64_t word) const {
  constexpr uint64_t kOwner = (uint64_t{1} << kBeatShift) - 1;
  return word != 0 && (word & kOwner) == (Mine(0) & kOwner);
}

bool CourtesyLease::IsOwnerDead(uint64_t word) const {
  const auto owner = static_cast<uint32_t>(word & kOwnerMask);
  const uint64_t generation =
      region_->process(owner).generation.load(std::memory_order_acquire);
  return (generation & kGenerationMask) !=
             (word >> kOwnerBits & kGenerationMask) ||
         !slots_->IsAlive(owner);
}

bool CourtesyLease::TryHold() {
  SharedWord& lease = region_->words().compactor;
  uint64_t word = lease.load(std::memory_order_relaxed);
  if (!IsMine(word) && word != 0) {
    unchanged_ = word == seen_ ? unchanged_ + 1 : 0;
    seen_ = word;
    if (unchanged_ < kPatience && !IsOwnerDead(word)) return false;
  }
  unchanged_ = 0;
  // The beat starts above 0, so that a word that is held is never 0.
  // relaxed: nothing is published by it.
  const uint64_t next = Mine((word >> kBeatShift) + 1);
  if (!lease.compare_exchange_strong(word, next, std::memory_order_relaxed)) {
    return false;
  }
  EVE_STEP("lease.held");
  return true;
}

void CourtesyLease::Release() {
  SharedWord& lease = region_->words().compactor;
  uint64_t word = lease.load(std::memory_order_relaxed);
  if (IsMine(word)) {
    EVE_STEP("lease.before_release");
    lease.compare_exchange_strong(word, 0, std::memory_order_relaxed);
    EVE_STEP("lease.released");
  }
}

}  // namespace eve
