#include "db_bench/workload.h"

#include <algorithm>

namespace eve::bench {
namespace {

constexpr Workload kWorkloads[] = {
    {"fillseq", OpKind::kAppend, KeyOrder::kSequential, 1000, true, false,
     "write all keys in order into a fresh database"},
    {"fillbatch", OpKind::kAppend, KeyOrder::kSequential, 1000, true, false,
     "fillseq in transactions of 1,000, whatever --batch_size says"},
    {"fillseqbatch", OpKind::kAppend, KeyOrder::kSequential, 10000, true, false,
     "fillseq in transactions of 10,000"},
    {"bulkload", OpKind::kBulkLoad, KeyOrder::kSequential, 1000, true, false,
     "load all keys in order into a fresh database, the engine's fastest way"},
    {"fillrandom", OpKind::kPut, KeyOrder::kPermutation, 1000, true, false,
     "write all keys, each once, in random order into a fresh database"},
    {"fillrandbatch", OpKind::kPut, KeyOrder::kPermutation, 10000, true, false,
     "fillrandom in transactions of 10,000"},
    {.name = "fillsync",
     .kind = OpKind::kPut,
     .order = KeyOrder::kPermutation,
     .default_batch = 1,
     .fills = true,
     .absent = false,
     .what = "write a thousandth of the keys, fresh database, each commit "
             "synced",
     .divisor = 1000,
     .sync = true},
    {.name = "fillrandsync",
     .kind = OpKind::kPut,
     .order = KeyOrder::kPermutation,
     .default_batch = 1,
     .fills = true,
     .absent = false,
     .what = "the same as fillsync",
     .divisor = 1000,
     .sync = true},
    {.name = "fillseqsync",
     .kind = OpKind::kAppend,
     .order = KeyOrder::kSequential,
     .default_batch = 1,
     .fills = true,
     .absent = false,
     .what = "write the first thousandth of the keys in order, fresh database, "
             "each commit synced",
     .divisor = 1000,
     .sync = true},
    {.name = "fill100K",
     .kind = OpKind::kPut,
     .order = KeyOrder::kPermutation,
     .default_batch = 1,
     .fills = true,
     .absent = false,
     .what = "write a thousandth of the keys, fresh database, values of "
             "100,000 bytes",
     .divisor = 1000,
     .large = true},
    {"overwrite", OpKind::kPut, KeyOrder::kRandom, 1, false, false,
     "write --writes random keys again"},
    {"updaterandom", OpKind::kUpdate, KeyOrder::kRandom, 1, false, false,
     "read a random key and write it again, not as one transaction"},
    {"readrandomwriterandom", OpKind::kReadsAndWrites, KeyOrder::kRandom, 1,
     false, false, "random reads and writes, --readwritepercent of them reads"},
    {"readrandom", OpKind::kGet, KeyOrder::kRandom, 1, false, false,
     "look up --reads random keys in one snapshot per thread"},
    {"readhot", OpKind::kGet, KeyOrder::kHot, 1, false, false,
     "look up --reads random keys of the first hundredth"},
    {"readmissing", OpKind::kGet, KeyOrder::kRandom, 1, false, true,
     "look up --reads keys that are not there"},
    {"multireadrandom", OpKind::kMultiGet, KeyOrder::kRandom, 16, false, false,
     "look up --reads random keys, 16 at a time"},
    {"readseq", OpKind::kScan, KeyOrder::kSequential, 1000, false, false,
     "step through --reads entries in order"},
    {"readreverse", OpKind::kScanReverse, KeyOrder::kSequential, 1000, false,
     false, "step through --reads entries backwards"},
    {"seekrandom", OpKind::kSeek, KeyOrder::kRandom, 1, false, false,
     "seek a random key and step on --seek_nexts times; --reads / 5 times"},
    {"seekordered", OpKind::kSeek, KeyOrder::kAscending, 1, false, false,
     "seekrandom of keys that ascend by 0 to 99, round and round"},
    {"seekrandomwhilewriting", OpKind::kSeekWhileWriting, KeyOrder::kRandom, 1,
     false, false, "seekrandom beside one overwriting thread"},
    {"prefixscan", OpKind::kPrefixScan, KeyOrder::kRandom, 1, false, false,
     "step through the hundred entries with a random prefix"},
    {"rangecount", OpKind::kRangeCount, KeyOrder::kRandom, 1, false, false,
     "count the entries in a random hundredth of the keys"},
    {"diff", OpKind::kDiff, KeyOrder::kRandom, 1, false, false,
     "find what 1,000 random overwrites changed between two snapshots"},
    {"deleteseq", OpKind::kDelete, KeyOrder::kSequential, 1, false, false,
     "delete --writes keys in order"},
    {"deleterandom", OpKind::kDelete, KeyOrder::kRandom, 1, false, false,
     "delete --writes random keys, those already gone included"},
    {"readwhilewriting", OpKind::kGetWhileWriting, KeyOrder::kRandom, 1, false,
     false, "readrandom beside one overwriting thread; new snapshot each 100"},
    {"readwhilescanning", OpKind::kGetWhileScanning, KeyOrder::kRandom, 1,
     false, false, "readrandom beside one thread that scans all entries"},
    {"swapcounter", OpKind::kCount, KeyOrder::kRandom, 1, false, false,
     "increment one shared counter --writes times, one transaction each"},
    {"multiprocread", OpKind::kGet, KeyOrder::kRandom, 1, false, false,
     "readrandom, named for runs with --processes"},
    {"multiprocwrite", OpKind::kPut, KeyOrder::kRandom, 1, false, false,
     "overwrite, named for runs with --processes: all in one collection"},
    {"multiprocwriteown", OpKind::kPutOwn, KeyOrder::kRandom, 1, false, false,
     "write --writes random keys, each worker to a collection of its own"},
    {"watchlatency", OpKind::kWatch, KeyOrder::kRandom, 1, false, false,
     "from before a commit to where another worker has woken and read it"},
    {"open", OpKind::kOpen, KeyOrder::kSequential, 1, false, false,
     "close and open the database --num / 10,000 times"},
    {"compact", OpKind::kCompact, KeyOrder::kSequential, 1, false, false,
     "make the whole database compact, in place"},
    {"crc32c", OpKind::kChecksum, KeyOrder::kSequential, 1, false, false,
     "500 MB through the engine's checksum (Eve: XXH3), 4 KB at a time"},
    {"stats", OpKind::kStats, KeyOrder::kSequential, 1, false, false,
     "print the engine's own figures"},
    {"waitforcompaction", OpKind::kWait, KeyOrder::kSequential, 1, false, false,
     "wait until background work has ended, as --settle does before reads"},
    {"overwritechurn", OpKind::kChurn, KeyOrder::kRandom, 1, false, false,
     "--churn_rounds x --num overwrites: file size meanwhile, rested, packed"},
    {"longreader", OpKind::kLongReader, KeyOrder::kRandom, 1, false, false,
     "overwritechurn under a held snapshot, which must not change"},
    {"deleteall", OpKind::kDeleteAll, KeyOrder::kPermutation, 1000, false,
     false, "delete 90 % of the keys, compact, compare with a fresh database"},
    {"readwhilecompacting", OpKind::kCompacting, KeyOrder::kRandom, 1, false,
     false, "latencies of reads and of puts, idle and beside compaction"},
};

constexpr uint64_t kOpensPerKey = 10000;

}  // namespace

absl::Span<const Workload> AllWorkloads() { return kWorkloads; }

const Workload* FindWorkload(std::string_view name) {
  for (const Workload& workload : kWorkloads) {
    if (workload.name == name) return &workload;
  }
  return nullptr;
}

std::string WhyLeftOut(const Workload& workload, const EngineInfo& engine) {
  if (!workload.sync && !workload.MeasuresNothing() && !engine.can.keep) {
    return "it is no database, and there for what syncs";
  }
  if (workload.IsOrdered() && !engine.can.order_keys) {
    return "its keys have no order";
  }
  switch (workload.kind) {
    case OpKind::kBulkLoad:
      return engine.can.bulk_load ? "" : "it has no way to load sorted entries";
    case OpKind::kDiff:
    case OpKind::kLongReader:
      return engine.can.snapshot ? "" : "it has no snapshots";
    case OpKind::kPutOwn:
      return engine.can.own_collections ? "" : "it has one collection here";
    case OpKind::kWatch:
      return engine.can.watch ? "" : "it cannot wait for a commit";
    case OpKind::kCompact:
      return engine.can.compact_in_place ? "" : "it cannot compact in place";
    case OpKind::kChecksum:
      return engine.checksum.empty() ? "its checksum is not public" : "";
    default:
      return "";
  }
}

uint64_t RunConfig::BatchOf(const Workload& workload) const {
  // One operation per transaction, or per lookup, is what these are about.
  if (workload.kind == OpKind::kCount || workload.kind == OpKind::kWatch ||
      workload.ReadsAndWrites()) {
    return 1;
  }
  if (workload.Reads() || workload.name == "fillbatch") {
    return workload.default_batch;
  }
  return batch_size != 0 ? batch_size : workload.default_batch;
}

size_t RunConfig::ValueBytesOf(int phase) const {
  for (int i = phase; i >= 0; --i) {
    const Workload& workload = *workloads[static_cast<size_t>(i)];
    if (workload.large) return kLargeValueBytes;
    if (workload.fills || (i == phase && !workload.Reads())) break;
  }
  return values.Average();
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
    case OpKind::kUpdate:
    case OpKind::kReadsAndWrites:
      return read_writes;
    case OpKind::kWatch:
      return std::min(writes, kWatchedCommitsMax);
    case OpKind::kOpen:
      return std::max<uint64_t>(1, num / kOpensPerKey);
    case OpKind::kCompact:
      return 1;
    case OpKind::kChecksum:
      return kChecksumBytes / kChecksumBlockBytes;
    case OpKind::kChurn:
    case OpKind::kLongReader:
      return churn_rounds * num;
    case OpKind::kDeleteAll:
      return num - num / 10;
    default:
      break;
  }
  if (workload.Reads()) return reads;
  if (!workload.fills) return writes;
  return std::max<uint64_t>(1, num / workload.divisor);
}

}  // namespace eve::bench
