// Two who hold the byte of one commit slot: a planted bug, and what it costs.
// The program has an fcntl(2) of its own, which may say that such a byte was
// free.

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>
#include <string>

#include "engine/format/constants.h"
#include "engine/format/shared_layout.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;

bool is_lying = false;

bool IsForASlot(int command, const void* argument) {
  if (command != F_OFD_SETLK) return false;
  const auto* lock = static_cast<const struct flock*>(argument);
  const auto first = static_cast<off_t>(kCommitSlotLockBase);
  return lock->l_type == F_WRLCK && lock->l_start >= first &&
         lock->l_start < first + static_cast<off_t>(kCommitSlotCount);
}

int Fcntl(int fd, int command, void* argument) {
  if (is_lying && IsForASlot(command, argument)) return 0;
  return static_cast<int>(::syscall(SYS_fcntl, fd, command, argument));
}

// What survives a power failure after one has committed 2 and was stopped with
// his slot announced, another has committed 3, and the first has gone on. Both
// were told that their commit is durable.
int64_t NumberThatSurvives(bool lies) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  Domain domain = Domain::Open(path, Quiet()).value();
  const Numbers map = domain.Collection<Numbers>("m").value();
  EXPECT_OK(map.Put("n", 1));
  EXPECT_OK(domain.Sync());
  ChildProcess first([&] {
    auto other = Domain::Open(path, Quiet());
    if (!other.ok()) return 1;
    auto numbers = other->Collection<Numbers>("m");
    if (!numbers.ok() || !numbers->Put("n", 2).ok()) return 2;
    testing::SignalSelfAt(1, SIGSTOP, "checkpoint.announced");
    // Closing would make another checkpoint.
    ::_exit(other->Sync().ok() ? 0 : 3);
  });
  first.AwaitStopped();
  is_lying = lies;
  EXPECT_OK(map.Put("n", 3));
  EXPECT_OK(domain.Sync());
  is_lying = false;
  first.Signal(SIGCONT);
  EXPECT_EQ(first.Wait(), 0);
  const std::string copy =
      testing::CopyAfterPowerLoss(path, dir.File("copy.eve"));
  Domain left = Domain::Open(copy, Quiet()).value();
  testing::ExpectCleanCheck(copy, left);
  return left.Collection<Numbers>("m").value().Get("n").value();
}

TEST(TwoLeasesTest, EachHasASlotOfHisOwn) {
  EXPECT_EQ(NumberThatSurvives(/*lies=*/false), 3);
}

TEST(TwoLeasesTest, PlantedSecondLeaseIsFound) {
  EXPECT_EQ(NumberThatSurvives(/*lies=*/true), 2);
}

}  // namespace
}  // namespace eve

// Where files have 64 bits by themselves the header may call it either way.
extern "C" int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return eve::Fcntl(fd, command, argument);
}
extern "C" int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return eve::Fcntl(fd, command, argument);
}
