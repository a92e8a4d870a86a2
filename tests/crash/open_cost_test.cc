// Opening after a death reads what grows with the number of segments, and what
// was written since the last checkpoint, but not the data.
//
// Method: a domain of two sizes, in memory, whose process is killed behind a
// checkpoint and a little more; a child opens it and counts what it has read by
// calls (/proc/self/io) and which pages of the read view it has touched
// (/proc/self/pagemap: these are whole folios, so a touch counts for 2 MiB).

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "engine/file/file.h"
#include "engine/format/constants.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/lock_file.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::SharedValue;
using Strings = Map<std::string, std::string>;

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kSmall = 32 * kMiB;
constexpr uint64_t kLarge = 512 * kMiB;

// What there may be of a segment: its row in the accounting, twice, and words
// of the lock file.
constexpr uint64_t kBytesASegment = 1024;
// The tops of the structures, the newest commits and the accounting lie in a
// few segments.
constexpr uint64_t kFolios = 24;

struct Cost {
  uint64_t bytes_read;
  uint64_t bytes_touched;
  uint64_t version;
};

class OpenCostTest : public ::testing::Test {
 protected:
  // Fills up to `bytes`, erases a third of it, so that no segment is full,
  // makes that durable, commits `late` more and dies.
  void FillAndDie(const std::string& path, uint64_t bytes, uint64_t late) {
    ChildProcess child([&] {
      auto domain = Domain::Open(path, Quiet());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Strings>("m");
      if (!map.ok()) return 2;
      const std::string value(60'000, 'v');
      const auto put = [&](const char* prefix, uint64_t size) {
        for (uint64_t done = 0; done < size;) {
          const auto committed = domain->Swap([&](Transaction& txn) {
            absl::Status status;
            for (int i = 0; i < 100 && done < size && status.ok(); ++i) {
              done += value.size();
              status = map->In(txn).Put(absl::StrCat(prefix, done), value);
            }
            return status;
          });
          if (!committed.ok()) return false;
        }
        return true;
      };
      if (!put("k", bytes)) return 3;
      const auto erased = domain->Swap([&](Transaction& txn) {
        absl::Status status;
        auto writer = map->In(txn);
        for (uint64_t at = value.size(); at <= bytes && status.ok();
             at += 3 * value.size()) {
          status = writer.Erase(absl::StrCat("k", at)).status();
        }
        return status;
      });
      if (!erased.ok() || !domain->Sync().ok()) return 5;
      if (!put("late", late)) return 4;
      return ::raise(SIGKILL);
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
  }

  static uint64_t BytesReadByCalls() {
    std::ifstream io("/proc/self/io");
    std::string name;
    uint64_t value = 0;
    io >> name >> value;
    return name == "rchar:" ? value : 0;
  }
  static uint64_t BytesTouched(const char* data, uint64_t bytes) {
    const File pagemap = File::Open("/proc/self/pagemap", O_RDONLY).value();
    std::vector<uint64_t> entries(bytes / kPageBytes);
    const uint64_t first = reinterpret_cast<uintptr_t>(data) / kPageBytes;
    if (!pagemap
             .ReadAt(first * sizeof(uint64_t), entries.data(),
                     entries.size() * sizeof(uint64_t))
             .ok()) {
      return UINT64_MAX;
    }
    const auto present =
        std::count_if(entries.begin(), entries.end(),
                      [](uint64_t entry) { return entry >> 63 != 0; });
    return static_cast<uint64_t>(present) * kPageBytes;
  }
  Cost Open(const std::string& path) {
    SharedValue<Cost> cost;
    ChildProcess child([&] {
      const uint64_t before = BytesReadByCalls();
      auto instance = internal::OpenInstance(path, Quiet());
      if (!instance.ok()) return 1;
      cost->bytes_read = BytesReadByCalls() - before;
      const Core& core = (*instance)->core();
      cost->bytes_touched =
          BytesTouched(core.read_mapping.data(), core.file.Size().value());
      cost->version = (*instance)->durable_version();
      return cost->bytes_read > 0 ? 0 : 2;
    });
    EXPECT_EQ(child.Wait(), 0);
    return *cost;
  }

  testing::TempDir dir_{::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : nullptr};
  const std::string small_ = dir_.File("small.eve");
  const std::string large_ = dir_.File("large.eve");
};

TEST_F(OpenCostTest, DoesNotGrowWithTheData) {
  constexpr uint64_t kLate = 2 * kMiB;
  FillAndDie(small_, kSmall, kLate);
  FillAndDie(large_, kLarge, kLate);
  const uint64_t more = (kLarge - kSmall) / kSegmentBytes * kBytesASegment;
  // By the live root, and then, as it is since, by a slot in another boot.
  for (const bool is_rebooted : {false, true}) {
    SCOPED_TRACE(is_rebooted);
    if (is_rebooted) {
      ASSERT_TRUE(testing::WriteLockFileOfOtherBoot(small_));
      ASSERT_TRUE(testing::WriteLockFileOfOtherBoot(large_));
    }
    const Cost small = Open(small_);
    const Cost large = Open(large_);
    EXPECT_LE(large.bytes_read, small.bytes_read + more);
    EXPECT_LE(small.bytes_touched, kFolios * kSegmentBytes + kLate);
    EXPECT_LE(large.bytes_touched, kFolios * kSegmentBytes + kLate + more);
    EXPECT_LT(large.bytes_touched, kLarge / 4);
  }
}

// What a live root has beyond the last checkpoint is summed (P23), and no more:
// with kNone that may be all.
TEST_F(OpenCostTest, GrowsWithWhatWasNotCheckpointed) {
  FillAndDie(small_, 0, kSmall);
  const Cost all = Open(small_);
  EXPECT_GE(all.bytes_touched + all.bytes_read, kSmall);
  // It is durable now.
  const Cost again = Open(small_);
  EXPECT_LT(again.bytes_touched + again.bytes_read, all.bytes_touched);
}

// A file that is not known is read whole, once.
TEST_F(OpenCostTest, OfACopyAllIsReadOnce) {
  FillAndDie(small_, kSmall, 0);
  ::unlink((small_ + "-lock").c_str());
  const Cost first = Open(small_);
  EXPECT_GE(first.bytes_read, kSmall);
  const Cost again = Open(small_);
  EXPECT_LT(again.bytes_read, kSmall / 4);
}

}  // namespace
}  // namespace eve
