// The workloads that are about several processes: multiprocwriteown and
// watchlatency.

#include <unistd.h>

#include <cstring>
#include <string>

#include "db_bench/worker_parts.h"

namespace eve::bench {
namespace {

// Those who wait are asleep again by then.
constexpr useconds_t kPauseMicros = 200;
constexpr char kWatchedName[] = "~watched";

struct Stamp {
  uint64_t serial;  // from 1 on
  uint64_t nanos;   // before its commit
};

std::string WatchedKey(const RunConfig& config) {
  std::string key = kWatchedName;
  key.resize(config.keys.size, '~');
  return key;
}

absl::Status Commit(const WorkerTask& task, uint64_t serial) {
  const std::string key = WatchedKey(*task.config);
  const Stamp stamp{serial, NowNanos()};
  char bytes[sizeof(stamp)];
  std::memcpy(bytes, &stamp, sizeof(stamp));
  const WriteOp op{key, {bytes, sizeof(bytes)}};
  return task.session->WriteBatch(absl::MakeConstSpan(&op, 1));
}

// Not counted as operations: those are of who waits.
absl::Status CommitStamps(const WorkerTask& task, uint64_t commits) {
  for (uint64_t serial = 1; serial <= commits; ++serial) {
    ::usleep(kPauseMicros);
    absl::Status status = Commit(task, serial);
    if (!status.ok()) return status;
  }
  task.result->start_nanos = task.result->end_nanos = NowNanos();
  return absl::OkStatus();
}

// Commits that come together are one operation.
absl::Status AwaitStamps(const WorkerTask& task, uint64_t commits) {
  const std::string key = WatchedKey(*task.config);
  WorkerResult& result = *task.result;
  result.start_nanos = NowNanos();
  absl::Status status = task.session->TakeSnapshot();
  for (Stamp seen{0, 0}; status.ok() && seen.serial < commits;) {
    std::string_view value;
    Stamp stamp{0, 0};
    if (task.session->Get(key, &value) && value.size() == sizeof(stamp)) {
      std::memcpy(&stamp, value.data(), sizeof(stamp));
    }
    if (stamp.serial > seen.serial) {
      result.latencies.Add(NowNanos() - stamp.nanos);
      ++result.operations;
      result.bytes += key.size() + value.size();
      seen = stamp;
      if (seen.serial == commits) break;
    }
    status = task.session->AwaitCommit();
  }
  result.end_nanos = NowNanos();
  task.session->DropSnapshot();
  return status;
}

}  // namespace

absl::Status PrepareWatch(const WorkerTask& task) {
  return task.worker == 0 ? Commit(task, 0) : absl::OkStatus();
}

absl::Status RunProcessesTask(const WorkerTask& task) {
  const uint64_t operations = task.config->OperationsOf(*task.workload);
  if (task.workload->kind == OpKind::kWatch) {
    return task.worker == 0 ? CommitStamps(task, operations)
                            : AwaitStamps(task, operations);
  }
  absl::Status status = task.session->UseOwnCollection(task.worker);
  return status.ok() ? RunWrites(task) : status;
}

}  // namespace eve::bench
