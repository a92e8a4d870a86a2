// StartThread: a thread, or an error instead of an exception.
//
// Threads:    any.
// Processes:  this one's.
// Owns:       nothing; the caller joins or detaches what is returned.
// Lifetime:   none.
// Errors:     kResourceExhausted: no thread, or no room for its stack.
// Cost:       a system call.
#ifndef EVE_UTIL_START_THREAD_H_
#define EVE_UTIL_START_THREAD_H_

#include <functional>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace eve {

inline absl::StatusOr<std::thread> StartThread(std::function<void()> run) {
  // The only way that std::thread has to say so.
  try {
    return std::thread(std::move(run));
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start a thread: ", error.what()));
  }
}

}  // namespace eve

#endif  // EVE_UTIL_START_THREAD_H_
