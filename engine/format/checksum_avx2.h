// XXH3-64 compiled for processors with AVX2: the same result, twice as fast.
//
// Threads:    pure function.
// Processes:  same result everywhere.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       one pass.
#ifndef EVE_ENGINE_FORMAT_CHECKSUM_AVX2_H_
#define EVE_ENGINE_FORMAT_CHECKSUM_AVX2_H_

#include <cstddef>
#include <cstdint>

namespace eve {

#if defined(__x86_64__)
// REQUIRES: the processor has AVX2.
uint64_t Xxh3WithAvx2(const void* data, size_t size);
#endif

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_CHECKSUM_AVX2_H_
