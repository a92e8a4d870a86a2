// The workloads that read and write in turn: updaterandom and
// readrandomwriterandom. Neither is a transaction of both, as in RocksDB.

#include <string_view>
#include <vector>

#include "db_bench/worker_parts.h"

namespace eve::bench {
namespace {

// Looks keys up in the newest state, one by one.
class NewestReader {
 public:
  explicit NewestReader(const WorkerTask& task)
      : task_(task), key_(task.config->keys.size) {}

  absl::Status Read(uint64_t index) {
    absl::Status status = task_.session->SeeNewest();
    if (!status.ok()) return status;
    task_.config->keys.Format(index, /*absent=*/false, key_.data());
    std::string_view value;
    if (task_.session->Get({key_.data(), key_.size()}, &value)) {
      CountFound(task_, index, value);
    }
    ++task_.result->lookups;
    task_.session->DropSnapshot();
    return absl::OkStatus();
  }

 private:
  const WorkerTask& task_;
  std::vector<char> key_;
};

absl::Status Write(const WorkerTask& task, WriteBuffer& buffer,
                   uint64_t index) {
  const absl::Span<const WriteOp> ops = buffer.FillOne(index);
  task.result->bytes += buffer.bytes();
  return task.session->WriteBatch(ops);
}

absl::Status RunUpdates(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  KeySource keys(task);
  WriteBuffer buffer(task, 1);
  NewestReader reader(task);
  for (OpLoop loop(task, config.OperationsOf(*task.workload)); loop.Next();
       loop.Lap()) {
    if (AwaitWriteBudget(task, config.EntryBytes())) loop.Skip();
    const uint64_t index = keys.Index(loop.begin());
    absl::Status status = reader.Read(index);
    if (status.ok()) status = Write(task, buffer, index);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Of each hundred operations the first --readwritepercent are reads.
absl::Status RunReadsAndWrites(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  KeySource keys(task);
  WriteBuffer buffer(task, 1);
  NewestReader reader(task);
  uint64_t done = 0;
  for (OpLoop loop(task, config.OperationsOf(*task.workload)); loop.Next();
       loop.Lap()) {
    const uint64_t index = keys.Index(loop.begin());
    const bool reads = done++ % 100 < config.read_percent;
    if (!reads && AwaitWriteBudget(task, config.EntryBytes())) loop.Skip();
    absl::Status status =
        reads ? reader.Read(index) : Write(task, buffer, index);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunMixedTask(const WorkerTask& task) {
  return task.workload->kind == OpKind::kUpdate ? RunUpdates(task)
                                                : RunReadsAndWrites(task);
}

}  // namespace eve::bench
