#include "engine/cli/stop_signal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "absl/time/clock.h"

namespace eve::cli {
namespace {

constexpr int kSignalCodeBase = 128;

std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

// Its read end becomes readable with the signal: a poll cannot miss it, as a
// look at the word before a read could.
int wake_pipe[2] = {-1, -1};

void AskToStop(int number) {
  const int saved = errno;
  stop_signal = number;
  const char byte = 0;
  // A pipe that is full wakes as well.
  [[maybe_unused]] const ssize_t written = ::write(wake_pipe[1], &byte, 1);
  errno = saved;
}

}  // namespace

void CatchStopSignals() {
  if (wake_pipe[0] < 0 && ::pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    wake_pipe[0] = wake_pipe[1] = -1;
  }
  struct sigaction action = {};
  action.sa_handler = AskToStop;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  sigset_t caught;
  sigemptyset(&caught);
  for (const int number : {SIGINT, SIGTERM}) {
    // Whoever started this ignoring it (nohup, or a shell in the background)
    // does not mean it.
    struct sigaction before = {};
    if (sigaction(number, nullptr, &before) == 0 &&
        before.sa_handler == SIG_IGN) {
      continue;
    }
    sigaction(number, &action, nullptr);
    sigaddset(&caught, number);
  }
  // Whoever started this may have blocked them.
  sigprocmask(SIG_UNBLOCK, &caught, nullptr);
}

int StopSignal() { return stop_signal; }

int StoppedExitCode() { return kSignalCodeBase + stop_signal; }

Woken WaitToRead(int fd, absl::Time end, int output) {
  pollfd waiting[3] = {
      {fd, POLLIN, 0}, {wake_pipe[0], POLLIN, 0}, {output, 0, 0}};
  while (stop_signal == 0) {
    const timespec left =
        absl::ToTimespec(std::max(end - absl::Now(), absl::ZeroDuration()));
    const int ready = ::ppoll(
        waiting, 3, end == absl::InfiniteFuture() ? nullptr : &left, nullptr);
    if (ready < 0 && errno == EINTR) continue;
    if (stop_signal != 0) break;
    if (waiting[0].revents != 0 || ready < 0) return Woken::kReadable;
    if (waiting[2].revents != 0) return Woken::kNobodyReads;
    if (ready == 0) return Woken::kTimeOver;
  }
  return Woken::kStopped;
}

}  // namespace eve::cli
