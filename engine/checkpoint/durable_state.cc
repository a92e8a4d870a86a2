#include "engine/checkpoint/durable_state.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "util/failpoint.h"
#include "util/futex.h"

namespace eve {

namespace {

using DurableWords = std::array<uint64_t, kCommitSlotCount>;

DurableWords LoadDurableWords(RegionWords& words) {
  DurableWords loaded;
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    loaded[slot] = words.durable[slot].load(std::memory_order_seq_cst);
  }
  return loaded;
}

}  // namespace

DurableCandidates ReadDurableCandidates(const SharedRegion& region) {
  DurableCandidates found;
  RegionWords& words = region.words();
  // seq_cst throughout: a checkpointer raises durable before it clears
  // pending, so what this scan misses in one it meets in the other (I9).
  for (SharedWord& word : words.pending) {
    const uint64_t version = word.load(std::memory_order_seq_cst);
    if (version != 0) found.pending.push_back(version);
  }
  EVE_STEP("candidates.pending_read");
  // Words only grow while others are attached (I17), so two scans that agree
  // are what all had between them. One alone may miss a version whose slot
  // above was taken because a slot below, already passed, had come to name it.
  DurableWords durable = LoadDurableWords(words);
  EVE_STEP("candidates.durable_read");
  for (DurableWords again = LoadDurableWords(words); again != durable;
       again = LoadDurableWords(words)) {
    durable = again;
  }
  for (const uint64_t version : durable) {
    if (version > found.newest) {
      found.second = found.newest;
      found.newest = version;
    } else if (version > found.second && version != found.newest) {
      found.second = version;
    }
  }
  return found;
}

uint64_t ReadDurableVersion(const SharedRegion& region) {
  uint64_t newest = 0;
  for (SharedWord& word : region.words().durable) {
    newest = std::max(newest, word.load(std::memory_order_seq_cst));
  }
  return newest;
}

void NoteFlushEnded(const Core& core) {
  SharedWord& beat = core.region.words().beat;
  // release: who has seen the new beat sees the durable words before it.
  beat.fetch_add(1, std::memory_order_release);
  FutexWakeAll(beat);
}

void AcknowledgeSlot(const Core& core, uint32_t slot, uint64_t version,
                     bool is_settled) {
  RegionWords& words = core.region.words();
  words.durable[slot].store(version, std::memory_order_seq_cst);
  EVE_STEP("checkpoint.durable");
  if (is_settled) {
    // relaxed: a maximum that orders nothing. Too low costs one slot more.
    uint64_t seen = words.settled.load(std::memory_order_relaxed);
    while (seen < version && !words.settled.compare_exchange_weak(
                                 seen, version, std::memory_order_relaxed)) {
    }
  }
  words.pending[slot].store(0, std::memory_order_seq_cst);
}

absl::Status CheckPoison(const Core& core) {
  const uint32_t error =
      core.region.header().poison.load(std::memory_order_acquire);
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      core.path, ": a flush to disk failed earlier (",
      std::strerror(static_cast<int>(error)), "): nothing after version ",
      ReadDurableVersion(core.region),
      " can be promised to survive a power failure. Close the domain in all "
      "processes and open it again"));
}

absl::Status PoisonDomain(const Core& core, const absl::Status& cause) {
  uint32_t none = 0;
  core.region.header().poison.compare_exchange_strong(
      none, static_cast<uint32_t>(ErrnoOf(cause, EIO)),
      std::memory_order_acq_rel);
  NoteFlushEnded(core);
  return absl::UnavailableError(
      absl::StrCat(core.path,
                   ": flush failed, the domain takes no more "
                   "checkpoints until all processes have reopened it: ",
                   WithoutAdvice(cause)));
}

}  // namespace eve
