#include "db_bench/flags.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "db_bench/process_group.h"

ABSL_FLAG(
    std::string, engines, "eve,lmdb,rocksdb,leveldb,tkrzw",
    "engines to compare; those not built in are left out; bare, which is "
    "none, commits by a pwrite of 4 KiB and fdatasync, in fillsync and the "
    "like");
ABSL_FLAG(std::string, benchmarks,
          "fillseq,fillrandom,readrandom,readmissing,multireadrandom,readseq,"
          "readreverse,seekrandom,rangecount,diff,overwrite,readwhilewriting,"
          "swapcounter,deleterandom",
          "benchmarks to run, in this order");
ABSL_FLAG(
    std::string, collection, "ordered",
    "Eve's kind of collection: ordered, or map (a hash map, for workloads "
    "that need no order)");
ABSL_FLAG(int64_t, num, 1000000, "entries of the database");
ABSL_FLAG(int64_t, reads, -1, "lookups of all workers; -1: --num");
ABSL_FLAG(int64_t, writes, -1,
          "overwrites, deletes, increments of all workers; -1: --num, but at "
          "most 300000, or 20000 with --durability=sync; fills go by "
          "--num");
ABSL_FLAG(int64_t, duration, 0,
          "seconds that each random workload runs, instead of --reads and "
          "--writes; fills and sequential ones still go by their counts; 0: "
          "all do");
ABSL_FLAG(int32_t, threads, 1, "threads of each process");
ABSL_FLAG(int32_t, processes, 1, "worker processes");
ABSL_FLAG(int64_t, batch_size, 0,
          "operations per transaction; 0: 1000 in fills, 1 in those that sync, "
          "in fill100K and elsewhere");
ABSL_FLAG(int32_t, seek_nexts, 10, "steps after each seek");
ABSL_FLAG(int32_t, readwritepercent, 90,
          "of a hundred operations of readrandomwriterandom, how many read");
ABSL_FLAG(int64_t, benchmark_write_rate_limit, 0,
          "bytes per second that all workers together write at most, keys and "
          "values; latencies leave the waiting out; 0: no limit");
ABSL_FLAG(std::string, distribution, "uniform",
          "which keys random workloads draw: uniform, zipf (exponent 0.99, "
          "popular keys spread over the database) or latest (the same, popular "
          "are those that the last fill wrote last)");
ABSL_FLAG(double, read_random_exp_range, 0,
          "lookups draw num * exp(-r), r uniform from 0 to this, spread over "
          "the database; the larger, the more skewed; 0: as --distribution "
          "says");
ABSL_FLAG(int32_t, churn_rounds, 20,
          "how often overwritechurn and longreader write --num keys");
ABSL_FLAG(int32_t, churn_gb_max, 32,
          "they end early when the database takes more GiB than this, or when "
          "the file system has less than 2 left");
ABSL_FLAG(int32_t, rest_seconds, 60, "how long overwritechurn rests");
ABSL_FLAG(std::string, key_type, "string",
          "what keys are: string, or int64 (8 bytes; uint64_t in eve, "
          "MDB_INTEGERKEY in lmdb, big-endian elsewhere)");
ABSL_FLAG(int32_t, key_size, 16, "bytes of a key, if it is a string");
ABSL_FLAG(int32_t, value_size, 100, "bytes of a value, if all have the same");
ABSL_FLAG(std::string, value_size_distribution_type, "fixed",
          "sizes of values: fixed (--value_size), or uniform or normal between "
          "--value_size_min and --value_size_max");
ABSL_FLAG(int32_t, value_size_min, 100, "bytes of the smallest value");
ABSL_FLAG(int32_t, value_size_max, 102400, "bytes of the largest value");
ABSL_FLAG(double, compression_ratio, 0.5,
          "to what part of its size a value can be compressed");
ABSL_FLAG(std::string, compression_type, "none",
          "compression of values: none, or snappy for the engines that have it "
          "(rocksdb, leveldb)");
ABSL_FLAG(std::string, durability, "none",
          "what survives a power cut: none (nothing is forced to the device), "
          "checkpoint (the state of about 100 ms ago) or sync (every commit)");
