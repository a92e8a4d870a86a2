// A histogram of latencies in nanoseconds, with logarithmic buckets.
//
// Threads:    one writer at a time; merge per-thread histograms afterwards.
// Processes:  trivially copyable and without pointers, so it may live in memory
//             that processes share.
// Owns:       about 9 KiB, inside itself.
// Lifetime:   none.
// Errors:     none; a value above kValueMax counts as kValueMax.
// Cost:       Add: a few instructions. Percentile: one pass over the buckets.
//             A percentile is at most 1/32 above the true value.
#ifndef EVE_UTIL_HISTOGRAM_H_
#define EVE_UTIL_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace eve {

class Histogram {
 public:
  // 2^42 ns is 73 minutes.
  static constexpr uint64_t kValueMax = (uint64_t{1} << 42) - 1;

  void Add(uint64_t nanos);
  void Merge(const Histogram& other);
  void Clear();

  uint64_t count() const { return count_; }
  // The three below are 0 when the histogram is empty.
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  uint64_t max() const { return max_; }
  double Mean() const;

  // A value that `percent` of all values do not exceed; never below the true
  // one and never above max(). 0 when empty. REQUIRES: 0 <= percent <= 100.
  uint64_t Percentile(double percent) const;
  uint64_t P50() const { return Percentile(50); }
  uint64_t P99() const { return Percentile(99); }
  uint64_t P999() const { return Percentile(99.9); }

  // "count=3 mean=20 min=10 p50=20 p99=30 p999=30 max=30", in nanoseconds.
  std::string ToString() const;

 private:
  // Values below 2^kSubBits have a bucket each. Above, every power of two is
  // divided into 2^kSubBits buckets, so a bucket is 1/32 of its value wide.
  static constexpr unsigned kSubBits = 5;
  static constexpr size_t kSubBuckets = size_t{1} << kSubBits;
  static constexpr size_t kBuckets = (42 - kSubBits + 1) * kSubBuckets;

  static size_t BucketOf(uint64_t nanos);
  // The largest value that falls into `bucket`.
  static uint64_t BucketMax(size_t bucket);

  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t min_ = UINT64_MAX;
  uint64_t max_ = 0;
  std::array<uint64_t, kBuckets> buckets_ = {};
};

static_assert(std::is_trivially_copyable_v<Histogram>);
static_assert(std::is_standard_layout_v<Histogram>);

}  // namespace eve

#endif  // EVE_UTIL_HISTOGRAM_H_
