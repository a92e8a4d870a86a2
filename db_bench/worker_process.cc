#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "db_bench/process_group.h"

namespace eve::bench {
namespace {

constexpr useconds_t kPollMicros = 200;
constexpr useconds_t kStartPollMicros = 50;

// What all threads of this process have taken so far.
uint64_t CpuNanos() {
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto nanos = [](const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1000000000 +
           static_cast<uint64_t>(time.tv_usec) * 1000;
  };
  return nanos(usage.ru_utime) + nanos(usage.ru_stime);
}

// The child's side of ProcessGroup: owns the open engine and its threads.
class WorkerProcess final : private Reopener {
 public:
  WorkerProcess(const RunConfig& config, const EngineInfo& info,
                SharedState* shared, int process)
      : config_(config),
        info_(info),
        shared_(shared),
        slot_(shared->slots[process]),
        process_(process),
        values_(config.values) {}

  void Serve() {
    uint32_t served = 0;
    for (;;) {
      // acquire: pairs with the release in ProcessGroup::Post.
      while (slot_.posted.load(std::memory_order_acquire) == served) {
        usleep(kPollMicros);
      }
      if (slot_.command == Command::kExit) return;
      const absl::Status status = Execute(slot_.command, slot_.phase);
      if (!status.ok()) Fail(status);
      // release: pairs with the acquire in ProcessGroup::WaitFinished.
      slot_.finished.store(++served, std::memory_order_release);
    }
  }

 private:
  absl::Status Execute(Command command, int phase) {
    switch (command) {
      case Command::kOpen:
        durability_ = config_.DurabilityOf(WorkloadOf(phase));
        return Open();
      case Command::kClose:
        Close();
        return absl::OkStatus();
      case Command::kPrintStats:
        // The parent has flushed what it printed.
        printf("\n%s\n", engine_->DescribeStats().c_str());
        fflush(stdout);
        return absl::OkStatus();
      case Command::kSettle:
        return engine_->Settle();
      case Command::kRun:
        return RunPhase(phase);
      case Command::kResetCounter:
      case Command::kCheckCounter:
        return AtCounter(command);
      case Command::kExit:
        break;
    }
    return absl::InternalError("unknown command");
  }

  const Workload& WorkloadOf(int phase) const {
    return *config_.workloads[static_cast<size_t>(phase)];
  }

  void Close() override { engine_.reset(); }

  absl::Status Open() override {
    EngineOptions options;
    options.durability = durability_;
    options.collection = config_.collection;
    options.key_type = config_.keys.type;
    options.compress = config_.compress;
    options.entries = config_.num;
    options.sessions_max = config_.Workers() + 1;
    options.first_process = process_ == 0;
    engine_ = info_.create();
    return engine_->Open(config_.dir, options);
  }

  absl::Status AtCounter(Command command) {
    absl::StatusOr<std::unique_ptr<Session>> session = engine_->NewSession();
    if (!session.ok()) return session.status();
    if (command == Command::kResetCounter) {
      return ResetCounter(config_, **session);
    }
    uint64_t increments = 0;
    for (int i = 0; i < config_.Workers(); ++i) {
      increments += shared_->results[i].operations;
    }
    return CheckCounter(config_, **session, increments);
  }

  absl::Status RunPhase(int phase) {
    const Workload& workload = WorkloadOf(phase);
    std::vector<std::thread> threads;
    for (int i = 0; i < config_.threads; ++i) {
      threads.emplace_back([this, phase, i] { RunThread(phase, i); });
    }
    if (workload.HasCompanion() && process_ == 0) {
      threads.emplace_back([this, phase] { RunCompanionThread(phase); });
    }
    for (std::thread& thread : threads) thread.join();
    slot_.cpu_nanos = CpuNanos() - cpu_start_;
    return absl::OkStatus();
  }

  WorkerTask MakeTask(int phase, int worker, WorkerResult* result) {
    *result = {};
    return {.config = &config_,
            .workload = &WorkloadOf(phase),
            .values = &values_,
            .session = nullptr,
            .engine = engine_.get(),
            .info = &info_,
            .result = result,
            .write_clock = &shared_->write_clock,
            .operations = &shared_->operations,
            .reopener = nullptr,
            .phase = phase,
            .worker = worker};
  }

  void RunThread(int phase, int thread) {
    const int worker = process_ * config_.threads + thread;
    WorkerTask task = MakeTask(phase, worker, &shared_->results[worker]);
    absl::StatusOr<std::unique_ptr<Session>> session = engine_->NewSession();
    if (!session.ok()) return Fail(session.status());
    task.session = session->get();
    if (task.workload->kind == OpKind::kOpen) {
      session->reset();  // or the database could not be closed
      task.session = nullptr;
      task.reopener = this;
    }
    absl::Status status = WarmUp(task);
    if (status.ok()) {
      AwaitStart(phase);
      // All have warmed up by now.
      if (thread == 0) cpu_start_ = CpuNanos();
      status = RunTask(task);
    }
    // release: pairs with the acquire in AccompanyReaders.
    shared_->readers_left.fetch_sub(1, std::memory_order_release);
    if (!status.ok()) Fail(status);
  }

  void RunCompanionThread(int phase) {
    WorkerResult unused;
    WorkerTask task = MakeTask(phase, config_.Workers(), &unused);
    absl::StatusOr<std::unique_ptr<Session>> session = engine_->NewSession();
    if (!session.ok()) return Fail(session.status());
    task.session = session->get();
    AwaitStart(phase);
    const absl::Status status = AccompanyReaders(task, &shared_->readers_left);
    if (!status.ok()) Fail(status);
  }

  // All threads of all processes begin at once.
  void AwaitStart(int phase) {
    const auto wanted = static_cast<uint32_t>(phase) + 1;
    shared_->ready.fetch_add(1, std::memory_order_relaxed);
    // acquire: pairs with the release in ProcessGroup::Run.
    while (shared_->go.load(std::memory_order_acquire) != wanted) {
      usleep(kStartPollMicros);
    }
  }

  // Tells the parent, which then kills all processes: the first message stays.
  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&fail_mutex_);
    if (slot_.failed.load(std::memory_order_relaxed) != 0) return;
    const std::string text = status.ToString();
    const size_t size = std::min(text.size(), sizeof(slot_.error) - 1);
    memcpy(slot_.error, text.data(), size);
    slot_.error[size] = '\0';
    // release: pairs with the acquire in ProcessGroup::CheckAlive.
    slot_.failed.store(1, std::memory_order_release);
  }

  const RunConfig& config_;
  const EngineInfo& info_;
  SharedState* const shared_;
  ProcessSlot& slot_;
  const int process_;
  const ValueMaker values_;
  Durability durability_ = Durability::kNone;
  uint64_t cpu_start_ = 0;  // set by the first thread, for who joins it
  std::unique_ptr<Engine> engine_;
  absl::Mutex fail_mutex_;
};

}  // namespace

void RunWorkerProcess(const RunConfig& config, const EngineInfo& engine,
                      SharedState* shared, int process) {
  {
    WorkerProcess worker(config, engine, shared, process);
    worker.Serve();
  }
  // Not exit(): destructors of statics are the parent's to run.
  fflush(nullptr);
  std::_Exit(0);
}

}  // namespace eve::bench
