// The workloads that need an order of the keys: scans, seeks, counts, diffs.

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "db_bench/worker_parts.h"

namespace eve::bench {
namespace {

// A look at the clock costs more than a step: one each so many.
constexpr uint64_t kStepsPerLap = 1000;
// Every value is looked at, every so many-th is verified in full: to tell
// which one it is costs as much as several steps.
constexpr uint64_t kVerifyStride = 16;

// Sees the entries that a scan passes.
class EntryChecker {
 public:
  explicit EntryChecker(const WorkerTask& task) : task_(task) {}

  // Whether it can be one of the workload's.
  bool See(const Entry& entry) {
    if (entry.key.size() != task_.config->keys.size ||
        !task_.values->CanHaveSize(entry.value.size())) {
      return false;
    }
    uint64_t first, last;
    std::memcpy(&first, entry.value.data(), sizeof(first));
    std::memcpy(&last, entry.value.data() + entry.value.size() - sizeof(last),
                sizeof(last));
    task_.result->touched ^= first ^ last;
    task_.result->bytes += entry.key.size() + entry.value.size();
    if (seen_++ % kVerifyStride == 0 &&
        !task_.values->Verify(task_.config->keys.IndexOf(entry.key),
                              entry.value)) {
      ++task_.result->verify_failures;
    }
    return true;
  }

