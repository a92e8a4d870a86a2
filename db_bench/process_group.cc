#include "db_bench/process_group.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>

#include "absl/strings/str_cat.h"
#include "db_bench/interruption.h"

namespace eve::bench {
namespace {

constexpr useconds_t kPollMicros = 500;
// While something is measured, which it would interrupt.
constexpr useconds_t kWatchMicros = 10'000;

absl::Status Interrupted() { return absl::CancelledError("interrupted"); }

}  // namespace

ProcessGroup::ProcessGroup(const RunConfig& config, const EngineInfo& engine,
                           ProgressWatch* watch, SharedState* shared,
                           size_t shared_bytes)
    : config_(config),
      engine_(engine),
      watch_(watch),
      shared_(shared),
      shared_bytes_(shared_bytes) {}

absl::StatusOr<std::unique_ptr<ProcessGroup>> ProcessGroup::Start(
    const RunConfig& config, const EngineInfo& engine, ProgressWatch* watch) {
  const size_t bytes =
      sizeof(SharedState) +
      sizeof(WorkerResult) * static_cast<size_t>(config.Workers());
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::InternalError(absl::StrCat("mmap: ", strerror(errno)));
  }
  auto* shared = new (memory) SharedState;
  std::unique_ptr<ProcessGroup> group(
      new ProcessGroup(config, engine, watch, shared, bytes));
  absl::Status status = group->Fork();
  if (!status.ok()) return status;
  return group;
}

absl::Status ProcessGroup::Fork() {
  fflush(nullptr);  // or each child prints the parent's buffers again
  const pid_t parent = getpid();
  for (int process = 0; process < config_.processes; ++process) {
    const pid_t pid = fork();
    if (pid < 0) {
      return absl::InternalError(absl::StrCat("fork: ", strerror(errno)));
    }
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);  // it died before the line above
      LeaveInterruptionsToParent();
      RunWorkerProcess(config_, engine_, shared_, process);
    }
    pids_.push_back(pid);
  }
  return absl::OkStatus();
}

