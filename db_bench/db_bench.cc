// db_bench: the same workloads on Eve and on its rivals, in the manner of
// LevelDB's and RocksDB's programs of this name.
//
// The benchmarks of --benchmarks run in that order on one database:
//
//   fillseq           write all --num keys in order, fresh database; LMDB with
//                     MDB_APPEND if there is one worker, as in the next two
//   fillbatch, fillseqbatch   the same in transactions of 1,000 and of 10,000
//   fillrandom        write all --num keys, each once, in random order, fresh
//                     database, so that every key exists afterwards
//   fillrandbatch     the same in transactions of 10,000
//   fillsync, fill100K   a thousandth of the keys in random order, fresh
//                     database, one a transaction; each synced, or with values
//                     of 100,000 bytes. (LevelDB's help says a hundredth, its
//                     code divides by a thousand; so does this.)
//   fillrandsync, fillseqsync   fillsync, and the same in order
//   bulkload          as fillseq, each engine's fastest way: Eve and LMDB in
//                     one transaction (MDB_APPEND), RocksDB by a table file
//                     that it takes in
//   overwrite         write --writes random keys again
//   updaterandom      look a random key up in the newest state, write it again
//   readrandomwriterandom   of each hundred operations --readwritepercent look
//                     up, the others overwrite
//   readrandom        look up --reads random keys; after a fill, all are found
//   readhot           the same of the first hundredth of the keys
//   readmissing       look up --reads keys that are not there
//   multireadrandom   look up --reads random keys, 16 per call
//   readseq, readreverse   step through --reads entries
//   seekrandom        seek a random key, then --seek_nexts steps; --reads / 5
//   seekordered       the same of keys that ascend by 0 to 99
//   prefixscan        step through the hundred keys of a random prefix
//   rangecount        count the keys of a random hundredth of the database
//   diff              count what 1,000 random overwrites, untimed, changed
//                     between two snapshots; three times
//   deleteseq, deleterandom   delete --writes keys
//   readwhilewriting, seekrandomwhilewriting   beside one thread that
//                     overwrites; each reader takes a new snapshot every 100
//                     operations; only readers count
//   readwhilescanning   beside one thread that scans all entries
//   swapcounter       increment one shared counter --writes times
//   multiprocread, multiprocwrite   readrandom and overwrite by other names,
//                     for runs with --processes
//   multiprocwriteown   the same as multiprocwrite, but each worker puts into a
//                     collection of its own
//   watchlatency      up to 5,000 commits with pauses in between; the time from
//                     before each to where another worker has woken and read it
//   open              close and open the database --num / 10,000 times
//   compact           the whole database, in place
//   crc32c            the engine's checksum, whatever it is, of 4 KB at a time
//   stats             prints what the engine counts; measures nothing
//   waitforcompaction   until background work has ended; measures nothing
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
// "Random" is as --distribution says. With --duration the random workloads that
// do not fill run by time. What an engine cannot do is left out and said.
//
// Transactions hold 1,000 operations in the fills of all keys and 1 elsewhere,
// unless --batch_size says otherwise. --reads and --writes are totals, shared
// out to --processes x --threads workers. Reads are warmed up by looking up
// each 16th key, untimed. Every value read is verified (size, first and last 8
// bytes; in scans each 16th, and the size of all); wrong values, missing keys
// and disagreeing engines make the run fail. Percentiles of readseq and
// readreverse are of 1,000 steps each.
//
// With --repeat=K the engines take turns, a different one first each time, and
// the summary shows medians. Each turn is a fresh set of processes, since no
// engine may be open across fork().
//
// Exit codes: 0 fine; 1 a benchmark failed; 2 wrong usage; 4 no space; a signal
// that ends the program does so once what is temporary has been removed.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/flags/parse.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "db_bench/directory_size.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/environment.h"
#include "db_bench/flags.h"
#include "db_bench/html_report.h"
#include "db_bench/interruption.h"
#include "db_bench/process_group.h"
#include "db_bench/progress_watch.h"
#include "db_bench/reporter.h"
#include "db_bench/workload.h"

