// NodeStore: where collections read blocks and place new ones.
//
// Threads:    belongs to one transaction and one thread.
// Processes:  what is allocated here is seen by nobody until the commit.
// Owns:       nothing; blocks belong to the attempt that allocates them.
// Lifetime:   pointers are valid while the snapshot or transaction that gave
//             them lives.
// Errors:     kResourceExhausted from Allocate: disk full, or quota reached.
// Cost:       Read is an addition. Allocate is a bump of a pointer, now and
//             then a new segment.
#ifndef EVE_ENGINE_COLLECTIONS_NODE_STORE_H_
#define EVE_ENGINE_COLLECTIONS_NODE_STORE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/file/block_view.h"
#include "engine/format/block.h"
#include "engine/format/offset.h"

namespace eve {

// Blocks of a stream die at a similar age, so their segments empty together.
enum class Stream : uint8_t {
  kNodes = 0,      // rewritten by every commit below them: die young
  kLeaves = 1,     // leaves and large records: live long
  kMoved = 2,      // what outlived its segment once: lives longer still
  kDeepNodes = 3,  // nodes with few leaves below them: in between
};
inline constexpr int kStreamCount = 4;

struct NewBlock {
  Offset offset;
  char* data = nullptr;  // whole block, header first; bytes are unspecified
};

class NodeStore {
 public:
  virtual ~NodeStore() = default;

  // Reads any block of the base snapshot or of this transaction.
  const BlockView& view() const { return view_; }

  // Places a block of `bytes` (rounded up to 16; the caller zeroes the padding
  // and writes the header, with checksum 0 and `collection` as its owner).
  virtual absl::StatusOr<NewBlock> Allocate(Stream stream, uint64_t bytes) = 0;

  // The writable bytes of `offset` when this transaction may change the block
  // in place (it allocated it, after the newest savepoint), else nullptr. The
  // size of a block never changes.
  virtual char* Edit(Offset offset) = 0;

  // `offset` (`bytes` long, as in its header) is no longer reachable from the
  // new root. Reading it stays legal until the transaction ends.
  virtual void Retire(Offset offset, uint64_t bytes) = 0;

 protected:
  BlockView view_;
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_NODE_STORE_H_
