// The views are mapped with 2-MiB pages where the file system gives them, and
// with small ones, and the same results, where it does not.

#include <string>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/memory_file_system.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::MemoryFileSystem;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// Fills some segments there, reads all of it, and returns the figures.
void FillAndRead(const std::string& path, DomainStats* stats) {
  constexpr int kKeys = 4000;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, testing::Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_OK(map.Put("key" + std::to_string(i), std::string(4000, 'v')));
  }
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_EQ(map.Get("key" + std::to_string(i)).value(),
              std::string(4000, 'v'));
  }
  ASSERT_OK_AND_ASSIGN(*stats, domain.Stats());
  testing::ExpectCleanCheck(path, domain);
}

TEST(HugePagesTest, AreUsedWhereTheFileSystemHasThem) {
  TempDir dir;
  MemoryFileSystem huge(dir.File("huge"), "size=256m,huge=always");
  if (!huge.mounted()) {
    GTEST_SKIP() << "no privilege to mount, or a kernel without huge pages";
  }
  DomainStats stats;
  ASSERT_NO_FATAL_FAILURE(FillAndRead(dir.File("huge/d.eve"), &stats));
  // Both views; the first segments, filled in steps, may have small ones.
  EXPECT_GE(stats.huge_mapped_bytes, stats.mapped_bytes / 2);
  EXPECT_GE(stats.huge_mapped_bytes, 16u << 20);
}

TEST(HugePagesTest, SmallOnesDoWhereItHasNone) {
  TempDir dir;
  MemoryFileSystem plain(dir.File("plain"), "size=256m,huge=never");
  if (!plain.mounted()) GTEST_SKIP() << "no privilege to mount";
  DomainStats stats;
  ASSERT_NO_FATAL_FAILURE(FillAndRead(dir.File("plain/d.eve"), &stats));
  EXPECT_EQ(stats.huge_mapped_bytes, 0u);
  EXPECT_GE(stats.mapped_bytes, 16u << 20);
}

}  // namespace
}  // namespace eve
