#include "engine/checkpoint/boot_id.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "engine/format/checksum.h"
#include "util/check.h"
#include "util/failpoint.h"

namespace eve {

absl::StatusOr<bool> ReadBootId(uint8_t boot_id[16]) {
  constexpr char kPath[] = "/proc/sys/kernel/random/boot_id";
  const int injected = EVE_FAULT("file.boot_id");
  const int fd = injected != 0 ? -1 : ::open(kPath, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = injected != 0 ? injected : errno;
    if (error == ENOENT || error == ENOTDIR || error == EACCES ||
        error == EPERM) {
      return false;
    }
    return ErrnoStatus(error, absl::StrCat("open ", kPath));
  }
  char text[37] = {};
  int error = EVE_FAULT("file.boot_id_read");
  ssize_t n = -1;
  while (error == 0 && (n = ::read(fd, text, 36)) < 0) {
    if (errno != EINTR) error = errno;
  }
  ::close(fd);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("read ", kPath));
  if (n == 0) return false;  // masked, by a sandbox
  if (n != 36) return ErrnoStatus(EIO, absl::StrCat("read ", kPath));
  for (int half = 0; half < 2; ++half) {
    const uint64_t hash = HashBytes(text, 36, static_cast<uint64_t>(half));
    std::memcpy(boot_id + 8 * half, &hash, 8);
  }
  return true;
}

void FillRandom(void* bytes, size_t size) {
  EVE_CHECK(::getrandom(bytes, size, 0) == static_cast<ssize_t>(size),
            "getrandom serves small requests whole");
}

}  // namespace eve
