// How much the files of a directory take.
//
// Threads:    every function may be called concurrently.
// Processes:  files of any process.
// Owns:       none.
// Lifetime:   none.
// Errors:     files that vanish meanwhile count as nothing.
// Cost:       one stat for each file.
#ifndef EVE_DB_BENCH_DIRECTORY_SIZE_H_
#define EVE_DB_BENCH_DIRECTORY_SIZE_H_

#include <cstdint>
#include <string>

namespace eve::bench {

struct DirectorySize {
  uint64_t file_bytes = 0;  // st_size: LMDB's counts its whole map
  uint64_t disk_bytes = 0;  // st_blocks * 512: what the file system gave
};

// Of all files below `dir`.
DirectorySize MeasureDirectory(const std::string& dir);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_DIRECTORY_SIZE_H_