ProcessGroup::~ProcessGroup() {
  for (pid_t pid : pids_) {
    if (pid < 0) continue;
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  munmap(shared_, shared_bytes_);
}

absl::Span<const WorkerResult> ProcessGroup::results() const {
  return absl::MakeConstSpan(shared_->results,
                             static_cast<size_t>(config_.Workers()));
}

double ProcessGroup::cpu_seconds() const {
  uint64_t nanos = 0;
  for (int process = 0; process < config_.processes; ++process) {
    nanos += shared_->slots[process].cpu_nanos;
  }
  return static_cast<double>(nanos) * 1e-9;
}

absl::Status ProcessGroup::Open(int phase) {
  is_settled_ = false;
  for (int process = 0; process < config_.processes; ++process) {
    Post(process, Command::kOpen, phase);
    absl::Status status = WaitFinished(process);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ProcessGroup::Close() { return CallAll(Command::kClose, 0); }

absl::Status ProcessGroup::Run(int phase) {
  const Workload& workload = *config_.workloads[static_cast<size_t>(phase)];
  const bool counts = workload.kind == OpKind::kCount;
  if (counts) {
    absl::Status status = CallFirst(Command::kResetCounter, phase);
    if (!status.ok()) return status;
  }
  if (config_.settle && workload.Reads() && !is_settled_) {
    absl::Status status = Settle();
    if (!status.ok()) return status;
  }
  is_settled_ = workload.Reads() && !workload.HasWriter() &&
                workload.kind != OpKind::kDiff;
  const auto workers = static_cast<uint32_t>(config_.Workers());
  const uint32_t threads = workers + (workload.HasCompanion() ? 1 : 0);
  shared_->ready.store(0, std::memory_order_relaxed);
  shared_->operations.store(0, std::memory_order_relaxed);
  shared_->readers_left.store(workers, std::memory_order_relaxed);
  for (int i = 0; i < config_.processes; ++i) Post(i, Command::kRun, phase);
  absl::Status status = WaitUntil([&] {
    return shared_->ready.load(std::memory_order_relaxed) == threads;
  });
  if (!status.ok()) return status;
  watch_->Begin(engine_.name, workload);
  is_watched_ = true;
  status = RunAndWatch(phase);
  is_watched_ = false;
  watch_->End();
  if (!status.ok()) return status;
  return counts ? CallFirst(Command::kCheckCounter, phase) : status;
}

absl::Status ProcessGroup::RunAndWatch(int phase) {
  // release: pairs with the acquire in a worker's wait for its start.
  shared_->go.store(static_cast<uint32_t>(phase) + 1,
                    std::memory_order_release);
  for (int i = 0; i < config_.processes; ++i) {
    absl::Status status = WaitFinished(i);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ProcessGroup::Settle() {
  fflush(stdout);  // it may take long
  is_settled_ = true;
  return CallFirst(Command::kSettle, 0);
}

absl::Status ProcessGroup::PrintStats() {
  fflush(stdout);  // what comes before
  return CallFirst(Command::kPrintStats, 0);
}

absl::Status ProcessGroup::Exit() {
  for (int process = 0; process < config_.processes; ++process) {
    Post(process, Command::kExit, 0);
  }
  for (pid_t& pid : pids_) {
    int how = 0;
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR) {
      if (IsInterrupted()) return Interrupted();
    }
    pid = -1;
    if (how != 0) return absl::InternalError("a worker process failed to end");
  }
  return absl::OkStatus();
}

void ProcessGroup::Post(int process, Command command, int phase) {
  ProcessSlot& slot = shared_->slots[process];
  slot.command = command;
  slot.phase = phase;
  // release: pairs with the acquire of the worker's mailbox poll.
  slot.posted.fetch_add(1, std::memory_order_release);
}

absl::Status ProcessGroup::WaitFinished(int process) {
  const ProcessSlot& slot = shared_->slots[process];
  return WaitUntil([&slot] {
    // acquire: pairs with the worker's release; its results are complete.
    return slot.finished.load(std::memory_order_acquire) ==
           slot.posted.load(std::memory_order_relaxed);
  });
}

absl::Status ProcessGroup::CallAll(Command command, int phase) {
  for (int i = 0; i < config_.processes; ++i) Post(i, command, phase);
  for (int i = 0; i < config_.processes; ++i) {
    absl::Status status = WaitFinished(i);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ProcessGroup::CallFirst(Command command, int phase) {
  Post(0, command, phase);
  return WaitFinished(0);
}

absl::Status ProcessGroup::WaitUntil(const std::function<bool()>& done) {
  for (;;) {
    absl::Status status = CheckAlive();
    if (!status.ok() || done()) return status;
    if (is_watched_) {
      watch_->Look(shared_->operations.load(std::memory_order_relaxed));
    }
    usleep(is_watched_ ? kWatchMicros : kPollMicros);
  }
}

absl::Status ProcessGroup::CheckAlive() {
  if (IsInterrupted()) return Interrupted();
  for (int process = 0; process < config_.processes; ++process) {
    const ProcessSlot& slot = shared_->slots[process];
    // acquire: pairs with the release store after the message was written.
    if (slot.failed.load(std::memory_order_acquire) != 0) {
      return absl::InternalError(slot.error);
    }
    int how = 0;
    pid_t& pid = pids_[static_cast<size_t>(process)];
    if (waitpid(pid, &how, WNOHANG) != pid) continue;
    pid = -1;
    if (slot.failed.load(std::memory_order_acquire) != 0) {
      return absl::InternalError(slot.error);
    }
    return absl::InternalError(
        WIFSIGNALED(how)
            ? absl::StrCat("a worker process was killed by signal ",
                           WTERMSIG(how))
            : absl::StrCat("a worker process exited with code ",
                           WEXITSTATUS(how)));
  }
  return absl::OkStatus();
}

}  // namespace eve::bench
