// What the workloads of a worker are made of.
//
// Threads:    one worker each.
// Processes:  none.
// Owns:       its buffers.
// Lifetime:   one workload.
// Errors:     none.
// Cost:       part of what is measured, the same for every engine.
#ifndef EVE_DB_BENCH_WORKER_PARTS_H_
#define EVE_DB_BENCH_WORKER_PARTS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/worker.h"
#include "db_bench/workload.h"

namespace eve::bench {

// A worker's part of `total` operations: [begin, end).
struct Share {
  uint64_t begin;
  uint64_t end;
};

inline Share ShareOf(uint64_t total, int worker, int workers) {
  const uint64_t w = static_cast<uint64_t>(worker);
  const uint64_t n = static_cast<uint64_t>(workers);
  return {total * w / n, total * (w + 1) / n};
}

// The same for all engines, different for each benchmark and worker.
inline uint64_t StreamSeed(const WorkerTask& task) {
  return task.config->seed * 1000003 +
         static_cast<uint64_t>(task.phase) * 1009 +
         static_cast<uint64_t>(task.worker);
}

// Times operations back to back: the end of one is the start of the next, so
// each costs one clock call and the latencies add up to the elapsed time.
class Stopwatch {
 public:
  explicit Stopwatch(WorkerResult* result) : result_(result) {
    last_ = result_->start_nanos = NowNanos();
  }
  ~Stopwatch() { result_->end_nanos = last_; }

  void Lap() {
    const uint64_t now = NowNanos();
    result_->latencies.Add(now - last_);
    last_ = now;
  }
  // What was done since the last lap counts as time, but as no operation's.
  void Skip() { last_ = NowNanos(); }

 private:
  WorkerResult* result_;
  uint64_t last_;
};

// Draws the keys of one workload.
class KeySource {
 public:
  explicit KeySource(const WorkerTask& task)
      : order_(task.workload->order),
        num_(task.config->num),
        random_(StreamSeed(task)),
        permutation_(task.config->num, task.config->seed) {}

  // `i` counts the operations of all workers.
  uint64_t Index(uint64_t i) {
    switch (order_) {
      case KeyOrder::kSequential:
        return i;
      case KeyOrder::kPermutation:
        return permutation_(i);
      case KeyOrder::kUniform:
        return random_.Uniform(num_);
    }
    return 0;
  }

 private:
  const KeyOrder order_;
  const uint64_t num_;
  Random random_;
  const Permutation permutation_;
};

// One transaction's operations and the bytes they point to.
class WriteBuffer {
 public:
  WriteBuffer(const WorkerTask& task, uint64_t batch)
      : task_(task),
        key_size_(task.config->key_size),
        value_size_(task.config->value_size),
        keys_(batch * key_size_),
        values_(batch * value_size_),
        ops_(batch) {}

  absl::Span<const WriteOp> Fill(KeySource& keys, uint64_t begin,
                                 uint64_t end) {
    const bool erase = task_.workload->kind == OpKind::kDelete;
    const uint64_t generation = static_cast<uint64_t>(task_.phase) + 1;
    for (uint64_t i = begin; i < end; ++i) {
      const uint64_t slot = i - begin;
      const uint64_t index = keys.Index(i);
      char* key = &keys_[slot * key_size_];
      FormatKey(index, /*absent=*/false, key_size_, key);
      WriteOp& op = ops_[slot];
      op.key = {key, key_size_};
      op.erase = erase;
      if (erase) continue;
      char* value = &values_[slot * value_size_];
      task_.values->Make(index, generation, value);
      op.value = {value, value_size_};
    }
    return absl::MakeConstSpan(ops_.data(), end - begin);
  }

  uint64_t BytesPerOp() const {
    const bool erase = task_.workload->kind == OpKind::kDelete;
    return key_size_ + (erase ? 0 : value_size_);
  }

 private:
  const WorkerTask& task_;
  const size_t key_size_;
  const size_t value_size_;
  std::vector<char> keys_;
  std::vector<char> values_;
  std::vector<WriteOp> ops_;
};

inline void CountFound(const WorkerTask& task, uint64_t index,
                       std::string_view value) {
  WorkerResult& result = *task.result;
  ++result.found;
  result.bytes += task.config->key_size + value.size();
  if (!task.values->Verify(index, value)) ++result.verify_failures;
}

// The workloads that need an order of the keys.
absl::Status RunOrderedTask(const WorkerTask& task);
// The workloads that measure space.
absl::Status RunSpaceTask(const WorkerTask& task);
// Untimed: the two snapshots of the diff workload.
absl::Status PrepareDiff(const WorkerTask& task);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_WORKER_PARTS_H_
