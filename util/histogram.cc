#include "util/histogram.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>

#include "util/bits.h"
#include "util/check.h"

namespace eve {

size_t Histogram::BucketOf(uint64_t nanos) {
  if (nanos < kSubBuckets) return nanos;
  const unsigned shift = Log2Floor(nanos) - kSubBits;
  // The top kSubBits + 1 bits, the highest of which is set: 32..63.
  const uint64_t top = nanos >> shift;
  return shift * kSubBuckets + top;
}

uint64_t Histogram::BucketMax(size_t bucket) {
  if (bucket < kSubBuckets) return bucket;
  const size_t shift = bucket / kSubBuckets - 1;
  const uint64_t top = bucket % kSubBuckets + kSubBuckets;
  return ((top + 1) << shift) - 1;
}

void Histogram::Add(uint64_t nanos) {
  nanos = std::min(nanos, kValueMax);
  ++buckets_[BucketOf(nanos)];
  ++count_;
  sum_ += nanos;
  min_ = std::min(min_, nanos);
  max_ = std::max(max_, nanos);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

void Histogram::Clear() { *this = Histogram(); }

double Histogram::Mean() const {
  if (count_ == 0) return 0;
  return static_cast<double>(sum_) / static_cast<double>(count_);
}

uint64_t Histogram::Percentile(double percent) const {
  EVE_CHECK(percent >= 0 && percent <= 100, "a percentile is in 0..100");
  if (count_ == 0) return 0;
  // The rank of the wanted value, from 1: at least `percent` of the values are
  // at or below it.
  const double exact = std::ceil(percent / 100 * static_cast<double>(count_));
  const uint64_t rank = std::max<uint64_t>(1, static_cast<uint64_t>(exact));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::clamp(BucketMax(i), min_, max_);
  }
  return max_;
}

std::string Histogram::ToString() const {
  char text[200];
  const int size =
      std::snprintf(text, sizeof(text),
                    "count=%" PRIu64 " mean=%.0f min=%" PRIu64 " p50=%" PRIu64
                    " p99=%" PRIu64 " p999=%" PRIu64 " max=%" PRIu64,
                    count(), Mean(), min(), P50(), P99(), P999(), max());
  return std::string(text, static_cast<size_t>(size));
}

}  // namespace eve
