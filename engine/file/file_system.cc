#include "engine/file/file_system.h"

#include <sys/vfs.h>

#include <cerrno>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "util/failpoint.h"

namespace eve {
namespace {

struct Refused {
  uint32_t magic;  // f_type of statfs(2)
  const char* name;
};
constexpr Refused kRefused[] = {
    {0x6969, "NFS"},
    {0x517B, "SMB"},
    {0xFF534D42, "CIFS"},
    {0xFE534D42, "SMB2"},
    {0x01021997, "9p"},
    {0x65735546, "FUSE or virtiofs"},
    {0x73757245, "Coda"},
    {0x5346414F, "AFS"},
    {0x6B414653, "AFS"},
    {0x00C36400, "Ceph"},
    {0x7461636F, "OCFS2"},
    {0x01161970, "GFS2"},
    {0x0BD00BD0, "Lustre"},
    {0x47504653, "GPFS"},
    {0x786F4256, "a VirtualBox shared folder"},
    {0xBACBACBC, "a VMware shared folder"},
};
// What a test injects below this is an error, else a file system.
constexpr int kErrnoMax = 4095;

}  // namespace

absl::Status CheckFileSystem(const File& file) {
  const int injected = EVE_FAULT("file.statfs");
  if (injected != 0 && injected <= kErrnoMax && injected > 0) {
    return ErrnoStatus(injected, absl::StrCat("statfs ", file.path()));
  }
  struct statfs info = {};
  if (::fstatfs(file.fd(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("statfs ", file.path()));
  }
  const auto magic =
      static_cast<uint32_t>(injected != 0 ? injected : info.f_type);
  for (const Refused& refused : kRefused) {
    if (refused.magic != magic) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        file.path(), ": lies on ", refused.name,
        ", where locks and mappings of several processes cannot be relied "
        "upon; put it on a local file system"));
  }
  return absl::OkStatus();
}

}  // namespace eve
