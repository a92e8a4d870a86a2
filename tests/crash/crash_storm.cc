// Processes of all kinds on one domain, killed and stopped at random.
//
//   crash_storm [--seconds=N | --rounds=N] [--seed=S] [--processes=P]
//               [--poison=0|1] [--patience=SECONDS] [--hangs=0|1]
//
// The parent never opens the domain. A round lets the workers make some
// progress, kills or stops some of them, now and then all at once, and has a
// fresh process check everything that was promised. Prints the seed; exits
// with 1, and leaves the file, if a promise was broken or one of them hangs.

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/reclaim/poison.h"
#include "tests/crash/storm_check.h"
#include "tests/crash/storm_patience.h"
#include "tests/crash/storm_worker.h"
#include "tests/testing/child_process.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/random.h"

namespace eve::testing {
namespace {

struct Flags {
  uint64_t seconds = 60;
  uint64_t rounds = 0;
  uint64_t seed = MonotonicNanos() % 1'000'000'007;
  uint64_t processes = 6;
  uint64_t poison = 1;  // segments are written over when they are freed
  // That nobody commits for so long is a hang, on the slowest machine, and that
  // one does not move on while it runs.
  uint64_t patience = 120;
  uint64_t hangs = 0;  // readers do, which must be found
};

bool ParseFlags(int argc, char** argv, Flags* flags) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    uint64_t* value =
        absl::ConsumePrefix(&argument, "--seconds=")     ? &flags->seconds
        : absl::ConsumePrefix(&argument, "--rounds=")    ? &flags->rounds
        : absl::ConsumePrefix(&argument, "--seed=")      ? &flags->seed
        : absl::ConsumePrefix(&argument, "--processes=") ? &flags->processes
        : absl::ConsumePrefix(&argument, "--poison=")    ? &flags->poison
        : absl::ConsumePrefix(&argument, "--patience=")  ? &flags->patience
        : absl::ConsumePrefix(&argument, "--hangs=")     ? &flags->hangs
                                                         : nullptr;
    if (value == nullptr || !absl::SimpleAtoi(argument, value)) return false;
  }
  return flags->patience > 0 && flags->processes >= 3 &&
         flags->processes <= kStormWorkersMax;
}

