// LineReader: the lines of a file or of stdin, one after the other, any size.
//
// Threads:    one.
// Processes:  none.
// Owns:       the descriptor (not stdin's) and a buffer as large as the longest
//             line so far.
// Lifetime:   a line is valid, and may be changed, until the next call.
// Errors:     kInvalidArgument for a line that is too long; kCancelled when a
//             signal asked to stop (stop_signal.h); else that of read(2).
// Cost:       one copy out of the kernel, one search for the newline.
#ifndef EVE_ENGINE_CLI_LINE_READER_H_
#define EVE_ENGINE_CLI_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/bytes.h"

namespace eve::cli {

class LineReader {
 public:
  struct Line {
    char* data = nullptr;
    size_t size = 0;           // without the newline
    bool has_newline = false;  // false: the input ends here
    std::string_view text() const { return {data, size}; }
  };

  // "-" is stdin.
  static absl::StatusOr<std::unique_ptr<LineReader>> Open(
      const std::string& path);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // False at the end of the input.
  absl::StatusOr<bool> Next(size_t bytes_max, Line* line);
  // The first byte that Next() has not returned; -1: there is none.
  absl::StatusOr<int> Peek();

  // How many lines Next() has returned.
  uint64_t line_number() const { return line_number_; }
  // "dump.txt:12: what", about the line that was returned last.
  absl::Status ErrorHere(Bytes what) const;
  absl::Status ErrorAt(uint64_t line_number, Bytes what) const;

  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_total() const { return bytes_total_; }  // 0: not known

 private:
  LineReader(int fd, std::string name);
  // Adds to the buffer. False at the end of the input.
  absl::StatusOr<bool> Fill();
  void MakeRoom();

  int fd_;
  std::string name_;
  std::unique_ptr<char[]> buffer_;
  size_t capacity_;
  size_t begin_ = 0;  // of what was not returned yet
  size_t end_ = 0;
  uint64_t line_number_ = 0;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_total_ = 0;
};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_LINE_READER_H_
