// readwhilecompacting: latencies of reads and of puts, idle and while another
// thread compacts a database that it churns again and again.

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "db_bench/space_parts.h"

namespace eve::bench {
namespace {

constexpr uint64_t kChurnBatch = 1000;
// Of the keys, between two compactions.
constexpr uint64_t kChurnedShare = 4;
// An engine that is done at once would keep the others waiting.
constexpr uint64_t kCompactionsMax = 200;

// Compacts in a loop, and overwrites a part of the keys before each time.
class Compactor {
 public:
  explicit Compactor(const WorkerTask& task)
      : task_(task), buffer_(task, kChurnBatch), stream_(task) {}

  // Overwrites so many keys.
  absl::Status Churn(Session& session, uint64_t count) {
    while (count > 0) {
      const uint64_t batch = std::min(count, kChurnBatch);
      for (uint64_t slot = 0; slot < batch; ++slot) {
        uint64_t index, generation;
        stream_.Next(&index, &generation);
        buffer_.SetPut(slot, index, generation);
      }
      absl::Status status = session.WriteBatch(buffer_.First(batch));
      if (!status.ok()) return status;
      count -= batch;
    }
    return absl::OkStatus();
  }

  // The body of a thread; ends when told to, with an error, or after
  // kCompactionsMax.
  void Loop() {
    status_ = TryLoop();
    is_done_ = true;
  }
  void Stop() { stop_ = true; }

  // Odd while it compacts; another number each time.
  uint64_t phase() const { return phase_; }
  bool is_done() const { return is_done_; }
  // After the thread has ended.
  const absl::Status& status() const { return status_; }
  uint64_t compactions() const { return phase_ / 2; }

 private:
  absl::Status TryLoop() {
    const absl::StatusOr<std::unique_ptr<Session>> session =
        task_.engine->NewSession();
    if (!session.ok()) return session.status();
    const uint64_t churned = task_.config->num / kChurnedShare + 1;
    while (!stop_ && compactions() < kCompactionsMax) {
      absl::Status status = Churn(**session, churned);
      if (!status.ok()) return status;
      ++phase_;
      status = PackAndMeasure(task_).status();
      ++phase_;
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  const WorkerTask& task_;
  OpBuffer buffer_;
  ChurnStream stream_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> is_done_{false};
  std::atomic<uint64_t> phase_{0};
  absl::Status status_;
};

// What one kind of operation took.
struct Latencies {
  LatencyHistogram histogram;
  uint64_t count = 0;
  uint64_t nanos = 0;

  void Add(uint64_t duration) {
    histogram.Add(duration);
    ++count;
    nanos += duration;
  }
};

using Operation = absl::FunctionRef<absl::Status()>;

absl::Status MeasureIdle(uint64_t count, Operation operation,
                         Latencies* latencies) {
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t start = NowNanos();
    absl::Status status = operation();
    if (!status.ok()) return status;
    latencies->Add(NowNanos() - start);
  }
  return absl::OkStatus();
}

// Only what begins and ends in the same compaction counts.
absl::Status MeasureCompacting(const WorkerTask& task, uint64_t count,
                               Operation operation, Latencies* latencies,
                               uint64_t* compactions) {
  Compactor compactor(task);
  std::thread thread([&compactor] { compactor.Loop(); });
  absl::Status status;
  while (status.ok() && latencies->count < count && !compactor.is_done()) {
    const uint64_t phase = compactor.phase();
    const uint64_t start = NowNanos();
    status = operation();
    const uint64_t end = NowNanos();
    const bool counts = phase % 2 == 1 && phase == compactor.phase();
    if (counts) latencies->Add(end - start);
  }
  compactor.Stop();
  thread.join();
  *compactions += compactor.compactions();
  return status.ok() ? compactor.status() : status;
}

void AddLatencies(const WorkerTask& task, const std::string& name,
                  const Latencies& idle, const Latencies& busy) {
  AddFigure(task, name + "_idle_operations", static_cast<double>(idle.count));
  AddFigure(task, name + "_compacting_operations",
            static_cast<double>(busy.count));
  constexpr struct {
    const char* name;
    double percent;
  } kPercentiles[] = {{"_p50", 50}, {"_p99", 99}, {"_p999", 99.9}};
  for (const auto& percentile : kPercentiles) {
    const double at_rest = idle.histogram.PercentileMicros(percentile.percent);
    const double beside = busy.histogram.PercentileMicros(percentile.percent);
    AddFigure(task, name + "_idle" + percentile.name + "_us", at_rest);
    AddFigure(task, name + "_compacting" + percentile.name + "_us", beside);
    if (at_rest > 0) {
      AddFigure(task, name + percentile.name + "_ratio", beside / at_rest);
    }
  }
}

// Looks up random keys, all of which are there; a new snapshot now and then.
class Reader {
 public:
  explicit Reader(const WorkerTask& task)
      : task_(task),
        random_(StreamSeed(task) + 1),
        key_(task.config->keys.size, '0') {}

