// Two who hold the byte of one commit slot, or of one process slot: planted
// bugs, and what they cost. The program has an fcntl(2) of its own, which may
// say that such a byte was free.

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

// Of these bytes it says that they were free.
struct Lie {
  uint64_t first = 0;
  uint64_t count = 0;
};
constexpr Lie kCommitSlots = {kCommitSlotLockBase, kCommitSlotCount};
constexpr Lie kProcessSlots = {kProcessLockBase, kProcessesMax};
Lie lie;

bool IsLiedAbout(int command, const void* argument) {
  if (command != F_OFD_SETLK) return false;
  const auto* lock = static_cast<const struct flock*>(argument);
  const auto first = static_cast<off_t>(lie.first);
  return lock->l_type == F_WRLCK && lock->l_start >= first &&
         lock->l_start < first + static_cast<off_t>(lie.count);
}

int Fcntl(int fd, int command, void* argument) {
  if (IsLiedAbout(command, argument)) return 0;
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
  if (lies) lie = kCommitSlots;
  EXPECT_OK(map.Put("n", 3));
  EXPECT_OK(domain.Sync());
  lie = {};
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

// What the value of a held snapshot is after another process has come, has
// replaced it and freed what nobody needs any more, and has written on.
std::string ValueThatIsHeld(bool lies) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  using Strings = Map<std::string, std::string>;
  // A run of segments each, which are free once it is replaced.
  const auto run = [](char fill) { return std::string(3 << 20, fill); };
  ChildProcess first([&] {
    auto own = Domain::Open(path, Quiet());
    if (!own.ok()) return 1;
    auto map = own->Collection<Strings>("m");
    if (!map.ok() || !map->Put("k", run('a')).ok()) return 2;
    auto held = own->Now();
    if (!held.ok()) return 3;
    ChildProcess other([&] {
      if (lies) lie = kProcessSlots;
      auto domain = Domain::Open(path, Quiet());
      lie = {};
      if (!domain.ok()) return 1;
      auto in_other = domain->Collection<Strings>("m");
      if (!in_other.ok() || !in_other->Put("k", run('b')).ok()) return 2;
      if (!domain->Reclaim().ok()) return 3;
      return in_other->Put("more", run('c')).ok() ? 0 : 4;
    });
    if (other.Wait() != 0) return 4;
    // By what was its segments: they belong to another value, or it is whole.
    const auto found = map->At(*held).Find("k");
    const bool is_whole = found.has_value() && *found == Bytes(run('a'));
    ::_exit(is_whole ? 'a' : 'x');
  });
  return std::string(1, static_cast<char>(first.Wait()));
}

TEST(TwoLeasesTest, EachProcessHasASlotOfItsOwn) {
  EXPECT_EQ(ValueThatIsHeld(/*lies=*/false), "a");
}

// Who takes the slot of the living sweeps its pins.
TEST(TwoLeasesTest, PlantedSlotOfTheLivingIsFound) {
  EXPECT_EQ(ValueThatIsHeld(/*lies=*/true), "x");
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
