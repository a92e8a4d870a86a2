// IdleWriters: writers that wait for a transaction, with their claimed segments
// and buffers.
//
// Threads:    any. Who takes a writer has it for itself.
// Processes:  this one's.
// Owns:       the idle writers.
// Lifetime:   shorter than that of the domain's core.
// Errors:     none.
// Cost:       an exchange and a compare-and-swap a transaction while one thread
//             writes; a mutex besides for each thread more.
#ifndef EVE_ENGINE_DOMAIN_IDLE_WRITERS_H_
#define EVE_ENGINE_DOMAIN_IDLE_WRITERS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/alloc/segment_writer.h"
#include "engine/txn/core.h"
#include "engine/txn/transaction_impl.h"

namespace eve::internal {

// One writer: its claimed segments and its reusable transaction.
struct WriterContext {
  explicit WriterContext(Core* core)
      : writer(core->source.get(), core->write_mapping.data()),
        transaction(core, &writer) {}
  // Gives back what it has claimed and not begun to fill, without the private
  // copies that it may have of pages there (I18).
  void ReleaseSpare() {
    transaction.attempt().SetStaging({});
    writer.ReleaseSpare();
  }
  SegmentWriter writer;
  TransactionImpl transaction;
};

class IdleWriters {
 public:
  IdleWriters() = default;
  IdleWriters(const IdleWriters&) = delete;
  IdleWriters& operator=(const IdleWriters&) = delete;
  ~IdleWriters() { Collect(); }

  // The one that was used last; null if all are busy.
  std::unique_ptr<WriterContext> Take() {
    // acquire: what its last user has done with it is done; pairs with Give().
    WriterContext* const newest =
        newest_.exchange(nullptr, std::memory_order_acquire);
    if (newest != nullptr) return std::unique_ptr<WriterContext>(newest);
    std::lock_guard lock(mutex_);
    if (others_.empty()) return nullptr;
    std::unique_ptr<WriterContext> writer = std::move(others_.back());
    others_.pop_back();
    return writer;
  }

  void Give(std::unique_ptr<WriterContext> writer) {
    WriterContext* none = nullptr;
    if (newest_.compare_exchange_strong(none, writer.get(),
                                        std::memory_order_release,
                                        std::memory_order_relaxed)) {
      static_cast<void>(writer.release());
      return;
    }
    std::lock_guard lock(mutex_);
    others_.push_back(std::move(writer));
  }

  // All but `keep` of them, which are those that were used last.
  std::vector<std::unique_ptr<WriterContext>> TakeAllBut(size_t keep) {
    std::lock_guard lock(mutex_);
    Collect();
    std::vector<std::unique_ptr<WriterContext>> taken;
    for (; others_.size() > keep; others_.erase(others_.begin())) {
      taken.push_back(std::move(others_.front()));
    }
    return taken;
  }

  // Calls `use` with each. None is taken meanwhile.
  template <class Use>
  void ForEach(Use use) {
    std::lock_guard lock(mutex_);
    Collect();
    for (const auto& writer : others_) use(*writer);
  }

  // What the one that was used last can write without another segment.
  uint64_t RoomOfNewest() {
    std::lock_guard lock(mutex_);
    Collect();
    return others_.empty() ? 0 : others_.back()->writer.room_bytes();
  }

 private:
  // REQUIRES: mutex_ is held, or nobody else is left.
  void Collect() {
    WriterContext* const newest =
        newest_.exchange(nullptr, std::memory_order_acquire);
    if (newest != nullptr) others_.emplace_back(newest);
  }

  std::atomic<WriterContext*> newest_{nullptr};  // owned
  std::mutex mutex_;
  std::vector<std::unique_ptr<WriterContext>> others_;
};

}  // namespace eve::internal

#endif  // EVE_ENGINE_DOMAIN_IDLE_WRITERS_H_
