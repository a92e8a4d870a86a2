#include "db_bench/worker_parts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace eve::bench {
namespace {

// How often a worker adds up, if somebody watches.
constexpr uint64_t kCountNanos = 1000000;

// Only look-ups know --read_random_exp_range.
KeyDistribution DistributionOf(const WorkerTask& task) {
  const OpKind kind = task.workload->kind;
  const bool looks_up = kind == OpKind::kGet || kind == OpKind::kMultiGet ||
                        kind == OpKind::kGetWhileWriting ||
                        kind == OpKind::kGetWhileScanning;
  if (task.config->exp_range > 0 && looks_up) {
    return KeyDistribution::kExponential;
  }
  return task.config->distribution;
}

bool LastFillWentInOrder(const WorkerTask& task) {
  for (int phase = task.phase; phase-- > 0;) {
    const Workload& before =
        *task.config->workloads[static_cast<size_t>(phase)];
    if (before.fills) return before.order == KeyOrder::kSequential;
  }
  return true;
}

// No skew: every generation is some phase's.
uint64_t GenerationOf(const WorkerTask& task) {
  const uint64_t generation = static_cast<uint64_t>(task.phase) + 1;
  return task.workload->large ? kLargeGeneration + generation : generation;
}

}  // namespace

Stopwatch::Stopwatch(const WorkerTask& task)
    : task_(task), result_(task.result) {
  last_ = result_->start_nanos = NowNanos();
  reported_nanos_ = last_;
  const uint64_t interval = task.config->stats_interval_nanos;
  next_stats_ = interval == 0 ? UINT64_MAX : last_ + interval;
  next_count_ =
      task.config->CountsWhileRunning() ? last_ + kCountNanos : UINT64_MAX;
  next_report_ = std::min(next_stats_, next_count_);
}

void Stopwatch::TellOthers() {
  if (last_ >= next_stats_) Report();
  if (last_ >= next_count_) {
    task_.operations->fetch_add(operations_ - counted_operations_,
                                std::memory_order_relaxed);
    counted_operations_ = operations_;
    next_count_ = last_ + kCountNanos;
  }
  next_report_ = std::min(next_stats_, next_count_);
}

// In the form of RocksDB's db_bench, to standard error.
void Stopwatch::Report() {
  const double part = static_cast<double>(last_ - reported_nanos_) * 1e-9;
  const double whole = static_cast<double>(ElapsedNanos()) * 1e-9;
  const uint64_t done = operations_ - reported_operations_;
  const std::string line = absl::StrFormat(
      "%s  ... thread %d: (%d,%d) ops and (%.1f,%.1f) ops/second in "
      "(%.6f,%.6f) seconds\n",
      absl::FormatTime("%Y/%m/%d-%H:%M:%S", absl::Now(), absl::LocalTimeZone()),
      task_.worker, done, operations_, static_cast<double>(done) / part,
      static_cast<double>(operations_) / whole, part, whole);
  std::fputs(line.c_str(), stderr);
  reported_nanos_ = last_;
  reported_operations_ = operations_;
  next_stats_ = last_ + task_.config->stats_interval_nanos;
}

OpLoop::OpLoop(const WorkerTask& task, uint64_t total, uint64_t batch)
    : task_(task),
      share_(ShareOf(total, task.worker, task.config->Workers())),
      batch_(batch),
      by_time_(task.config->RunsByTime(*task.workload)),
      begin_(share_.begin),
      end_(share_.begin),
      watch_(task) {}

bool AwaitWriteBudget(const WorkerTask& task, uint64_t bytes) {
  const uint64_t rate = task.config->write_bytes_per_second;
  if (rate == 0) return false;
  const double nanos =
      static_cast<double>(bytes) * 1e9 / static_cast<double>(rate);
  const uint64_t now = NowNanos();
  uint64_t next = task.write_clock->load();
  uint64_t start;
  // What nobody used so far is lost: after a pause there is no burst.
  do {
    start = std::max(next, now);
  } while (!task.write_clock->compare_exchange_weak(
      next, start + static_cast<uint64_t>(nanos)));
  if (start == now) return false;
  absl::SleepFor(absl::Nanoseconds(start - now));
  return true;
}

KeySource::KeySource(const WorkerTask& task)
    : order_(task.workload->order),
      distribution_(DistributionOf(task)),
      exp_range_(task.config->exp_range),
      num_(task.config->num),
      latest_is_last_(LastFillWentInOrder(task)),
      random_(StreamSeed(task)),
      permutation_(task.config->num, task.config->seed),
      zipf_(task.config->num) {}

// The permutation is the same for all workers and benchmarks of a turn, so they
// agree on which keys are popular; it keeps these from being neighbours.
uint64_t KeySource::DrawSkewed() {
  if (distribution_ == KeyDistribution::kExponential) {
    const double drawn =
        static_cast<double>(num_) * std::exp(-random_.Unit() * exp_range_);
    return permutation_(std::min(num_ - 1, static_cast<uint64_t>(drawn)));
  }
  const uint64_t rank = zipf_.Next(random_);
  if (distribution_ == KeyDistribution::kZipf) return permutation_(rank);
  // The last fill in random order followed the same permutation.
  const uint64_t position = num_ - 1 - rank;
  return latest_is_last_ ? position : permutation_(position);
}

WriteBuffer::WriteBuffer(const WorkerTask& task, uint64_t batch)
    : task_(task),
      key_size_(task.config->keys.size),
      generation_(GenerationOf(task)),
      erase_(task.workload->kind == OpKind::kDelete),
      keys_(batch * key_size_),
      ops_(batch) {
  indexes_.reserve(batch);
}

absl::Span<const WriteOp> WriteBuffer::Fill(KeySource& keys, uint64_t begin,
                                            uint64_t end) {
  indexes_.clear();
  for (uint64_t i = begin; i < end; ++i) indexes_.push_back(keys.Index(i));
  return Finish();
}

absl::Span<const WriteOp> WriteBuffer::FillOne(uint64_t index) {
  indexes_.assign(1, index);
  return Finish();
}

absl::Span<const WriteOp> WriteBuffer::Finish() {
  const size_t count = indexes_.size();
  size_t value_bytes = 0;
  for (size_t i = 0; !erase_ && i < count; ++i) {
    value_bytes += task_.values->SizeOf(indexes_[i], generation_);
  }
  if (values_.size() < value_bytes) values_.resize(value_bytes);
  bytes_ = count * key_size_ + value_bytes;
  char* value = values_.data();
  for (size_t i = 0; i < count; ++i) {
    char* key = &keys_[i * key_size_];
    task_.config->keys.Format(indexes_[i], /*absent=*/false, key);
    ops_[i] = {.key = {key, key_size_}, .value = {}, .erase = erase_};
    if (erase_) continue;
    task_.values->Make(indexes_[i], generation_, value);
    ops_[i].value = {value, task_.values->SizeOf(indexes_[i], generation_)};
    value += ops_[i].value.size();
  }
  return absl::MakeConstSpan(ops_.data(), count);
}

}  // namespace eve::bench
