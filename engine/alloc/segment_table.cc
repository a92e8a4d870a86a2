#include "engine/alloc/segment_table.h"

#include "util/check.h"
#include "util/failpoint.h"

namespace eve {

uint32_t SegmentTable::capacity() const {
  // acquire: the state words below it are backed; pairs with RaiseCapacity.
  return static_cast<uint32_t>(
      region_->words().capacity.load(std::memory_order_acquire));
}

void SegmentTable::RaiseCapacity(uint32_t segments) {
  SharedWord& capacity = region_->words().capacity;
  uint64_t seen = capacity.load(std::memory_order_acquire);
  while (seen < segments && !capacity.compare_exchange_weak(
                                seen, segments, std::memory_order_acq_rel)) {
  }
}

SegmentWord SegmentTable::Load(uint32_t segment) const {
  // acquire: pairs with the release in Swap.
  return SegmentWord{
      region_->segment_state(segment).load(std::memory_order_acquire)};
}

bool SegmentTable::Swap(uint32_t segment, SegmentWord seen, SegmentState state,
                        bool backed) {
  const SegmentWord next = SegmentWord::Make(
      state, backed, slots_->index(), slots_->generation(), seen.tag() + 1);
  uint64_t expected = seen.word;
  // acq_rel: who claims sees what the former owner wrote; who sees it sealed
  // or free sees that the former owner is done.
  return region_->segment_state(segment).compare_exchange_strong(
      expected, next.word, std::memory_order_acq_rel);
}

bool SegmentTable::TryClaimFree(uint32_t segment) {
  const SegmentWord seen = Load(segment);
  return seen.state() == SegmentState::kFree &&
         Swap(segment, seen, SegmentState::kClaimed, seen.backed());
}

std::optional<uint32_t> SegmentTable::TryClaimFree() {
  const uint32_t end = ClaimEnd();
  for (const bool want_backed : {true, false}) {
    for (uint32_t segment = 0; segment < end; ++segment) {
      const SegmentWord seen = Load(segment);
      if (seen.state() != SegmentState::kFree) continue;
      if (want_backed && !seen.backed()) continue;
      if (Swap(segment, seen, SegmentState::kClaimed, seen.backed())) {
        EVE_STEP("segment.claimed");
        return segment;
      }
    }
  }
  return std::nullopt;
}

std::optional<uint32_t> SegmentTable::TryClaimRun(uint32_t length) {
  const uint32_t end = ClaimEnd();
  uint32_t first = 0;
  uint32_t claimed = 0;
  for (uint32_t segment = 0; segment < end; ++segment) {
    // Segment 0 starts with the superblock.
    if (segment > 0 && TryClaimFree(segment)) {
      if (claimed == 0) first = segment;
      if (++claimed == length) return first;
      continue;
    }
    for (; claimed > 0; --claimed) ReleaseFree(first + claimed - 1);
  }
  for (; claimed > 0; --claimed) ReleaseFree(first + claimed - 1);
  return std::nullopt;
}

bool SegmentTable::TryClaimSealed(uint32_t segment) {
  const SegmentWord seen = Load(segment);
  return seen.state() == SegmentState::kSealed &&
         Swap(segment, seen, SegmentState::kClaimed, seen.backed());
}

bool SegmentTable::IsOwnerDead(SegmentWord seen) const {
  if (seen.state() != SegmentState::kClaimed) return false;
  if (seen.owner() == slots_->index() && slots_->claimed()) {
    return seen.generation() != (slots_->generation() & 0xFFFF);
  }
  // The generation first: a slot that was claimed again proves the death of
  // its former owner.
  const uint64_t generation =
      region_->process(seen.owner()).generation.load(std::memory_order_acquire);
  if ((generation & 0xFFFF) != seen.generation()) return true;
  return !slots_->IsAlive(seen.owner());
}

bool SegmentTable::TryTakeOver(uint32_t segment, SegmentWord seen) {
  EVE_STEP("segment.take_over");
  return Swap(segment, seen, SegmentState::kClaimed, seen.backed());
}

void SegmentTable::MarkBacked(uint32_t segment) {
  const SegmentWord seen = Load(segment);
  EVE_CHECK(Swap(segment, seen, SegmentState::kClaimed, /*backed=*/true),
            "only the owner changes a claimed segment's word");
}

void SegmentTable::ReleaseOwned(uint32_t segment, SegmentState state) {
  const SegmentWord seen = Load(segment);
  EVE_CHECK(seen.state() == SegmentState::kClaimed &&
                Swap(segment, seen, state, seen.backed()),
            "only the owner changes a claimed segment's word");
}

void SegmentTable::ReleaseFree(uint32_t segment) {
  ReleaseOwned(segment, SegmentState::kFree);
}

void SegmentTable::ReleaseSealed(uint32_t segment) {
  ReleaseOwned(segment, SegmentState::kSealed);
}

bool SegmentTable::TryFree(uint32_t segment, SegmentWord seen) {
  EVE_STEP("segment.before_free");
  return seen.state() == SegmentState::kSealed &&
         Swap(segment, seen, SegmentState::kFree, seen.backed());
}

void SegmentTable::ResetForRebuild(uint32_t segment, SegmentState state) {
  SharedWord& word = region_->segment_state(segment);
  const SegmentWord seen{word.load(std::memory_order_acquire)};
  word.store(
      SegmentWord::Make(state, /*backed=*/false, 0, 0, seen.tag() + 1).word,
      std::memory_order_release);
}

}  // namespace eve
