#ifndef EVE_DB_BENCH_WORKLOAD_H_
#define EVE_DB_BENCH_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "db_bench/engine_adapter.h"
#include "db_bench/generators.h"

namespace eve::bench {

// What a benchmark does with the keys it draws.
enum class OpKind {
  kPut,
  kAppend,    // puts in ascending order at the end
  kBulkLoad,  // all of them at once, in the engine's own way
  kDelete,
  kGet,
  kMultiGet,
  kGetWhileWriting,
  kGetWhileScanning,
  kUpdate,          // a get and a put of the same key
  kReadsAndWrites,  // gets, then puts, in the ratio of --readwritepercent
  kPutOwn,          // puts into a collection of the worker's own
  kScan,            // steps through all entries, forwards
  kScanReverse,     // and backwards
  kSeek,            // seeks a key and steps on from there
  kSeekWhileWriting,
  kPrefixScan,  // the hundred entries with one prefix
  kRangeCount,  // counts a hundredth of the entries
  kDiff,        // two snapshots with 1,000 overwrites in between
  kCount,
  kWatch,     // one commits, the others wait for it
  kOpen,      // closes and opens the database
  kCompact,   // all of it
  kChecksum,  // of the engine, of data in memory
  kStats,     // measures nothing, prints what the engine counts
  kWait,      // measures nothing, for what goes on in the background
  // What a database takes while and after much is written again.
  kChurn,
  kLongReader,
  kDeleteAll,
  kCompacting
};

// In which order it draws them from [0, num).
enum class KeyOrder {
  kSequential,
  kPermutation,
  kRandom,     // as --distribution says
  kAscending,  // each at random up to 100 above the one before, round and round
  kHot         // uniformly from the first hundredth
};

struct Workload {
  std::string_view name;
  OpKind kind;
  KeyOrder order;
  uint64_t default_batch;  // operations per transaction, or keys per MultiGet
  bool fills;              // starts from a fresh database, writes every key
  bool absent;             // looks up keys that are never written
  std::string_view what;
  uint64_t divisor = 1;  // fills write only so small a part of the keys
  bool large = false;    // values of kLargeValueBytes
  bool sync = false;     // whatever --durability says

