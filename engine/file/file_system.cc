#include "engine/file/file_system.h"

#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "util/failpoint.h"

namespace eve {
namespace {

struct Known {
  uint32_t magic;  // f_type of statfs(2)
  const char* name;
};
// Those of one machine. A file of an overlay is the overlay's, whatever lies
// below; domains on media that are only read are among them.
constexpr Known kLocal[] = {
    {0xEF53, "ext4"},         {0x58465342, "XFS"},      {0x01021994, "tmpfs"},
    {0x858458F6, "ramfs"},    {0xF2F52010, "F2FS"},     {0x9123683E, "Btrfs"},
    {0x2FC12FC1, "ZFS"},      {0xCA451A4E, "bcachefs"}, {0x794C7630, "overlay"},
    {0x3153464A, "JFS"},      {0x52654973, "ReiserFS"}, {0x3434, "NILFS"},
    {0x7366746E, "NTFS"},     {0x5346544E, "NTFS"},     {0x482B, "HFS+"},
    {0xF15F, "eCryptfs"},     {0x15013346, "UDF"},      {0x9660, "ISO 9660"},
    {0x73717368, "SquashFS"}, {0xE0F5E1E2, "EROFS"},
};
constexpr Known kRefused[] = {
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
    {0x19830326, "BeeGFS"},
    {0x20030528, "OrangeFS"},
    {0x786F4256, "a VirtualBox shared folder"},
    {0xBACBACBC, "a VMware shared folder"},
};

template <size_t kCount>
const Known* Find(const Known (&known)[kCount], uint32_t magic) {
  const Known* const found =
      std::find_if(std::begin(known), std::end(known),
                   [&](const Known& one) { return one.magic == magic; });
  return found == std::end(known) ? nullptr : found;
}

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
  if (Find(kLocal, magic) != nullptr) return absl::OkStatus();
  if (const Known* const refused = Find(kRefused, magic); refused != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        file.path(), ": lies on ", refused->name,
        ", where locks and mappings of several processes cannot be relied "
        "upon; put it on a local file system"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      file.path(), ": lies on a file system of type 0x", absl::Hex(magic),
      " (see stat -f), which Eve does not know; it may be one of a network, "
      "where locks and mappings of several processes cannot be relied upon. "
      "Put it on a local one, ext4 or XFS, say"));
}

}  // namespace eve
