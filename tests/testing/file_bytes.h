// The bytes of a whole file.
//
// Threads:    none.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     failed expectations, and then nothing or zeroes.
// Cost:       a copy of the file in memory.
#ifndef EVE_TESTS_TESTING_FILE_BYTES_H_
#define EVE_TESTS_TESTING_FILE_BYTES_H_

#include <fcntl.h>

#include <string>

#include "engine/file/file.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace eve::testing {

inline std::string ReadFile(const std::string& path) {
  const absl::StatusOr<File> file = File::Open(path, O_RDONLY);
  EXPECT_OK(file);
  if (!file.ok()) return "";
  std::string bytes(file->Size().value_or(0), '\0');
  EXPECT_OK(file->ReadAt(0, bytes.data(), bytes.size()));
  return bytes;
}

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_FILE_BYTES_H_
