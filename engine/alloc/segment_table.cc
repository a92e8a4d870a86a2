#include "engine/alloc/segment_table.h"

#include "util/check.h"
#include "util/failpoint.h"

namespace eve {
namespace {

// How far a claim looks on for a better segment than the first that it found.
constexpr uint32_t kLookAhead = 4096;
// Stretches from here on are equally dear: only the largest values need more.
constexpr uint32_t kLongStretch = 64;

// What claiming one segment of a stretch of free ones costs, in the order that
// TryClaimFree promises.
uint32_t CostOf(Backing backing, uint32_t stretch) {
  const uint32_t rank = backing == Backing::kBacked    ? 0
                        : backing == Backing::kUnknown ? 1
                                                       : 2;
  return rank * (kLongStretch + 1) + std::min(stretch, kLongStretch);
}
constexpr uint32_t kCostLeast = 1;  // backed, and alone

// Whoever claims a hole will change that, at a time nobody else can tell.
Backing WhenClaimed(Backing backing) {
  return backing == Backing::kHole ? Backing::kUnknown : backing;
}

}  // namespace

uint32_t SegmentTable::capacity() const {
  // The state words below it are backed; pairs with RaiseCapacity.
  return static_cast<uint32_t>(region_->capacity());
}

void SegmentTable::RaiseCapacity(uint32_t segments) {
  SharedWord& capacity = region_->words().capacity;
  uint64_t seen = capacity.load(std::memory_order_acquire);
  while (seen < segments && !capacity.compare_exchange_weak(
                                seen, segments, std::memory_order_acq_rel)) {
  }
}

void SegmentTable::LowerCapacity(uint32_t segments) {
  region_->words().capacity.store(segments, std::memory_order_release);
}

uint32_t SegmentTable::FreeAtEnd() const {
  const uint32_t end = capacity();
  if (end > mapped_segments_) return 0;
  uint32_t free = 0;
  while (free + 1 < end && Load(end - 1 - free).is_free()) ++free;
  return free;
}

uint32_t SegmentTable::CountFree(uint32_t most, bool backed) const {
  const uint32_t end = ClaimEnd();
  uint32_t free = 0;
  for (uint32_t at = 0; at < end && free < most; ++at) {
    const SegmentWord word = Load(at);
    if (word.is_free() && (!backed || word.backed())) ++free;
  }
  return free;
}

SegmentWord SegmentTable::Load(uint32_t segment) const {
  // acquire: pairs with the release in Swap.
  return SegmentWord{
      region_->segment_state(segment).load(std::memory_order_acquire)};
}

bool SegmentTable::Swap(uint32_t segment, SegmentWord seen, SegmentState state,
                        Backing backing) {
  const SegmentWord next = SegmentWord::Make(
      state, backing, slots_->index(), slots_->generation(), seen.tag() + 1);
  uint64_t expected = seen.word;
  // acq_rel: who claims sees what the former owner wrote; who sees it sealed
  // or free sees that the former owner is done.
  return region_->segment_state(segment).compare_exchange_strong(
      expected, next.word, std::memory_order_acq_rel);
}

bool SegmentTable::TryClaimFree(uint32_t segment) {
  const SegmentWord seen = Load(segment);
  return seen.is_free() && Swap(segment, seen, SegmentState::kClaimed,
                                WhenClaimed(seen.backing()));
}

std::optional<uint32_t> SegmentTable::FindCheapest(uint32_t begin,
                                                   uint32_t end) const {
  std::optional<uint32_t> best;
  uint32_t best_cost = 0;
  for (uint32_t at = begin; at < end; ++at) {
    if (!Load(at).is_free()) continue;
    // One candidate a stretch: the first of those that are best backed.
    uint32_t candidate = at;
    Backing backing = Backing::kHole;
    const uint32_t first = at;
    for (; at < end; ++at) {
      const SegmentWord word = Load(at);
      if (!word.is_free()) break;
      if (CostOf(word.backing(), 1) < CostOf(backing, 1)) {
        backing = word.backing();
        candidate = at;
      }
    }
    const uint32_t cost = CostOf(backing, at - first);
    if (!best.has_value() || cost < best_cost) {
      if (!best.has_value()) end = std::min(end, at + kLookAhead);
      best = candidate;
      best_cost = cost;
    }
    if (best_cost == kCostLeast) break;
  }
  return best;
}

std::optional<uint32_t> SegmentTable::TryClaimCheapest(uint32_t begin,
                                                       uint32_t end) {
  while (true) {
    const std::optional<uint32_t> found = FindCheapest(begin, end);
    if (!found.has_value()) return std::nullopt;
    if (TryClaimFree(*found)) {
      EVE_STEP("segment.claimed");
      return found;
    }
  }
}

std::optional<uint32_t> SegmentTable::TryClaimFree() {
  const uint32_t end = ClaimEnd();
  const uint32_t last_quarter = end - end / 4;
  std::optional<uint32_t> claimed = TryClaimCheapest(0, last_quarter);
  if (!claimed.has_value()) claimed = TryClaimCheapest(last_quarter, end);
  return claimed;
}

std::optional<uint32_t> SegmentTable::TryClaimLowest() {
  const uint32_t end = ClaimEnd();
  for (uint32_t at = 0; at < end; ++at) {
    if (Load(at).is_free() && TryClaimFree(at)) {
      EVE_STEP("segment.claimed");
      return at;
    }
  }
  return std::nullopt;
}

std::optional<uint32_t> SegmentTable::TryClaimRun(uint32_t length) {
  const uint32_t end = ClaimEnd();
  uint32_t first = 1;  // segment 0 starts with the superblock
  uint32_t looked_at = first;
  while (uint64_t{first} + length <= end) {
    // Look before claiming: what is too short is left alone.
    while (looked_at < first + length && Load(looked_at).is_free()) ++looked_at;
    if (looked_at < first + length) {
      first = ++looked_at;
      continue;
    }
    uint32_t claimed = 0;
    while (claimed < length && TryClaimFree(first + claimed)) ++claimed;
    if (claimed == length) return first;
    const uint32_t lost = first + claimed;
    for (; claimed > 0; --claimed) ReleaseFree(first + claimed - 1);
    first = looked_at = lost + 1;
  }
  return std::nullopt;
}

bool SegmentTable::TryClaimSealed(uint32_t segment) {
  const SegmentWord seen = Load(segment);
  return seen.state() == SegmentState::kSealed &&
         Swap(segment, seen, SegmentState::kClaimed, seen.backing());
}

bool SegmentTable::TryClaimToPunch(uint32_t segment) {
  const SegmentWord seen = Load(segment);
  return seen.is_free() && seen.backing() != Backing::kHole &&
         Swap(segment, seen, SegmentState::kClaimed, Backing::kUnknown);
}

void SegmentTable::ReleaseHole(uint32_t segment) {
  const SegmentWord seen = Load(segment);
  EVE_CHECK(seen.state() == SegmentState::kClaimed &&
                Swap(segment, seen, SegmentState::kFree, Backing::kHole),
            "only the owner changes a claimed segment's word");
}

bool SegmentTable::TryClaimJudged(uint32_t segment, SegmentWord seen) {
  EVE_STEP("segment.before_free");
  return seen.state() == SegmentState::kSealed &&
         Swap(segment, seen, SegmentState::kClaimed, seen.backing());
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
  return Swap(segment, seen, SegmentState::kClaimed, seen.backing());
}

void SegmentTable::MarkBacked(uint32_t segment) {
  const SegmentWord seen = Load(segment);
  EVE_CHECK(Swap(segment, seen, SegmentState::kClaimed, Backing::kBacked),
            "only the owner changes a claimed segment's word");
}

void SegmentTable::ReleaseOwned(uint32_t segment, SegmentState state) {
  const SegmentWord seen = Load(segment);
  EVE_CHECK(seen.state() == SegmentState::kClaimed &&
                Swap(segment, seen, state, seen.backing()),
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
         Swap(segment, seen, SegmentState::kFree, seen.backing());
}

void SegmentTable::ResetForRebuild(uint32_t segment, SegmentState state) {
  SharedWord& word = region_->segment_state(segment);
  const SegmentWord seen{word.load(std::memory_order_acquire)};
  word.store(
      SegmentWord::Make(state, Backing::kUnknown, 0, 0, seen.tag() + 1).word,
      std::memory_order_release);
}

}  // namespace eve
