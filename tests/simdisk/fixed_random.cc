#include "tests/simdisk/fixed_random.h"

#include <sys/personality.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>

#include "util/random.h"

namespace {

uint64_t state = 0;

}  // namespace

// Instead of the C library's: the program's own definition comes first.
extern "C" ssize_t getrandom(void* bytes, size_t size, unsigned) {
  char* to = static_cast<char*>(bytes);
  for (size_t i = 0; i < size; ++i) {
    to[i] = static_cast<char>(eve::SplitMix64(state));
  }
  return static_cast<ssize_t>(size);
}

namespace eve::simdisk {

void SeedSystemRandom(uint64_t seed) { state = seed; }

void FixAddresses(char** argv) {
  const int now = ::personality(0xffffffff);
  if (now < 0 || (now & ADDR_NO_RANDOMIZE) != 0) return;
  if (::personality(static_cast<unsigned>(now) | ADDR_NO_RANDOMIZE) < 0) return;
  ::execv("/proc/self/exe", argv);
}

}  // namespace eve::simdisk
