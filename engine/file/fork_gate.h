// ForkGate: what of the engine's a forked child must not keep, whatever another
// thread was about when the process forked.
//
// Lock bytes belong to the open file, and a child has all its parent's: as long
// as one of them is open in it, its parent looks alive, even if that was
// killed. So a child closes, before anything else, the descriptors that are
// listed here, also those of a domain that is just being opened or closed and
// that no handle leads to.
//
// Threads:    any. A fork waits for who holds the gate: for a call that makes a
//             mapping or closes a file, and never for one that opens a file.
// Processes:  in a forked child the list is empty.
// Owns:       the list; whoever has listed a descriptor owns that.
// Lifetime:   the process's.
// Errors:     none.
// Cost:       a mutex and a short list for each file that is opened or closed.
#ifndef EVE_ENGINE_FILE_FORK_GATE_H_
#define EVE_ENGINE_FILE_FORK_GATE_H_

#include <cstdint>
#include <mutex>
#include <vector>

namespace eve {

class ForkGate {
 public:
  // Installs the handlers. Those that are installed later are called before
  // these when the process forks, and after these in the child.
  static ForkGate& Get();

  // No fork while it is held. A leaf: nothing else is locked inside, and no
  // step or fault passed.
  std::unique_lock<std::mutex> Hold() { return std::unique_lock(mutex_); }

  uint64_t forks();
  void Add(int fd);
  // False, and nothing done, if there were other than `forks` before: a child
  // may have what was opened since.
  bool AddUnlessForked(int fd, uint64_t forks);
  // Not closed in children any more.
  void Forget(int fd);
  // Closes it if it is listed. Else the child that this is has done so, and
  // the number may be another file's.
  void Close(int fd);

 private:
  ForkGate();
  bool Remove(int fd);
  void CloseAllInChild();

  std::mutex mutex_;
  uint64_t forks_ = 0;
  std::vector<int> fds_;
};

}  // namespace eve

#endif  // EVE_ENGINE_FILE_FORK_GATE_H_