  bool IsOrdered() const {
    return (kind >= OpKind::kScan && kind < OpKind::kDiff) ||
           kind == OpKind::kGetWhileScanning;
  }
  bool Reads() const {
    return kind == OpKind::kGet || kind == OpKind::kMultiGet ||
           kind == OpKind::kGetWhileWriting || kind == OpKind::kDiff ||
           IsOrdered();
  }
  bool ReadsAndWrites() const {
    return kind == OpKind::kUpdate || kind == OpKind::kReadsAndWrites;
  }
  // One worker, which starts what else it needs and verifies by itself.
  bool MeasuresSpace() const { return kind >= OpKind::kChurn; }
  bool NeedsOneWorker() const {
    return MeasuresSpace() || kind == OpKind::kBulkLoad ||
           kind == OpKind::kOpen || kind == OpKind::kCompact;
  }
  bool NeedsTwoWorkers() const { return kind == OpKind::kWatch; }
  // Needs no database that holds something.
  bool RunsOnNothing() const {
    return kind == OpKind::kCount || kind == OpKind::kChecksum ||
           kind == OpKind::kPutOwn || kind == OpKind::kWatch ||
           kind == OpKind::kOpen || kind == OpKind::kCompact ||
           MeasuresNothing();
  }
  bool MeasuresNothing() const {
    return kind == OpKind::kStats || kind == OpKind::kWait;
  }
  // Beside a thread that overwrites.
  bool HasWriter() const {
    return kind == OpKind::kGetWhileWriting ||
           kind == OpKind::kSeekWhileWriting;
  }
  // Beside a thread that does something else.
  bool HasCompanion() const {
    return HasWriter() || kind == OpKind::kGetWhileScanning;
  }
  // Leaves only a part of the keys.
  bool FillsInPart() const { return fills && divisor != 1; }
  // Without an order to follow, --duration ends it, not a count.
  bool MayRunByTime() const {
    switch (kind) {
      case OpKind::kPut:
      case OpKind::kDelete:
        return !fills && order != KeyOrder::kSequential;
      case OpKind::kGet:
      case OpKind::kMultiGet:
      case OpKind::kGetWhileWriting:
      case OpKind::kGetWhileScanning:
      case OpKind::kUpdate:
      case OpKind::kReadsAndWrites:
      case OpKind::kPutOwn:
      case OpKind::kSeek:
      case OpKind::kSeekWhileWriting:
      case OpKind::kPrefixScan:
      case OpKind::kRangeCount:
      case OpKind::kCount:
        return true;
      default:
        return false;
    }
  }
};

// nullptr if there is none of this name.
const Workload* FindWorkload(std::string_view name);
absl::Span<const Workload> AllWorkloads();

// Why `engine` cannot do it; empty if it can.
std::string WhyLeftOut(const Workload& workload, const EngineInfo& engine);

// How KeyOrder::kRandom draws.
enum class KeyDistribution {
  kUniform,
  kZipf,        // a few keys, spread over the database, are drawn most often
  kLatest,      // those that the last fill wrote last are
  kExponential  // --read_random_exp_range, only for look-ups
};

// Everything a run depends on, the same for all engines of one repeat.
struct RunConfig {
  std::vector<const Workload*> workloads;
  uint64_t num = 0;
  uint64_t reads = 0;
  uint64_t writes = 0;
  uint64_t read_writes = 0;  // of updaterandom and readrandomwriterandom
  uint64_t batch_size = 0;   // 0: the workload's own
  uint64_t seek_nexts = 10;
  uint64_t churn_rounds = 20;
  uint64_t churn_bytes_max = 0;  // of the file, then it ends early
  uint64_t rest_seconds = 60;
  uint64_t duration_nanos = 0;          // 0: by counts
  uint64_t stats_interval_nanos = 0;    // 0: no reports in between
  uint64_t report_interval_nanos = 0;   // 0: no rows in a file
  uint64_t write_bytes_per_second = 0;  // of all workers; 0: no limit
  uint64_t read_percent = 90;           // of readrandomwriterandom
  uint64_t seed = 0;
  KeyShape keys;
  ValueShape values;
  KeyDistribution distribution = KeyDistribution::kUniform;
  double exp_range = 0;  // 0: as `distribution`
  int threads = 1;
  int processes = 1;
  bool use_existing_db = false;
  bool settle = false;  // before reads, let background work end
  bool histogram = false;
  bool statistics = false;      // of each engine, at the end
  bool shows_progress = false;  // on standard error
  bool compress = false;        // with Snappy, in engines that can
  Durability durability = Durability::kNone;
  std::string distribution_name;
  std::string collection;
  std::string command_line;
  std::string dir;          // of the engine that is running
  std::string scratch_dir;  // beside it, made and removed by who needs it

  int Workers() const { return threads * processes; }
  uint64_t BatchOf(const Workload& workload) const;
  // Operations of all workers together, unless RunsByTime.
  uint64_t OperationsOf(const Workload& workload) const;
  bool RunsByTime(const Workload& workload) const {
    return duration_nanos != 0 && workload.MayRunByTime();
  }
  // Workers add up what they have done before they are at the end.
  bool CountsWhileRunning() const {
    return report_interval_nanos != 0 || shows_progress;
  }
  Durability DurabilityOf(const Workload& workload) const {
    return workload.sync ? Durability::kSync : durability;
  }
  // Of the values that the workload at `phase` writes or, where it only reads,
  // that the fill before it wrote; their average.
  size_t ValueBytesOf(int phase) const;
  // An estimate.
  uint64_t EntryBytes() const { return keys.size + values.Average(); }
};

inline constexpr int kSnapshotReads = 100;  // readwhilewriting: reads of each
inline constexpr uint64_t kPrefixEntries = 100;
inline constexpr uint64_t kRangesPerDatabase = 100;
inline constexpr uint64_t kHotParts = 100;
inline constexpr uint64_t kAscendingStepMax = 100;
inline constexpr uint64_t kDiffWrites = 1000;
inline constexpr uint64_t kChecksumBlockBytes = 4096;
inline constexpr uint64_t kChecksumBytes = uint64_t{500} << 20;
inline constexpr int kChurnRoundsMax = 1000;
inline constexpr uint64_t kWatchedCommitsMax = 5000;
inline constexpr char kCounterName[] = "~counter";

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_WORKLOAD_H_
