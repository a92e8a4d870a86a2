#include "db_bench/workload.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace eve::bench {
namespace {

constexpr uint64_t kValueSeed = 0x6576655f62656e63;
constexpr size_t kNoiseBytes = size_t{1} << 20;

constexpr Workload kWorkloads[] = {
    {"fillseq", OpKind::kAppend, KeyOrder::kSequential, 1000, true, false,
     "write all keys in order into a fresh database"},
    {"fillseqbatch", OpKind::kAppend, KeyOrder::kSequential, 10000, true, false,
     "fillseq in transactions of 10,000"},
    {"bulkload", OpKind::kBulkLoad, KeyOrder::kSequential, 1000, true, false,
     "load all keys in order into a fresh database, the engine's fastest way"},
    {"fillrandom", OpKind::kPut, KeyOrder::kPermutation, 1000, true, false,
     "write all keys, each once, in random order into a fresh database"},
    {"fillrandbatch", OpKind::kPut, KeyOrder::kPermutation, 10000, true, false,
     "fillrandom in transactions of 10,000"},
    {"overwrite", OpKind::kPut, KeyOrder::kUniform, 1, false, false,
     "write --writes random keys again"},
    {"readrandom", OpKind::kGet, KeyOrder::kUniform, 1, false, false,
     "look up --reads random keys in one snapshot per thread"},
    {"readmissing", OpKind::kGet, KeyOrder::kUniform, 1, false, true,
     "look up --reads keys that are not there"},
    {"multireadrandom", OpKind::kMultiGet, KeyOrder::kUniform, 16, false, false,
     "look up --reads random keys, 16 at a time"},
    {"readseq", OpKind::kScan, KeyOrder::kSequential, 1000, false, false,
     "step through --reads entries in order"},
    {"readreverse", OpKind::kScanReverse, KeyOrder::kSequential, 1000, false,
     false, "step through --reads entries backwards"},
    {"seekrandom", OpKind::kSeek, KeyOrder::kUniform, 1, false, false,
     "seek a random key and step on --seek_nexts times"},
    {"seekrandomwhilewriting", OpKind::kSeekWhileWriting, KeyOrder::kUniform, 1,
     false, false, "seekrandom beside one overwriting thread"},
    {"prefixscan", OpKind::kPrefixScan, KeyOrder::kUniform, 1, false, false,
     "step through the hundred entries with a random prefix"},
    {"rangecount", OpKind::kRangeCount, KeyOrder::kUniform, 1, false, false,
     "count the entries in a random hundredth of the keys"},
    {"diff", OpKind::kDiff, KeyOrder::kUniform, 1, false, false,
     "find what 1,000 random overwrites changed between two snapshots"},
    {"deleteseq", OpKind::kDelete, KeyOrder::kSequential, 1, false, false,
     "delete --writes keys in order"},
    {"deleterandom", OpKind::kDelete, KeyOrder::kUniform, 1, false, false,
     "delete --writes random keys, those already gone included"},
    {"readwhilewriting", OpKind::kGetWhileWriting, KeyOrder::kUniform, 1, false,
     false, "readrandom beside one overwriting thread; new snapshot each 100"},
    {"swapcounter", OpKind::kCount, KeyOrder::kUniform, 1, false, false,
     "increment one shared counter --writes times, one transaction each"},
    {"overwritechurn", OpKind::kChurn, KeyOrder::kUniform, 1, false, false,
     "--churn_rounds x --num overwrites: file size meanwhile, rested, packed"},
    {"longreader", OpKind::kLongReader, KeyOrder::kUniform, 1, false, false,
     "overwritechurn under a held snapshot, which must not change"},
    {"deleteall", OpKind::kDeleteAll, KeyOrder::kPermutation, 1000, false,
     false, "delete 90 % of the keys, compact, compare with a fresh database"},
    {"readwhilecompacting", OpKind::kCompacting, KeyOrder::kUniform, 1, false,
     false, "latencies of reads and of puts, idle and beside compaction"},
};

uint64_t Load64(const char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

}  // namespace

absl::Span<const Workload> AllWorkloads() { return kWorkloads; }

const Workload* FindWorkload(std::string_view name) {
  for (const Workload& workload : kWorkloads) {
    if (workload.name == name) return &workload;
  }
  return nullptr;
}

uint64_t RunConfig::BatchOf(const Workload& workload) const {
  // One operation per transaction, or per lookup, is what these are about.
  if (workload.kind == OpKind::kCount) return 1;
  if (workload.Reads()) return workload.default_batch;
  return batch_size != 0 ? batch_size : workload.default_batch;
}

uint64_t RunConfig::OperationsOf(const Workload& workload) const {
  switch (workload.kind) {
    case OpKind::kSeek:
    case OpKind::kSeekWhileWriting:
      return std::max<uint64_t>(1, reads / 5);
    case OpKind::kPrefixScan:
      return std::max<uint64_t>(1, reads / 5 / kPrefixEntries);
    case OpKind::kRangeCount:
      return std::min<uint64_t>(reads, 500);
    case OpKind::kDiff:
      return 3 * static_cast<uint64_t>(Workers());
    default:
      break;
  }
  if (workload.kind == OpKind::kChurn || workload.kind == OpKind::kLongReader) {
    return churn_rounds * num;
  }
  if (workload.kind == OpKind::kDeleteAll) return num - num / 10;
  if (workload.Reads()) return reads;
  return workload.fills ? num : writes;
}

Permutation::Permutation(uint64_t size, uint64_t seed) : size_(size) {
  const int bits = std::max(1, static_cast<int>(std::bit_width(size - 1)));
  mask_ = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  shift_ = (bits + 1) / 2;
  Random random(seed);
  addend_ = random.Next();
  for (uint64_t& factor : factors_) factor = random.Next() | 1;
}

void FormatKey(uint64_t index, bool absent, size_t size, char* key) {
  std::memset(key, '0', size);
  size_t at = size;
  if (absent) {
    key[--at] = static_cast<char>('a' + index % 10);
    index /= 10;
  }
  for (; index != 0; index /= 10) {
    key[--at] = static_cast<char>('0' + index % 10);
  }
}

ValueMaker::ValueMaker(size_t value_size)
    : value_size_(value_size), noise_(kNoiseBytes + value_size) {
  Random random(kValueSeed);
  for (char& byte : noise_) byte = static_cast<char>(random.Next());
}

void ValueMaker::Make(uint64_t index, uint64_t generation, char* value) const {
  const uint64_t hash = Mix64(index ^ kValueSeed);
  const uint64_t first = hash ^ generation;
  const uint64_t last = Mix64(hash + generation);
  std::memcpy(value, &noise_[last % kNoiseBytes], value_size_);
  std::memcpy(value, &first, sizeof(first));
  std::memcpy(value + value_size_ - sizeof(last), &last, sizeof(last));
}

bool ValueMaker::Verify(uint64_t index, std::string_view value) const {
  if (value.size() != value_size_) return false;
  const uint64_t hash = Mix64(index ^ kValueSeed);
  const uint64_t generation = Load64(value.data()) ^ hash;
  const uint64_t last = Load64(value.data() + value_size_ - sizeof(uint64_t));
  return generation < kGenerationsMax && last == Mix64(hash + generation);
}

}  // namespace eve::bench