  absl::Status ReadOne() {
    if (left_ == 0) {
      absl::Status status = task_.session->TakeSnapshot();
      if (!status.ok()) return status;
      left_ = kSnapshotReads;
    }
    --left_;
    const uint64_t index = random_.Uniform(task_.config->num);
    task_.config->keys.Format(index, /*absent=*/false, key_.data());
    std::string_view value;
    if (!task_.session->Get(key_, &value) ||
        !task_.values->Verify(index, value)) {
      return absl::DataLossError(
          absl::StrCat("key ", task_.config->keys.Show(index), " is wrong"));
    }
    return absl::OkStatus();
  }

 private:
  const WorkerTask& task_;
  Random random_;
  std::string key_;
  int left_ = 0;
};

absl::Status MeasureReads(const WorkerTask& task, uint64_t* compactions) {
  const uint64_t count = task.config->reads;
  Reader reader(task);
  const auto read = [&reader] { return reader.ReadOne(); };
  Latencies idle, busy;
  absl::Status status = MeasureIdle(count, read, &idle);
  if (status.ok()) {
    status = MeasureCompacting(task, count, read, &busy, compactions);
  }
  task.session->DropSnapshot();
  if (!status.ok()) return status;
  AddLatencies(task, "read", idle, busy);
  // The result line is that of reads while compacting.
  WorkerResult& result = *task.result;
  result.latencies = busy.histogram;
  result.operations = busy.count;
  result.bytes = busy.count * task.config->EntryBytes();
  result.start_nanos = NowNanos();
  result.end_nanos = result.start_nanos + busy.nanos;
  return absl::OkStatus();
}

absl::Status MeasurePuts(const WorkerTask& task, uint64_t* compactions) {
  const uint64_t count = task.config->writes;
  ChurnStream stream(task);
  OpBuffer buffer(task, 1);
  const auto put = [&] {
    uint64_t index, generation;
    stream.Next(&index, &generation);
    buffer.SetPut(0, index, generation);
    return task.session->WriteBatch(buffer.First(1));
  };
  Latencies idle, busy;
  absl::Status status = MeasureIdle(count, put, &idle);
  if (status.ok()) {
    status = MeasureCompacting(task, count, put, &busy, compactions);
  }
  if (!status.ok()) return status;
  AddLatencies(task, "put", idle, busy);
  return absl::OkStatus();
}

}  // namespace

absl::Status RunReadWhileCompacting(const WorkerTask& task) {
  // Idle means that nothing is left to compact, in the background either.
  absl::Status status = Compactor(task).Churn(*task.session, task.config->num);
  if (status.ok()) status = PackAndMeasure(task).status();
  uint64_t compactions = 0;
  if (status.ok()) status = MeasureReads(task, &compactions);
  if (status.ok()) status = PackAndMeasure(task).status();
  if (status.ok()) status = MeasurePuts(task, &compactions);
  if (!status.ok()) return status;
  AddFigure(task, "compactions", static_cast<double>(compactions));
  // Who wrote what last is a matter of speed; that somebody did is not.
  const absl::StatusOr<uint64_t> found =
      VerifyChurn(task, *task.session, /*count=*/0);
  if (!found.ok()) return found.status();
  task.result->found = *found;
  if (*found == task.config->num) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(*found, " of ", task.config->num, " keys are there"));
}

}  // namespace eve::bench
