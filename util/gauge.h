// Gauge: a figure that threads of this process keep together, in no order.
//
// Threads:    any. Says nothing about any other memory.
// Processes:  this one's; shared figures are counters of a process slot.
// Owns:       one word.
// Lifetime:   none.
// Errors:     none.
// Cost:       one relaxed access.
#ifndef EVE_UTIL_GAUGE_H_
#define EVE_UTIL_GAUGE_H_

#include <atomic>
#include <cstdint>

namespace eve {

class Gauge {
 public:
  int64_t Get() const { return value_.load(std::memory_order_relaxed); }
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Add(int64_t by) { value_.fetch_add(by, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

}  // namespace eve

#endif  // EVE_UTIL_GAUGE_H_
