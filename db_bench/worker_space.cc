// The workloads that measure what a database takes: overwritechurn, longreader.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "db_bench/space_parts.h"

namespace eve::bench {
namespace {

void AddChurnFigures(const WorkerTask& task, const SizeWatch& watch,
                     uint64_t done) {
  const RunConfig& config = *task.config;
  AddFigure(task, "raw_bytes",
            static_cast<double>(config.num * config.EntryBytes()));
  AddFigure(task, "rounds",
            static_cast<double>(done) / static_cast<double>(config.num));
  if (done < config.OperationsOf(*task.workload)) {
    AddFigure(task, "ended_early_too_large", 1);
  }
  AddSize(task, "max", watch.largest());
}

absl::Status RunOverwriteChurn(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const SpaceCounters counters = task.engine->CountSpace();
  SizeWatch watch(task);
  const DirectorySize start = watch.largest();
  const absl::StatusOr<uint64_t> done = Churn(task, *task.session, watch);
  if (!done.ok()) return done.status();
  const DirectorySize final_size = watch.Look();
  AddChurnFigures(task, watch, *done);
  AddSize(task, "start", start);
  AddSize(task, "final", final_size);
  AddMovedFigures(task, counters, *done / config.BatchOf(*task.workload));

  absl::SleepFor(absl::Seconds(config.rest_seconds));
  const DirectorySize rested = task.engine->MeasureSize(config.dir);
  AddFigure(task, "rest_seconds", static_cast<double>(config.rest_seconds));
  AddSize(task, "rested", rested);
  const uint64_t pack_start = NowNanos();
  const absl::StatusOr<DirectorySize> packed = PackAndMeasure(task);
  if (!packed.ok()) return packed.status();
  AddFigure(task, "pack_seconds",
            static_cast<double>(NowNanos() - pack_start) * 1e-9);
  AddSize(task, "packed", *packed);
  AddRatio(task, "max_to_packed_file", watch.largest().file_bytes,
           packed->file_bytes);
  AddRatio(task, "max_to_packed_disk", watch.largest().disk_bytes,
           packed->disk_bytes);
  AddRatio(task, "rested_to_packed_file", rested.file_bytes,
           packed->file_bytes);
  AddRatio(task, "rested_to_packed_disk", rested.disk_bytes,
           packed->disk_bytes);
  const absl::StatusOr<uint64_t> found =
      VerifyChurn(task, *task.session, *done);
  if (!found.ok()) return found.status();
  task.result->found = *found;
  return absl::OkStatus();
}

// Churns under the snapshot of `reader` and compares its content.
absl::Status ChurnUnderReader(const WorkerTask& task, Session& reader,
                              const DirectorySize& own) {
  absl::Status status = reader.TakeSnapshot();
  if (!status.ok()) return status;
  const uint64_t hash = HashContent(task, reader);
  const SpaceCounters counters = task.engine->CountSpace();
  SizeWatch watch(task);
  const absl::StatusOr<uint64_t> done = Churn(task, *task.session, watch);
  if (!done.ok()) return done.status();
  watch.Look();
  if (HashContent(task, reader) != hash) {
    return absl::DataLossError("the content of the held snapshot has changed");
  }
  AddChurnFigures(task, watch, *done);
  AddMovedFigures(task, counters, *done / task.config->BatchOf(*task.workload));
  const absl::StatusOr<uint64_t> found =
      VerifyChurn(task, *task.session, *done);
  if (!found.ok()) return found.status();
  task.result->found = *found;
  status = reader.TakeSnapshot();
  if (!status.ok()) return status;
  if (HashContent(task, reader) == hash) {
    return absl::DataLossError("the churn has changed nothing");
  }
  reader.DropSnapshot();
  const absl::StatusOr<DirectorySize> live = PackAndMeasure(task);
  if (!live.ok()) return live.status();
  const uint64_t bound = own.file_bytes + live->file_bytes * 22 / 10;
  AddSize(task, "own", own);
  AddSize(task, "packed", *live);
  AddFigure(task, "bound_bytes", static_cast<double>(bound));
  AddRatio(task, "max_to_bound_file", watch.largest().file_bytes, bound);
  AddRatio(task, "max_to_bound_disk", watch.largest().disk_bytes, bound);
  return absl::OkStatus();
}

absl::Status RunLongReader(const WorkerTask& task) {
  const absl::StatusOr<DirectorySize> own = PackAndMeasure(task);
  if (!own.ok()) return own.status();
  // A session with a snapshot does not write.
  const absl::StatusOr<std::unique_ptr<Session>> reader =
      task.engine->NewSession();
  if (!reader.ok()) return reader.status();
  return ChurnUnderReader(task, **reader, *own);
}

}  // namespace

absl::Status RunSpaceTask(const WorkerTask& task) {
  switch (task.workload->kind) {
    case OpKind::kChurn:
      return RunOverwriteChurn(task);
    case OpKind::kLongReader:
      return RunLongReader(task);
    case OpKind::kDeleteAll:
      return RunDeleteAll(task);
    case OpKind::kCompacting:
      return RunReadWhileCompacting(task);
    default:
      return absl::InternalError("not a workload of space");
  }
}

}  // namespace eve::bench
