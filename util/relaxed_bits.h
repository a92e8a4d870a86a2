// RelaxedBits: a set of small numbers that threads share without an order.
//
// Threads:    any, without waiting. What one puts in others see some time
//             later: for hints.
// Processes:  none.
// Owns:       a bit for each number below its size; memory is taken as the
//             kernel hands out pages that are touched.
// Lifetime:   none.
// Errors:     none.
// Cost:       one relaxed access.
#ifndef EVE_UTIL_RELAXED_BITS_H_
#define EVE_UTIL_RELAXED_BITS_H_

#include <atomic>
#include <cstdint>
#include <memory>

namespace eve {

class RelaxedBits {
 public:
  // Of numbers below `size`, a multiple of 64.
  explicit RelaxedBits(uint64_t size)
      : size_(size), words_(new std::atomic<uint64_t>[size / 64]()) {}

  // REQUIRES: number < size.
  void Add(uint64_t number) {
    words_[number / 64].fetch_or(BitOf(number), std::memory_order_relaxed);
  }
  void Remove(uint64_t number) {
    words_[number / 64].fetch_and(~BitOf(number), std::memory_order_relaxed);
  }
  // False for numbers that are too large.
  bool Contains(uint64_t number) const {
    return number < size_ &&
           (words_[number / 64].load(std::memory_order_relaxed) &
            BitOf(number)) != 0;
  }

 private:
  static constexpr uint64_t BitOf(uint64_t number) {
    return uint64_t{1} << number % 64;
  }
  const uint64_t size_;
  const std::unique_ptr<std::atomic<uint64_t>[]> words_;
};

}  // namespace eve

#endif  // EVE_UTIL_RELAXED_BITS_H_
