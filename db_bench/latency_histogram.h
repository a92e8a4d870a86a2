#ifndef EVE_DB_BENCH_LATENCY_HISTOGRAM_H_
#define EVE_DB_BENCH_LATENCY_HISTOGRAM_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "absl/strings/str_format.h"

namespace eve::bench {

// Counts of latencies in nanoseconds, in buckets about 3% wide.
//
// Threads:    one writer; merge after it is done.
// Processes:  trivially copyable and free of pointers, so it may live in memory
//             that a worker process shares with its parent.
// Owns:       nothing.
// Lifetime:   a zeroed object is an empty histogram.
// Errors:     none; a latency too long for the last bucket is counted there.
// Cost:       Add is a shift and a few additions.
class LatencyHistogram {
 public:
  void Add(uint64_t nanos) {
    ++counts_[BucketOf(nanos)];
    min_ = count_ == 0 ? nanos : std::min(min_, nanos);
    max_ = std::max(max_, nanos);
    ++count_;
    const double value = static_cast<double>(nanos);
    sum_ += value;
    sum_squares_ += value * value;
  }

  void Merge(const LatencyHistogram& other) {
    if (other.count_ == 0) return;
    for (int i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
    count_ += other.count_;
    sum_ += other.sum_;
    sum_squares_ += other.sum_squares_;
  }

  uint64_t count() const { return count_; }
  double MaxMicros() const { return static_cast<double>(max_) / 1000; }

  // The latency, in microseconds, that `percent` of all latencies do not
  // exceed; interpolated inside its bucket. 0 if the histogram is empty.
  double PercentileMicros(double percent) const {
    const double rank = static_cast<double>(count_) * percent / 100.0;
    double below = 0;
    for (int i = 0; i < kBuckets; ++i) {
      const double here = static_cast<double>(counts_[i]);
      if (here > 0 && below + here >= rank) {
        const double low = LowerBound(i);
        const double part = (rank - below) / here;
        const double nanos = low + (LowerBound(i + 1) - low) * part;
        return std::clamp(nanos, static_cast<double>(min_),
                          static_cast<double>(max_)) /
               1000.0;
      }
      below += here;
    }
    return 0;
  }

  // What --histogram prints, in the form of RocksDB's db_bench; microseconds.
  // `percentiles` is the line that belongs in its middle.
  std::string ToString(const std::string& percentiles) const {
    const double count = std::max<double>(1, static_cast<double>(count_));
    const double mean = sum_ / count;
    const double variance = std::max(0.0, sum_squares_ / count - mean * mean);
    std::string text = absl::StrFormat(
        "Count: %d Average: %.4f  StdDev: %.2f\n"
        "Min: %.3f  Median: %.4f  Max: %.3f\n%s\n"
        "------------------------------------------------------\n",
        count_, mean / 1000, std::sqrt(variance) / 1000,
        static_cast<double>(min_) / 1000, PercentileMicros(50), MaxMicros(),
        percentiles);
    uint64_t below = 0;
    for (int i = 0; i < kBuckets; i += kBucketsPerRow) {
      uint64_t here = 0;
      for (int k = i; k < i + kBucketsPerRow; ++k) here += counts_[k];
      if (here == 0) continue;
      below += here;
      const double part = static_cast<double>(here) / count;
      absl::StrAppendFormat(
          &text, "[ %10.3f, %10.3f ) %10d %7.3f%% %7.3f%% %s\n",
          LowerBound(i) / 1000, LowerBound(i + kBucketsPerRow) / 1000, here,
          100 * part, 100 * static_cast<double>(below) / count,
          std::string(static_cast<size_t>(std::lround(20 * part)), '#'));
    }
    return text;
  }

 private:
  static constexpr int kSubBits = 5;
  static constexpr uint64_t kSub = uint64_t{1} << kSubBits;
  static constexpr int kOctaves = 36;  // 2^(36 + 5) ns is 36 minutes
  static constexpr int kBuckets = static_cast<int>(kSub) * (kOctaves + 1);
  static constexpr int kBucketsPerRow = 8;  // of a printed histogram
  static_assert(kBuckets % kBucketsPerRow == 0);

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
  uint64_t count_ = 0;
  uint64_t min_ = 0;
  uint64_t max_ = 0;
  double sum_ = 0;
  double sum_squares_ = 0;
};

static_assert(std::is_trivially_copyable_v<LatencyHistogram>);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_LATENCY_HISTOGRAM_H_
