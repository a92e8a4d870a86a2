// BlockView: the mapped domain, read-only, as a snapshot may see it.
//
// Threads:    value type; any thread.
// Processes:  addresses are this process's own; offsets are everybody's.
// Owns:       nothing.
// Lifetime:   addresses never move while the domain is open; what they show is
//             stable while a pin can see it.
// Errors:     none: whoever follows an offset from a file checks Contains().
// Cost:       an addition; of a cold view a system call for each block.
#ifndef EVE_ENGINE_FILE_BLOCK_VIEW_H_
#define EVE_ENGINE_FILE_BLOCK_VIEW_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/format/block.h"
#include "engine/format/offset.h"

namespace eve {

struct BlockView {
  const char* base = nullptr;
  uint64_t limit_units = 0;  // first unit past what may be looked at
  // Whether the device may have to read what is looked at, and may fail.
  bool is_cold = false;

  bool Contains(Offset offset) const {
    return offset.units < limit_units && offset.units != 0;
  }
  const char* At(Offset offset) const { return base + offset.bytes(); }
  template <class T>
  const T* As(Offset offset) const {
    return static_cast<const T*>(static_cast<const void*>(At(offset)));
  }
  // The block at `offset` if its header lies inside the view, is of `type`, at
  // least `least_bytes` long and ends inside the view; else null. Checks no
  // checksum.
  const BlockHeader* Block(Offset offset, BlockType type,
                           uint64_t least_bytes) const {
    if (!Contains(offset)) return nullptr;
    const auto* header = As<BlockHeader>(offset);
    if (header->type != static_cast<uint8_t>(type) ||
        header->bytes() < least_bytes ||
        header->size_units > limit_units - offset.units) {
      return nullptr;
    }
    return header;
  }
  // The same; of a cold view kUnavailable if the device cannot read it, where a
  // load would end the process.
  absl::StatusOr<const BlockHeader*> ReadBlock(Offset offset, BlockType type,
                                               uint64_t least_bytes) const;
  // Reads ahead; kUnavailable if the device cannot. REQUIRES: the first of them
  // is inside the view.
  absl::Status CheckReadable(Offset begin, uint64_t units) const;
};

}  // namespace eve

#endif  // EVE_ENGINE_FILE_BLOCK_VIEW_H_
