// Signals that end the program, kept waiting until it has removed what it
// made: interrupt, termination, hang-up, and a reader of the output that went.
//
// Threads:    for the only thread of the parent; the signals may come at any
//             time.
// Processes:  the parent catches them and kills its workers, which ignore them:
//             a system call that a handler cut short would look like a failure.
// Owns:       the handlers.
// Lifetime:   of the process.
// Errors:     none.
// Cost:       a load for each look.
#ifndef EVE_DB_BENCH_INTERRUPTION_H_
#define EVE_DB_BENCH_INTERRUPTION_H_

namespace eve::bench {

// From here on they do not end this process. Those that the caller of the
// program had ignored, as nohup does, stay so.
void CatchInterruptions();
bool IsInterrupted();

// In a worker.
void LeaveInterruptionsToParent();

// Ends the process as the signal that came would have done.
// REQUIRES: IsInterrupted().
[[noreturn]] void EndByInterruption();

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_INTERRUPTION_H_
