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

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
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

// Times calls back to back: the end of one is the start of the next, so each
// costs one clock call and the latencies add up to the elapsed time. In between
// it reports if --stats_interval_seconds says so, and counts for ProgressWatch.
class Stopwatch {
 public:
  explicit Stopwatch(const WorkerTask& task);
  ~Stopwatch() { result_->end_nanos = last_; }

  // A call of so many operations has ended.
  void Lap(uint64_t operations = 1) {
    const uint64_t now = NowNanos();
    result_->latencies.Add(now - last_);
    last_ = now;
    operations_ += operations;
    if (now >= next_report_) TellOthers();
  }
  // What was done since the last lap counts as time, but as no operation's.
  void Skip() { last_ = NowNanos(); }

  uint64_t ElapsedNanos() const { return last_ - result_->start_nanos; }

 private:
  void TellOthers();
  void Report();

  const WorkerTask& task_;
  WorkerResult* const result_;
  uint64_t last_;
  uint64_t operations_ = 0;
  uint64_t next_report_;  // of the next two, the earlier
  uint64_t next_stats_;
  uint64_t next_count_;
  uint64_t counted_operations_ = 0;
  uint64_t reported_nanos_;
  uint64_t reported_operations_ = 0;
};

// The calls of a worker, of up to `batch` operations each: its share of `total`
// operations or, with --duration, as many as there is time for.
//
//   for (OpLoop loop(task, total, batch); loop.Next(); loop.Lap()) { ... }
class OpLoop {
 public:
  OpLoop(const WorkerTask& task, uint64_t total, uint64_t batch = 1);
  ~OpLoop() { task_.result->operations = end_ - share_.begin; }

  bool Next() {
    if (by_time_) {
      if (watch_.ElapsedNanos() >= task_.config->duration_nanos) return false;
      begin_ = end_;
      end_ += batch_;
      return true;
    }
    if (end_ == share_.end) return false;
    begin_ = end_;
    end_ = begin_ + batch_ < share_.end ? begin_ + batch_ : share_.end;
    return true;
  }
  void Lap() { watch_.Lap(count()); }
  void Skip() { watch_.Skip(); }

  // The operations of this call, counted over all workers unless by time.
  uint64_t begin() const { return begin_; }
  uint64_t end() const { return end_; }
  uint64_t count() const { return end_ - begin_; }

 private:
  const WorkerTask& task_;
  const Share share_;
  const uint64_t batch_;
  const bool by_time_;
  uint64_t begin_;
  uint64_t end_;
  Stopwatch watch_;
};

// Waits until so many bytes may be written under the limit of
// --benchmark_write_rate_limit, which all workers share. Tells if it waited.
bool AwaitWriteBudget(const WorkerTask& task, uint64_t bytes);

// Draws the keys of one workload.
class KeySource {
 public:
  explicit KeySource(const WorkerTask& task);

  // `i` counts the operations of all workers.
  uint64_t Index(uint64_t i) {
    switch (order_) {
      case KeyOrder::kSequential:
        return i;
      case KeyOrder::kPermutation:
        return permutation_(i);
      case KeyOrder::kHot:
        return random_.Uniform((num_ + kHotParts - 1) / kHotParts);
      case KeyOrder::kAscending:
        ascended_ = (ascended_ + random_.Uniform(kAscendingStepMax)) % num_;
        return ascended_;
      case KeyOrder::kRandom:
        break;
    }
    if (distribution_ == KeyDistribution::kUniform) {
      return random_.Uniform(num_);
    }
    return DrawSkewed();
  }

 private:
  uint64_t DrawSkewed();

  const KeyOrder order_;
  const KeyDistribution distribution_;
  const double exp_range_;
  const uint64_t num_;
  uint64_t ascended_ = 0;
  bool latest_is_last_;  // the last fill went in order
  Random random_;
  const Permutation permutation_;
  const ZipfRanks zipf_;
};

// One transaction's operations and the bytes they point to.
class WriteBuffer {
 public:
  WriteBuffer(const WorkerTask& task, uint64_t batch);

  absl::Span<const WriteOp> Fill(KeySource& keys, uint64_t begin, uint64_t end);
  // One put of this key.
  absl::Span<const WriteOp> FillOne(uint64_t index);
  // Of the keys and values of the last fill.
  uint64_t bytes() const { return bytes_; }

 private:
  absl::Span<const WriteOp> Finish();

  const WorkerTask& task_;
  const size_t key_size_;
  const uint64_t generation_;
  const bool erase_;
  uint64_t bytes_ = 0;
  std::vector<uint64_t> indexes_;
  std::vector<char> keys_;
  std::vector<char> values_;
  std::vector<WriteOp> ops_;
};

inline void CountFound(const WorkerTask& task, uint64_t index,
                       std::string_view value) {
  WorkerResult& result = *task.result;
  ++result.found;
  result.bytes += task.config->keys.size + value.size();
  if (!task.values->Verify(index, value)) ++result.verify_failures;
}

// Puts or deletes as the workload says.
absl::Status RunWrites(const WorkerTask& task);
// The workloads that are about several processes.
absl::Status RunProcessesTask(const WorkerTask& task);
// Untimed: forgets the last commit of a watchlatency before.
absl::Status PrepareWatch(const WorkerTask& task);
// The workloads that read and write in turn.
absl::Status RunMixedTask(const WorkerTask& task);
// Opening, compacting, checksums.
absl::Status RunMaintenanceTask(const WorkerTask& task);
// Scans all entries until `*readers_left` is 0.
absl::Status ScanWhileRead(const WorkerTask& task,
                           const std::atomic<uint32_t>* readers_left);
// The workloads that need an order of the keys.
absl::Status RunOrderedTask(const WorkerTask& task);
// The workloads that measure space.
absl::Status RunSpaceTask(const WorkerTask& task);
// Untimed: the two snapshots of the diff workload.
absl::Status PrepareDiff(const WorkerTask& task);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_WORKER_PARTS_H_
