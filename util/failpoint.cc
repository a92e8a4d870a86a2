#include "util/failpoint.h"

#include <utility>

namespace eve {
namespace internal {

// Installed hooks form a list that only grows. That keeps a replaced hook alive
// for a thread that is still inside it, and needs no lock, which a fork() child
// might inherit locked.
struct InstalledStepHook {
  StepHook run;
  const InstalledStepHook* older = nullptr;
};

struct InstalledFaultHook {
  FaultHook run;
  const InstalledFaultHook* older = nullptr;
};

std::atomic<const InstalledStepHook*> step_hook{nullptr};
std::atomic<const InstalledFaultHook*> fault_hook{nullptr};

namespace {

std::atomic<const InstalledStepHook*> all_step_hooks{nullptr};
std::atomic<const InstalledFaultHook*> all_fault_hooks{nullptr};

template <typename Installed, typename Hook>
const Installed* Install(std::atomic<const Installed*>& all, Hook hook) {
  if (!hook) return nullptr;
  auto* installed = new Installed{.run = std::move(hook)};
  installed->older = all.load(std::memory_order_relaxed);
  // relaxed: the list is never walked; it only keeps its members reachable.
  while (!all.compare_exchange_weak(installed->older, installed,
                                    std::memory_order_relaxed)) {
  }
  return installed;
}

// acq_rel: release pairs with the acquire loads in failpoint.h; acquire makes
// the returned hook usable by ScopedStepHook's destructor on this thread.
template <typename Installed>
const Installed* Replace(std::atomic<const Installed*>& current,
                         const Installed* installed) {
  return current.exchange(installed, std::memory_order_acq_rel);
}

}  // namespace

void RunStepHook(const InstalledStepHook* hook, std::string_view step) {
  hook->run(step);
}

int RunFaultHook(const InstalledFaultHook* hook, std::string_view point) {
  return hook->run(point);
}

}  // namespace internal

void SetStepHook(StepHook hook) {
  internal::Replace(
      internal::step_hook,
      internal::Install(internal::all_step_hooks, std::move(hook)));
}

void ClearStepHook() { SetStepHook(nullptr); }

void SetFaultHook(FaultHook hook) {
  internal::Replace(
      internal::fault_hook,
      internal::Install(internal::all_fault_hooks, std::move(hook)));
}

void ClearFaultHook() { SetFaultHook(nullptr); }

ScopedStepHook::ScopedStepHook(StepHook hook)
    : previous_(internal::Replace(
          internal::step_hook,
          internal::Install(internal::all_step_hooks, std::move(hook)))) {}

ScopedStepHook::~ScopedStepHook() {
  internal::Replace(internal::step_hook, previous_);
}

ScopedFaultHook::ScopedFaultHook(FaultHook hook)
    : previous_(internal::Replace(
          internal::fault_hook,
          internal::Install(internal::all_fault_hooks, std::move(hook)))) {}

ScopedFaultHook::~ScopedFaultHook() {
  internal::Replace(internal::fault_hook, previous_);
}

}  // namespace eve
