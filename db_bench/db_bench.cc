// db_bench: the same workloads on Eve and on its rivals, in LevelDB's manner.
//
// The benchmarks of --benchmarks run in that order on one database:
//
//   fillseq           write all --num keys in order, fresh database; LMDB with
//                     MDB_APPEND (one worker only)
//   fillrandom        write all --num keys, each once, in random order, fresh
//                     database, so that every key exists afterwards
//   fillseqbatch, fillrandbatch   the same in transactions of 10,000
//   bulkload          as fillseq, each engine's fastest way: Eve and LMDB in
//                     one transaction (MDB_APPEND), RocksDB by a table file
//                     that it takes in
//   overwrite         write --writes random keys again
//   readrandom        look up --reads random keys; after a fill, all are found
//   readmissing       look up --reads keys that are not there
//   multireadrandom   look up --reads random keys, 16 per call
//   readseq, readreverse   step through --reads entries
//   seekrandom        seek a random key, then --seek_nexts steps; --reads / 5
//   prefixscan        step through the hundred keys of a random prefix
//   rangecount        count the keys of a random hundredth of the database
//   diff              count what 1,000 random overwrites, untimed, changed
//                     between two snapshots; three times
//   deleteseq, deleterandom   delete --writes keys
//   readwhilewriting, seekrandomwhilewriting   beside one thread that
//                     overwrites; each reader takes a new snapshot every 100
//                     operations; only readers count
//   swapcounter       increment one shared counter --writes times
//
// and these with one worker, which measure space; "packed" is what Eve's
// Compact, RocksDB's CompactRange and a compacting copy of LMDB's file leave:
//
//   overwritechurn    --churn_rounds x --num single overwrites; file and disk
//                     bytes meanwhile, after --rest_seconds of rest, packed
//   longreader        the same while a snapshot is held, whose content must be
//                     the same before and after
//   deleteall         delete 90 % of the keys in random order, compact; beside
//                     a fresh database of the rest
//   readwhilecompacting   --reads lookups and --writes single overwrites, idle
//                     and while another thread compacts what it has churned
//
// Transactions hold 1,000 operations in the fills and 1 elsewhere, unless
// --batch_size says otherwise. --reads and --writes are totals, shared out to
// --processes x --threads workers. Reads are warmed up by looking up each 16th
// key, untimed. Every value read is verified (size, first and last 8 bytes; in
// scans each 16th, and the size of all); wrong values, missing keys and
// disagreeing engines make the run fail. Percentiles of readseq and readreverse
// are of 1,000 steps each.
//
// With --repeat=K the engines take turns, a different one first each time, and
// the summary shows medians. Each turn is a fresh set of processes, since no
// engine may be open across fork().
//
// Exit codes: 0 fine; 1 a benchmark failed; 2 wrong usage; 4 no space.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "db_bench/directory_size.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/environment.h"
#include "db_bench/process_group.h"
#include "db_bench/reporter.h"
#include "db_bench/workload.h"

ABSL_FLAG(std::string, engines, "eve,lmdb,rocksdb", "engines to compare");
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
          "most 300000, or 20000 with --durability=sync");
ABSL_FLAG(int32_t, threads, 1, "threads of each process");
ABSL_FLAG(int32_t, processes, 1, "worker processes");
ABSL_FLAG(int64_t, batch_size, 0,
          "operations per transaction; 0: 1000 in fills, 1 elsewhere");
ABSL_FLAG(int32_t, seek_nexts, 10, "steps after each seek");
ABSL_FLAG(int32_t, churn_rounds, 20,
          "how often overwritechurn and longreader write --num keys");
ABSL_FLAG(int32_t, churn_gb_max, 32,
          "they end early when the database takes more GiB than this, or when "
          "the file system has less than 2 left");
