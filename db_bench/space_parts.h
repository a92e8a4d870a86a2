// What the workloads that measure space are made of.
//
// Threads:    one each.
// Processes:  none.
// Owns:       its buffers.
// Lifetime:   one workload.
// Errors:     absl::Status; kDataLoss if the database does not hold what was
//             written.
// Cost:       part of what is measured, the same for every engine.
#ifndef EVE_DB_BENCH_SPACE_PARTS_H_
#define EVE_DB_BENCH_SPACE_PARTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db_bench/directory_size.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/worker.h"
#include "db_bench/worker_parts.h"
#include "db_bench/workload.h"

namespace eve::bench {

void AddFigure(const WorkerTask& task, const std::string& name, double value);
// `name`_file_bytes and `name`_disk_bytes.
void AddSize(const WorkerTask& task, const std::string& name,
             const DirectorySize& size);
// part / whole; left out if there is no whole.
void AddRatio(const WorkerTask& task, const std::string& name, uint64_t part,
              uint64_t whole);

// One transaction's operations and the bytes they point to.
class OpBuffer {
 public:
  OpBuffer(const WorkerTask& task, uint64_t batch);
  void SetPut(uint64_t slot, uint64_t index, uint64_t generation);
  void SetErase(uint64_t slot, uint64_t index);
  absl::Span<const WriteOp> First(uint64_t count) const {
    return absl::MakeConstSpan(ops_.data(), count);
  }

 private:
  std::string_view SetKey(uint64_t slot, uint64_t index);

  const WorkerTask& task_;
  std::vector<char> keys_;
  const size_t value_bytes_;  // of the largest
  std::vector<char> values_;
  std::vector<WriteOp> ops_;
};

// Uniform overwrites of all keys. It can be had again from the start, so that
// what it wrote can be verified without having been noted.
class ChurnStream {
 public:
  explicit ChurnStream(const WorkerTask& task)
      : num_(task.config->num),
        first_generation_(1 + static_cast<uint64_t>(task.phase) * 97),
        random_(StreamSeed(task)) {}

  void Next(uint64_t* index, uint64_t* generation) {
    *index = random_.Uniform(num_);
    // Another one each time, so that a lost write shows.
    *generation = 1 + (first_generation_ + count_) % kGenerations;
    ++count_;
  }

 private:
  static constexpr uint64_t kGenerations = kGenerationsMax - 1;

  const uint64_t num_;
  const uint64_t first_generation_;
  uint64_t count_ = 0;
  Random random_;
};

// How large the database became.
class SizeWatch {
 public:
  explicit SizeWatch(const WorkerTask& task) : task_(task) { Look(); }

  DirectorySize Look();
  const DirectorySize& largest() const { return largest_; }
  // Above --churn_gb_max, or the disk is nearly full.
  bool IsTooLarge() const;

 private:
  const WorkerTask& task_;
  DirectorySize last_;
  DirectorySize largest_;
};

// Overwrites --churn_rounds x --num keys, timed, in transactions of one unless
// --batch_size says otherwise, and looks at the size now and then. Ends early
// if the watch says so. Tells how many keys it wrote.
absl::StatusOr<uint64_t> Churn(const WorkerTask& task, Session& session,
                               SizeWatch& watch);

// Looks up every key in the newest state: each that the first `count`
// operations of the task's ChurnStream wrote must have its last value there,
// byte by byte, and each other that is there a valid one. Tells how many are
// there.
absl::StatusOr<uint64_t> VerifyChurn(const WorkerTask& task, Session& session,
                                     uint64_t count);

// Of all keys and all bytes of their values in the session's snapshot.
uint64_t HashContent(const WorkerTask& task, Session& session);

// Makes the database small, as its engine can, and measures the result.
absl::StatusOr<DirectorySize> PackAndMeasure(const WorkerTask& task);

// What the engine counted between two looks, for `commits` of the workload.
void AddMovedFigures(const WorkerTask& task, const SpaceCounters& before,
                     uint64_t commits);

absl::Status RunDeleteAll(const WorkerTask& task);
absl::Status RunReadWhileCompacting(const WorkerTask& task);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_SPACE_PARTS_H_
