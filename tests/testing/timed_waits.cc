#include "tests/testing/timed_waits.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdarg>

namespace eve::testing {
namespace {

std::atomic<uint64_t> waits{0};

using Call = long (*)(long, long, long, long, long, long, long);

long CallReal(long number, const long* a) {
  static const auto real = std::bit_cast<Call>(::dlsym(RTLD_NEXT, "syscall"));
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

bool IsTimedWait(long number, const long* a) {
  if (number == SYS_nanosleep || number == SYS_clock_nanosleep) return true;
  if (number != SYS_futex || a[3] == 0) return false;
  const long command = a[1] & FUTEX_CMD_MASK;
  return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
}

long CountedCall(long number, const long* arguments) {
  if (IsTimedWait(number, arguments)) waits.fetch_add(1);
  return CallReal(number, arguments);
}

}  // namespace

uint64_t TimedWaits() { return waits.load(); }

}  // namespace eve::testing

extern "C" long syscall(long number, ...) {
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (long& argument : a) argument = va_arg(arguments, long);
  va_end(arguments);
  return eve::testing::CountedCall(number, a);
}
extern "C" int nanosleep(const timespec* time, timespec* left) {
  eve::testing::waits.fetch_add(1);
  // clock_nanosleep(3) gives its errno back.
  errno = ::clock_nanosleep(CLOCK_REALTIME, 0, time, left);
  return errno == 0 ? 0 : -1;
}
