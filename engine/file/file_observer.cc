#include "engine/file/file_observer.h"

namespace eve {

namespace internal {
std::atomic<FileObserver*> file_observer{nullptr};
}  // namespace internal

void SetFileObserver(FileObserver* observer) {
  // release: pairs with the load in Observed().
  internal::file_observer.store(observer, std::memory_order_release);
}

}  // namespace eve