ABSL_FLAG(int32_t, rest_seconds, 60, "how long overwritechurn rests");
ABSL_FLAG(int32_t, key_size, 16, "bytes of a key");
ABSL_FLAG(int32_t, value_size, 100, "bytes of a value");
ABSL_FLAG(std::string, durability, "none", "none, checkpoint or sync");
ABSL_FLAG(int64_t, seed, 301, "of all random choices");
ABSL_FLAG(std::string, db, "",
          "directory of the databases, kept afterwards; empty: one below the "
          "directory for temporary files, removed afterwards");
ABSL_FLAG(bool, use_existing_db, false, "keep and use what is in --db");
ABSL_FLAG(bool, settle, true,
          "before reads, untimed: flush memtables and end compactions, which "
          "makes RocksDB's reads about twice as fast");
ABSL_FLAG(int32_t, repeat, 1, "turns of each engine");
ABSL_FLAG(std::string, json, "", "file for one JSON object per result");

namespace eve::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoSpace = 4;
constexpr int64_t kDefaultWritesMax = 300000;
constexpr int64_t kDefaultSyncWritesMax = 20000;
constexpr int64_t kNumMax = int64_t{1} << 40;
constexpr const char* kKnownEngines[] = {"eve", "lmdb", "rocksdb"};

// What the database is known to hold, and so what reads must find.
enum class Contents {
  kUnknown,  // an earlier run's, or what an unmeasured writer left
  kSome,     // the same keys in all engines
  kAll,      // every key in [0, num)
};

std::vector<std::string> SplitList(const std::string& list) {
  return absl::StrSplit(list, ',', absl::SkipWhitespace());
}

absl::Status ParseSizes(RunConfig* config) {
  const int64_t num = absl::GetFlag(FLAGS_num);
  const int64_t reads = absl::GetFlag(FLAGS_reads);
  const int64_t writes = absl::GetFlag(FLAGS_writes);
  const int64_t batch = absl::GetFlag(FLAGS_batch_size);
  config->threads = absl::GetFlag(FLAGS_threads);
  config->processes = absl::GetFlag(FLAGS_processes);
  const int64_t key_size = absl::GetFlag(FLAGS_key_size);
  const int64_t value_size = absl::GetFlag(FLAGS_value_size);
  if (num < 1 || num > kNumMax) {
    return absl::InvalidArgumentError("--num must be in [1, 2^40]");
  }
  if (reads < -1 || reads == 0 || writes < -1 || writes == 0 || batch < 0) {
    return absl::InvalidArgumentError("--reads, --writes, --batch_size: bad");
  }
  if (config->threads < 1 || config->threads > kThreadsMax ||
      config->processes < 1 || config->processes > kProcessesMax) {
    return absl::InvalidArgumentError("--threads, --processes: not in 1..256");
  }
  config->num = static_cast<uint64_t>(num);
  const auto digits = static_cast<int64_t>(absl::StrCat(num).size());
  const int64_t key_min = std::max<int64_t>(kKeySizeMin, digits + 1);
  if (key_size < key_min || key_size > 511) {
    return absl::InvalidArgumentError(
        absl::StrCat("--key_size must be in [", key_min, ", 511]"));
  }
  if (value_size < static_cast<int64_t>(kValueSizeMin)) {
    return absl::InvalidArgumentError("--value_size must be at least 16");
  }
  config->key_size = static_cast<size_t>(key_size);
  config->value_size = static_cast<size_t>(value_size);
  config->reads = static_cast<uint64_t>(reads < 0 ? num : reads);
  const int64_t writes_max = config->durability == Durability::kSync
                                 ? kDefaultSyncWritesMax
                                 : kDefaultWritesMax;
  config->writes =
      static_cast<uint64_t>(writes < 0 ? std::min(num, writes_max) : writes);
  config->batch_size = static_cast<uint64_t>(batch);
  return absl::OkStatus();
}

