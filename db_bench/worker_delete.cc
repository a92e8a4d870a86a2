// deleteall: what is left of a database of which most was deleted, beside a
// fresh one that never held more than the rest.

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <system_error>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "db_bench/space_parts.h"

namespace eve::bench {
namespace {

// The keys in random order: the first of them are deleted.
class Victims {
 public:
  explicit Victims(const WorkerTask& task)
      : count_(task.config->OperationsOf(*task.workload)),
        permutation_(task.config->num, StreamSeed(task)) {}

  uint64_t count() const { return count_; }
  uint64_t KeyAt(uint64_t position) const { return permutation_(position); }

 private:
  const uint64_t count_;
  const Permutation permutation_;
};

// One transaction for each batch of [begin, end); `set` says what is done.
absl::Status WriteInBatches(
    const WorkerTask& task, Session& session, uint64_t begin, uint64_t end,
    absl::FunctionRef<void(OpBuffer&, uint64_t slot, uint64_t position)> set,
    absl::FunctionRef<void()> after_each) {
  const uint64_t batch = task.config->BatchOf(*task.workload);
  OpBuffer buffer(task, batch);
  while (begin < end) {
    const uint64_t count = std::min(batch, end - begin);
    for (uint64_t slot = 0; slot < count; ++slot) {
      set(buffer, slot, begin + slot);
    }
    absl::Status status = session.WriteBatch(buffer.First(count));
    if (!status.ok()) return status;
    after_each();
    begin += count;
  }
  return absl::OkStatus();
}

absl::Status DeleteVictims(const WorkerTask& task, const Victims& victims) {
  Stopwatch stopwatch(task);
  absl::Status status = WriteInBatches(
      task, *task.session, 0, victims.count(),
      [&](OpBuffer& buffer, uint64_t slot, uint64_t position) {
        buffer.SetErase(slot, victims.KeyAt(position));
      },
      [&] { stopwatch.Lap(); });
  task.result->operations = victims.count();
  task.result->bytes = victims.count() * task.config->keys.size;
  return status;
}

absl::Status VerifyDeleted(const WorkerTask& task, const Victims& victims) {
  const RunConfig& config = *task.config;
  absl::Status status = task.session->TakeSnapshot();
  if (!status.ok()) return status;
  std::string key(config.keys.size, '0');
  for (uint64_t position = 0; position < config.num; ++position) {
    const uint64_t index = victims.KeyAt(position);
    config.keys.Format(index, /*absent=*/false, key.data());
    std::string_view value;
    const bool is_there = task.session->Get(key, &value);
    const bool is_wanted = position >= victims.count();
    if (is_there && is_wanted && task.values->Verify(index, value)) {
      ++task.result->found;
      continue;
    }
    if (!is_there && !is_wanted) continue;
    return absl::DataLossError(absl::StrCat("key ", config.keys.Show(index),
                                            !is_wanted
                                                ? " was deleted and is there"
                                            : is_there ? " has a wrong value"
                                                       : " is gone"));
  }
  task.session->DropSnapshot();
  return absl::OkStatus();
}

// The packed size of a database that holds only what was not deleted.
absl::StatusOr<DirectorySize> MeasureFresh(const WorkerTask& task,
                                           const Victims& victims) {
  RunConfig config = *task.config;
  config.dir = task.config->scratch_dir + ".fresh";
  std::error_code error;
  std::filesystem::remove_all(config.dir, error);
  std::filesystem::create_directories(config.dir, error);
  if (error) {
    return absl::InternalError(absl::StrCat(config.dir, ": ", error.message()));
  }
  EngineOptions options;
  options.durability = config.durability;
  options.collection = config.collection;
  const std::unique_ptr<Engine> engine = task.info->create();
  absl::Status status = engine->Open(config.dir, options);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Session>> session = engine->NewSession();
  if (!session.ok()) return session.status();
  WorkerTask fresh = task;
  fresh.config = &config;
  fresh.engine = engine.get();
  fresh.session = session->get();
  status = WriteInBatches(
      fresh, **session, victims.count(), config.num,
      [&](OpBuffer& buffer, uint64_t slot, uint64_t position) {
        buffer.SetPut(slot, victims.KeyAt(position), /*generation=*/1);
      },
      [] {});
  if (!status.ok()) return status;
  return PackAndMeasure(fresh);
}

}  // namespace

absl::Status RunDeleteAll(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const Victims victims(task);
  const DirectorySize before = task.engine->MeasureSize(config.dir);
  absl::Status status = DeleteVictims(task, victims);
  if (!status.ok()) return status;
  const DirectorySize deleted = task.engine->MeasureSize(config.dir);
  const uint64_t pack_start = NowNanos();
  const absl::StatusOr<DirectorySize> packed = PackAndMeasure(task);
  if (!packed.ok()) return packed.status();
  const double pack_seconds =
      static_cast<double>(NowNanos() - pack_start) * 1e-9;
  status = VerifyDeleted(task, victims);
  if (!status.ok()) return status;
  const absl::StatusOr<DirectorySize> fresh = MeasureFresh(task, victims);
  std::error_code error;
  std::filesystem::remove_all(config.scratch_dir + ".fresh", error);
  if (!fresh.ok()) return fresh.status();
  AddFigure(task, "raw_rest_bytes",
            static_cast<double>((config.num - victims.count()) *
                                config.EntryBytes()));
  AddSize(task, "before", before);
  AddSize(task, "deleted", deleted);
  AddFigure(task, "pack_seconds", pack_seconds);
  AddSize(task, "packed", *packed);
  AddSize(task, "fresh_packed", *fresh);
  AddRatio(task, "packed_to_fresh_file", packed->file_bytes, fresh->file_bytes);
  AddRatio(task, "packed_to_fresh_disk", packed->disk_bytes, fresh->disk_bytes);
  return absl::OkStatus();
}

}  // namespace eve::bench
