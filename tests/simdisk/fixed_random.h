// Makes getrandom(2) a function of a seed in this program, so that identifiers
// of domains, and with them all bytes of a history, are the same each time; and
// addresses, too.
//
// Threads:    one.
// Processes:  a fork() child goes on from where its parent was.
// Owns:       the symbol getrandom.
// Lifetime:   of the program.
// Errors:     none.
// Cost:       none.
#ifndef EVE_TESTS_SIMDISK_FIXED_RANDOM_H_
#define EVE_TESTS_SIMDISK_FIXED_RANDOM_H_

#include <cstdint>

namespace eve::simdisk {

void SeedSystemRandom(uint64_t seed);

// Where the engine walks through a hash table, addresses decide the order:
// starts the program anew without randomised ones, unless it has none or may
// not do so. First in main().
void FixAddresses(char** argv);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_FIXED_RANDOM_H_
