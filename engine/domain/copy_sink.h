// CopySink: where a backup's bytes go, from the first to the last.
//
// Threads:    one.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   the file or descriptor outlives it.
// Errors:     of writing, as Status.
// Cost:       what is skipped costs a file nothing and a stream its zeroes.
#ifndef EVE_ENGINE_DOMAIN_COPY_SINK_H_
#define EVE_ENGINE_DOMAIN_COPY_SINK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "engine/file/file.h"

namespace eve::internal {

class CopySink {
 public:
  virtual ~CopySink() = default;
  // REQUIRES: `offset` is not before the end of what was written so far.
  virtual absl::Status Write(uint64_t offset, const void* data,
                             uint64_t size) = 0;
  // The copy ends at `bytes`.
  virtual absl::Status End(uint64_t bytes) = 0;
};

class FileSink : public CopySink {
 public:
  explicit FileSink(const File* file) : file_(file) {}
  absl::Status Write(uint64_t offset, const void* data,
                     uint64_t size) override {
    return file_->WriteAt(offset, data, size);
  }
  absl::Status End(uint64_t bytes) override { return file_->Truncate(bytes); }

 private:
  const File* file_;
};

class StreamSink : public CopySink {
 public:
  explicit StreamSink(int descriptor) : descriptor_(descriptor) {}
  absl::Status Write(uint64_t offset, const void* data, uint64_t size) override;
  absl::Status End(uint64_t bytes) override;

 private:
  absl::Status Put(const void* data, uint64_t size);
  absl::Status FillUpTo(uint64_t offset);

  int descriptor_;
  uint64_t at_ = 0;
};

}  // namespace eve::internal

#endif  // EVE_ENGINE_DOMAIN_COPY_SINK_H_
