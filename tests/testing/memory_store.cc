#include "tests/testing/memory_store.h"

#include <sys/mman.h>

#include <cstring>

#include "absl/status/status.h"
#include "engine/format/block.h"
#include "util/check.h"

namespace eve {
namespace {

// Offset 0 is null, and offsets in the first page would look like it.
constexpr uint64_t kFirstByte = kPageBytes;

uint64_t PageUp(uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

MemoryStore::MemoryStore(const MemoryStoreOptions& options)
    : options_(options) {
  // Room to align the base to a huge page.
  const uint64_t size = options_.reserve_bytes + kSegmentBytes;
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  EVE_CHECK(address != MAP_FAILED, "reserving addresses");
  char* const start = static_cast<char*>(address);
  const uint64_t skew = reinterpret_cast<uintptr_t>(start) % kSegmentBytes;
  base_ = start + (kSegmentBytes - skew);
  munmap(start, kSegmentBytes - skew);
  if (skew != 0) munmap(base_ + options_.reserve_bytes, skew);
  if (options_.huge_pages) {
    EVE_CHECK(madvise(base_, options_.reserve_bytes, MADV_HUGEPAGE) == 0);
  }
  used_bytes_ = kFirstByte;
  sealed_bytes_ = kFirstByte;
  view_ = BlockView{base_, kFirstByte / kUnitBytes};
}

MemoryStore::~MemoryStore() { munmap(base_, options_.reserve_bytes); }

absl::StatusOr<NewBlock> MemoryStore::Allocate(Stream, uint64_t bytes) {
  ++allocations_;
  if (fail_at_ != 0 && --fail_at_ == 0) {
    if (fails_on_) fail_at_ = 1;
    return absl::ResourceExhaustedError("the test says so");
  }
  const uint64_t rounded = UnitsForBytes(bytes) * kUnitBytes;
  if (rounded > options_.reserve_bytes - used_bytes_) {
    return absl::ResourceExhaustedError("the reserved range is full");
  }
  const Offset offset = Offset::FromBytes(used_bytes_);
  char* const data = base_ + used_bytes_;
  used_bytes_ += rounded;
  live_bytes_ += rounded;
  view_.limit_units = used_bytes_ / kUnitBytes;
  if (options_.booking) {
    live_[offset.units] = rounded;
    // New bytes are unspecified: what the caller leaves out will show.
    std::memset(data, 0xA5, rounded);
  }
  return NewBlock{offset, data};
}

char* MemoryStore::Edit(Offset offset) {
  if (offset.bytes() < sealed_bytes_) return nullptr;
  if (options_.booking) EVE_CHECK(live_.contains(offset.units), "edit of dead");
  return base_ + offset.bytes();
}

void MemoryStore::Retire(Offset offset, uint64_t bytes) {
  live_bytes_ -= bytes;
  if (!options_.booking) return;
  const auto block = live_.find(offset.units);
  EVE_CHECK(block != live_.end(), "a block is retired once");
  EVE_CHECK(block->second == bytes, "a block is retired with its size");
  EVE_CHECK(view_.As<BlockHeader>(offset)->bytes() == bytes);
  live_.erase(block);
}

void MemoryStore::Seal() {
  if (options_.booking) {
    const uint64_t end = PageUp(used_bytes_);
    const uint64_t begin = PageUp(sealed_bytes_);
    if (end > begin)
      EVE_CHECK(mprotect(base_ + begin, end - begin, PROT_READ) == 0);
    used_bytes_ = end;
  }
  sealed_bytes_ = used_bytes_;
}

void MemoryStore::SealSegment() {
  Seal();
  used_bytes_ =
      (used_bytes_ + kSegmentBytes - 1) / kSegmentBytes * kSegmentBytes;
  sealed_bytes_ = used_bytes_;
  view_.limit_units = used_bytes_ / kUnitBytes;
}

void MemoryStore::Prefault(uint64_t bytes) {
  EVE_CHECK(bytes <= options_.reserve_bytes - used_bytes_, "out of range");
  for (uint64_t at = 0; at < bytes; at += kPageBytes) {
    base_[used_bytes_ + at] = 0;
  }
}

void MemoryStore::Rewind(const Mark& mark) {
  EVE_CHECK(mark.used_bytes >= sealed_bytes_, "sealed since");
  used_bytes_ = mark.used_bytes;
  live_bytes_ = mark.live_bytes;
  live_ = mark.live;
  view_.limit_units = used_bytes_ / kUnitBytes;
}

char* MemoryStore::MutableBase() {
  EVE_CHECK(mprotect(base_, PageUp(used_bytes_), PROT_READ | PROT_WRITE) == 0);
  return base_;
}

}  // namespace eve
