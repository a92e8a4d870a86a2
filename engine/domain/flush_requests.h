// FlushRequests: what WaitDurable() asks of the checkpoint thread, and is told.
//
// Threads:    any may ask; one answers. What was asked before the thread looked
//             at asked() is in the answer to that number.
// Processes:  this one's.
// Owns:       the newest answer.
// Lifetime:   none.
// Errors:     none of its own.
// Cost:       an atomic addition to ask; a lock for an answer.
#ifndef EVE_ENGINE_DOMAIN_FLUSH_REQUESTS_H_
#define EVE_ENGINE_DOMAIN_FLUSH_REQUESTS_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"

namespace eve::internal {

class FlushRequests {
 public:
  // Returns its number. Numbers grow, so that none is taken for another's.
  uint64_t Ask() { return asked_.fetch_add(1) + 1; }
  uint64_t asked() const { return asked_.load(); }

  bool IsAnswered(uint64_t number) const {
    std::lock_guard lock(mutex_);
    return answered_ >= number;
  }
  // How a flush went that was begun after number `asked`.
  void Answer(uint64_t asked, absl::Status answer) {
    std::lock_guard lock(mutex_);
    answered_ = asked;
    answer_ = std::move(answer);
  }
  // Nothing: no flush that was begun after that has ended.
  std::optional<absl::Status> AnswerTo(uint64_t number) const {
    std::lock_guard lock(mutex_);
    if (answered_ < number) return std::nullopt;
    return answer_;
  }
  // The newest answer to anybody; OK if there is none.
  absl::Status LastAnswer() const {
    std::lock_guard lock(mutex_);
    return answer_;
  }

 private:
  std::atomic<uint64_t> asked_{0};
  mutable std::mutex mutex_;
  uint64_t answered_ = 0;
  absl::Status answer_;
};

}  // namespace eve::internal

#endif  // EVE_ENGINE_DOMAIN_FLUSH_REQUESTS_H_