class Storm {
 public:
  Storm(const Flags& flags, const std::string& path)
      : flags_(flags),
        random_(flags.seed),
        patience_nanos_(flags.patience * kNanosPerSecond) {
    for (uint64_t i = 0; i < flags.processes; ++i) {
      workers_.emplace_back(patience_nanos_);
    }
    EVE_CHECK(::pipe2(progress_, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe");
    setup_.path = path;
    setup_.ledger = &*ledger_;
    setup_.workers = static_cast<int>(flags.processes);
    setup_.progress_fd = progress_[1];
    setup_.hangs = flags.hangs != 0;
  }

  bool Run() {
    const uint64_t end = MonotonicNanos() + flags_.seconds * kNanosPerSecond;
    while (flags_.rounds > 0 ? rounds_ < flags_.rounds
                             : MonotonicNanos() < end) {
      ++rounds_;
      if (!RunRound()) return false;
    }
    return AwaitQuiet() && KillAll() && Check(/*is_alone=*/true) &&
           IsAllOfTheLogsChecked();
  }

  void PrintCounts() const {
    std::cout << "crash_storm: seed " << flags_.seed << ": " << rounds_
              << " rounds, " << kills_ << " kills (" << kills_of_all_
              << " times all at once), " << stops_ << " stops, "
              << stops_of_openers_ << " of openers, " << spared_
              << " times spared, " << ledger_->commits.load() << " commits, "
              << Sum(ledger_->checked) << " blind ones checked of "
              << Sum(ledger_->logged) << std::endl;
  }

 private:
  struct Worker {
    explicit Worker(uint64_t patience_nanos) : patience(patience_nanos) {}
    std::optional<ChildProcess> process;
    bool is_stopped = false;
    StormPatience patience;
  };

  static int64_t Sum(
      const std::atomic<int64_t> (&of_workers)[kStormWorkersMax]) {
    int64_t sum = 0;
    for (const std::atomic<int64_t>& one : of_workers) sum += one;
    return sum;
  }

  // One more each may be there: that in flight when it was killed.
  bool IsAllOfTheLogsChecked() const {
    for (size_t i = 0; i < workers_.size(); ++i) {
      if (ledger_->checked[i] >= ledger_->logged[i]) continue;
      std::cerr << "worker " << i << " has logged " << ledger_->logged[i]
                << " numbers, checked are " << ledger_->checked[i] << std::endl;
      return false;
    }
    return true;
  }

  static std::string_view NameOfRole(StormRole role) {
    return role == StormRole::kReader   ? "reader"
           : role == StormRole::kOpener ? "opener"
                                        : "writer";
  }

  StormRole RoleOf(size_t index) const {
    if (index == 0) return StormRole::kReader;
    return index % 3 == 1 ? StormRole::kOpener : StormRole::kWriter;
  }

  void Start(size_t index) {
    setup_.ledger->is_inside[index] = false;
    const uint64_t seed = random_.Next();
    const pid_t parent = ::getpid();
    workers_[index].is_stopped = false;
    BeginWork(setup_, static_cast<int>(index), StormWork::kNone);
    workers_[index].patience.Begin(ledger_->work[index], MonotonicNanos());
    workers_[index].process.emplace([this, index, seed, parent] {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) return 1;
      const int number = static_cast<int>(index);
      const absl::Status wrong =
          RunStormWorker(setup_, RoleOf(index), number, seed);
      std::cerr << absl::StrCat("worker ", index, ": ", wrong.ToString(), "\n");
      return 1;
    });
  }

  // False if it ended by itself, with something found wrong.
  bool Reap(Worker& worker, int ended) {
    worker.process.reset();
    ++kills_;
    if (ended == -SIGKILL) return true;
    std::cerr << "a worker ended with " << ended << std::endl;
    return false;
  }

  bool Kill(Worker& worker) {
    worker.process->Signal(SIGKILL);
    return Reap(worker, worker.process->Wait());
  }

  // Workers that died at a step of their own are replaced.
  bool ReplaceDead() {
    for (size_t i = 0; i < workers_.size(); ++i) {
      if (workers_[i].process.has_value()) {
        const std::optional<int> ended = workers_[i].process->TryWait();
        if (!ended.has_value()) continue;
        if (!Reap(workers_[i], *ended)) return false;
      }
      Start(i);
    }
    return true;
  }

  bool AwaitCommits(uint64_t count) {
    char bytes[4096];
    // What the last round left behind is no progress.
    while (::read(progress_[0], bytes, sizeof(bytes)) > 0) {
    }
    uint64_t seen = 0;
    uint64_t moved = MonotonicNanos();
    while (seen < count) {
      pollfd wait{progress_[0], POLLIN, 0};
      if (::poll(&wait, 1, 20) > 0) {
        const ssize_t got = ::read(progress_[0], bytes, sizeof(bytes));
        if (got > 0) seen += static_cast<uint64_t>(got);
        moved = MonotonicNanos();
      }
      if (!ReplaceDead() || !LookForHangs()) return false;
      if (MonotonicNanos() - moved > patience_nanos_) {
        std::cerr << "no commit for " << flags_.patience << " s" << std::endl;
        for (size_t i = 0; i < workers_.size(); ++i) Describe(i);
        return false;
      }
    }
    return true;
  }

  void Describe(size_t index) const {
    std::cerr << "worker " << index << ", a " << NameOfRole(RoleOf(index))
              << ", " << (workers_[index].is_stopped ? "stopped" : "running")
              << ": " << NameOf(WorkOf(ledger_->work[index])) << std::endl;
  }

  bool LookForHangs() {
    for (size_t i = 0; i < workers_.size(); ++i) {
      Worker& worker = workers_[i];
      worker.patience.Look(ledger_->work[i],
                           worker.process.has_value() && !worker.is_stopped,
                           MonotonicNanos());
      if (!worker.patience.IsOver()) continue;
      std::cerr << "one has not moved on for " << flags_.patience
                << " s in which it ran: ";
      Describe(i);
      return false;
    }
    return true;
  }

  bool IsAnyQuiet() const {
    for (const Worker& worker : workers_) {
      if (worker.patience.IsQuiet()) return true;
    }
    return false;
  }

  // Those that are left alone move on, or one is found that hangs.
  bool AwaitQuiet() {
    while (IsAnyQuiet()) {
      if (!AwaitCommits(1)) return false;
    }
    return true;
  }

  bool KillAll() {
    for (Worker& worker : workers_) {
      if (worker.process.has_value()) worker.process->Signal(SIGKILL);
    }
    for (Worker& worker : workers_) {
      if (worker.process.has_value() && !Reap(worker, worker.process->Wait())) {
        return false;
      }
    }
    ++kills_of_all_;
    return true;
  }

  // Somebody must make the progress that is waited for.
  bool IsLastWriterThatRuns(size_t index) const {
    for (size_t i = 0; i < workers_.size(); ++i) {
      if (i != index && RoleOf(i) == StormRole::kWriter &&
          workers_[i].process.has_value() && !workers_[i].is_stopped) {
        return false;
      }
    }
    return true;
  }

  // One that may hold what openers wait for, ten seconds at most, while others
  // go on; it dies there or goes on in the end.
  bool StopForAMoment(Worker& worker) {
    worker.process->Signal(SIGSTOP);
    ++stops_of_openers_;
    for (uint64_t i = random_.Uniform(2000); i > 0; --i) ::sched_yield();
    if (random_.OneIn(3)) return Kill(worker);
    worker.process->Signal(SIGCONT);
    return true;
  }

  bool IsSpared(const Worker& worker) {
    if (!worker.patience.IsQuiet()) return false;
    ++spared_;
    return true;
  }

  // Those that have just been started.
  bool DisturbOpeners() {
    for (size_t i = 0; i < workers_.size(); ++i) {
      if (!workers_[i].process.has_value() || setup_.ledger->is_inside[i] ||
          !random_.OneIn(3) || IsSpared(workers_[i])) {
        continue;
      }
      for (uint64_t n = random_.Uniform(500); n > 0; --n) ::sched_yield();
      if (!StopForAMoment(workers_[i])) return false;
    }
    return true;
  }

  bool DisturbOne() {
    const size_t index = random_.Uniform(workers_.size());
    Worker& worker = workers_[index];
    if (!worker.process.has_value() || IsSpared(worker)) return true;
    if (!setup_.ledger->is_inside[index] && random_.OneIn(2)) {
      return StopForAMoment(worker);
    }
    if (worker.is_stopped && random_.OneIn(2)) {
      worker.process->Signal(SIGCONT);
      worker.is_stopped = false;
      return true;
    }
    const bool may_stop =
        setup_.ledger->is_inside[index] && !IsLastWriterThatRuns(index);
    if (!worker.is_stopped && may_stop && !random_.OneIn(4)) {
      worker.process->Signal(SIGSTOP);
      worker.is_stopped = true;
      ++stops_;
      return true;
    }
    return Kill(worker);
  }

  bool RunRound() {
    if (!ReplaceDead() || !DisturbOpeners() ||
        !AwaitCommits(1 + random_.Uniform(150))) {
      return false;
    }
    // Away from the end of the commit that was waited for.
    for (uint64_t i = random_.Uniform(200); i > 0; --i) ::sched_yield();
    if (!LookForHangs()) return false;
    for (Worker& worker : workers_) worker.patience.EndRound();
    if (random_.OneIn(5)) {
      if (!IsAnyQuiet()) return KillAll() && Check(/*is_alone=*/true);
      ++spared_;
    }
    for (uint64_t i = random_.Uniform(4); i > 0; --i) {
      if (!DisturbOne()) return false;
    }
    return Check(/*is_alone=*/false);
  }

  bool Check(bool is_alone) {
    ChildProcess child([&] {
      const absl::Status checked = CheckStorm(setup_, is_alone);
      if (checked.ok()) return 0;
      std::cerr << "round " << rounds_ << ": " << checked << std::endl;
      return 1;
    });
    return child.Wait() == 0;
  }

  const Flags flags_;
  Random random_;
  mutable SharedValue<Ledger> ledger_;
  StormSetup setup_;
  int progress_[2];
  const uint64_t patience_nanos_;
  std::vector<Worker> workers_;
  uint64_t rounds_ = 0;
  uint64_t kills_ = 0;
  uint64_t kills_of_all_ = 0;
  uint64_t stops_ = 0;
  uint64_t stops_of_openers_ = 0;
  uint64_t spared_ = 0;
};

int RunMain(int argc, char** argv) {
  Flags flags;
  if (!ParseFlags(argc, argv, &flags)) {
    std::cerr << "usage: crash_storm [--seconds=N | --rounds=N] [--seed=S] "
                 "[--processes=P] [--poison=0|1] [--patience=SECONDS] "
                 "[--hangs=0|1], P from 3 to "
              << kStormWorkersMax << std::endl;
    return 2;
  }
  std::cout << "crash_storm: --seed=" << flags.seed
            << " --processes=" << flags.processes << std::endl;
  SetPoisonFreedSegments(flags.poison != 0);  // the workers inherit it
  auto dir = std::make_unique<TempDir>();
  bool passed = false;
  {
    Storm storm(flags, dir->File("storm.eve"));
    passed = storm.Run();
    storm.PrintCounts();
  }
  if (passed) return 0;
  std::cerr << "crash_storm: FAILED, the domain is kept in " << dir->path()
            << std::endl;
  static_cast<void>(dir.release());
  return 1;
}

}  // namespace
}  // namespace eve::testing

int main(int argc, char** argv) { return eve::testing::RunMain(argc, argv); }
