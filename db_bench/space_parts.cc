#include "db_bench/space_parts.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace eve::bench {
namespace {

constexpr uint64_t kOpsPerLook = 10000;
constexpr uint64_t kBytesPerLook = uint64_t{64} << 20;  // written
constexpr uint64_t kFreeBytesMin = uint64_t{2} << 30;

uint64_t FreeBytes(const std::string& dir) {
  struct statvfs info;
  if (statvfs(dir.c_str(), &info) != 0) return UINT64_MAX;
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace

void AddFigure(const WorkerTask& task, const std::string& name, double value) {
  WorkerResult& result = *task.result;
  NamedFigure& figure = result.figures[result.figure_count];
  if (result.figure_count == kFiguresMax ||
      name.size() >= sizeof(figure.name)) {
    Fatal(absl::StrCat("no room for the figure ", name));
  }
  std::memcpy(figure.name, name.data(), name.size());
  figure.name[name.size()] = '\0';
  figure.value = value;
  ++result.figure_count;
}

void AddSize(const WorkerTask& task, const std::string& name,
             const DirectorySize& size) {
  AddFigure(task, absl::StrCat(name, "_file_bytes"),
            static_cast<double>(size.file_bytes));
  AddFigure(task, absl::StrCat(name, "_disk_bytes"),
            static_cast<double>(size.disk_bytes));
}

void AddRatio(const WorkerTask& task, const std::string& name, uint64_t part,
              uint64_t whole) {
  if (whole == 0) return;
  AddFigure(task, absl::StrCat(name, "_ratio"),
            static_cast<double>(part) / static_cast<double>(whole));
}

OpBuffer::OpBuffer(const WorkerTask& task, uint64_t batch)
    : task_(task),
      keys_(batch * task.config->keys.size),
      value_bytes_(task.config->values.Largest()),
      values_(batch * value_bytes_),
      ops_(batch) {}

std::string_view OpBuffer::SetKey(uint64_t slot, uint64_t index) {
  const size_t size = task_.config->keys.size;
  char* key = &keys_[slot * size];
  task_.config->keys.Format(index, /*absent=*/false, key);
  return {key, size};
}

void OpBuffer::SetPut(uint64_t slot, uint64_t index, uint64_t generation) {
  char* value = &values_[slot * value_bytes_];
  task_.values->Make(index, generation, value);
  const size_t size = task_.values->SizeOf(index, generation);
  ops_[slot] = {.key = SetKey(slot, index), .value = {value, size}};
}

void OpBuffer::SetErase(uint64_t slot, uint64_t index) {
  ops_[slot] = {.key = SetKey(slot, index), .value = {}, .erase = true};
}

DirectorySize SizeWatch::Look() {
  last_ = task_.engine->MeasureSize(task_.config->dir);
  largest_.file_bytes = std::max(largest_.file_bytes, last_.file_bytes);
  largest_.disk_bytes = std::max(largest_.disk_bytes, last_.disk_bytes);
  return last_;
}

bool SizeWatch::IsTooLarge() const {
  const RunConfig& config = *task_.config;
  return last_.file_bytes > config.churn_bytes_max ||
         FreeBytes(config.dir) < kFreeBytesMin;
}

absl::StatusOr<uint64_t> Churn(const WorkerTask& task, Session& session,
                               SizeWatch& watch) {
  const RunConfig& config = *task.config;
  const uint64_t batch = config.BatchOf(*task.workload);
  const uint64_t total = config.OperationsOf(*task.workload);
  // Also often enough for a database of a few keys, and for large values.
  const uint64_t stride = std::clamp<uint64_t>(
      std::min(config.num / 10, kBytesPerLook / config.EntryBytes()), 1,
      kOpsPerLook);
  ChurnStream stream(task);
  OpBuffer buffer(task, batch);
  Stopwatch stopwatch(task);
  uint64_t done = 0;
  for (uint64_t look = stride; done < total;) {
    const uint64_t count = std::min(batch, total - done);
    for (uint64_t slot = 0; slot < count; ++slot) {
      uint64_t index, generation;
      stream.Next(&index, &generation);
      buffer.SetPut(slot, index, generation);
    }
    absl::Status status = session.WriteBatch(buffer.First(count));
    if (!status.ok()) return status;
    stopwatch.Lap(count);
    done += count;
    if (done < look) continue;
    look = done + stride;
    watch.Look();
    if (watch.IsTooLarge()) break;
    stopwatch.Skip();
  }
  task.result->operations = done;
  task.result->bytes = done * config.EntryBytes();
  return done;
}

absl::StatusOr<uint64_t> VerifyChurn(const WorkerTask& task, Session& session,
                                     uint64_t count) {
  const RunConfig& config = *task.config;
  std::vector<uint16_t> generations(config.num);  // 0: not written
  static_assert(kGenerationsMax <= UINT16_MAX);
  ChurnStream stream(task);
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t index, generation;
    stream.Next(&index, &generation);
    generations[index] = static_cast<uint16_t>(generation);
  }
  absl::Status status = session.TakeSnapshot();
  if (!status.ok()) return status;
  uint64_t found = 0;
  std::string key(config.keys.size, '0');
  std::string wanted;
  for (uint64_t index = 0; index < config.num; ++index) {
    config.keys.Format(index, /*absent=*/false, key.data());
    std::string_view value;
    const bool is_there = session.Get(key, &value);
    found += is_there ? 1 : 0;
    if (generations[index] == 0) {
      if (!is_there || task.values->Verify(index, value)) continue;
    } else {
      wanted.resize(task.values->SizeOf(index, generations[index]));
      task.values->Make(index, generations[index], wanted.data());
      if (is_there && value == wanted) continue;
    }
    return absl::DataLossError(
        absl::StrCat("key ", config.keys.Show(index),
                     is_there ? " has a wrong value" : " is gone"));
  }
  session.DropSnapshot();
  return found;
}

uint64_t HashContent(const WorkerTask& task, Session& session) {
  const RunConfig& config = *task.config;
  std::string key(config.keys.size, '0');
  uint64_t hash = 0;
  for (uint64_t index = 0; index < config.num; ++index) {
    config.keys.Format(index, /*absent=*/false, key.data());
    std::string_view value;
    const bool is_there = session.Get(key, &value);
    const uint64_t content =
        is_there ? std::hash<std::string_view>()(value) : index;
    hash = Mix64(hash ^ content) + (is_there ? 1 : 0);
  }
  return hash;
}

absl::StatusOr<DirectorySize> PackAndMeasure(const WorkerTask& task) {
  namespace fs = std::filesystem;
  const std::string& scratch = task.config->scratch_dir;
  std::error_code error;
  fs::remove_all(scratch, error);
  fs::create_directories(scratch, error);
  if (error) {
    return absl::InternalError(absl::StrCat(scratch, ": ", error.message()));
  }
  const absl::StatusOr<std::string> packed = task.engine->Pack(scratch);
  if (!packed.ok()) return packed.status();
  // A copy is not what the engine has open.
  const DirectorySize size = *packed == scratch
                                 ? MeasureDirectory(scratch)
                                 : task.engine->MeasureSize(*packed);
  fs::remove_all(scratch, error);
  return size;
}

void AddMovedFigures(const WorkerTask& task, const SpaceCounters& before,
                     uint64_t commits) {
  const SpaceCounters after = task.engine->CountSpace();
  if (!after.known || commits == 0) return;
  const uint64_t moved = after.bytes_moved - before.bytes_moved;
  const uint64_t written = after.bytes_committed - before.bytes_committed;
  AddFigure(task, "live_bytes", static_cast<double>(after.live_bytes));
  AddFigure(task, "moved_bytes_per_commit",
            static_cast<double>(moved) / static_cast<double>(commits));
  AddFigure(task, "written_bytes_per_commit",
            static_cast<double>(written) / static_cast<double>(commits));
  AddRatio(task, "write_amplification", written, written - moved);
}

}  // namespace eve::bench
