#include "db_bench/directory_size.h"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>

namespace eve::bench {

DirectorySize MeasureDirectory(const std::string& dir) {
  namespace fs = std::filesystem;
  DirectorySize size;
  std::error_code error;
  fs::recursive_directory_iterator it(dir, error), end;
  while (!error && it != end) {
    struct stat info;
    if (lstat(it->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      size.file_bytes += static_cast<uint64_t>(info.st_size);
      size.disk_bytes += static_cast<uint64_t>(info.st_blocks) * 512;
    }
    it.increment(error);
  }
  return size;
}

}  // namespace eve::bench
