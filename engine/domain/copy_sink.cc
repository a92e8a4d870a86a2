#include "engine/domain/copy_sink.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "engine/format/constants.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {

absl::Status StreamSink::Put(const void* data, uint64_t size) {
  const char* from = static_cast<const char*>(data);
  int error = EVE_FAULT("backup.stream_write");
  for (uint64_t done = 0; done < size && error == 0;) {
    const ssize_t n = ::write(descriptor_, from + done, size - done);
    if (n >= 0) {
      done += static_cast<uint64_t>(n);
    } else if (errno == EAGAIN) {
      // Somebody else has made the pipe non-blocking.
      struct pollfd ready {
        descriptor_, POLLOUT, 0
      };
      (void)::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  at_ += size;
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, "writing the copy");
}

absl::Status StreamSink::FillUpTo(uint64_t offset) {
  if (at_ == offset) return absl::OkStatus();
  const std::vector<char> zeroes(std::min(offset - at_, kSegmentBytes), 0);
  while (at_ < offset) {
    EVE_RETURN_IF_ERROR(
        Put(zeroes.data(), std::min<uint64_t>(offset - at_, zeroes.size())));
  }
  return absl::OkStatus();
}

absl::Status StreamSink::Write(uint64_t offset, const void* data,
                               uint64_t size) {
  EVE_RETURN_IF_ERROR(FillUpTo(offset));
  return Put(data, size);
}

absl::Status StreamSink::End(uint64_t bytes) { return FillUpTo(bytes); }

}  // namespace eve::internal
