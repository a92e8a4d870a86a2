#include "engine/checkpoint/boot_id.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstring>

#include "engine/format/checksum.h"
#include "util/check.h"

namespace eve {

bool ReadBootId(uint8_t boot_id[16]) {
  const int fd =
      ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[37] = {};
  const ssize_t n = ::read(fd, text, 36);
  ::close(fd);
  if (n != 36) return false;
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
