#include "db_bench/worker.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace eve::bench {
namespace {

constexpr uint64_t kWarmUpStride = 16;

// A worker's part of `total` operations: [begin, end).
struct Share {
  uint64_t begin;
  uint64_t end;
};

Share ShareOf(uint64_t total, int worker, int workers) {
  const uint64_t w = static_cast<uint64_t>(worker);
  const uint64_t n = static_cast<uint64_t>(workers);
  return {total * w / n, total * (w + 1) / n};
}

// The same for all engines, different for each benchmark and worker.
uint64_t StreamSeed(const WorkerTask& task) {
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

absl::Status RunWrites(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const uint64_t batch = config.BatchOf(*task.workload);
  const Share share = ShareOf(config.OperationsOf(*task.workload), task.worker,
                              config.Workers());
  KeySource keys(task);
  WriteBuffer buffer(task, batch);
  Stopwatch watch(task.result);
  for (uint64_t begin = share.begin; begin < share.end; begin += batch) {
    const uint64_t end = std::min(share.end, begin + batch);
    absl::Status status =
        task.session->WriteBatch(buffer.Fill(keys, begin, end));
    if (!status.ok()) return status;
    watch.Lap();
  }
  task.result->operations = share.end - share.begin;
  task.result->bytes = task.result->operations * buffer.BytesPerOp();
  return absl::OkStatus();
}

void CountFound(const WorkerTask& task, uint64_t index,
                std::string_view value) {
  WorkerResult& result = *task.result;
  ++result.found;
  result.bytes += task.config->key_size + value.size();
  if (!task.values->Verify(index, value)) ++result.verify_failures;
}

absl::Status RunReads(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const bool absent = task.workload->absent;
  const bool renew = task.workload->kind == OpKind::kGetWhileWriting;
  const Share share = ShareOf(config.reads, task.worker, config.Workers());
  KeySource keys(task);
  std::vector<char> key(config.key_size);
  const std::string_view wanted(key.data(), key.size());
  int left = kSnapshotReads;
  Stopwatch watch(task.result);
  for (uint64_t i = share.begin; i < share.end; ++i) {
    if (renew && left-- == 0) {
      absl::Status status = task.session->TakeSnapshot();
      if (!status.ok()) return status;
      left = kSnapshotReads - 1;
    }
    const uint64_t index = keys.Index(i);
    FormatKey(index, absent, config.key_size, key.data());
    std::string_view value;
    if (task.session->Get(wanted, &value)) CountFound(task, index, value);
    watch.Lap();
  }
  task.result->operations = share.end - share.begin;
  return absl::OkStatus();
}

absl::Status RunMultiReads(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const size_t size = config.key_size;
  const uint64_t group = config.BatchOf(*task.workload);
  const Share share = ShareOf(config.reads, task.worker, config.Workers());
  KeySource keys(task);
  std::vector<char> bytes(group * size);
  std::vector<uint64_t> indexes(group);
  std::vector<std::string_view> wanted(group);
  std::vector<std::string_view> values(group);
  Stopwatch watch(task.result);
  for (uint64_t begin = share.begin; begin < share.end; begin += group) {
    const uint64_t count = std::min(group, share.end - begin);
    for (uint64_t i = 0; i < count; ++i) {
      indexes[i] = keys.Index(begin + i);
      FormatKey(indexes[i], /*absent=*/false, size, &bytes[i * size]);
      wanted[i] = {&bytes[i * size], size};
    }
    task.session->MultiGet(absl::MakeConstSpan(wanted.data(), count),
                           absl::MakeSpan(values.data(), count));
    for (uint64_t i = 0; i < count; ++i) {
      if (values[i].data() != nullptr) CountFound(task, indexes[i], values[i]);
    }
    watch.Lap();
  }
  task.result->operations = share.end - share.begin;
  return absl::OkStatus();
}

std::string CounterKey(const RunConfig& config) {
  std::string key = kCounterName;
  key.resize(config.key_size, '~');
  return key;
}

absl::Status RunIncrements(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const Share share = ShareOf(config.writes, task.worker, config.Workers());
  const std::string key = CounterKey(config);
  Stopwatch watch(task.result);
  for (uint64_t i = share.begin; i < share.end; ++i) {
    absl::Status status = task.session->Increment(key);
    if (!status.ok()) return status;
    watch.Lap();
  }
  task.result->operations = share.end - share.begin;
  task.result->bytes =
      task.result->operations * (config.key_size + sizeof(uint64_t));
  return absl::OkStatus();
}

}  // namespace

uint64_t NowNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 +
         static_cast<uint64_t>(now.tv_nsec);
}

absl::Status WarmUp(const WorkerTask& task) {
  if (!task.workload->Reads()) return absl::OkStatus();
  absl::Status status = task.session->TakeSnapshot();
  if (!status.ok()) return status;
  // Each process has its own mapping or cache; its threads share the touching.
  const RunConfig& config = *task.config;
  const Share share =
      ShareOf(config.num, task.worker % config.threads, config.threads);
  std::vector<char> key(config.key_size);
  std::string_view value;
  for (uint64_t i = share.begin; i < share.end; i += kWarmUpStride) {
    FormatKey(i, /*absent=*/false, key.size(), key.data());
    task.session->Get({key.data(), key.size()}, &value);
  }
  return task.session->TakeSnapshot();
}

absl::Status RunTask(const WorkerTask& task) {
  switch (task.workload->kind) {
    case OpKind::kPut:
    case OpKind::kDelete:
      return RunWrites(task);
    case OpKind::kGet:
    case OpKind::kGetWhileWriting:
      return RunReads(task);
    case OpKind::kMultiGet:
      return RunMultiReads(task);
    case OpKind::kCount:
      return RunIncrements(task);
  }
  return absl::InternalError("unknown kind of workload");
}

absl::Status OverwriteWhileRead(const WorkerTask& task,
                                const std::atomic<uint32_t>* readers_left) {
  KeySource keys(task);
  WriteBuffer buffer(task, 1);
  // acquire: pairs with each reader's release decrement when it is done.
  while (readers_left->load(std::memory_order_acquire) != 0) {
    absl::Status status = task.session->WriteBatch(buffer.Fill(keys, 0, 1));
    if (!status.ok()) return status;
    ++task.result->operations;
  }
  return absl::OkStatus();
}

absl::Status ResetCounter(const RunConfig& config, Session& session) {
  const std::string key = CounterKey(config);
  const std::string zero(sizeof(uint64_t), '\0');
  const WriteOp op{key, zero};
  return session.WriteBatch(absl::MakeConstSpan(&op, 1));
}

absl::Status CheckCounter(const RunConfig& config, Session& session,
                          uint64_t expected) {
  absl::Status status = session.TakeSnapshot();
  if (!status.ok()) return status;
  std::string_view value;
  if (!session.Get(CounterKey(config), &value) ||
      value.size() != sizeof(uint64_t)) {
    return absl::DataLossError("the counter is gone");
  }
  uint64_t count = 0;
  std::memcpy(&count, value.data(), sizeof(count));
  session.DropSnapshot();
  if (count == expected) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the counter is ", count, " after ",
                                          expected, " increments"));
}

}  // namespace eve::bench