absl::Status ParseChurn(RunConfig* config) {
  const int rounds = absl::GetFlag(FLAGS_churn_rounds);
  const int gb_max = absl::GetFlag(FLAGS_churn_gb_max);
  const int rest = absl::GetFlag(FLAGS_rest_seconds);
  if (rounds < 1 || rounds > kChurnRoundsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("--churn_rounds must be in [1, ", kChurnRoundsMax, "]"));
  }
  // LMDB's map is 64 GiB; a look at the size comes only now and then.
  if (gb_max < 1 || gb_max > 60 || rest < 0) {
    return absl::InvalidArgumentError(
        "--churn_gb_max must be in [1, 60], --rest_seconds at least 0");
  }
  config->churn_rounds = static_cast<uint64_t>(rounds);
  config->churn_bytes_max = static_cast<uint64_t>(gb_max) << 30;
  config->rest_seconds = static_cast<uint64_t>(rest);
  return absl::OkStatus();
}

absl::Status ParseBenchmarks(RunConfig* config) {
  bool filled = config->use_existing_db;
  for (const std::string& name : SplitList(absl::GetFlag(FLAGS_benchmarks))) {
    const Workload* workload = FindWorkload(name);
    if (workload == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown benchmark '", name, "'"));
    }
    if (workload->IsOrdered() && config->collection == "map") {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " needs --collection=ordered"));
    }
    if (workload->kind == OpKind::kBulkLoad && config->Workers() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " needs one thread and one process"));
    }
    if (workload->MeasuresSpace() && config->Workers() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " needs one thread and one process"));
    }
    filled = filled || workload->fills;
    if (!filled && workload->kind != OpKind::kCount) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " needs a fill before it, or --use_existing_db"));
    }
    config->workloads.push_back(workload);
  }
  if (!config->workloads.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("--benchmarks is empty");
}

absl::Status ParseConfig(RunConfig* config) {
  config->use_existing_db = absl::GetFlag(FLAGS_use_existing_db);
  config->settle = absl::GetFlag(FLAGS_settle);
  config->seed = static_cast<uint64_t>(absl::GetFlag(FLAGS_seed));
  config->collection = absl::GetFlag(FLAGS_collection);
  config->durability_name = absl::GetFlag(FLAGS_durability);
  if (config->collection != "ordered" && config->collection != "map") {
    return absl::InvalidArgumentError("--collection must be ordered or map");
  }
  if (absl::GetFlag(FLAGS_seek_nexts) < 0) {
    return absl::InvalidArgumentError("--seek_nexts must not be negative");
  }
  config->seek_nexts = static_cast<uint64_t>(absl::GetFlag(FLAGS_seek_nexts));
  if (config->durability_name == "none") {
    config->durability = Durability::kNone;
  } else if (config->durability_name == "checkpoint") {
    config->durability = Durability::kCheckpoint;
  } else if (config->durability_name == "sync") {
    config->durability = Durability::kSync;
  } else {
    return absl::InvalidArgumentError(
        "--durability must be none, checkpoint or sync");
  }
  if (absl::GetFlag(FLAGS_repeat) < 1) {
    return absl::InvalidArgumentError("--repeat must be at least 1");
  }
  if (config->use_existing_db && absl::GetFlag(FLAGS_db).empty()) {
    return absl::InvalidArgumentError("--use_existing_db needs --db");
  }
  absl::Status status = ParseSizes(config);
  if (status.ok()) status = ParseChurn(config);
  return status.ok() ? ParseBenchmarks(config) : status;
}

// The engines that can run, in the order given; names the others as skipped.
absl::StatusOr<std::vector<const EngineInfo*>> ParseEngines(
    const RunConfig& config) {
  std::vector<const EngineInfo*> engines;
  for (const std::string& name : SplitList(absl::GetFlag(FLAGS_engines))) {
    if (std::find(std::begin(kKnownEngines), std::end(kKnownEngines), name) ==
        std::end(kKnownEngines)) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown engine '", name, "'"));
    }
    const EngineInfo* engine = FindEngine(name);
    if (engine == nullptr) {
      absl::PrintF("%s: skipped, not in this build\n", name);
    } else if (config.processes > 1 && !engine->many_processes) {
      absl::PrintF("%s: skipped, only one process can open a database\n", name);
    } else {
      engines.push_back(engine);
    }
  }
  return engines;
}

