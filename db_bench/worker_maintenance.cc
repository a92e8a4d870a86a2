// What is done with a database as a whole, and with bytes outside of it: open,
// compact, crc32c.

#include <string_view>
#include <vector>

#include "db_bench/space_parts.h"
#include "db_bench/worker_parts.h"

namespace eve::bench {
namespace {

// As in LevelDB an operation is both closing and opening; the two are told
// apart in figures.
absl::Status RunOpens(const WorkerTask& task) {
  const uint64_t total = task.config->OperationsOf(*task.workload);
  uint64_t close_nanos = 0;
  uint64_t open_nanos = 0;
  for (OpLoop loop(task, total); loop.Next(); loop.Lap()) {
    const uint64_t start = NowNanos();
    task.reopener->Close();
    const uint64_t closed = NowNanos();
    absl::Status status = task.reopener->Open();
    if (!status.ok()) return status;
    close_nanos += closed - start;
    open_nanos += NowNanos() - closed;
  }
  const double per_call = 1e-3 / static_cast<double>(total);
  AddFigure(task, "close_us", static_cast<double>(close_nanos) * per_call);
  AddFigure(task, "open_us", static_cast<double>(open_nanos) * per_call);
  return absl::OkStatus();
}

absl::Status RunCompact(const WorkerTask& task) {
  const DirectorySize before = task.engine->MeasureSize(task.config->dir);
  absl::StatusOr<DirectorySize> after;
  for (OpLoop loop(task, 1); loop.Next(); loop.Lap()) {
    after = PackAndMeasure(task);
    if (!after.ok()) return after.status();
  }
  task.result->bytes = before.disk_bytes;
  AddSize(task, "before", before);
  AddSize(task, "after", *after);
  return absl::OkStatus();
}

absl::Status RunChecksums(const WorkerTask& task) {
  const uint64_t total = task.config->OperationsOf(*task.workload);
  const std::vector<char> block(kChecksumBlockBytes, 'x');
  const std::string_view bytes(block.data(), block.size());
  for (OpLoop loop(task, total); loop.Next(); loop.Lap()) {
    // Kept, so that the compiler cannot leave it out.
    task.result->touched ^= task.engine->Checksum(bytes);
    task.result->bytes += bytes.size();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunMaintenanceTask(const WorkerTask& task) {
  switch (task.workload->kind) {
    case OpKind::kOpen:
      return RunOpens(task);
    case OpKind::kCompact:
      return RunCompact(task);
    case OpKind::kChecksum:
      return RunChecksums(task);
    default:
      return absl::InternalError("not a workload of maintenance");
  }
}

}  // namespace eve::bench
