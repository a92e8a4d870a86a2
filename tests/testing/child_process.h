// ChildProcess: a function run in a forked process, with scripted death.
//
// Fork before the parent has started threads that hold locks; the child leaves
// by _exit, so nothing of the parent's is destroyed twice.
//
// Threads:    one per object.
// Processes:  that is what it is for.
// Owns:       the child until Wait(); kills it on destruction.
// Lifetime:   none.
// Errors:     aborts if fork fails.
// Cost:       a fork.
#ifndef EVE_TESTS_TESTING_CHILD_PROCESS_H_
#define EVE_TESTS_TESTING_CHILD_PROCESS_H_

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "util/check.h"
#include "util/failpoint.h"

namespace eve::testing {

class ChildProcess {
 public:
  explicit ChildProcess(const std::function<int()>& run) {
    pid_ = ::fork();
    EVE_CHECK(pid_ >= 0, "fork works");
    if (pid_ == 0) ::_exit(run());
  }
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)) {}
  ~ChildProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      Wait();
    }
  }

  // The exit code, or minus the signal that ended it.
  int Wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // As Wait(), if it has ended; nothing if it has not.
  std::optional<int> TryWait() {
    siginfo_t info{};
    EVE_CHECK(::waitid(P_PID, static_cast<id_t>(pid_), &info,
                       WEXITED | WNOHANG | WNOWAIT) == 0,
              "the child is not waited for twice");
    if (info.si_pid == 0) return std::nullopt;
    return Wait();
  }
  // Waits until the child has stopped itself (SIGSTOP).
  void AwaitStopped() {
    int status = 0;
    while (::waitpid(pid_, &status, WUNTRACED) < 0 && errno == EINTR) {
    }
    EVE_CHECK(WIFSTOPPED(status), "the child stopped itself");
  }
  void Signal(int signal) { ::kill(pid_, signal); }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

// A value in memory that parent and children share.
template <class T>
class SharedValue {
 public:
  SharedValue() {
    void* page = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EVE_CHECK(page != MAP_FAILED, "a shared page");
    value_ = new (page) T{};
  }
  ~SharedValue() { ::munmap(value_, sizeof(T)); }
  SharedValue(const SharedValue&) = delete;
  SharedValue& operator=(const SharedValue&) = delete;
  T& operator*() { return *value_; }
  T* operator->() { return value_; }

 private:
  T* value_;
};

// In a child: dies (or stops) the n-th time that it passes any step, or the
// given one. n counts from 1.
inline void SignalSelfAt(uint64_t nth, int signal,
                         std::string_view only_step = {}) {
  static std::atomic<uint64_t> passed;
  passed = 0;
  const std::string only(only_step);
  SetStepHook([nth, signal, only](std::string_view step) {
    if (!only.empty() && step != only) return;
    if (passed.fetch_add(1) + 1 == nth) ::kill(::getpid(), signal);
  });
}

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_CHILD_PROCESS_H_
