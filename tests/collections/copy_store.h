// CopyStore: a NodeStore on a copy of bytes that may be damaged.
//
// Damaged blocks may be retired twice or with a wrong size: no books. But a
// new block must not be left, and an old one never be written to.
//
// Threads:    one thread.
// Processes:  none.
// Owns:       the copy.
// Lifetime:   `bytes` outlive it.
// Errors:     kResourceExhausted after some MiB. Bytes that were written
//             elsewhere fail the test when it ends, or at once under a
//             sanitizer; retiring without an end aborts.
// Cost:       that of the copy.
#ifndef EVE_TESTS_COLLECTIONS_COPY_STORE_H_
#define EVE_TESTS_COLLECTIONS_COPY_STORE_H_

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/collections/node_store.h"
#include "gtest/gtest.h"
#include "util/check.h"

namespace eve {

class CopyStore : public NodeStore {
 public:
  explicit CopyStore(const std::vector<char>& bytes)
      : old_(bytes), bytes_(bytes.size() + kRoom) {
    std::memcpy(bytes_.data(), old_.data(), old_.size());
    Use(old_.size());
    Seal();
  }
  ~CopyStore() override {
    ASAN_UNPOISON_MEMORY_REGION(bytes_.data(), bytes_.size());
    EXPECT_TRUE(std::equal(old_.begin(), old_.end(), bytes_.begin()))
        << "an old block was written to";
    for (const uint64_t end : ends_) {
      EXPECT_EQ(bytes_[end], kCanary) << "a new block was left";
    }
  }
  absl::StatusOr<NewBlock> Allocate(Stream, uint64_t bytes) override {
    const uint64_t begin = view_.limit_units * kUnitBytes;
    const uint64_t end = begin + UnitsForBytes(bytes) * kUnitBytes;
    if (bytes > kRoom || end + kUnitBytes > bytes_.size()) {
      return absl::ResourceExhaustedError("full");
    }
    ASAN_UNPOISON_MEMORY_REGION(&bytes_[end], kUnitBytes);
    bytes_[end] = kCanary;
    ends_.push_back(end);
    Use(end + kUnitBytes);
    return NewBlock{Offset::FromBytes(begin), &bytes_[begin]};
  }
  // Blocks of this transaction are edited in place, as in a real one.
  char* Edit(Offset offset) override {
    return offset.bytes() < sealed_ ? nullptr : &bytes_[offset.bytes()];
  }
  // A circle would retire for ever.
  void Retire(Offset, uint64_t) override {
    EVE_CHECK(++retired_ < 1'000'000, "retiring ends");
  }
  void Seal() { sealed_ = view_.limit_units * kUnitBytes; }

 private:
  static constexpr uint64_t kRoom = 8 << 20;
  static constexpr char kCanary = 0x5C;

  // What lies behind it cannot be read or written under a sanitizer.
  void Use(uint64_t bytes) {
    view_ = BlockView{bytes_.data(), bytes / kUnitBytes};
    ASAN_UNPOISON_MEMORY_REGION(bytes_.data(), bytes);
    ASAN_POISON_MEMORY_REGION(&bytes_[bytes], bytes_.size() - bytes);
  }

  const std::vector<char>& old_;
  std::vector<char> bytes_;
  std::vector<uint64_t> ends_;
  uint64_t sealed_ = 0;
  uint64_t retired_ = 0;
};

}  // namespace eve

#endif  // EVE_TESTS_COLLECTIONS_COPY_STORE_H_
