// SharedRegion: the mapped lock file, word by word.
//
// Threads:    accessors return references to atomics; any thread.
// Processes:  the words are shared; who may write which is said by the layer
//             that owns them (alloc: states, epoch: slots and cells, root: the
//             root word, checkpoint: pending and durable).
// Owns:       the lock file's descriptor, the OFD locks on it, the mapping.
// Lifetime:   closes on destruction, which ends this process's liveness.
// Errors:     kResourceExhausted when the disk is full.
// Cost:       accessors are an addition. Ensure* may make a system call.
#ifndef EVE_ENGINE_FILE_SHARED_REGION_H_
#define EVE_ENGINE_FILE_SHARED_REGION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/file/file.h"
#include "engine/file/mapping.h"
#include "engine/format/shared_layout.h"

namespace eve {

class SharedRegion {
 public:
  SharedRegion() = default;

  // Maps `lock_file`. When `writable`, the fixed part (header, words, process
  // slots) is backed with disk space first, so that no store can hit a full
  // disk.
  static absl::StatusOr<SharedRegion> Map(File lock_file, bool writable);

  const File& file() const { return file_; }
  RegionHeader& header() const { return *At<RegionHeader>(0); }
  RegionWords& words() const { return *At<RegionWords>(kRegionWordsOffset); }
  ProcessSlot& process(uint32_t index) const {
    return *At<ProcessSlot>(kProcessSlotsOffset +
                            uint64_t{index} * sizeof(ProcessSlot));
  }
  // Segments that the file has room for.
  uint64_t capacity() const {
    // acquire: whoever sees it raised may store to what it covers.
    return words().capacity.load(std::memory_order_acquire);
  }
  // REQUIRES: segment < words().capacity.
  SharedWord& segment_state(uint32_t segment) const {
    return *At<SharedWord>(kSegmentStatesOffset +
                           uint64_t{segment} * sizeof(SharedWord));
  }
  // REQUIRES: cell < process(index).cells_used.
  ReaderCell& cell(uint32_t process, uint32_t cell) const {
    return *At<ReaderCell>(kReaderCellsOffset +
                           (uint64_t{process} * kCellsPerProcessMax + cell) *
                               sizeof(ReaderCell));
  }

  // All state words become 0. For the first opener: those beyond its file are
  // of a former, larger one.
  absl::Status ClearSegmentStates() const;
  // Backs the state words of segments below `segments`.
  absl::Status EnsureSegmentStates(uint64_t segments) const;
  // Backs the first `cells` cells of a process.
  absl::Status EnsureCells(uint32_t process, uint32_t cells) const;

  // Closes the descriptor in a forked child, where it would keep the parent's
  // locks alive after the parent's death.
  void CloseInChild() { file_.Close(); }

 private:
  template <class T>
  T* At(uint64_t offset) const {
    return static_cast<T*>(static_cast<void*>(mapping_.data() + offset));
  }

  File file_;
  Mapping mapping_;
};

}  // namespace eve

#endif  // EVE_ENGINE_FILE_SHARED_REGION_H_
