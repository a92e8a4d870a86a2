#include "engine/file/io_ring.h"

#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/file/file.h"
#include "engine/file/fork_gate.h"
#include "util/failpoint.h"

namespace eve {
namespace {

// Passes injected errors off as the kernel's.
int ResultOf(const io_uring_cqe& done) {
  const int fault = EVE_FAULT("ring.result");
  return fault != 0 ? -fault : done.res;
}

bool HasOperations(struct io_uring* ring) {
  struct io_uring_probe* const probe = ::io_uring_get_probe_ring(ring);
  if (probe == nullptr) return false;
  bool all = true;
  for (const int operation : {IORING_OP_FSYNC, IORING_OP_SYNC_FILE_RANGE}) {
    all &= ::io_uring_opcode_supported(probe, operation) != 0;
  }
  ::io_uring_free_probe(probe);
  return all;
}

}  // namespace

struct IoRing::Impl {
  struct io_uring ring;
};

IoRing::IoRing() : impl_(std::make_unique<Impl>()) {}

absl::StatusOr<std::unique_ptr<IoRing>> IoRing::Create() {
  std::unique_ptr<IoRing> made(new IoRing);
  int error = EVE_FAULT("ring.setup");
  if (error == 0) {
    error = -::io_uring_queue_init(kEntries, &made->impl_->ring, 0);
    made->is_usable_ = error == 0;
    // A child that was forked just before keeps it: it has no lock bytes.
    if (error == 0) ForkGate::Get().Add(made->impl_->ring.ring_fd);
  }
  if (error != 0) return ErrnoStatus(error, "io_uring_setup");
  if (!HasOperations(&made->impl_->ring)) {
    return ErrnoStatus(ENOTSUP, "io_uring");
  }
  // A child would write to the queues that the parent's kernel side reads.
  (void)::io_uring_ring_dontfork(&made->impl_->ring);
  return made;
}

IoRing::~IoRing() {
  if (fork_guard_.IsForkedChild()) {
    CloseInChild();
    (void)impl_.release();  // its mappings are not here
    return;
  }
  if (impl_->ring.ring_fd > 0 && (is_usable_ || leaks_)) {
    if (leaks_) {
      // The kernel ends what is on its way when the descriptor is closed, which
      // may be later.
      ForkGate::Get().Close(impl_->ring.ring_fd);
      (void)impl_.release();
    } else {
      Exit();
    }
  }
}

void IoRing::CloseInChild() {
  if (is_usable_) ForkGate::Get().Close(impl_->ring.ring_fd);
  is_usable_ = false;
}

// Not by the gate: it closes the descriptor and lets go of the memory.
void IoRing::Exit() {
  ForkGate::Get().Forget(impl_->ring.ring_fd);
  ::io_uring_queue_exit(&impl_->ring);
}

// Entries are taken in their order, and `index` is an entry's place in it.
uint32_t IoRing::Submit(uint32_t count) {
  uint32_t taken = 0;
  while (taken < count) {
    const int fault = EVE_FAULT("ring.enter");
    const int now = fault != 0 ? -fault : ::io_uring_submit(&impl_->ring);
    if (now == -EINTR) continue;
    if (now <= 0) break;
    // Perhaps not all: it stops behind an entry that it refuses.
    taken += static_cast<uint32_t>(now);
  }
  // What it did not take stays queued for the next call: there is none.
  if (taken < count) is_usable_ = false;
  return taken;
}

void IoRing::SubmitAndWait(uint32_t count, int* results) {
  std::fill(results, results + count, -ECANCELED);
  const uint32_t taken = Submit(count);
  // Until it is known what has become of them.
  std::fill(results, results + taken, -EIO);
  for (uint32_t i = 0; i < taken; ++i) {
    struct io_uring_cqe* done = nullptr;
    int error;
    do {
      error = ::io_uring_wait_cqe(&impl_->ring, &done);
    } while (error == -EINTR || error == -EAGAIN);
    if (error != 0) {
      // It may be done at any later time, and nobody will know.
      is_usable_ = false;
      leaks_ = true;
      return;
    }
    const auto index = static_cast<uint32_t>(::io_uring_cqe_get_data64(done));
    if (index < taken) results[index] = ResultOf(*done);
    ::io_uring_cqe_seen(&impl_->ring, done);
  }
  if (taken < count) Exit();
}

std::optional<int> IoRing::Datasync(int fd) {
  if (!is_usable_ || fork_guard_.IsForkedChild()) return std::nullopt;
  struct io_uring_sqe* const entry = ::io_uring_get_sqe(&impl_->ring);
  if (entry == nullptr) return std::nullopt;
  ::io_uring_prep_fsync(entry, fd, IORING_FSYNC_DATASYNC);
  ::io_uring_sqe_set_data64(entry, 0);
  int result = 0;
  SubmitAndWait(1, &result);
  // It was not taken, or taken back before it had begun.
  if (result == -ECANCELED) return std::nullopt;
  return result;
}

std::optional<int> IoRing::StartWriteBack(int fd,
                                          absl::Span<const ByteRange> ranges) {
  int first_error = 0;
  while (!ranges.empty() && first_error == 0) {
    if (!is_usable_ || fork_guard_.IsForkedChild()) return std::nullopt;
    const auto count =
        static_cast<uint32_t>(std::min<size_t>(ranges.size(), kEntries));
    for (uint32_t i = 0; i < count; ++i) {
      struct io_uring_sqe* const entry = ::io_uring_get_sqe(&impl_->ring);
      // Its length is 32 bits wide; a hint may be of less than there is.
      ::io_uring_prep_sync_file_range(
          entry, fd,
          static_cast<unsigned>(std::min<uint64_t>(ranges[i].size, 1U << 31)),
          ranges[i].offset, SYNC_FILE_RANGE_WRITE);
      ::io_uring_sqe_set_data64(entry, i);
      if (EVE_FAULT("ring.entry") != 0) entry->opcode = IORING_OP_LAST;
    }
    int results[kEntries];
    SubmitAndWait(count, results);
    for (uint32_t i = 0; i < count && first_error == 0; ++i) {
      // Where it was not begun, the flush begins it.
      if (results[i] != -ECANCELED) first_error = results[i];
    }
    ranges.remove_prefix(count);
  }
  // An error that was told is not told again. Hints may be given again.
  if (first_error == 0 && !is_usable_) return std::nullopt;
  return first_error;
}

}  // namespace eve
