// The name of a domain is durable before anything in it is acknowledged,
// whoever gave it that name and died or failed before he had flushed the
// folder.

#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/file/file.h"
#include "engine/file/file_observer.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// What is flushed with its metadata: folders, or all of a file system.
class Syncs : public FileObserver {
 public:
  Syncs() { SetFileObserver(this); }
  ~Syncs() override { SetFileObserver(nullptr); }
  std::optional<int> Before(const FileCall& call) override {
    std::lock_guard lock(mutex_);
    if (call.op == FileOp::kSync) paths_.emplace_back(call.path);
    return std::nullopt;
  }
  void After(const FileCall&, int) override {}

  // How often this one was, since the last call.
  int CountOf(const std::string& path) {
    std::lock_guard lock(mutex_);
    int count = 0;
    for (const std::string& one : paths_) count += one == path ? 1 : 0;
    paths_.clear();
    return count;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> paths_;
};

TEST(NameTest, EveryFirstOpenerMakesItDurable) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  Syncs syncs;
  for (int round = 0; round < 3; ++round) {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    EXPECT_GE(syncs.CountOf(DirectoryOf(path)), 1) << round;
    // Who joins has nothing to do.
    ChildProcess other([&] {
      if (!Domain::Open(path, Quiet()).ok()) return 1;
      return syncs.CountOf(DirectoryOf(path)) == 0 ? 0 : 2;
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
    if (::eaccess(folder.c_str(), W_OK | X_OK) != 0) return 100;
    Syncs syncs;
    absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
    if (!domain.ok()) return 2;
    if (syncs.CountOf(path) < 1) return 3;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    return map.ok() && map->Put("k", "v").ok() && domain->Close().ok() ? 0 : 4;
  });
  const int ended = child.Wait();
  if (ended == 100) GTEST_SKIP() << "nobody cannot come here";
  EXPECT_EQ(ended, 0);
}

}  // namespace
}  // namespace eve
