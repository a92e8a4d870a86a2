// BlockReader: brings blocks from the file into memory, trusting nothing.
//
// Reads with pread: a file that shrinks, or a sector that cannot be read, is an
// error in the report and not a signal.
//
// Threads:    one at a time.
// Processes:  none.
// Owns:       nothing; callers own the buffers.
// Lifetime:   within one VerifyDomain().
// Errors:     into the log; the functions return false.
// Cost:       one or two reads a block, one pass of XXH3.
#ifndef EVE_ENGINE_VERIFY_BLOCK_READER_H_
#define EVE_ENGINE_VERIFY_BLOCK_READER_H_

#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/file/file.h"
#include "engine/format/block.h"
#include "engine/format/offset.h"
#include "engine/verify/error_log.h"

namespace eve::verify {

// What a block that something points at must be.
struct Expected {
  BlockType type = BlockType::kInvalid;
  uint32_t collection = 0;
  uint32_t depth = 0;
  uint64_t bytes_min = sizeof(BlockHeader);
  uint64_t bytes_max = 0;
};

// The first bytes of a block, or all of it.
struct LoadedBlock {
  Offset offset;
  BlockHeader header;
  uint64_t hash = 0;        // BlockHash, from what is in the file
  std::vector<char> bytes;  // header first

  template <class T>
  T Read(uint64_t at) const {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    return value;
  }
  bool IsZeroFrom(uint64_t at) const;
  // REQUIRES: from <= end <= bytes.size().
  bool IsZero(uint64_t from, uint64_t end) const;
};

class BlockReader {
 public:
  BlockReader(const File* file, uint64_t file_bytes, uint64_t salt,
              ErrorLog* log)
      : file_(file),
        limit_units_(file_bytes / kUnitBytes),
        salt_(salt),
        log_(log) {}

  // Reads the block at `offset` if it is what `expected` says. A bad checksum
  // is an error, but the block is still given for further checks: all that is
  // in `block` was bounds-checked. A block above kWholeBytesMax is hashed as a
  // whole, and its first kWholeBytesMax bytes are given.
  bool Load(Offset offset, const Expected& expected, LoadedBlock& block);

  // Reads the header and hashes the block without further expectations.
  bool LoadAny(Offset offset, uint64_t bytes_max, LoadedBlock& block);

  // Reads the first bytes of the block at `offset`, and checks only that it
  // can lie there.
  bool ReadHeader(Offset offset, LoadedBlock& block);

  uint64_t limit_units() const { return limit_units_; }
  uint64_t salt() const { return salt_; }
  const File& file() const { return *file_; }

  static constexpr uint64_t kWholeBytesMax = 1 << 20;

 private:
  bool ReadBody(LoadedBlock& block);
  bool ReadAt(uint64_t byte, void* data, uint64_t size);

  const File* file_;
  const uint64_t limit_units_;
  const uint64_t salt_;
  ErrorLog* log_;
};

// "trie leaf", for messages.
const char* NameOf(BlockType type);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_BLOCK_READER_H_
