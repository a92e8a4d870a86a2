#include "engine/cli/new_domain.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/checkpoint/boot_id.h"
#include "engine/file/file.h"
#include "util/status_macros.h"

namespace eve::cli {

NewDomainFile::NewDomainFile(const std::string& path) : path_(path) {
  uint32_t unique;
  FillRandom(&unique, sizeof(unique));
  temporary_ = absl::StrCat(path, ".load-", absl::Hex(unique, absl::kZeroPad8));
}

NewDomainFile::~NewDomainFile() {
  ::unlink(temporary_.c_str());
  ::unlink((temporary_ + "-lock").c_str());
}

absl::Status NewDomainFile::Renamed(const absl::Status& error) const {
  return absl::Status(error.code(), absl::StrReplaceAll(error.message(),
                                                        {{temporary_, path_}}));
}

absl::StatusOr<bool> NewDomainFile::TakeName() {
  if (::link(temporary_.c_str(), path_.c_str()) != 0) {
    if (errno == EEXIST) return false;
    return ErrnoStatus(errno, absl::StrCat("link ", path_));
  }
  EVE_ASSIGN_OR_RETURN(const File file, File::Open(path_, O_RDONLY));
  EVE_RETURN_IF_ERROR(SyncNewName(file, path_));
  return true;
}

}  // namespace eve::cli
