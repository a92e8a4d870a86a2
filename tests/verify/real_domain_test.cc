// The verifier against what the engine writes: every version must pass, while
// others go on writing too; and damage to such files must be found.
#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/domain/create.h"
#include "engine/format/checksum.h"
#include "engine/format/superblock.h"
#include "engine/verify/verify_chain.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/file_bytes.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/verify/verify_image.h"
#include "util/random.h"

namespace eve::testing {
namespace {

using Strings = Map<std::string, std::string>;

VerifyReport VerifyPath(const std::string& path, uint64_t record_offset = 0) {
  absl::StatusOr<File> file = File::Open(path, O_RDONLY);
  EXPECT_OK(file);
  if (!file.ok()) return {};
  absl::StatusOr<VerifyReport> report =
      VerifyDomain(*file, {.record_offset = record_offset});
  EXPECT_OK(report);
  return report.ok() ? *std::move(report) : VerifyReport();
}

void ExpectClean(const VerifyReport& report) {
  EXPECT_TRUE(report.ok()) << "version " << report.version << "\n"
                           << ErrorsOf(report);
  EXPECT_TRUE(report.warnings.empty()) << ErrorsOf(report);
  EXPECT_GT(report.version, 0u);
}

void ExpectCleanNow(const std::string& path, Domain& domain) {
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
  const VerifyReport report = VerifyPath(path, now.internal_record_offset());
  EXPECT_EQ(report.version, now.version());
  ExpectClean(report);
}

class RealDomainTest : public ::testing::Test {
 protected:
  Domain Open(const DomainOptions& options = {}) {
    absl::StatusOr<Domain> domain = Domain::Open(path_, options);
    EXPECT_OK(domain);
    return domain.ok() ? *std::move(domain) : Domain();
  }

  // A few random changes in one swap.
  void ChangeSomething(Domain& domain, Random& random) {
    const std::string name(1, static_cast<char>('a' + random.Uniform(3)));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>(name));
    if (random.OneIn(60)) {
      ASSERT_OK(domain.Drop(name));
      return;
    }
    const uint64_t changes = random.OneIn(10) ? 3000 : random.Uniform(20) + 1;
    ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
      if (random.OneIn(50)) return map.In(txn).Clear();
      for (uint64_t i = 0; i < changes; ++i) {
        const std::string key = "key" + std::to_string(random.Uniform(5000));
        if (random.OneIn(3)) {
          absl::StatusOr<bool> erased = map.In(txn).Erase(key);
          if (!erased.ok()) return erased.status();
          continue;
        }
        const uint64_t size = random.OneIn(1000) ? random.Uniform(3'000'000)
                              : random.OneIn(10) ? random.Uniform(2000)
                                                 : random.Uniform(100);
        absl::Status put = map.In(txn).Put(key, std::string(size, 'v'));
        if (!put.ok()) return put;
      }
      return absl::OkStatus();
    }));
  }

  void RunAndCheck(uint64_t seed, int rounds) {
    Random random(seed);
    DomainOptions options;
    options.background = random.OneIn(2);
    Domain domain = Open(options);
    for (int i = 0; i < rounds; ++i) {
      ChangeSomething(domain, random);
      if (random.OneIn(10)) ASSERT_OK(domain.Reclaim());
      if (random.OneIn(10)) ASSERT_OK(domain.Sync());
      ExpectCleanNow(path_, domain);
      if (HasFailure()) {
        ADD_FAILURE() << "seed " << seed << ", round " << i;
        return;
      }
      if (random.OneIn(20)) {
        ASSERT_OK(domain.Close());
        ExpectClean(VerifyPath(path_));
        domain = Open(options);
      }
    }
    ASSERT_OK(domain.Close());
    ExpectClean(VerifyPath(path_));
  }

  TempDir dir_;
  std::string path_ = dir_.File("shop.eve");
};

TEST_F(RealDomainTest, ANewDomainIsClean) {
  Domain domain = Open();
  ExpectCleanNow(path_, domain);
  ASSERT_OK(domain.Close());
  ExpectClean(VerifyPath(path_));
}

TEST_F(RealDomainTest, EveryVersionOfARandomHistoryIsClean) {
  RunAndCheck(/*seed=*/1, /*rounds=*/120);
}

TEST_F(RealDomainTest, EveryVersionIsCleanWhereHashesCollide) {
  ASSERT_OK(CreateDomainFile(path_, /*hash_mask=*/0xFF0000000000001F));
  RunAndCheck(/*seed=*/2, /*rounds=*/60);
}

TEST_F(RealDomainTest, ASnapshotIsCleanWhileOthersWrite) {
  Domain domain = Open();
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (uint64_t seed : {3, 4}) {
    writers.emplace_back([&, seed] {
      Random random(seed);
      while (!stop.load() && !HasFailure()) {
        absl::StatusOr<Strings> map = domain.Collection<Strings>(
            std::string(1, static_cast<char>('a' + random.Uniform(4))));
        ASSERT_OK(map);
        EXPECT_OK(map->Put("key" + std::to_string(random.Uniform(3000)),
                           std::string(random.Uniform(300), 'v')));
      }
    });
  }
  uint64_t version = 0;
  for (int i = 0; (i < 40 || version < 3000) && !HasFailure(); ++i) {
    ExpectCleanNow(path_, domain);
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
    version = now.version();
  }
  stop.store(true);
  for (std::thread& writer : writers) writer.join();
}

