// Named steps and faults inside the engine, so that a test can stop a thread
// between two instructions, kill a process there, or make a system call fail.
//
//   EVE_STEP("commit.before_cas");
//   if (int error = EVE_FAULT("file.fallocate")) return ErrnoStatus(error);
//
// Threads:    hooks may be set and cleared while other threads pass steps. A
//             hook is called on every thread that passes, several at a time.
// Processes:  a hook is this process's; a fork() child inherits it.
// Owns:       every hook ever set, until the process ends: a thread may be
//             inside one that was just replaced.
// Lifetime:   what a hook captures by reference must outlive the threads that
//             pass steps; join them before it goes out of scope.
// Errors:     none; a fault is an errno value that the caller acts upon.
// Cost:       one load and a predicted branch while no hook is set; nothing at
//             all when EVE_FAILPOINTS is not 1 (--config=opt).
#ifndef EVE_UTIL_FAILPOINT_H_
#define EVE_UTIL_FAILPOINT_H_

#include <atomic>
#include <functional>
#include <string_view>

#if defined(EVE_FAILPOINTS) && EVE_FAILPOINTS
#define EVE_STEP(name) ::eve::internal::PassStep(name)
#define EVE_FAULT(name) ::eve::internal::InjectedFault(name)
#else
#define EVE_STEP(name) static_cast<void>(0)
#define EVE_FAULT(name) 0
#endif

namespace eve {

// Whether this file was compiled with steps; a test that needs them checks.
#if defined(EVE_FAILPOINTS) && EVE_FAILPOINTS
inline constexpr bool kFailpointsEnabled = true;
#else
inline constexpr bool kFailpointsEnabled = false;
#endif

using StepHook = std::function<void(std::string_view step)>;
// Returns the errno to inject at `point`, or 0 to let it pass.
using FaultHook = std::function<int(std::string_view point)>;

// Replaces the hook of this process; an empty function clears it.
void SetStepHook(StepHook hook);
void ClearStepHook();
void SetFaultHook(FaultHook hook);
void ClearFaultHook();

namespace internal {

struct InstalledStepHook;
struct InstalledFaultHook;

extern std::atomic<const InstalledStepHook*> step_hook;
extern std::atomic<const InstalledFaultHook*> fault_hook;

void RunStepHook(const InstalledStepHook* hook, std::string_view step);
int RunFaultHook(const InstalledFaultHook* hook, std::string_view point);

inline void PassStep(std::string_view step) {
  // acquire: pairs with the exchange in failpoint.cc, so that the hook is seen
  // whole.
  const InstalledStepHook* hook = step_hook.load(std::memory_order_acquire);
  if (hook != nullptr) [[unlikely]] {
    RunStepHook(hook, step);
  }
}

inline int InjectedFault(std::string_view point) {
  // acquire: as above.
  const InstalledFaultHook* hook = fault_hook.load(std::memory_order_acquire);
  if (hook != nullptr) [[unlikely]] {
    return RunFaultHook(hook, point);
  }
  return 0;
}

}  // namespace internal

// Sets a hook and puts back the one before it. Scopes nest; two threads do not
// hold scopes of the same kind at once.
class ScopedStepHook {
 public:
  explicit ScopedStepHook(StepHook hook);
  ~ScopedStepHook();
  ScopedStepHook(const ScopedStepHook&) = delete;
  ScopedStepHook& operator=(const ScopedStepHook&) = delete;

 private:
  const internal::InstalledStepHook* const previous_;
};

class ScopedFaultHook {
 public:
  explicit ScopedFaultHook(FaultHook hook);
  ~ScopedFaultHook();
  ScopedFaultHook(const ScopedFaultHook&) = delete;
  ScopedFaultHook& operator=(const ScopedFaultHook&) = delete;

 private:
  const internal::InstalledFaultHook* const previous_;
};

}  // namespace eve

#endif  // EVE_UTIL_FAILPOINT_H_
