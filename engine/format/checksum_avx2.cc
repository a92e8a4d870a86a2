// The one file that is compiled for a newer processor than the rest. It shares
// no inline function with other files, of which the linker might keep this one.
#include "engine/format/checksum_avx2.h"

#if defined(__x86_64__)

#define XXH_INLINE_ALL
#define XXH_VECTOR XXH_AVX2
#include <xxhash.h>

namespace eve {

uint64_t Xxh3WithAvx2(const void* data, size_t size) {
  return XXH3_64bits(data, size);
}

}  // namespace eve

#endif
