// MemoryStore: a NodeStore in anonymous memory that keeps books.
//
// Threads:    one thread.
// Processes:  private to this one.
// Owns:       a reserved range of addresses; memory is used as it is written.
// Lifetime:   addresses never move; nothing is ever given back, so that every
//             older root stays readable.
// Errors:     kResourceExhausted when the range is full, or on demand. A block
//             retired twice, or with a size that it has not, aborts.
// Cost:       a hash table entry for each live block, unless booking is off.
#ifndef EVE_TESTS_TESTING_MEMORY_STORE_H_
#define EVE_TESTS_TESTING_MEMORY_STORE_H_

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/collections/node_store.h"

namespace eve {

struct MemoryStoreOptions {
  uint64_t reserve_bytes = uint64_t{16} << 30;
  // Off in benchmarks: no books, no filling of new blocks, no protection.
  bool booking = true;
  // Ask for 2-MiB pages.
  bool huge_pages = false;
};

class MemoryStore : public NodeStore {
 public:
  // Offset to size, of every block that was allocated and not retired.
  using LiveBlocks = absl::flat_hash_map<uint64_t, uint64_t>;

  explicit MemoryStore(const MemoryStoreOptions& options = {});
  ~MemoryStore() override;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  absl::StatusOr<NewBlock> Allocate(Stream stream, uint64_t bytes) override;
  char* Edit(Offset offset) override;
  void Retire(Offset offset, uint64_t bytes) override;

  // As a commit or a savepoint does: what is there now can never be edited in
  // place again. With booking, a store into it is a crash.
  void Seal();

  // Seals, and goes on at the next segment.
  void SealSegment();

  // Everything that an attempt changed, to put back with Rewind().
  struct Mark {
    uint64_t used_bytes = 0;
    uint64_t live_bytes = 0;
    LiveBlocks live;
  };
  Mark TakeMark() const { return {used_bytes_, live_bytes_, live_}; }
  void Rewind(const Mark& mark);

  // Makes the kernel provide the next `bytes` now, and not while a benchmark
  // measures something else.
  void Prefault(uint64_t bytes);

  // The `n`-th call of Allocate() from now on fails, and those after it; 0
  // takes that back.
  void FailAt(uint64_t n) { FailOnceAt(n), fails_on_ = true; }
  // That one only, as where a smaller block still fits.
  void FailOnceAt(uint64_t n) { fail_at_ = n, fails_on_ = false; }

  uint64_t allocations() const { return allocations_; }
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t live_bytes() const { return live_bytes_; }
  const LiveBlocks& live() const { return live_; }
  // For tests that damage bytes, sealed ones too.
  char* MutableBase();

 private:
  const MemoryStoreOptions options_;
  char* base_ = nullptr;
  uint64_t used_bytes_ = 0;
  uint64_t sealed_bytes_ = 0;
  uint64_t live_bytes_ = 0;
  uint64_t allocations_ = 0;
  uint64_t fail_at_ = 0;
  bool fails_on_ = false;  // from there on
  LiveBlocks live_;
};

}  // namespace eve

#endif  // EVE_TESTS_TESTING_MEMORY_STORE_H_
