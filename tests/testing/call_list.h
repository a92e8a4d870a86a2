// CallList: what is asked of files, in order.
//
// Threads:    any may make calls; the list is for one, while none does.
// Processes:  a forked child goes on with a list of its own.
// Owns:       the list.
// Lifetime:   sees calls as long as it is there; one observer at a time.
// Errors:     none.
// Cost:       a string for each call.
#ifndef EVE_TESTS_TESTING_CALL_LIST_H_
#define EVE_TESTS_TESTING_CALL_LIST_H_

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/file/file_observer.h"

namespace eve::testing {

class CallList : public FileObserver {
 public:
  struct Call {
    FileOp op;
    std::string path;
    uint64_t size;
  };

  CallList() { SetFileObserver(this); }
  ~CallList() override { SetFileObserver(nullptr); }
  CallList(const CallList&) = delete;
  CallList& operator=(const CallList&) = delete;

  std::optional<int> Before(const FileCall& call) override {
    std::lock_guard lock(mutex_);
    calls.push_back({call.op, std::string(call.path), call.size});
    return std::nullopt;
  }
  void After(const FileCall&, int) override {}

  // How often `op` was asked of `path`.
  int64_t CountOf(FileOp op, const std::string& path) const {
    return std::count_if(calls.begin(), calls.end(), [&](const Call& call) {
      return call.op == op && call.path == path;
    });
  }

  std::vector<Call> calls;

 private:
  std::mutex mutex_;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_CALL_LIST_H_