// Checks what a measurement found against what it had to find.
absl::Status CheckFound(const Measurement& m, Contents contents) {
  if (m.verify_failures != 0) {
    return absl::DataLossError(
        absl::StrCat(m.verify_failures, " values are wrong"));
  }
  if (!m.workload->Reads()) return absl::OkStatus();
  if (m.workload->absent) {
    if (m.found == 0) return absl::OkStatus();
    return absl::DataLossError("found keys that were never written");
  }
  if (contents != Contents::kAll || m.found == m.operations) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      "found ", m.found, " of ", m.operations, " keys, all of which exist"));
}

Contents ContentsAfter(const Workload& workload, Contents before) {
  if (workload.fills) return Contents::kAll;
  const bool erases =
      workload.kind == OpKind::kDelete || workload.kind == OpKind::kDeleteAll;
  if (erases && before == Contents::kAll) return Contents::kSome;
  // How far its writer comes is a matter of speed.
  if (workload.HasWriter() && before == Contents::kSome) {
    return Contents::kUnknown;
  }
  return before;
}

absl::Status MakeFresh(const std::string& dir) {
  std::error_code error;
  fs::remove_all(dir, error);
  if (!error) fs::create_directories(dir, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(dir, ": ", error.message()));
}

// One turn of one engine: all benchmarks on one database.
absl::Status RunBenchmarks(const RunConfig& config, const EngineInfo& engine,
                           int repeat, Reporter* reporter) {
  absl::StatusOr<std::unique_ptr<ProcessGroup>> group =
      ProcessGroup::Start(config, engine);
  if (!group.ok()) return group.status();
  absl::Status status = (*group)->Open();
  Contents contents =
      config.use_existing_db ? Contents::kUnknown : Contents::kSome;
  for (size_t i = 0; status.ok() && i < config.workloads.size(); ++i) {
    const Workload& workload = *config.workloads[i];
    if (workload.fills && i != 0 && !config.use_existing_db) {
      status = (*group)->Close();
      if (status.ok()) status = MakeFresh(config.dir);
      if (status.ok()) status = (*group)->Open();
      if (!status.ok()) break;
    }
    status = (*group)->Run(static_cast<int>(i));
    if (!status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat(std::string(workload.name), ": ",
                                       std::string(status.message())));
    }
    Measurement m = MergeWorkers((*group)->results());
    contents = ContentsAfter(workload, contents);
    m.engine = engine.name;
    m.workload = &workload;
    m.phase = static_cast<int>(i);
    m.repeat = repeat;
    m.comparable = contents != Contents::kUnknown;
    m.size = MeasureDirectory(config.dir);
    reporter->Add(m);
    status = CheckFound(m, contents);
  }
  if (status.ok()) status = (*group)->Close();
  return status.ok() ? (*group)->Exit() : status;
}

// `config` is a copy: the seed and the directory belong to this turn.
absl::Status RunTurn(RunConfig config, const EngineInfo& engine, int repeat,
                     const std::string& db_dir, bool keep, Reporter* reporter) {
  config.dir = db_dir + "/" + engine.name;
  config.scratch_dir = db_dir + "/" + engine.name + ".scratch";
  config.seed += static_cast<uint64_t>(repeat);
  std::error_code error;
  fs::create_directories(config.dir, error);
  absl::Status status =
      config.use_existing_db ? absl::OkStatus() : MakeFresh(config.dir);
  if (!status.ok()) return status;
  sync();  // the engine before this one pays for its own writes
  absl::PrintF("\n%s, turn %d of %d\n", engine.name, repeat + 1,
               absl::GetFlag(FLAGS_repeat));
  status = RunBenchmarks(config, engine, repeat, reporter);
  if (!keep) fs::remove_all(config.dir, error);
  fs::remove_all(config.scratch_dir, error);
  return status;
}

