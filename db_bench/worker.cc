#include "db_bench/worker.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "db_bench/worker_parts.h"

namespace eve::bench {
namespace {

constexpr uint64_t kWarmUpStride = 16;

absl::Status RunWrites(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const uint64_t batch = config.BatchOf(*task.workload);
  const Share share = ShareOf(config.OperationsOf(*task.workload), task.worker,
                              config.Workers());
  // Shares of several workers are not written in one order.
  const bool appends =
      task.workload->kind == OpKind::kAppend && config.Workers() == 1;
  KeySource keys(task);
  WriteBuffer buffer(task, batch);
  Stopwatch watch(task.result);
  for (uint64_t begin = share.begin; begin < share.end; begin += batch) {
    const uint64_t end = std::min(share.end, begin + batch);
    const absl::Span<const WriteOp> ops = buffer.Fill(keys, begin, end);
    absl::Status status = appends ? task.session->AppendBatch(ops)
                                  : task.session->WriteBatch(ops);
    if (!status.ok()) return status;
    watch.Lap();
  }
  task.result->operations = share.end - share.begin;
  task.result->bytes = task.result->operations * buffer.BytesPerOp();
  return absl::OkStatus();
}

// One transaction of everything; its duration is one lap.
absl::Status RunBulkLoad(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const uint64_t batch = config.BatchOf(*task.workload);
  if (config.Workers() != 1) {
    return absl::InvalidArgumentError("bulkload has one worker");
  }
  KeySource keys(task);
  WriteBuffer buffer(task, batch);
  Stopwatch watch(task.result);
  uint64_t begin = 0;
  absl::Status status = task.session->BulkLoad([&] {
    const uint64_t from = begin;
    begin = std::min(config.num, begin + batch);
    return buffer.Fill(keys, from, begin);
  });
  if (!status.ok()) return status;
  watch.Lap();
  task.result->operations = config.num;
  task.result->bytes = config.num * buffer.BytesPerOp();
  return absl::OkStatus();
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
  if (task.workload->kind == OpKind::kDiff) return PrepareDiff(task);
  return task.session->TakeSnapshot();
}

absl::Status RunTask(const WorkerTask& task) {
  if (task.workload->MeasuresSpace()) return RunSpaceTask(task);
  switch (task.workload->kind) {
    case OpKind::kPut:
    case OpKind::kAppend:
    case OpKind::kDelete:
      return RunWrites(task);
    case OpKind::kBulkLoad:
      return RunBulkLoad(task);
    case OpKind::kGet:
    case OpKind::kGetWhileWriting:
      return RunReads(task);
    case OpKind::kMultiGet:
      return RunMultiReads(task);
    case OpKind::kCount:
      return RunIncrements(task);
    default:
      return RunOrderedTask(task);
  }
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
