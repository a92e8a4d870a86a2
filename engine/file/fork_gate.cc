#include "engine/file/fork_gate.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>

namespace eve {

ForkGate& ForkGate::Get() {
  // Never destroyed: files may outlive static destruction.
  static ForkGate* gate = new ForkGate;
  return *gate;
}

ForkGate::ForkGate() {
  ::pthread_atfork(
      [] {
        ForkGate& gate = Get();
        gate.mutex_.lock();
        ++gate.forks_;
      },
      [] { Get().mutex_.unlock(); },
      [] {
        Get().CloseAllInChild();
        Get().mutex_.unlock();
      });
}

// Allocates and frees nothing.
void ForkGate::CloseAllInChild() {
  for (const int fd : fds_) ::close(fd);
  fds_.clear();
}

uint64_t ForkGate::forks() {
  std::lock_guard lock(mutex_);
  return forks_;
}

void ForkGate::Add(int fd) {
  std::lock_guard lock(mutex_);
  fds_.push_back(fd);
}

bool ForkGate::AddUnlessForked(int fd, uint64_t forks) {
  std::lock_guard lock(mutex_);
  if (forks_ != forks) return false;
  fds_.push_back(fd);
  return true;
}

bool ForkGate::Remove(int fd) {
  const auto found = std::find(fds_.begin(), fds_.end(), fd);
  if (found == fds_.end()) return false;
  *found = fds_.back();
  fds_.pop_back();
  return true;
}

void ForkGate::Forget(int fd) {
  std::lock_guard lock(mutex_);
  Remove(fd);
}

void ForkGate::Close(int fd) {
  std::lock_guard lock(mutex_);
  if (Remove(fd)) ::close(fd);
}

}  // namespace eve
