// The name of a domain is durable before anything in it is acknowledged,
// whoever gave it that name and died or failed before he had flushed the
// folder.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "engine/file/file.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/call_list.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::CallList;
using testing::ChildProcess;
using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

TEST(NameTest, EveryFirstOpenerMakesItDurable) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  // The first has only the name from one who died behind the link.
  ChildProcess dead([&] {
    testing::SignalSelfAt(1, SIGKILL, "create.linked");
    return Domain::Open(path, Quiet()).ok() ? 1 : 2;
  });
  ASSERT_EQ(dead.Wait(), -SIGKILL);
  for (int round = 0; round < 3; ++round) {
    CallList seen;
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    EXPECT_EQ(seen.CountOf(FileOp::kSync, DirectoryOf(path)), 1) << round;
    // Who joins has nothing to do.
    ChildProcess other([&] {
      seen.calls.clear();
      if (!Domain::Open(path, Quiet()).ok()) return 1;
      return seen.CountOf(FileOp::kSync, DirectoryOf(path)) == 0 ? 0 : 2;
    });
    EXPECT_EQ(other.Wait(), 0);
    ASSERT_OK(domain.Close());
  }
}

// Who may make a name in a folder and not read it cannot flush it either.
TEST(NameTest, OfAFolderThatMayNotBeReadTheFileSystemIsFlushed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  // Not where tests run, which may be closed to all others.
  TempDir dir("/dev/shm");
  const std::string folder = dir.File("closed");
  ASSERT_EQ(::mkdir(folder.c_str(), 0300), 0);
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(::chown(folder.c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(::chmod(dir.path().c_str(), 0711), 0);
  const std::string path = folder + "/d.eve";
  ChildProcess child([&] {
    if (::setegid(kNobody) != 0 || ::seteuid(kNobody) != 0) return 1;
    CallList seen;
    absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
    if (!domain.ok()) return 2;
    // When it was made: the file, and then all of the file system.
    if (seen.CountOf(FileOp::kSync, path) != 2) return 3;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    return map.ok() && map->Put("k", "v").ok() && domain->Close().ok() ? 0 : 4;
  });
  EXPECT_EQ(child.Wait(), 0);
}

}  // namespace
}  // namespace eve
