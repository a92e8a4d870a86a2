// TempDir: a directory that goes away with the test.
//
// Threads:    one.
// Processes:  a forked child must leave by _exit, or it removes the directory.
// Owns:       the directory and everything in it.
// Lifetime:   removed on destruction.
// Errors:     aborts.
// Cost:       none.
#ifndef EVE_TESTS_TESTING_TEMP_DIR_H_
#define EVE_TESTS_TESTING_TEMP_DIR_H_

#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "util/check.h"

namespace eve::testing {

class TempDir {
 public:
  TempDir() : TempDir(std::getenv("TEST_TMPDIR")) {}
  explicit TempDir(const char* base) {
    std::string pattern =
        std::string(base != nullptr ? base : "/tmp") + "/eve-XXXXXX";
    EVE_CHECK(::mkdtemp(pattern.data()) != nullptr, "mkdtemp works");
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string File(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_TEMP_DIR_H_
