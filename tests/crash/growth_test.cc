// How a file grows: it gets its space from the file system before anybody may
// store to it, and before others are told of it. Two planted bugs (docs/
// testing.md) do it otherwise, and what is asked for here must not survive
// them: a store to what is not there is a SIGBUS.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/alloc/segment_table.h"
#include "engine/file/file_observer.h"
#include "engine/file/shared_region.h"
#include "engine/format/offset.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/memory_file_system.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace {

// In this process and those that it forks from then on.
std::atomic<bool> grows_by_ftruncate{false};

}  // namespace

// Instead of the C library's: the program's own definition comes first. The
// planted bug asks for a size and not for space, as ftruncate does.
extern "C" int fallocate(int fd, int mode, off_t offset, off_t size) {
  if (!grows_by_ftruncate || mode != 0) {
    return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, size));
  }
  struct stat now;
  if (::fstat(fd, &now) != 0) return -1;
  return now.st_size >= offset + size ? 0 : ::ftruncate(fd, offset + size);
}

namespace eve {
namespace {

using testing::ChildProcess;
using testing::MemoryFileSystem;
using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// Puts values of `size` until the disk is full. 0: that was said, and all that
// was accepted is there.
int FillUp(const std::string& path, size_t size) {
  auto domain = Domain::Open(path, Quiet());
  if (!domain.ok()) return 1;
  auto map = domain->Collection<Strings>("m");
  if (!map.ok()) return 2;
  const std::string value(size, 'x');
  int written = 0;
  absl::Status put = map->Put("0", value);
  while (put.ok() && written < 100'000) {
    put = map->Put(std::to_string(++written), value);
  }
  if (!absl::IsResourceExhausted(put) || written == 0) return 3;
  for (int i = 0; i < written; ++i) {
    const auto found = map->Get(std::to_string(i));
    if (!found.ok() || *found != value) return 4;
  }
  testing::ExpectCleanCheck(path, *domain);
  return ::testing::Test::HasFailure() ? 5 : 0;
}

// Values that get segments of their own, which nothing but the allocation
// backs: what is stored in others was zeroes before, written by a call.
constexpr size_t kLarge = 3 << 20;

class FullDiskTest : public ::testing::Test {
 protected:
  // How a process ended that filled a small file system up.
  int Fill(bool with_bug) {
    const TempDir dir;
    // Too small for a reserve, which is backed ahead by calls (I22).
    const MemoryFileSystem small(dir.File("small"), "size=8m");
    if (!small.mounted()) return kNoPrivilege;
    ChildProcess child([&] {
      ::signal(SIGBUS, SIG_DFL);  // which a sanitizer reports as its own
      grows_by_ftruncate = with_bug;
      return FillUp(dir.File("small/d.eve"), kLarge);
    });
    return child.Wait();
  }
  static constexpr int kNoPrivilege = 100;
};

TEST_F(FullDiskTest, GrowthByFallocateIsRefusedInTime) {
  const int ended = Fill(/*with_bug=*/false);
  if (ended == kNoPrivilege) GTEST_SKIP() << "mounting is not allowed";
  EXPECT_EQ(ended, 0);
}

TEST_F(FullDiskTest, PlantedGrowthByFtruncateDiesOfIt) {
  const int ended = Fill(/*with_bug=*/true);
  if (ended == kNoPrivilege) GTEST_SKIP() << "mounting is not allowed";
  EXPECT_EQ(ended, -SIGBUS);
}

// Dies at the call that makes the file longer. The planted bug has told all
// others of the segments by then: that they are free, and have their space.
class DiesGrowing : public FileObserver {
 public:
  DiesGrowing(const std::string& path, bool publishes_first)
      : path_(path), publishes_first_(publishes_first) {}