ABSL_FLAG(bool, sync, false, "the same as --durability=sync");
ABSL_FLAG(int64_t, seed, 301, "of all random choices");
ABSL_FLAG(std::string, db, "",
          "directory of the databases, kept afterwards; empty: one below the "
          "directory for temporary files, removed afterwards");
ABSL_FLAG(bool, use_existing_db, false, "keep and use what is in --db");
ABSL_FLAG(bool, settle, true,
          "before reads, untimed: flush memtables and end compactions, which "
          "makes RocksDB's reads about twice as fast");
ABSL_FLAG(int32_t, repeat, 1, "turns of each engine");
ABSL_FLAG(bool, histogram, false, "print a histogram of latencies");
ABSL_FLAG(int64_t, stats_interval_seconds, 0,
          "report to standard error, how far each worker is, about so often; "
          "0: never");
ABSL_FLAG(int64_t, report_interval_seconds, 0,
          "write a row to --report_file about so often: seconds since the "
          "benchmark began, operations of the interval, engine, benchmark; 0: "
          "never");
ABSL_FLAG(std::string, report_file, "report.csv",
          "file for the rows of --report_interval_seconds");
ABSL_FLAG(bool, progress_reports, true,
          "show on standard error, if that is a terminal, how many operations "
          "are done; not with --stats_interval_seconds");
ABSL_FLAG(bool, statistics, false,
          "print each engine's own figures at the end of its turn, like the "
          "benchmark stats");
ABSL_FLAG(std::string, json, "", "file for one JSON object per result");
ABSL_FLAG(std::string, report, "",
          "file for a page of HTML with bars and all results");

