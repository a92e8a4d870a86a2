// IoRing: system calls on files through io_uring, a few at a time.
//
// Made when it is first needed, so that who never flushes has none. It flushes
// and does not write: what is on its way when its process dies changes no bytes
// afterwards, when others may have taken them over.
//
// Threads:    one at a time: the caller has a lock.
// Processes:  one. A forked child has neither the ring's memory nor, once the
//             domain is abandoned there, its descriptor; every call says so.
// Owns:       the ring.
// Lifetime:   a ring on which a call to the kernel itself fails is used no
//             more: what it had taken might be done later.
// Errors:     of each operation its own: minus an errno, or what it did; none
//             (nullopt): it was not begun, the caller makes the plain call.
// Cost:       12 KiB and a descriptor; a system call for each batch.
#ifndef EVE_ENGINE_FILE_IO_RING_H_
#define EVE_ENGINE_FILE_IO_RING_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/file/mapping.h"

namespace eve {

struct ByteRange {
  uint64_t offset = 0;
  uint64_t size = 0;
};

class IoRing {
 public:
  // What goes to the kernel in one call.
  static constexpr uint32_t kEntries = 64;

  // Refused: by the kernel (ENOSYS), a sandbox (EPERM, EACCES), a limit
  // (ENOMEM, EMFILE), or because it lacks an operation (ENOTSUP).
  static absl::StatusOr<std::unique_ptr<IoRing>> Create();
  ~IoRing();
  IoRing(const IoRing&) = delete;
  IoRing& operator=(const IoRing&) = delete;

  // fdatasync(2).
  std::optional<int> Datasync(int fd);
  // Asks for all the ranges to be written back, without waiting for the device.
  // 0, or minus the errno of one that failed.
  std::optional<int> StartWriteBack(int fd, absl::Span<const ByteRange> ranges);

  bool is_usable() const { return is_usable_; }
  // In a forked child: lets go of the parent's ring.
  void CloseInChild();

 private:
  struct Impl;

  IoRing();
  // Hands over what is queued, `count` operations, and waits for those that the
  // kernel takes. Of each its result; -ECANCELED: it was not begun. If not all
  // were taken, or one cannot be waited for, the ring is not used any more.
  void SubmitAndWait(uint32_t count, int* results);
  void Exit();
  // How many it has taken.
  uint32_t Submit(uint32_t count);

  std::unique_ptr<Impl> impl_;
  ForkGuard fork_guard_;
  bool is_usable_ = false;
  bool leaks_ = false;  // something may still be on its way
};

}  // namespace eve

#endif  // EVE_ENGINE_FILE_IO_RING_H_
