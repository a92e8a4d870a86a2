// FileObserver: a test's view of every call that changes a file, flushes it or
// reads past its page cache.
//
// Whatever makes such a call on a domain file makes it through Observed(), or a
// simulated disk (tests/simdisk) does not know what may be on the disk.
//
// Threads:    called on every thread that makes a call, several at a time.
// Processes:  an observer is this process's; a fork() child inherits it.
// Owns:       nothing; the observer is the test's.
// Lifetime:   it outlives the threads that make calls.
// Errors:     errno values, 0 for none.
// Cost:       one load and a predicted branch a call; nothing at all when
//             EVE_FAILPOINTS is not 1 (--config=opt).
#ifndef EVE_ENGINE_FILE_FILE_OBSERVER_H_
#define EVE_ENGINE_FILE_FILE_OBSERVER_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

namespace eve {

enum class FileOp {
  kWrite,
  kAllocate,
  kPunch,
  kTruncate,
  kWriteBack,  // a hint, of all that lies between the first and the last byte
  kDatasync,
  kSync,
  kDropCache,
  // To see what the device has, whatever the cache shows (page_cache.h):
  kOpenDevice,  // files in memory have none
  kReadDevice,
};

struct FileCall {
  FileOp op;
  int fd;
  std::string_view path;  // as opened
  uint64_t offset = 0;    // of kTruncate: the new size
  uint64_t size = 0;
  char* bytes = nullptr;  // of kReadDevice: where to
};

class FileObserver {
 public:
  virtual ~FileObserver() = default;
  // Before the call. A value is its result, and the call is not made.
  virtual std::optional<int> Before(const FileCall& call) = 0;
  // After it, with its result.
  virtual void After(const FileCall& call, int error) = 0;
};

// Replaces the observer of this process; null clears it.
void SetFileObserver(FileObserver* observer);

namespace internal {
extern std::atomic<FileObserver*> file_observer;
}  // namespace internal

// Makes a call, which gives an errno, unless `injected` is one already.
template <class MakeCall>
int Observed([[maybe_unused]] const FileCall& call, int injected,
             MakeCall make_call) {
#if defined(EVE_FAILPOINTS) && EVE_FAILPOINTS
  // acquire: pairs with SetFileObserver, so that the observer is seen whole.
  FileObserver* observer =
      internal::file_observer.load(std::memory_order_acquire);
  if (observer != nullptr) [[unlikely]] {
    const std::optional<int> answer = observer->Before(call);
    const int error = injected != 0        ? injected
                      : answer.has_value() ? *answer
                                           : make_call();
    observer->After(call, error);
    return error;
  }
#endif
  return injected != 0 ? injected : make_call();
}

}  // namespace eve

#endif  // EVE_ENGINE_FILE_FILE_OBSERVER_H_