namespace eve::bench {
namespace {

constexpr int64_t kDefaultWritesMax = 300000;
constexpr int64_t kDefaultSyncWritesMax = 20000;
constexpr int64_t kNumMax = int64_t{1} << 40;
constexpr int64_t kKeySizeMax = 511;  // of LMDB
constexpr uint64_t kBatchBytesMax = uint64_t{4} << 30;
constexpr int64_t kSecondsMax = 1000000;
constexpr uint64_t kNanosPerSecond = 1000000000;

std::vector<std::string> SplitList(const std::string& list) {
  return absl::StrSplit(list, ',', absl::SkipWhitespace());
}

template <class... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status ParseValues(RunConfig* config) {
  ValueShape& shape = config->values;
  const std::string kind = absl::GetFlag(FLAGS_value_size_distribution_type);
  const int64_t size = absl::GetFlag(FLAGS_value_size);
  const int64_t least = absl::GetFlag(FLAGS_value_size_min);
  const int64_t most = absl::GetFlag(FLAGS_value_size_max);
  const auto size_min = static_cast<int64_t>(kValueSizeMin);
  const auto size_max = static_cast<int64_t>(kValueSizeMax);
  if (kind == "fixed") {
    shape.distribution = SizeDistribution::kFixed;
  } else if (kind == "uniform") {
    shape.distribution = SizeDistribution::kUniform;
  } else if (kind == "normal") {
    shape.distribution = SizeDistribution::kNormal;
  } else {
    return Invalid(
        "--value_size_distribution_type must be fixed, uniform or normal");
  }
  if (size < size_min || size > size_max) {
    return Invalid("--value_size must be in [", size_min, ", ", size_max, "]");
  }
  if (least < size_min || most < least || most > size_max) {
    return Invalid("--value_size_min must be at least ", size_min,
                   ", --value_size_max not less and at most ", size_max);
  }
  shape.size = static_cast<size_t>(size);
  shape.size_min = static_cast<size_t>(least);
  shape.size_max = static_cast<size_t>(most);
  shape.compression_ratio = absl::GetFlag(FLAGS_compression_ratio);
  if (!(shape.compression_ratio > 0 && shape.compression_ratio <= 1)) {
    return Invalid("--compression_ratio must be above 0 and at most 1");
  }
  const std::string compression = absl::GetFlag(FLAGS_compression_type);
  if (compression != "none" && compression != "snappy") {
    return Invalid("--compression_type must be none or snappy");
  }
  config->compress = compression == "snappy";
  return absl::OkStatus();
}

absl::Status ParseKeys(int64_t num, KeyShape* keys) {
  const std::string type = absl::GetFlag(FLAGS_key_type);
  if (type == NameOfType(KeyType::kInt64)) {
    *keys = {.type = KeyType::kInt64, .size = kInt64KeyBytes};
    return absl::OkStatus();
  }
  if (type != NameOfType(KeyType::kString)) {
    return Invalid("--key_type must be string or int64");
  }
  const int64_t size = absl::GetFlag(FLAGS_key_size);
  const auto digits = static_cast<int64_t>(absl::StrCat(num).size());
  const int64_t size_min = std::max<int64_t>(kKeySizeMin, digits + 1);
  if (size < size_min || size > kKeySizeMax) {
    return Invalid("--key_size must be in [", size_min, ", ", kKeySizeMax, "]");
  }
  *keys = {.type = KeyType::kString, .size = static_cast<size_t>(size)};
  return absl::OkStatus();
}

absl::Status ParseSizes(RunConfig* config) {
  const int64_t num = absl::GetFlag(FLAGS_num);
  const int64_t reads = absl::GetFlag(FLAGS_reads);
  const int64_t writes = absl::GetFlag(FLAGS_writes);
  const int64_t batch = absl::GetFlag(FLAGS_batch_size);
  config->threads = absl::GetFlag(FLAGS_threads);
  config->processes = absl::GetFlag(FLAGS_processes);
  if (num < 1 || num > kNumMax) return Invalid("--num must be in [1, 2^40]");
  if (reads < -1 || reads == 0 || writes < -1 || writes == 0 || batch < 0) {
    return Invalid(
        "--reads and --writes must be -1 or at least 1, "
        "--batch_size at least 0");
  }
  if (config->threads < 1 || config->threads > kThreadsMax ||
      config->processes < 1 || config->processes > kProcessesMax) {
    return Invalid("--threads, --processes: not in 1..256");
  }
  config->num = static_cast<uint64_t>(num);
  absl::Status keys = ParseKeys(num, &config->keys);
  if (!keys.ok()) return keys;
  config->batch_size = static_cast<uint64_t>(batch);
  if (config->batch_size > kBatchBytesMax / config->EntryBytes()) {
    return Invalid("--batch_size: a transaction would be larger than 4 GiB");
  }
  config->reads = static_cast<uint64_t>(reads < 0 ? num : reads);
  const int64_t writes_max = config->durability == Durability::kSync
                                 ? kDefaultSyncWritesMax
                                 : kDefaultWritesMax;
  config->writes =
      static_cast<uint64_t>(writes < 0 ? std::min(num, writes_max) : writes);
  // As in RocksDB, but for the default.
  config->read_writes = reads < 0 && writes < 0
                            ? config->writes
                            : static_cast<uint64_t>(std::max(reads, writes));
  return absl::OkStatus();
}

absl::Status ParseChurn(RunConfig* config) {
  const int rounds = absl::GetFlag(FLAGS_churn_rounds);
  const int gb_max = absl::GetFlag(FLAGS_churn_gb_max);
  const int rest = absl::GetFlag(FLAGS_rest_seconds);
  if (rounds < 1 || rounds > kChurnRoundsMax) {
    return Invalid("--churn_rounds must be in [1, ", kChurnRoundsMax, "]");
  }
  // LMDB's map is 64 GiB; a look at the size comes only now and then.
  if (gb_max < 1 || gb_max > 60 || rest < 0) {
    return Invalid(
        "--churn_gb_max must be in [1, 60], --rest_seconds at least 0");
  }
  config->churn_rounds = static_cast<uint64_t>(rounds);
  config->churn_bytes_max = static_cast<uint64_t>(gb_max) << 30;
  config->rest_seconds = static_cast<uint64_t>(rest);
  return absl::OkStatus();
}

// How long, how fast, and of which keys.
absl::Status ParsePace(RunConfig* config) {
  const int64_t duration = absl::GetFlag(FLAGS_duration);
  const int64_t interval = absl::GetFlag(FLAGS_stats_interval_seconds);
  const int64_t rows = absl::GetFlag(FLAGS_report_interval_seconds);
  const int64_t rate = absl::GetFlag(FLAGS_benchmark_write_rate_limit);
  const int percent = absl::GetFlag(FLAGS_readwritepercent);
  if (duration < 0 || duration > kSecondsMax) {
    return Invalid("--duration must be in [0, ", kSecondsMax, "]");
  }
  if (interval < 0 || interval > kSecondsMax) {
    return Invalid("--stats_interval_seconds must be in [0, ", kSecondsMax,
                   "]");
  }
  if (rows < 0 || rows > kSecondsMax) {
    return Invalid("--report_interval_seconds must be in [0, ", kSecondsMax,
                   "]");
  }
  if (rate < 0) {
    return Invalid("--benchmark_write_rate_limit must not be negative");
  }
  if (percent < 0 || percent > 100) {
    return Invalid("--readwritepercent must be in [0, 100]");
  }
  if (absl::GetFlag(FLAGS_seek_nexts) < 0) {
    return Invalid("--seek_nexts must not be negative");
  }
  config->duration_nanos = static_cast<uint64_t>(duration) * kNanosPerSecond;
  config->stats_interval_nanos =
      static_cast<uint64_t>(interval) * kNanosPerSecond;
  config->report_interval_nanos = static_cast<uint64_t>(rows) * kNanosPerSecond;
  config->shows_progress = absl::GetFlag(FLAGS_progress_reports) &&
                           interval == 0 && isatty(STDERR_FILENO) != 0;
  config->write_bytes_per_second = static_cast<uint64_t>(rate);
  config->read_percent = static_cast<uint64_t>(percent);
  config->seek_nexts = static_cast<uint64_t>(absl::GetFlag(FLAGS_seek_nexts));
  config->exp_range = absl::GetFlag(FLAGS_read_random_exp_range);
  if (!(config->exp_range >= 0 && config->exp_range <= 1000)) {
    return Invalid("--read_random_exp_range must be in [0, 1000]");
  }
  config->distribution_name = absl::GetFlag(FLAGS_distribution);
  if (config->distribution_name == "uniform") {
    config->distribution = KeyDistribution::kUniform;
  } else if (config->distribution_name == "zipf") {
    config->distribution = KeyDistribution::kZipf;
  } else if (config->distribution_name == "latest") {
    config->distribution = KeyDistribution::kLatest;
  } else {
    return Invalid("--distribution must be uniform, zipf or latest");
  }
  return absl::OkStatus();
}

absl::Status ParseBenchmarks(RunConfig* config) {
  bool filled = config->use_existing_db;
  for (const std::string& name : SplitList(absl::GetFlag(FLAGS_benchmarks))) {
    const Workload* workload = FindWorkload(name);
    if (workload == nullptr) {
      return Invalid("unknown benchmark '", name, "'; --help lists them");
    }
    if (workload->IsOrdered() && config->collection == "map") {
      return Invalid(name, " needs --collection=ordered");
    }
    if (workload->kind == OpKind::kPutOwn &&
        config->keys.type == KeyType::kInt64) {
      return Invalid(name,
                     " needs --key_type=string: LMDB has no named "
                     "databases beside one of integers");
    }
    if (workload->NeedsOneWorker() && config->Workers() != 1) {
      return Invalid(name, " needs one thread and one process");
    }
    if (workload->NeedsTwoWorkers() && config->Workers() < 2) {
      return Invalid(name, " needs --processes=2 or --threads=2 at least");
    }
    filled = filled || workload->fills;
    if (!filled && !workload->RunsOnNothing()) {
      return Invalid(name, " needs a fill before it, or --use_existing_db");
    }
    config->workloads.push_back(workload);
  }
  if (!config->workloads.empty()) return absl::OkStatus();
  return Invalid("--benchmarks is empty");
}

absl::Status ParseDurability(RunConfig* config) {
  const std::string name =
      absl::GetFlag(FLAGS_sync) ? "sync" : absl::GetFlag(FLAGS_durability);
  for (const Durability durability :
       {Durability::kNone, Durability::kCheckpoint, Durability::kSync}) {
    if (name != NameOf(durability)) continue;
    config->durability = durability;
    return absl::OkStatus();
  }
  return Invalid("--durability must be none, checkpoint or sync");
}

// Breaks `text` between words, each line at most `width` long.
void AppendWrapped(const std::string& text, size_t indent, size_t width,
                   std::string* out) {
  size_t column = width;  // nothing fits
  for (const std::string& word :
       std::vector<std::string>(absl::StrSplit(text, ' '))) {
    if (column + 1 + word.size() > width) {
      absl::StrAppend(out, out->empty() ? "" : "\n", std::string(indent, ' '),
                      word);
      column = indent + word.size();
    } else {
      absl::StrAppend(out, " ", word);
      column += 1 + word.size();
    }
  }
}

}  // namespace

absl::Status ParseConfig(RunConfig* config, OutputConfig* output) {
  config->use_existing_db = absl::GetFlag(FLAGS_use_existing_db);
  config->settle = absl::GetFlag(FLAGS_settle);
  config->statistics = absl::GetFlag(FLAGS_statistics);
  config->histogram = absl::GetFlag(FLAGS_histogram);
  config->seed = static_cast<uint64_t>(absl::GetFlag(FLAGS_seed));
  config->collection = absl::GetFlag(FLAGS_collection);
  output->json = absl::GetFlag(FLAGS_json);
  output->report_file = absl::GetFlag(FLAGS_report_file);
  output->report = absl::GetFlag(FLAGS_report);
  output->db = absl::GetFlag(FLAGS_db);
  output->repeat = absl::GetFlag(FLAGS_repeat);
  if (config->collection != "ordered" && config->collection != "map") {
    return Invalid("--collection must be ordered or map");
  }
  if (output->repeat < 1) return Invalid("--repeat must be at least 1");
  if (config->use_existing_db && output->db.empty()) {
    return Invalid("--use_existing_db needs --db");
  }
  absl::Status status = ParseDurability(config);
  if (status.ok()) status = ParseValues(config);
  if (status.ok()) status = ParseSizes(config);
  if (status.ok()) status = ParseChurn(config);
  if (status.ok()) status = ParsePace(config);
  return status.ok() ? ParseBenchmarks(config) : status;
}

absl::StatusOr<std::vector<const EngineInfo*>> ParseEngines(
    const RunConfig& config, std::vector<std::string>* messages) {
  std::vector<const EngineInfo*> engines;
  for (const std::string& name : SplitList(absl::GetFlag(FLAGS_engines))) {
    const auto known =
        std::find_if(KnownEngines().begin(), KnownEngines().end(),
                     [&](const KnownEngine& k) { return k.name == name; });
    if (known == KnownEngines().end()) {
      return Invalid("unknown engine '", name, "'");
    }
    const EngineInfo* engine = FindEngine(name);
    if (engine == nullptr) {
      messages->push_back(absl::StrCat(name, ": left out, not built in (",
                                       known->package, " was missing)"));
    } else if (config.processes > 1 && !engine->can.many_processes) {
      messages->push_back(absl::StrCat(
          name, ": left out, only one process can open a database"));
    } else {
      engines.push_back(engine);
    }
  }
  if (!engines.empty()) return engines;
  return Invalid(absl::StrJoin(*messages, "; "),
                 messages->empty() ? "--engines is empty" : "; none is left");
}

std::string HelpText() {
  constexpr size_t kWidth = 79;
  std::string text =
      "usage: db_bench [--FLAG=VALUE...]\n\n"
      "Runs the same workloads on Eve, LMDB, RocksDB, LevelDB and Tkrzw.\n\n"
      "Benchmarks:\n";
  for (const Workload& workload : AllWorkloads()) {
    absl::StrAppendFormat(&text, "\n  %s", std::string(workload.name));
    AppendWrapped(std::string(workload.what), 6, kWidth, &text);
  }
  absl::StrAppend(&text, "\n\nFlags:\n");
  std::map<std::string, const absl::CommandLineFlag*> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (absl::StrContains(flag->Filename(), "db_bench/")) {
      flags[std::string(name.data(), name.size())] = flag;
    }
  }
  for (const auto& [name, flag] : flags) {
    absl::StrAppendFormat(&text, "\n  --%s", name);
    const std::string value = flag->DefaultValue();
    if (!value.empty()) absl::StrAppend(&text, "=", value);
    AppendWrapped(flag->Help(), 6, kWidth, &text);
  }
  absl::StrAppend(&text,
                  "\n\nThe values shown are the defaults. man db_bench "
                  "says more.\n");
  return text;
}

}  // namespace eve::bench
