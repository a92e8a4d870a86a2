#include "engine/verify/salt_trial.h"

#include <algorithm>
#include <cstring>

#include "engine/format/checksum_mix.h"

namespace eve::verify {
namespace {

// BlockHashFromBody() in two parts: what comes before the salt, and the rest.
struct Parts {
  explicit Parts(const SaltProbe& probe)
      : place((probe.offset.units + 1) * kMixA),
        collection(probe.header.collection),
        checksum(probe.header.checksum) {
    uint64_t first;
    std::memcpy(&first, &probe.header, sizeof(first));
    before = probe.body_hash ^ Mix(first + kMixA);
  }

  uint64_t before;
  uint64_t place;
  uint64_t collection;
  uint64_t checksum;
};

// What the loop does at once: without a way out it is done in vectors.
constexpr uint64_t kAtOnce = 512;

// `wrong[i]`: 0 if the witness's checksum fits the salt of first + i.
[[gnu::always_inline]] inline void Try(const Parts& pivot, const Parts& witness,
                                       uint64_t first, uint64_t* wrong) {
  const uint64_t apart = witness.before - pivot.before;
  for (uint64_t i = 0; i < kAtOnce; ++i) {
    const uint64_t hash = (first + i) << 32 | pivot.checksum;
    const uint64_t salted =
        Unmix((Unmix(hash) - pivot.collection) ^ pivot.place);
    const uint64_t its =
        Mix((Mix(salted + apart) ^ witness.place) + witness.collection);
    wrong[i] = (its ^ witness.checksum) << 32;
  }
}

void TryPlain(const Parts& pivot, const Parts& witness, uint64_t first,
              uint64_t* wrong) {
  Try(pivot, witness, first, wrong);
}

#if defined(__x86_64__)
const bool has_avx2 = __builtin_cpu_supports("avx2");

[[gnu::target("avx2")]] void TryWithAvx2(const Parts& pivot,
                                         const Parts& witness, uint64_t first,
                                         uint64_t* wrong) {
  Try(pivot, witness, first, wrong);
}
#endif

}  // namespace

uint64_t SaltOf(const SaltProbe& probe, uint64_t hash) {
  const Parts parts(probe);
  return Unmix((Unmix(hash) - parts.collection) ^ parts.place) - parts.before;
}

std::vector<uint64_t> TrySalts(const SaltProbe& pivot, const SaltProbe& witness,
                               uint64_t first, uint64_t end) {
  const Parts its(pivot);
  const Parts other(witness);
  auto* run = TryPlain;
#if defined(__x86_64__)
  if (has_avx2) run = TryWithAvx2;
#endif
  std::vector<uint64_t> salts;
  uint64_t wrong[kAtOnce];
  for (uint64_t at = first; at < end; at += kAtOnce) {
    run(its, other, at, wrong);
    if (*std::min_element(wrong, wrong + kAtOnce) != 0) continue;
    for (uint64_t i = 0; i < std::min(kAtOnce, end - at); ++i) {
      if (wrong[i] != 0) continue;
      salts.push_back(SaltOf(pivot, (at + i) << 32 | its.checksum));
    }
  }
  return salts;
}

}  // namespace eve::verify
