#include "engine/cli/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cli/stop_signal.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;

}  // namespace

absl::StatusOr<std::unique_ptr<LineReader>> LineReader::Open(
    const std::string& path) {
  const bool is_stdin = path == "-";
  const int fd =
      is_stdin ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  std::unique_ptr<LineReader> reader(
      new LineReader(fd, is_stdin ? "stdin" : path));
  struct stat info;
  if (::fstat(fd, &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", reader->name_));
  }
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(reader->name_, ": a directory"));
  }
  if (S_ISREG(info.st_mode)) {
    reader->bytes_total_ = static_cast<uint64_t>(info.st_size);
    // Advice only: without it the kernel reads ahead less.
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  return reader;
}

LineReader::LineReader(int fd, std::string name)
    : fd_(fd),
      name_(std::move(name)),
      buffer_(std::make_unique_for_overwrite<char[]>(kBufferBytes)),
      capacity_(kBufferBytes) {}

LineReader::~LineReader() {
  if (fd_ != STDIN_FILENO) ::close(fd_);
}

void LineReader::MakeRoom() {
  if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ < capacity_) return;
  auto larger = std::make_unique_for_overwrite<char[]>(2 * capacity_);
  std::memcpy(larger.get(), buffer_.get(), end_);
  buffer_ = std::move(larger);
  capacity_ *= 2;
}

absl::StatusOr<bool> LineReader::Fill() {
  MakeRoom();
  WaitToRead(fd_);
  if (StopSignal() != 0) return absl::CancelledError("stopped by a signal");
  ssize_t n = 0;
  do {
    n = ::read(fd_, buffer_.get() + end_, capacity_ - end_);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", name_));
  end_ += static_cast<size_t>(n);
  bytes_read_ += static_cast<uint64_t>(n);
  return n > 0;
}

absl::StatusOr<bool> LineReader::Next(size_t bytes_max, Line* line) {
  size_t searched = 0;  // behind begin_
  while (true) {
    char* const data = buffer_.get() + begin_;
    const void* const newline =
        std::memchr(data + searched, '\n', end_ - begin_ - searched);
    searched = end_ - begin_;
    if (newline != nullptr) {
      line->size =
          static_cast<size_t>(static_cast<const char*>(newline) - data);
      line->has_newline = true;
    } else if (searched <= bytes_max) {
      EVE_ASSIGN_OR_RETURN(const bool has_more, Fill());
      if (has_more) continue;
      if (searched == 0) return false;
      line->size = searched;
      line->has_newline = false;
    }
    ++line_number_;
    if ((newline != nullptr ? line->size : searched) > bytes_max) {
      return ErrorHere(absl::StrCat("a line of more than ", bytes_max,
                                    " bytes, the longest that can be here"));
    }
    line->data = buffer_.get() + begin_;
    begin_ += line->size + (line->has_newline ? 1 : 0);
    return true;
  }
}

absl::StatusOr<int> LineReader::Peek() {
  if (begin_ == end_) {
    EVE_ASSIGN_OR_RETURN(const bool has_more, Fill());
    if (!has_more) return -1;
  }
  return static_cast<unsigned char>(buffer_[begin_]);
}

absl::Status LineReader::ErrorHere(Bytes what) const {
  return ErrorAt(line_number_, what);
}

absl::Status LineReader::ErrorAt(uint64_t line_number, Bytes what) const {
  return absl::InvalidArgumentError(
      absl::StrCat(name_, ":", line_number, ": ", absl::string_view(what)));
}

}  // namespace eve::cli
