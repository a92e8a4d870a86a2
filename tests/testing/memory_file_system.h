// MemoryFileSystem: a file system of its own, in memory, of a size or with
// pages of a kind that a test needs.
//
// Mounting needs privileges; a test asks mounted(), and says that it is skipped
// where they are missing.
//
// Threads:    one.
// Processes:  one; others see the files while it is mounted.
// Owns:       the mount, undone on destruction even if files are open.
// Lifetime:   none.
// Errors:     mounted() is false.
// Cost:       a system call.
#ifndef EVE_TESTS_TESTING_MEMORY_FILE_SYSTEM_H_
#define EVE_TESTS_TESTING_MEMORY_FILE_SYSTEM_H_

#include <sys/mount.h>

#include <filesystem>
#include <string>

namespace eve::testing {

class MemoryFileSystem {
 public:
  // At a folder that it makes; `options` as of mount(8), for tmpfs.
  MemoryFileSystem(const std::string& at, const char* options) : at_(at) {
    std::filesystem::create_directory(at);
    mounted_ = ::mount("tmpfs", at.c_str(), "tmpfs", 0, options) == 0;
  }
  ~MemoryFileSystem() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  MemoryFileSystem(const MemoryFileSystem&) = delete;
  MemoryFileSystem& operator=(const MemoryFileSystem&) = delete;

  bool mounted() const { return mounted_; }

 private:
  const std::string at_;
  bool mounted_ = false;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_MEMORY_FILE_SYSTEM_H_
