#include "db_bench/interruption.h"

#include <signal.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace eve::bench {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

// The first that came. Lock-free, so a handler may use it.
std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

void NoteSignal(int signal) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal, std::memory_order_relaxed);
}

void SetHandler(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void CatchInterruptions() {
  for (const int signal : kSignals) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    // Who ignores SIGPIPE relies on errors of writes, which are not looked at.
    if (before.sa_handler == SIG_IGN && signal != SIGPIPE) continue;
    SetHandler(signal, NoteSignal);
  }
}

bool IsInterrupted() {
  return first_signal.load(std::memory_order_relaxed) != 0;
}

void LeaveInterruptionsToParent() {
  for (const int signal : kSignals) SetHandler(signal, SIG_IGN);
}

void EndByInterruption() {
  const int signal = first_signal.load(std::memory_order_relaxed);
  std::fflush(nullptr);
  SetHandler(signal, SIG_DFL);
  raise(signal);
  std::_Exit(128 + signal);  // only if the signal is blocked
}

}  // namespace eve::bench
