// ForkStore: what one of two transactions that began with the same root sees of
// a MemoryStore.
//
// Threads:    one thread.
// Processes:  none.
// Owns:       the books of its transaction; blocks belong to the store.
// Lifetime:   the store's, at most.
// Errors:     retiring twice, or what is not there, is a test failure.
// Cost:       two hash tables.
#ifndef EVE_TESTS_COLLECTIONS_FORK_STORE_H_
#define EVE_TESTS_COLLECTIONS_FORK_STORE_H_

#include "absl/status/statusor.h"
#include "engine/collections/rebase.h"
#include "gtest/gtest.h"
#include "tests/testing/memory_store.h"

namespace eve {

// Retires nothing from the store.
class ForkStore : public AmendableStore {
 public:
  using Blocks = MemoryStore::LiveBlocks;

  explicit ForkStore(MemoryStore* store) : store_(store) {
    view_ = store->view();
  }

  absl::StatusOr<NewBlock> Allocate(Stream stream, uint64_t bytes) override {
    absl::StatusOr<NewBlock> block = store_->Allocate(stream, bytes);
    view_ = store_->view();
    if (block.ok()) {
      placed_[block->offset.units] = UnitsForBytes(bytes) * kUnitBytes;
    }
    return block;
  }
  char* Edit(Offset offset) override {
    return placed_.contains(offset.units) ? store_->Edit(offset) : nullptr;
  }
  void Retire(Offset offset, uint64_t bytes) override {
    const uint64_t whole = UnitsForBytes(bytes) * kUnitBytes;
    EXPECT_TRUE(retired_.emplace(offset.units, whole).second) << "twice";
  }
  char* Amend(Offset offset) override {
    char* const bytes = Edit(offset);
    if (bytes != nullptr) ++open_;
    return bytes;
  }
  void Amended(Offset) override { --open_; }
  void Unretire(Offset offset, uint64_t bytes) override {
    const auto found = retired_.find(offset.units);
    ASSERT_TRUE(found != retired_.end());
    EXPECT_EQ(found->second, UnitsForBytes(bytes) * kUnitBytes);
    retired_.erase(found);
  }

  // What is alive after this transaction, if `before` was.
  Blocks After(Blocks before) const {
    before.insert(placed_.begin(), placed_.end());
    for (const auto& [units, bytes] : retired_) {
      const auto found = before.find(units);
      EXPECT_TRUE(found != before.end()) << "retired what was not alive";
      if (found == before.end()) continue;
      EXPECT_EQ(found->second, bytes);
      before.erase(found);
    }
    return before;
  }
  int open() const { return open_; }

 private:
  MemoryStore* store_;
  Blocks placed_;
  Blocks retired_;
  int open_ = 0;
};

}  // namespace eve

#endif  // EVE_TESTS_COLLECTIONS_FORK_STORE_H_
