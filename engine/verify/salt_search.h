// Salt search: which domain a file was, from its blocks alone.
//
// A block's checksum is the low half of a hash that its domain's salt goes into
// by steps that can be undone. So a block leaves 2^32 salts, one for each upper
// half of its hash, of which a second block leaves one or two, and the others
// agree with the right one or with none. That is how a domain is told whose
// superblock, commit slots and lock file are all gone.
//
// Threads:    one caller; and as many of its own as there are processors.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none; bytes that are no block agree with nothing.
// Cost:       reads some segments, all where blocks are few. Then up to 2^32
//             hashes, 10 to 20 seconds of a processor: once where the blocks
//             are intact, kSaltPairsMax times at the worst.
#ifndef EVE_ENGINE_VERIFY_SALT_SEARCH_H_
#define EVE_ENGINE_VERIFY_SALT_SEARCH_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/file/file.h"
#include "engine/verify/salt_trial.h"

namespace eve::verify {

// So many have to agree. Two do by chance, with three that is one search in
// 10^7, with four one in 10^15.
inline constexpr uint64_t kSaltAgreeingMin = 4;
// How many pairs are tried. Where half of all blocks are damaged, three pairs
// in four have one that is: all of so many, once in a hundred times.
inline constexpr uint64_t kSaltPairsMax = 16;
inline constexpr uint64_t kSaltProbesMax = 256;

struct FoundSalt {
  uint64_t salt = 0;
  uint64_t agreeing = 0;  // of the probes
};

// Of what looks like a block and is followed by another one, or by nothing, a
// few in each segment, in random order.
std::vector<SaltProbe> CollectProbes(const File& file, uint64_t file_bytes);

// How many of the probes are blocks of the domain with that salt.
uint64_t CountAgreeing(const std::vector<SaltProbe>& probes, uint64_t salt);

std::optional<FoundSalt> SearchSalt(const std::vector<SaltProbe>& probes);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_SALT_SEARCH_H_
