#ifndef EVE_DB_BENCH_LATENCY_HISTOGRAM_H_
#define EVE_DB_BENCH_LATENCY_HISTOGRAM_H_

#include <bit>
#include <cstdint>
#include <type_traits>

namespace eve::bench {

// Counts of latencies in nanoseconds, in buckets about 3% wide.
//
// Threads:    one writer; merge after it is done.
// Processes:  trivially copyable and free of pointers, so it may live in memory
//             that a worker process shares with its parent.
// Owns:       nothing.
// Lifetime:   a zeroed object is an empty histogram.
// Errors:     none; a latency too long for the last bucket is counted there.
// Cost:       Add is a shift and an increment.
class LatencyHistogram {
 public:
  void Add(uint64_t nanos) { ++counts_[BucketOf(nanos)]; }

  void Merge(const LatencyHistogram& other) {
    for (int i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  }

  // The latency, in microseconds, that `percent` of all latencies do not
  // exceed; interpolated inside its bucket. 0 if the histogram is empty.
  double PercentileMicros(double percent) const {
    uint64_t total = 0;
    for (uint64_t count : counts_) total += count;
    const double rank = static_cast<double>(total) * percent / 100.0;
    double below = 0;
    for (int i = 0; i < kBuckets; ++i) {
      const double here = static_cast<double>(counts_[i]);
      if (here > 0 && below + here >= rank) {
        const double low = LowerBound(i);
        const double part = (rank - below) / here;
        return (low + (LowerBound(i + 1) - low) * part) / 1000.0;
      }
      below += here;
    }
    return 0;
  }

 private:
  static constexpr int kSubBits = 5;
  static constexpr uint64_t kSub = uint64_t{1} << kSubBits;
  static constexpr int kOctaves = 36;  // 2^(36 + 5) ns is 36 minutes
  static constexpr int kBuckets = static_cast<int>(kSub) * (kOctaves + 1);

  // Below kSub every value has its own bucket; each octave above has kSub.
  static int BucketOf(uint64_t nanos) {
    if (nanos < kSub) return static_cast<int>(nanos);
    const int shift = std::bit_width(nanos) - 1 - kSubBits;
    const int bucket = static_cast<int>(kSub) * (shift + 1) +
                       static_cast<int>((nanos >> shift) - kSub);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }

  static double LowerBound(int bucket) {
    const int sub = static_cast<int>(kSub);
    if (bucket < sub) return bucket;
    const int shift = bucket / sub - 1;
    const uint64_t mantissa = kSub + static_cast<uint64_t>(bucket % sub);
    return static_cast<double>(mantissa << shift);
  }

  uint64_t counts_[kBuckets] = {};
};

static_assert(std::is_trivially_copyable_v<LatencyHistogram>);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_LATENCY_HISTOGRAM_H_