namespace eve::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoSpace = 4;

// What the database is known to hold, and so what reads must find.
enum class Contents {
  kUnknown,  // an earlier run's, or what depends on speed
  kSome,     // the same keys in all engines
  kAll,      // every key in [0, num)
};

// Checks what a measurement found against what it had to find.
absl::Status CheckFound(const Measurement& m, Contents contents) {
  if (m.verify_failures != 0) {
    return absl::DataLossError(
        absl::StrCat(m.verify_failures, " values are wrong"));
  }
  if (m.workload->absent) {
    if (m.found == 0) return absl::OkStatus();
    return absl::DataLossError("found keys that were never written");
  }
  if (m.lookups == 0 || contents != Contents::kAll || m.found == m.lookups) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("found ", m.found, " of ", m.lookups,
                                          " keys, all of which exist"));
}

Contents ContentsAfter(const RunConfig& config, const Workload& workload,
                       Contents before) {
  if (workload.FillsInPart()) return Contents::kSome;
  if (workload.fills) return Contents::kAll;
  const bool erases =
      workload.kind == OpKind::kDelete || workload.kind == OpKind::kDeleteAll;
  const bool puts = workload.kind == OpKind::kPut || workload.HasWriter() ||
                    workload.ReadsAndWrites();
  // How far it comes is a matter of speed.
  const bool depends = workload.HasWriter() || config.RunsByTime(workload);
  if (erases && depends) return Contents::kUnknown;
  if (erases && before == Contents::kAll) return Contents::kSome;
  if (puts && depends && before == Contents::kSome) return Contents::kUnknown;
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
class Turn {
 public:
  Turn(const RunConfig& config, const EngineInfo& engine, int repeat,
       Reporter* reporter, ProgressWatch* watch)
      : config_(config),
        engine_(engine),
        repeat_(repeat),
        reporter_(reporter),
        watch_(watch),
        contents_(config.use_existing_db ? Contents::kUnknown
                                         : Contents::kSome) {}

  absl::Status Run() {
    absl::StatusOr<std::unique_ptr<ProcessGroup>> group =
        ProcessGroup::Start(config_, engine_, watch_);
    if (!group.ok()) return group.status();
    group_ = *std::move(group);
    absl::Status status = group_->Open(0);
    open_ = config_.DurabilityOf(*config_.workloads.front());
    for (size_t i = 0; status.ok() && i < config_.workloads.size(); ++i) {
      const Workload& workload = *config_.workloads[i];
      if (IsLeftOut(workload)) continue;
      status = RunOne(workload, static_cast<int>(i));
      if (status.ok()) continue;
      return absl::Status(status.code(),
                          absl::StrCat(std::string(workload.name), ": ",
                                       std::string(status.message())));
    }
    if (status.ok() && config_.statistics) {
      absl::PrintF("\nSTATISTICS:\n");
      status = group_->PrintStats();
    }
    if (status.ok()) status = group_->Close();
    return status.ok() ? group_->Exit() : status;
  }

 private:
  // Where a fill is left out, so is what would read it.
  bool IsLeftOut(const Workload& workload) {
    std::string why = WhyLeftOut(workload, engine_);
    if (workload.fills) missing_fill_ = why.empty() ? "" : workload.name;
    if (why.empty() && !missing_fill_.empty() && !workload.RunsOnNothing()) {
      why = absl::StrCat("it follows ", std::string(missing_fill_));
    }
    if (why.empty()) return false;
    reporter_->AddLeftOut(engine_.name, workload, why);
    return true;
  }

  // Fills start from nothing; some workloads need another durability.
  absl::Status Prepare(const Workload& workload, int phase) {
    const bool fresh = workload.fills && phase != 0 && !config_.use_existing_db;
    const Durability wanted = config_.DurabilityOf(workload);
    if (!fresh && wanted == open_) return absl::OkStatus();
    absl::Status status = group_->Close();
    if (status.ok() && fresh) status = MakeFresh(config_.dir);
    open_ = wanted;
    return status.ok() ? group_->Open(phase) : status;
  }

  // Says so as RocksDB's db_bench does.
  absl::Status Wait(const Workload& workload) {
    const std::string name(workload.name);
    absl::PrintF("%s(%s): started\n", name, config_.dir);
    absl::Status status = group_->Settle();
    if (status.ok()) absl::PrintF("%s(%s): finished\n", name, config_.dir);
    return status;
  }

  absl::Status RunOne(const Workload& workload, int phase) {
    if (workload.kind == OpKind::kStats) return group_->PrintStats();
    if (workload.kind == OpKind::kWait) return Wait(workload);
    absl::Status status = Prepare(workload, phase);
    if (status.ok()) status = group_->Run(phase);
    if (!status.ok()) return status;
    Measurement m = MergeWorkers(group_->results());
    contents_ = ContentsAfter(config_, workload, contents_);
    m.engine = engine_.name;
    m.checksum = engine_.checksum;
    m.durability = engine_.SettingsOf(open_);
    m.workload = &workload;
    m.phase = phase;
    m.repeat = repeat_;
    m.comparable =
        contents_ != Contents::kUnknown && !config_.RunsByTime(workload);
    m.cpu_seconds = group_->cpu_seconds();
    m.size = MeasureDirectory(config_.dir);
    reporter_->Add(m);
    return CheckFound(m, contents_);
  }

  const RunConfig& config_;
  const EngineInfo& engine_;
  const int repeat_;
  Reporter* const reporter_;
  ProgressWatch* const watch_;
  Contents contents_;
  Durability open_ = Durability::kNone;
  std::string_view missing_fill_;
  std::unique_ptr<ProcessGroup> group_;
};

// `config` is a copy: the seed and the directory belong to this turn.
absl::Status RunTurn(RunConfig config, const EngineInfo& engine, int repeat,
                     const OutputConfig& output, const std::string& db_dir,
                     Reporter* reporter, ProgressWatch* watch) {
  config.dir = db_dir + "/" + engine.name;
  config.scratch_dir = db_dir + "/" + engine.name + ".scratch";
  config.seed += static_cast<uint64_t>(repeat);
  std::error_code error;
  fs::create_directories(config.dir, error);
  absl::Status status =
      config.use_existing_db ? absl::OkStatus() : MakeFresh(config.dir);
  if (!status.ok()) return status;
  sync();  // the engine before this one pays for its own writes
  absl::PrintF("\n%s, turn %d of %d\n", engine.name, repeat + 1, output.repeat);
  status = Turn(config, engine, repeat, reporter, watch).Run();
  if (output.db.empty()) fs::remove_all(config.dir, error);
  fs::remove_all(config.scratch_dir, error);
  return status;
}

// Where the databases are made. Locked, since two runs in one directory would
// delete each other's; a temporary one is removed, if it is empty, at the end.
class DatabasesDirectory {
 public:
  explicit DatabasesDirectory(const std::string& wanted)
      : path_(!wanted.empty()
                  ? fs::absolute(wanted).string()
                  : (fs::temp_directory_path() / "eve_db_bench").string()),
        is_temporary_(wanted.empty()) {}
  ~DatabasesDirectory() {
    if (fd_ < 0) return;
    std::error_code error;
    if (is_temporary_) fs::remove(path_, error);
    close(fd_);
  }
  DatabasesDirectory(const DatabasesDirectory&) = delete;
  DatabasesDirectory& operator=(const DatabasesDirectory&) = delete;

  absl::Status Lock() {
    std::error_code error;
    fs::create_directories(path_, error);
    const int fd = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
      return absl::InvalidArgumentError(absl::StrCat("cannot use ", path_));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
      fd_ = fd;
      return absl::OkStatus();
    }
    close(fd);
    return absl::FailedPreconditionError(
        absl::StrCat("another db_bench runs in ", path_));
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const bool is_temporary_;
  int fd_ = -1;
};

int Fail(int code, const absl::Status& status) {
  std::fflush(stdout);
  absl::FPrintF(stderr, "db_bench: %s\n", std::string(status.message()));
  return code;
}

int RunAllTurns(const RunConfig& config, const OutputConfig& output,
                const std::string& db_dir,
                const std::vector<const EngineInfo*>& engines,
                Reporter* reporter, ProgressWatch* watch) {
  int exit_code = 0;
  for (int repeat = 0; repeat < output.repeat; ++repeat) {
    for (size_t turn = 0; turn < engines.size() && !IsInterrupted(); ++turn) {
      const size_t first = static_cast<size_t>(repeat);
      const EngineInfo& engine = *engines[(first + turn) % engines.size()];
      const absl::Status status =
          RunTurn(config, engine, repeat, output, db_dir, reporter, watch);
      if (!status.ok() && !IsInterrupted()) {
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

int Main(const std::string& command_line) {
  RunConfig config;
  OutputConfig output;
  config.command_line = command_line;
  absl::Status status = ParseConfig(&config, &output);
  if (!status.ok()) return Fail(kExitUsage, status);
  std::vector<std::string> messages;
  absl::StatusOr<std::vector<const EngineInfo*>> engines =
      ParseEngines(config, &messages);
  if (!engines.ok()) return Fail(kExitUsage, engines.status());
  DatabasesDirectory directory(output.db);
  const std::string& db_dir = directory.path();
  status = directory.Lock();
  if (!status.ok()) return Fail(kExitUsage, status);
  Reporter reporter(config);
  ProgressWatch watch(config);
  status = watch.OpenFile(output.report_file);
  if (status.ok() && !output.json.empty())
    status = reporter.OpenJson(output.json);
  // A report that cannot be written is better known before an hour of work.
  if (status.ok()) status = CheckReportPath(output.report);
  if (!status.ok()) return Fail(kExitUsage, status);
  for (const std::string& message : messages) absl::PrintF("%s\n", message);
  const Environment environment = DescribeEnvironment(config, db_dir, *engines);
  PrintEnvironment(environment);
  status = CheckFreeSpace(config, db_dir);
  if (!status.ok()) return Fail(kExitNoSpace, status);
  int exit_code =
      RunAllTurns(config, output, db_dir, *engines, &reporter, &watch);
  std::vector<std::string> names;
  for (const EngineInfo* engine : *engines) names.push_back(engine->name);
  if (!IsInterrupted()) reporter.PrintSummary(names);
  const Report report = {.environment = environment,
                         .command_line = command_line,
                         .engines = names,
                         .messages = messages,
                         .failed = exit_code != 0,
                         .interrupted = IsInterrupted(),
                         .results = reporter.Summarize(names),
                         .left_out = reporter.left_out()};
  status = WriteHtmlReport(output.report, report);
  if (!status.ok()) exit_code = Fail(kExitFailed, status);
  return exit_code;
}

}  // namespace
}  // namespace eve::bench

// Abseil calls this hook, which it leaves to programs, after it has said what
// is wrong with a flag; on its own it would exit with 1.
extern "C" void ABSL_INTERNAL_C_SYMBOL(AbslInternalReportFatalUsageError)(
    absl::string_view /*message*/) {
  std::exit(eve::bench::kExitUsage);
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument != "--help" && argument != "-help" && argument != "-h") {
      continue;
    }
    std::fputs(eve::bench::HelpText().c_str(), stdout);
    return 0;
  }
  const std::string command_line = absl::StrJoin(argv, argv + argc, " ");
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    std::fprintf(stderr, "db_bench: unexpected argument '%s'\n", rest[1]);
    return eve::bench::kExitUsage;
  }
  eve::bench::CatchInterruptions();
  const int exit_code = eve::bench::Main(command_line);
  if (eve::bench::IsInterrupted()) eve::bench::EndByInterruption();
  return exit_code;
}