// [from, to) of the bytes that the newest durable root accounts for.
std::vector<std::pair<uint64_t, uint64_t>> LiveExtents(
    const std::string& path) {
  std::vector<std::pair<uint64_t, uint64_t>> extents;
  const VerifyReport report = VerifyPath(path);
  absl::StatusOr<File> file = File::Open(path, O_RDONLY);
  Superblock superblock;
  EXPECT_OK(file->ReadAt(0, &superblock, sizeof(superblock)));
  VerifyReport unused;
  verify::ErrorLog log(&unused, 1);
  verify::ReachMap reach;
  verify::BlockReader reader(&*file, report.file_bytes,
                             ChecksumSalt(superblock.uuid), &log);
  const verify::Chain chain = verify::ReadChain(
      Offset::FromBytes(report.root_offset), reader, reach, log);
  std::vector<AccountingRow> rows;
  EXPECT_TRUE(verify::ReadRows(chain, reader, reach, log, rows));
  for (uint32_t i = 0; i < rows.size(); ++i) {
    if (rows[i].live_units == 0) continue;
    const uint64_t base = SegmentOffset(i).bytes();
    extents.emplace_back(base + SegmentStartUnits(i) * kUnitBytes,
                         base + rows[i].fill_units * kUnitBytes);
  }
  return extents;
}

class RealDamageTest : public RealDomainTest {
 protected:
  // A domain of several thousand records and some history.
  void Fill(uint64_t seed, int rounds) {
    DomainOptions options;
    options.background = false;
    Domain domain = Open(options);
    Random random(seed);
    for (int i = 0; i < rounds; ++i) {
      ChangeSomething(domain, random);
      ASSERT_OK(domain.Reclaim());
      ASSERT_OK(domain.Sync());
    }
    ASSERT_OK(domain.Close());
    ExpectClean(VerifyPath(path_));
  }
};

TEST_F(RealDamageTest, AFlippedBitAnywhereIsFound) {
  Fill(/*seed=*/5, /*rounds=*/30);
  const auto extents = LiveExtents(path_);
  absl::StatusOr<File> file = File::Open(path_, O_RDWR);
  ASSERT_OK(file);
  Random random(6);
  for (int i = 0; i < 300; ++i) {
    const auto& [from, to] = extents[random.Uniform(extents.size())];
    const uint64_t at = from + random.Uniform(to - from);
    char byte;
    ASSERT_OK(file->ReadAt(at, &byte, 1));
    const char flipped = static_cast<char>(byte ^ (1 << random.Uniform(8)));
    ASSERT_OK(file->WriteAt(at, &flipped, 1));
    EXPECT_FALSE(VerifyPath(path_).ok()) << "at byte " << at;
    ASSERT_OK(file->WriteAt(at, &byte, 1));
  }
  ExpectClean(VerifyPath(path_));
}

TEST_F(RealDamageTest, AZeroedPageIsFound) {
  Fill(/*seed=*/7, /*rounds=*/20);
  absl::StatusOr<File> file = File::Open(path_, O_RDWR);
  ASSERT_OK(file);
  Random random(8);
  const auto extents = LiveExtents(path_);
  for (int i = 0; i < 100; ++i) {
    const auto& [from, to] = extents[random.Uniform(extents.size())];
    const uint64_t at =
        (from + random.Uniform(to - from)) / kPageBytes * kPageBytes;
    std::string page(kPageBytes, '\0');
    ASSERT_OK(file->ReadAt(at, page.data(), page.size()));
    const std::string zeroes(kPageBytes, '\0');
    if (page == zeroes) continue;
    ASSERT_OK(file->WriteAt(at, zeroes.data(), zeroes.size()));
    EXPECT_FALSE(VerifyPath(path_).ok()) << "page at byte " << at;
    ASSERT_OK(file->WriteAt(at, page.data(), page.size()));
  }
}

// A disk that drops a write leaves what was there before: whole old blocks with
// valid checksums, among them former versions of the same tree.
TEST_F(RealDamageTest, ALostWriteIsFound) {
  int lost = 0;
  for (uint64_t round = 0; round < 10; ++round) {
    Fill(/*seed=*/10 + round, /*rounds=*/10);
    const std::string before = ReadFile(path_);
    Fill(/*seed=*/30 + round, /*rounds=*/40);
    const std::string after = ReadFile(path_);
    absl::StatusOr<File> file = File::Open(path_, O_RDWR);
    ASSERT_OK(file);
    Random random(round);
    const auto extents = LiveExtents(path_);
    for (int i = 0; i < 60; ++i) {
      const auto& [from, to] = extents[random.Uniform(extents.size())];
      const uint64_t page =
          (from + random.Uniform(to - from)) / kPageBytes * kPageBytes;
      // Only what the newest root accounts for.
      const uint64_t begin = std::max(page, from);
      const uint64_t size = std::min(page + kPageBytes, to) - begin;
      if (begin + size > before.size() ||
          before.compare(begin, size, after, begin, size) == 0) {
        continue;
      }
      ++lost;
      ASSERT_OK(file->WriteAt(begin, before.data() + begin, size));
      EXPECT_FALSE(VerifyPath(path_).ok()) << "page at byte " << page;
      ASSERT_OK(file->WriteAt(begin, after.data() + begin, size));
    }
    ExpectClean(VerifyPath(path_));
  }
  EXPECT_GT(lost, 20);
}

TEST_F(RealDamageTest, ATruncatedFileIsFound) {
  Fill(/*seed=*/9, /*rounds=*/10);
  const std::string whole = ReadFile(path_);
  const auto extents = LiveExtents(path_);
  Random random(9);
  for (int i = 0; i < 50; ++i) {
    const uint64_t size = random.Uniform(extents.back().second);
    EXPECT_TRUE(IsDamageFound(VerifyImage(whole.substr(0, size))))
        << size << " bytes left";
  }
}

}  // namespace
}  // namespace eve::testing
