#include "engine/file/write_back.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "util/failpoint.h"

namespace eve {
namespace {

bool IsOfTheDevice(int error) {
  return error == EIO || error == ENOSPC || error == EDQUOT;
}

}  // namespace

IoRing* WriteBack::Ring() {
  if (engine_ == IoEngine::kNone) {
    absl::StatusOr<std::unique_ptr<IoRing>> made = IoRing::Create();
    if (made.ok()) ring_ = *std::move(made);
  }
  const bool has_ring = ring_ != nullptr && ring_->is_usable();
  engine_ = has_ring ? IoEngine::kRing : IoEngine::kPlain;
  return has_ring ? ring_.get() : nullptr;
}

absl::Status WriteBack::Start(absl::Span<const ByteRange> ranges) {
  if (ranges.empty() || !may_hint_) return absl::OkStatus();
  const auto start = [&] {
    int error = 0;
    IoRing* const ring = Ring();
    const std::optional<int> result =
        ring == nullptr ? std::nullopt
                        : ring->StartWriteBack(file_->fd(), ranges);
    if (result.has_value()) {
      error = -*result;
    } else {
      for (size_t i = 0; i < ranges.size() && error == 0; ++i) {
        error =
            ::sync_file_range(file_->fd(), static_cast<off_t>(ranges[i].offset),
                              static_cast<off_t>(ranges[i].size),
                              SYNC_FILE_RANGE_WRITE) == 0
                ? 0
                : errno;
      }
    }
    if (error == 0 || IsOfTheDevice(error)) return error;
    // A file system that has no such thing; the flush does all of it.
    may_hint_ = error == EINTR || error == EAGAIN;
    return 0;
  };
  return file_->StartWriteBack(
      ranges.front().offset,
      ranges.back().offset + ranges.back().size - ranges.front().offset, start);
}

absl::Status WriteBack::Datasync() {
  return file_->Datasync([&] {
    IoRing* const ring = Ring();
    const std::optional<int> result =
        ring == nullptr ? std::nullopt : ring->Datasync(file_->fd());
    if (result.has_value()) return -*result;
    // Not begun, so no error has been told of that this could miss.
    return ::fdatasync(file_->fd()) == 0 ? 0 : errno;
  });
}

}  // namespace eve