  std::optional<int> Before(const FileCall& call) override {
    if (call.op != FileOp::kAllocate || call.path != path_) return std::nullopt;
    struct stat now;
    const uint64_t end = call.offset + call.size;
    if (::fstat(call.fd, &now) != 0 ||
        end <= static_cast<uint64_t>(now.st_size)) {
      return std::nullopt;
    }
    if (publishes_first_) Publish(end);
    ::kill(::getpid(), SIGKILL);
    return EIO;
  }
  void After(const FileCall&, int) override {}

 private:
  void Publish(uint64_t end) {
    absl::StatusOr<File> file = File::Open(path_ + "-lock", O_RDWR);
    EVE_CHECK(file.ok(), "the lock file is there");
    const absl::StatusOr<SharedRegion> region =
        SharedRegion::Map(*std::move(file), /*writable=*/true);
    EVE_CHECK(region.ok(), "and can be mapped");
    const uint64_t before = region->capacity();
    const uint64_t segments = SegmentsForBytes(end);
    EVE_CHECK(segments > before, "this is growth");
    EVE_CHECK(region->EnsureSegmentStates(segments).ok(), "room for words");
    for (uint64_t i = before; i < segments; ++i) {
      region->segment_state(static_cast<uint32_t>(i)) =
          SegmentWord::Make(SegmentState::kFree, Backing::kBacked, 0, 0, 1)
              .word;
    }
    region->words().capacity = segments;
  }

  const std::string path_;
  const bool publishes_first_;
};

class DeathTest : public ::testing::Test {
 protected:
  // How a process ended that was there before another one died growing the
  // file, and that then needs what that one would have had.
  int GoOnAfterDeath(bool with_bug) {
    const TempDir dir;
    const std::string path = dir.File("d.eve");
    int to_child[2];
    int to_parent[2];
    EVE_CHECK(::pipe(to_child) == 0 && ::pipe(to_parent) == 0, "pipes");
    ChildProcess survivor([&] {
      ::signal(SIGBUS, SIG_DFL);
      char byte;
      auto domain = Domain::Open(path, Quiet());
      if (!domain.ok() || ::write(to_parent[1], "o", 1) != 1) return 1;
      if (::read(to_child[0], &byte, 1) != 1) return 2;
      return WriteAll(path, *domain, 40);
    });
    char byte;
    EXPECT_EQ(::read(to_parent[0], &byte, 1), 1);
    ChildProcess dying([&] {
      auto domain = Domain::Open(path, Quiet());
      if (!domain.ok()) return 1;
      DiesGrowing observer(path, with_bug);
      SetFileObserver(&observer);
      return WriteAll(path, *domain, 1000);
    });
    EXPECT_EQ(dying.Wait(), -SIGKILL);
    EXPECT_EQ(::write(to_child[1], "g", 1), 1);
    const int ended = survivor.Wait();
    for (const int end : {to_child[0], to_child[1], to_parent[0], to_parent[1]})
      ::close(end);
    return ended;
  }

 private:
  static int WriteAll(const std::string& path, Domain& domain, int count) {
    auto map = domain.Collection<Strings>("m");
    if (!map.ok()) return 3;
    const std::string value(300'000, 'x');
    for (int i = 0; i < count; ++i) {
      if (!map->Put(std::to_string(i), value).ok()) return 4;
    }
    for (int i = 0; i < count; ++i) {
      if (map->Get(std::to_string(i)).value_or("") != value) return 5;
    }
    testing::ExpectCleanCheck(path, domain);
    return ::testing::Test::HasFailure() ? 6 : 0;
  }
};

TEST_F(DeathTest, OthersGoOnWhereOneDiedGrowing) {
  EXPECT_EQ(GoOnAfterDeath(/*with_bug=*/false), 0);
}

TEST_F(DeathTest, PlantedPublishingBeforeFallocateTakesOthersAlong) {
  EXPECT_EQ(GoOnAfterDeath(/*with_bug=*/true), -SIGBUS);
}

}  // namespace
}  // namespace eve