 private:
  const WorkerTask& task_;
  uint64_t seen_ = 0;
};

absl::Status RunScan(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const bool forward = task.workload->kind == OpKind::kScan;
  const Share share = ShareOf(config.reads, task.worker, config.Workers());
  const std::unique_ptr<Cursor> cursor = task.session->NewCursor();
  const auto begin = [&](Entry* entry) {
    return forward ? cursor->First(entry) : cursor->Last(entry);
  };
  EntryChecker checker(task);
  Entry entry;
  // Not everybody starts at the end.
  bool on =
      share.begin == 0
          ? begin(&entry)
          : cursor->Seek(config.keys.At(share.begin % config.num), &entry);
  Stopwatch watch(task);
  for (uint64_t i = share.begin; i < share.end; ++i) {
    if (!on && !begin(&entry)) break;
    task.result->found += checker.See(entry);
    on = forward ? cursor->Next(&entry) : cursor->Prev(&entry);
    if ((i - share.begin) % kStepsPerLap == kStepsPerLap - 1) {
      watch.Lap(kStepsPerLap);
    }
  }
  watch.Lap((share.end - share.begin) % kStepsPerLap);
  task.result->operations = share.end - share.begin;
  return absl::OkStatus();
}

absl::Status RunSeeks(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const bool renew = task.workload->HasWriter();
  KeySource keys(task);
  EntryChecker checker(task);
  std::vector<char> key(config.keys.size);
  const std::string_view wanted(key.data(), key.size());
  std::unique_ptr<Cursor> cursor = task.session->NewCursor();
  int left = kSnapshotReads;
  for (OpLoop loop(task, config.OperationsOf(*task.workload)); loop.Next();
       loop.Lap()) {
    if (renew && left-- == 0) {
      cursor.reset();
      absl::Status status = task.session->TakeSnapshot();
      if (!status.ok()) return status;
      cursor = task.session->NewCursor();
      left = kSnapshotReads - 1;
    }
    config.keys.Format(keys.Index(loop.begin()), /*absent=*/false, key.data());
    Entry entry;
    bool on = cursor->Seek(wanted, &entry);
    const bool found = on && entry.key == wanted;
    for (uint64_t step = 0; on && checker.See(entry); ++step) {
      if (step == config.seek_nexts) break;
      on = cursor->Next(&entry);
    }
    task.result->found += found;
  }
  return absl::OkStatus();
}

absl::Status RunPrefixScans(const WorkerTask& task) {
  static_assert(kPrefixEntries == 100);
  const RunConfig& config = *task.config;
  // Of integers, a hundred in a row.
  const bool has_prefixes = config.keys.type == KeyType::kString;
  KeySource keys(task);
  EntryChecker checker(task);
  const std::unique_ptr<Cursor> cursor = task.session->NewCursor();
  for (OpLoop loop(task, config.OperationsOf(*task.workload)); loop.Next();
       loop.Lap()) {
    const uint64_t first =
        keys.Index(loop.begin()) / kPrefixEntries * kPrefixEntries;
    std::string prefix = config.keys.At(first);
    if (has_prefixes) prefix.resize(prefix.size() - 2);  // 100 have it
    const std::string end = config.keys.At(first + kPrefixEntries);
    const auto is_within = [&](std::string_view key) {
      return has_prefixes ? key.substr(0, prefix.size()) == prefix : key < end;
    };
    Entry entry;
    uint64_t entries = 0;
    for (bool on = cursor->Seek(prefix, &entry); on && is_within(entry.key);
         on = cursor->Next(&entry)) {
      entries += checker.See(entry);
    }
    task.result->found +=
        entries == std::min(kPrefixEntries, config.num - first);
  }
  return absl::OkStatus();
}

absl::Status RunRangeCounts(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const uint64_t width = std::max<uint64_t>(1, config.num / kRangesPerDatabase);
  KeySource keys(task);
  for (OpLoop loop(task, config.OperationsOf(*task.workload)); loop.Next();
       loop.Lap()) {
    const uint64_t from = keys.Index(loop.begin());
    const uint64_t to = std::min(config.num, from + width);
    const uint64_t count =
        task.session->CountRange(config.keys.At(from), config.keys.At(to));
    task.result->found += count == to - from;
  }
  return absl::OkStatus();
}

std::vector<uint64_t> DiffIndexes(const WorkerTask& task) {
  KeySource keys(task);
  std::vector<uint64_t> indexes(kDiffWrites);
  for (uint64_t i = 0; i < kDiffWrites; ++i) indexes[i] = keys.Index(i);
  std::sort(indexes.begin(), indexes.end());
  indexes.erase(std::unique(indexes.begin(), indexes.end()), indexes.end());
  return indexes;
}

absl::Status RunDiffs(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  const uint64_t expected = DiffIndexes(task).size();
  for (OpLoop loop(task, config.OperationsOf(*task.workload)); loop.Next();
       loop.Lap()) {
    const uint64_t count = task.session->CountDiff();
    // Other workers may have written the same values before.
    task.result->found += config.Workers() == 1 ? count == expected : count > 0;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PrepareDiff(const WorkerTask& task) {
  const RunConfig& config = *task.config;
  absl::Status status = task.session->TakeSnapshot();
  if (!status.ok()) return status;
  task.session->KeepOldSnapshot();
  const uint64_t generation = static_cast<uint64_t>(task.phase) + 1;
  std::vector<char> value(config.values.Largest());
  for (const uint64_t index : DiffIndexes(task)) {
    task.values->Make(index, generation, value.data());
    const std::string key = config.keys.At(index);
    const size_t size = task.values->SizeOf(index, generation);
    const WriteOp op{key, {value.data(), size}};
    status = task.session->WriteBatch(absl::MakeConstSpan(&op, 1));
    if (!status.ok()) return status;
  }
  return task.session->TakeSnapshot();
}

absl::Status ScanWhileRead(const WorkerTask& task,
                           const std::atomic<uint32_t>* readers_left) {
  EntryChecker checker(task);
  // acquire: pairs with each reader's release decrement when it is done.
  const auto go_on = [readers_left] {
    return readers_left->load(std::memory_order_acquire) != 0;
  };
  while (go_on()) {
    absl::Status status = task.session->TakeSnapshot();
    if (!status.ok()) return status;
    const std::unique_ptr<Cursor> cursor = task.session->NewCursor();
    Entry entry;
    for (bool on = cursor->First(&entry); on; on = cursor->Next(&entry)) {
      checker.See(entry);
      if (++task.result->operations % kStepsPerLap == 0 && !go_on()) break;
    }
  }
  task.session->DropSnapshot();
  if (task.result->verify_failures == 0) return absl::OkStatus();
  return absl::DataLossError("the scan saw wrong values");
}

absl::Status RunOrderedTask(const WorkerTask& task) {
  switch (task.workload->kind) {
    case OpKind::kScan:
    case OpKind::kScanReverse:
      return RunScan(task);
    case OpKind::kSeek:
    case OpKind::kSeekWhileWriting:
      return RunSeeks(task);
    case OpKind::kPrefixScan:
      return RunPrefixScans(task);
    case OpKind::kRangeCount:
      return RunRangeCounts(task);
    case OpKind::kDiff:
      return RunDiffs(task);
    default:
      return absl::InternalError("unknown kind of workload");
  }
}

}  // namespace eve::bench
