// StopSignal: Ctrl-C asks a long verb to end at the next good moment.
//
// Threads:    one catches; any asks.
// Processes:  none: every verb may be killed at any instruction anyway, this is
//             so that it can say what it has done.
// Owns:       the handlers of SIGINT and SIGTERM, and a pipe, for good.
// Lifetime:   the program's.
// Errors:     without a pipe a blocked read is not woken; the second signal
//             ends the program.
// Cost:       none.
#ifndef EVE_ENGINE_CLI_STOP_SIGNAL_H_
#define EVE_ENGINE_CLI_STOP_SIGNAL_H_

#include <cstdint>

#include "absl/time/time.h"

namespace eve::cli {

// From now on the first signal is noted and the second one ends the process at
// once: nothing is lost by that either. One that was ignored stays ignored.
void CatchStopSignals();

// The signal that asked to stop; 0: none.
int StopSignal();

// The exit code after a signal, as a shell gives it.
int StoppedExitCode();

enum class Woken : uint8_t { kReadable, kStopped, kNobodyReads, kTimeOver };
// Waits until a signal asks to stop, `fd` has something to read, nobody reads
// what is written to `output` any more (-1: that is not asked), or `end` comes.
// Returns the first in this order that is so.
Woken WaitToRead(int fd, absl::Time end = absl::InfiniteFuture(),
                 int output = -1);

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_STOP_SIGNAL_H_
