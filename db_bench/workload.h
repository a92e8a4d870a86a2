#ifndef EVE_DB_BENCH_WORKLOAD_H_
#define EVE_DB_BENCH_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "db_bench/engine_adapter.h"

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
  kScan,         // steps through all entries, forwards
  kScanReverse,  // and backwards
  kSeek,         // seeks a key and steps on from there
  kSeekWhileWriting,
  kPrefixScan,  // the hundred entries with one prefix
  kRangeCount,  // counts a hundredth of the entries
  kDiff,        // two snapshots with 1,000 overwrites in between
  kCount,
  // What a database takes while and after much is written again.
  kChurn,
  kLongReader,
  kDeleteAll,
  kCompacting
};

// In which order it draws them from [0, num).
enum class KeyOrder { kSequential, kPermutation, kUniform };

struct Workload {
  std::string_view name;
  OpKind kind;
  KeyOrder order;
  uint64_t default_batch;  // operations per transaction, or keys per MultiGet
  bool fills;              // starts from a fresh database, writes every key
  bool absent;             // looks up keys that are never written
  std::string_view what;

  bool IsOrdered() const {
    return kind >= OpKind::kScan && kind <= OpKind::kDiff;
  }
  bool Reads() const {
    return kind == OpKind::kGet || kind == OpKind::kMultiGet ||
           kind == OpKind::kGetWhileWriting || IsOrdered();
  }
  // One worker, which starts what else it needs and verifies by itself.
  bool MeasuresSpace() const { return kind >= OpKind::kChurn; }
  // Beside a thread that overwrites.
  bool HasWriter() const {
    return kind == OpKind::kGetWhileWriting ||
           kind == OpKind::kSeekWhileWriting;
  }
};

// nullptr if there is none of this name.
const Workload* FindWorkload(std::string_view name);
absl::Span<const Workload> AllWorkloads();

// Everything a run depends on, the same for all engines of one repeat.
struct RunConfig {
  std::vector<const Workload*> workloads;
  uint64_t num = 0;
  uint64_t reads = 0;
  uint64_t writes = 0;
  uint64_t batch_size = 0;  // 0: the workload's own
  uint64_t seek_nexts = 10;
  uint64_t churn_rounds = 20;
  uint64_t churn_bytes_max = 0;  // of the file, then it ends early
  uint64_t rest_seconds = 60;
  uint64_t seed = 0;
  size_t key_size = 16;
  size_t value_size = 100;
  int threads = 1;
  int processes = 1;
  bool use_existing_db = false;
  bool settle = false;  // before reads, let background work end
  Durability durability = Durability::kNone;
  std::string durability_name;
  std::string collection;
  std::string dir;          // of the engine that is running
  std::string scratch_dir;  // beside it, made and removed by who needs it

  int Workers() const { return threads * processes; }
  uint64_t BatchOf(const Workload& workload) const;
  // Operations of all workers together.
  uint64_t OperationsOf(const Workload& workload) const;
};

inline constexpr size_t kKeySizeMin = 8;
inline constexpr size_t kValueSizeMin = 16;
inline constexpr uint64_t kGenerationsMax = 4096;
inline constexpr int kSnapshotReads = 100;  // readwhilewriting: reads of each
inline constexpr uint64_t kPrefixEntries = 100;
inline constexpr uint64_t kRangesPerDatabase = 100;
inline constexpr uint64_t kDiffWrites = 1000;
inline constexpr int kChurnRoundsMax = 1000;
inline constexpr char kCounterName[] = "~counter";

// splitmix64: its finalizer is a bijection, so distinct inputs stay distinct.
inline uint64_t Mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix64(seed)) {}
  uint64_t Next() { return Mix64(state_ += 0x9e3779b97f4a7c15); }
  uint64_t Uniform(uint64_t bound) {
    return static_cast<uint64_t>(
        (static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }

 private:
  uint64_t state_;
};

// A random order of [0, size) in constant memory: a bijection of the next power
// of two, applied again while it leaves the range (less than twice on average).
class Permutation {
 public:
  Permutation(uint64_t size, uint64_t seed);
  uint64_t operator()(uint64_t i) const {
    do {
      for (uint64_t factor : factors_) {
        i = (i * factor + addend_) & mask_;
        i ^= i >> shift_;
      }
    } while (i >= size_);
    return i;
  }

 private:
  uint64_t size_;
  uint64_t mask_;
  int shift_;
  uint64_t addend_;
  uint64_t factors_[3];  // odd
};

// Writes the decimal digits of `index`, padded with zeros to `size` bytes, as
// "%016d" does. An absent key has a letter for its last digit, so that absent
// keys sort among the present ones and no engine can tell them by their range.
void FormatKey(uint64_t index, bool absent, size_t size, char* key);

// Values that can be verified without knowing who wrote them last: bytes 0..7
// tell the generation, bytes -8..-1 must fit it and the key's index. They do
// not depend on --seed, so a later run can verify an old database.
class ValueMaker {
 public:
  explicit ValueMaker(size_t value_size);

  // Writes value_size bytes.
  void Make(uint64_t index, uint64_t generation, char* value) const;

  // Whether it is what Make wrote, of any generation. Same work for every
  // engine: the size, the first and the last 8 bytes.
  bool Verify(uint64_t index, std::string_view value) const;

 private:
  size_t value_size_;
  std::vector<char> noise_;
};

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_WORKLOAD_H_