// Two runs in one directory would delete each other's databases.
absl::StatusOr<int> LockDirectory(const std::string& db_dir) {
  std::error_code error;
  fs::create_directories(db_dir, error);
  const int fd = open(db_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot use ", db_dir));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  close(fd);
  return absl::FailedPreconditionError(
      absl::StrCat("another db_bench runs in ", db_dir));
}

int Fail(int code, const absl::Status& status) {
  std::fflush(stdout);
  absl::FPrintF(stderr, "db_bench: %s\n", std::string(status.message()));
  return code;
}

int RunAllTurns(const RunConfig& config, const std::string& db_dir, bool keep,
                const std::vector<const EngineInfo*>& engines,
                Reporter* reporter) {
  int exit_code = 0;
  for (int repeat = 0; repeat < absl::GetFlag(FLAGS_repeat); ++repeat) {
    for (size_t turn = 0; turn < engines.size(); ++turn) {
      const size_t first = static_cast<size_t>(repeat);
      const EngineInfo& engine = *engines[(first + turn) % engines.size()];
      const absl::Status status =
          RunTurn(config, engine, repeat, db_dir, keep, reporter);
      if (!status.ok()) {
        exit_code =
            Fail(kExitFailed,
                 absl::InternalError(absl::StrCat(
                     engine.name, " FAILED: ", std::string(status.message()))));
      }
    }
  }
  const absl::Status agreement = reporter->CheckAgreement();
  return agreement.ok() ? exit_code : Fail(kExitFailed, agreement);
}

int Main() {
  RunConfig config;
  absl::Status status = ParseConfig(&config);
  if (!status.ok()) return Fail(kExitUsage, status);
  absl::StatusOr<std::vector<const EngineInfo*>> engines = ParseEngines(config);
  if (!engines.ok()) return Fail(kExitUsage, engines.status());
  const bool keep = !absl::GetFlag(FLAGS_db).empty();
  const std::string db_dir =
      keep ? fs::absolute(absl::GetFlag(FLAGS_db)).string()
           : (fs::temp_directory_path() / "eve_db_bench").string();
  absl::StatusOr<int> lock = LockDirectory(db_dir);
  if (!lock.ok()) return Fail(kExitUsage, lock.status());
  Reporter reporter(config);
  const std::string json = absl::GetFlag(FLAGS_json);
  if (!json.empty()) status = reporter.OpenJson(json);
  if (!status.ok()) return Fail(kExitUsage, status);
  PrintEnvironment(config, db_dir, *engines);
  status = CheckFreeSpace(config, db_dir);
  if (!status.ok()) return Fail(kExitNoSpace, status);
  const int exit_code = RunAllTurns(config, db_dir, keep, *engines, &reporter);
  std::vector<std::string> names;
  for (const EngineInfo* engine : *engines) names.push_back(engine->name);
  reporter.PrintSummary(names);
  std::error_code error;
  if (!keep) fs::remove(db_dir, error);
  close(*lock);
  return exit_code;
}

std::string UsageText() {
  std::string text =
      "runs the same workloads on Eve, LMDB and RocksDB\n\nbenchmarks:\n";
  for (const Workload& workload : AllWorkloads()) {
    absl::StrAppendFormat(&text, "  %-22s  %s\n", std::string(workload.name),
                          std::string(workload.what));
  }
  return text;
}

}  // namespace
}  // namespace eve::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(eve::bench::UsageText());
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    std::fprintf(stderr, "db_bench: unexpected argument '%s'\n", rest[1]);
    return 2;
  }
  return eve::bench::Main();
}
