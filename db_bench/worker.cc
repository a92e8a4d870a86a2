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

}  // namespace

absl::Status RunWrites(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const uint64_t batch = config.BatchOf(*task.workload);
  // Shares of several workers are not written in one order.
  const bool appends =
      task.workload->kind == OpKind::kAppend && config.Workers() == 1;
  KeySource keys(task);
  WriteBuffer buffer(task, batch);
  for (OpLoop loop(task, config.OperationsOf(*task.workload), batch);
       loop.Next(); loop.Lap()) {
    const absl::Span<const WriteOp> ops =
        buffer.Fill(keys, loop.begin(), loop.end());
    if (AwaitWriteBudget(task, buffer.bytes())) loop.Skip();
    absl::Status status = appends ? task.session->AppendBatch(ops)
                                  : task.session->WriteBatch(ops);
    if (!status.ok()) return status;
    task.result->bytes += buffer.bytes();
  }
  return absl::OkStatus();
}

namespace {

// One transaction of everything; its duration is one lap.
absl::Status RunBulkLoad(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const uint64_t batch = config.BatchOf(*task.workload);
  if (config.Workers() != 1) {
    return absl::InvalidArgumentError("bulkload has one worker");
  }
  KeySource keys(task);
  WriteBuffer buffer(task, batch);
  Stopwatch watch(task);
  uint64_t begin = 0;
  absl::Status status = task.session->BulkLoad([&] {
    const uint64_t from = begin;
    begin = std::min(config.num, begin + batch);
    const absl::Span<const WriteOp> ops = buffer.Fill(keys, from, begin);
    task.result->bytes += buffer.bytes();
    return ops;
  });
  if (!status.ok()) return status;
  watch.Lap(config.num);
  task.result->operations = config.num;
  return absl::OkStatus();
}

absl::Status RunReads(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const bool absent = task.workload->absent;
  const bool renew = task.workload->kind == OpKind::kGetWhileWriting;
  KeySource keys(task);
  std::vector<char> key(config.keys.size);
  const std::string_view wanted(key.data(), key.size());
  int left = kSnapshotReads;
  for (OpLoop loop(task, config.reads); loop.Next(); loop.Lap()) {
    if (renew && left-- == 0) {
      absl::Status status = task.session->TakeSnapshot();
      if (!status.ok()) return status;
      left = kSnapshotReads - 1;
    }
    const uint64_t index = keys.Index(loop.begin());
    config.keys.Format(index, absent, key.data());
    std::string_view value;
    if (task.session->Get(wanted, &value)) CountFound(task, index, value);
  }
  return absl::OkStatus();
}

absl::Status RunMultiReads(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const size_t size = config.keys.size;
  const uint64_t group = config.BatchOf(*task.workload);
  KeySource keys(task);
  std::vector<char> bytes(group * size);
  std::vector<uint64_t> indexes(group);
  std::vector<std::string_view> wanted(group);
  std::vector<std::string_view> values(group);
  for (OpLoop loop(task, config.reads, group); loop.Next(); loop.Lap()) {
    const uint64_t count = loop.count();
    for (uint64_t i = 0; i < count; ++i) {
      indexes[i] = keys.Index(loop.begin() + i);
      config.keys.Format(indexes[i], /*absent=*/false, &bytes[i * size]);
      wanted[i] = {&bytes[i * size], size};
    }
    task.session->MultiGet(absl::MakeConstSpan(wanted.data(), count),
                           absl::MakeSpan(values.data(), count));
    for (uint64_t i = 0; i < count; ++i) {
      if (values[i].data() != nullptr) CountFound(task, indexes[i], values[i]);
    }
  }
  return absl::OkStatus();
}

std::string CounterKey(const RunConfig& config) {
  std::string key = kCounterName;
  key.resize(config.keys.size, '~');
  return key;
}

absl::Status RunIncrements(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const std::string key = CounterKey(config);
  for (OpLoop loop(task, config.writes); loop.Next(); loop.Lap()) {
    absl::Status status = task.session->Increment(key);
    if (!status.ok()) return status;
    task.result->bytes += config.keys.size + sizeof(uint64_t);
  }
  return absl::OkStatus();
}

absl::Status RunByKind(const WorkerTask& task) {
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
    case OpKind::kGetWhileScanning:
      return RunReads(task);
    case OpKind::kMultiGet:
      return RunMultiReads(task);
    case OpKind::kUpdate:
    case OpKind::kReadsAndWrites:
      return RunMixedTask(task);
    case OpKind::kCount:
      return RunIncrements(task);
    case OpKind::kPutOwn:
    case OpKind::kWatch:
      return RunProcessesTask(task);
    case OpKind::kOpen:
    case OpKind::kCompact:
    case OpKind::kChecksum:
      return RunMaintenanceTask(task);
    default:
      return RunOrderedTask(task);
  }
}

}  // namespace

uint64_t NowNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 +
         static_cast<uint64_t>(now.tv_nsec);
}

absl::Status WarmUp(const WorkerTask& task) {
  if (task.workload->kind == OpKind::kWatch) return PrepareWatch(task);
  const bool mixed = task.workload->ReadsAndWrites();
  if (!task.workload->Reads() && !mixed) return absl::OkStatus();
  absl::Status status = task.session->TakeSnapshot();
  if (!status.ok()) return status;
  // Each process has its own mapping or cache; its threads share the touching.
  const RunConfig& config = *task.config;
  const Share share =
      ShareOf(config.num, task.worker % config.threads, config.threads);
  std::vector<char> key(config.keys.size);
  std::string_view value;
  for (uint64_t i = share.begin; i < share.end; i += kWarmUpStride) {
    config.keys.Format(i, /*absent=*/false, key.data());
    task.session->Get({key.data(), key.size()}, &value);
  }
  if (mixed) {
    task.session->DropSnapshot();
    return absl::OkStatus();
  }
  if (task.workload->kind == OpKind::kDiff) return PrepareDiff(task);
  return task.session->TakeSnapshot();
}

absl::Status RunTask(const WorkerTask& task) {
  absl::Status status = RunByKind(task);
  if (task.workload->Reads()) task.result->lookups = task.result->operations;
  return status;
}

absl::Status AccompanyReaders(const WorkerTask& task,
                              const std::atomic<uint32_t>* readers_left) {
  if (!task.workload->HasWriter()) return ScanWhileRead(task, readers_left);
  KeySource keys(task);
  WriteBuffer buffer(task, 1);
  // acquire: pairs with each reader's release decrement when it is done.
  while (readers_left->load(std::memory_order_acquire) != 0) {
    const absl::Span<const WriteOp> ops = buffer.Fill(keys, 0, 1);
    AwaitWriteBudget(task, buffer.bytes());
    absl::Status status = task.session->WriteBatch(ops);
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
