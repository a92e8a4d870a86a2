// WriteBack: the flushes of a checkpoint and the hints before them, through
// io_uring where it is allowed, else by plain calls.
//
// Each step is waited for and its result looked at before the next is begun.
// Links would save two calls, but a linked write and flush was slower than two
// plain calls, and a test could not come between.
//
// Threads:    one at a time: the caller has a lock.
// Processes:  one; see IoRing on forked children.
// Owns:       the ring, which is made at the first step.
// Lifetime:   the file outlives it.
// Errors:     those of File, whichever way.
// Cost:       none before the first step.
#ifndef EVE_ENGINE_FILE_WRITE_BACK_H_
#define EVE_ENGINE_FILE_WRITE_BACK_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/file/file.h"
#include "engine/file/io_ring.h"

namespace eve {

// SHARED: as it stands in RegionWords.
enum class IoEngine : uint32_t { kNone = 0, kPlain = 1, kRing = 2 };

class WriteBack {
 public:
  explicit WriteBack(const File* file) : file_(file) {}

  // Begins to write the ranges back, all at once, and does not wait. A hint:
  // the only errors are those of the device, which are as final as a flush's.
  absl::Status Start(absl::Span<const ByteRange> ranges);
  // fdatasync. A failure is final.
  absl::Status Datasync();

  // How the last step was made.
  IoEngine engine() const { return engine_; }
  void CloseInChild() {
    if (ring_ != nullptr) ring_->CloseInChild();
  }

 private:
  // Null: by plain calls.
  IoRing* Ring();

  const File* file_;
  std::unique_ptr<IoRing> ring_;
  IoEngine engine_ = IoEngine::kNone;
  bool may_hint_ = true;
};

}  // namespace eve

#endif  // EVE_ENGINE_FILE_WRITE_BACK_H_
