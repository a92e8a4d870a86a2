// Bad input is a clear error, never a crash, and loses nothing: damaged
// superblock, slots and lock file, truncation, other versions, wrong types,
// directories, no permission, forked children.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "engine/file/file.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
#include "engine/format/superblock.h"
#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/lock_file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using testing::ChildProcess;
using ::testing::ContainsRegex;
using testing::TempDir;
using Strings = Map<std::string, std::string>;
using Ordered = OrderedMap<std::string, std::string>;

constexpr int kKeys = 500;
// Every tenth has a block of its own.
std::string ValueOf(int i) { return std::string(i % 10 == 9 ? 900 : 200, 'v'); }

class BadInputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_OK(map.Put("key" + std::to_string(i), ValueOf(i)));
    }
    ASSERT_OK_AND_ASSIGN(Snapshot now, domain.Now());
    version_ = now.version();
    ASSERT_OK(domain.Close());
  }
  void Overwrite(uint64_t offset, const std::string& bytes) {
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
    ASSERT_OK(file.WriteAt(offset, bytes.data(), bytes.size()));
  }
  void Rewrite(const Superblock& superblock) {
    Overwrite(0, std::string(static_cast<const char*>(
                                 static_cast<const void*>(&superblock)),
                             sizeof(superblock)));
  }
  Superblock Read() {
    Superblock superblock;
    const absl::StatusOr<File> file = File::Open(path_, O_RDONLY);
    EXPECT_OK(file);
    EXPECT_OK(file->ReadAt(0, &superblock, sizeof(superblock)));
    return superblock;
  }
  static void ExpectMessage(const absl::StatusOr<Domain>& opened,
                            const std::string& part) {
    EXPECT_NE(std::string(opened.status().message()).find(part),
              std::string::npos)
        << opened.status();
  }
  // Only a failed check may be called corruption.
  static void ExpectNotCalledCorrupt(const absl::StatusOr<Domain>& opened) {
    EXPECT_EQ(std::string(opened.status().message()).find("corrupt"),
              std::string::npos)
        << opened.status();
  }

  // Damages copies of the domain; whatever Get() says of them is right.
  template <class M>
  void ExpectGetNeverLies(const std::string& name, int rounds) {
    const uint64_t seed = 20260101;
    Random random(seed);
    int found_damage = 0;
    for (int round = 0; round < rounds; ++round) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " round " +
                   std::to_string(round));
      const std::string copy = dir_.File("hurt" + std::to_string(round));
      ASSERT_NO_FATAL_FAILURE(HurtCopy(copy, random));
      DomainOptions options;
      options.background = false;
      options.verify_reads = true;
      auto opened = Domain::Open(copy, options);
      if (!opened.ok()) continue;
      // It may have fallen back to an older checkpoint, and then says so.
      if (opened->Now().value().version() < version_) {
        EXPECT_THAT(opened->Stats().value().recovery,
                    ContainsRegex("^durable version [0-9]+; slot [0-9]+"));
        continue;
      }
      auto map = opened->template Collection<M>(name);
      if (!map.ok()) continue;
      for (int i = 0; i < kKeys; ++i) {
        const auto got = map->Get("key" + std::to_string(i));
        if (got.ok()) {
          EXPECT_EQ(*got, ValueOf(i));
        } else {
          EXPECT_CODE(got, absl::StatusCode::kDataLoss);
          ++found_damage;
        }
      }
      std::filesystem::remove(copy);
      std::filesystem::remove(copy + "-lock");
    }
    EXPECT_GT(found_damage, 0);
  }
  void HurtCopy(const std::string& copy, Random& random) {
    const uint64_t size = std::filesystem::file_size(path_);
    std::filesystem::copy_file(path_, copy);
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(copy, O_RDWR));
    for (int i = 0; i < 8; ++i) {
      const uint64_t noise = random.Next();
      ASSERT_OK(file.WriteAt(
          kFirstBlockOffset + random.Uniform(size - kFirstBlockOffset - 8),
          &noise, 1 + random.Uniform(8)));
    }
    // Else it would be read whole before it is opened.
    EXPECT_TRUE(testing::WriteLockFileOfOtherBoot(copy));
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  uint64_t version_ = 0;  // when it was closed
};

TEST_F(BadInputTest, SuperblockWithAFlippedByteIsDataLossWithItsOffset) {
  // Random in each file: another byte than the one that is there.
  constexpr uint64_t kSomewhere = 60;
  const Superblock before = Read();
  const void* bytes = &before;
  const char byte = static_cast<const char*>(bytes)[kSomewhere];
  Overwrite(kSomewhere, std::string(1, static_cast<char>(byte ^ 1)));
  const auto opened = Domain::Open(path_);
  EXPECT_CODE(opened, absl::StatusCode::kDataLoss);
  ExpectMessage(opened, "checksum at offset 120");
}

TEST_F(BadInputTest, OtherFilesAreNotDomains) {
  Overwrite(0, "#!/bin/sh");
  const auto opened = Domain::Open(path_);
  EXPECT_CODE(opened, absl::StatusCode::kInvalidArgument);
  ExpectNotCalledCorrupt(opened);
  const std::string empty = dir_.File("empty");
  { ASSERT_OK(File::Open(empty, O_CREAT | O_RDWR)); }
  EXPECT_CODE(Domain::Open(empty), absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(Domain::Open(dir_.path()), absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(Domain::Open("/dev/null"), absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(Domain::Open(""), absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(Domain::Open(dir_.File("no/such/dir.eve")),
              absl::StatusCode::kNotFound);
  DomainOptions existing;
  existing.create = false;
  EXPECT_CODE(Domain::Open(dir_.File("absent.eve"), existing),
              absl::StatusCode::kNotFound);
}

TEST_F(BadInputTest, OtherVersionsFeaturesAndSizesAreNamed) {
  const Superblock good = Read();
  Superblock other = good;
  other.format_version = 99;
  Rewrite(other);
  auto opened = Domain::Open(path_);
  EXPECT_CODE(opened, absl::StatusCode::kFailedPrecondition);
  ExpectMessage(opened, "version 99");
  ExpectNotCalledCorrupt(opened);
  other = good;
  other.features_must = 4;
  other.checksum =
      HashBytes(&other, offsetof(Superblock, checksum), kDomainMagic);
  Rewrite(other);
  opened = Domain::Open(path_);
  EXPECT_CODE(opened, absl::StatusCode::kFailedPrecondition);
  ExpectMessage(opened, "features");
  Rewrite(good);
  EXPECT_OK(Domain::Open(path_));
}

TEST_F(BadInputTest, DamagedSlotsFallBackUntilNoneIsLeft) {
  std::filesystem::remove(path_ + "-lock");
  // The newest of them; which is it?
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    Overwrite(CommitSlotPosition(slot) + 100, "torn");
  }
  const auto opened = Domain::Open(path_);
  EXPECT_CODE(opened, absl::StatusCode::kDataLoss);
  ExpectMessage(opened, "commit slots");
}

TEST_F(BadInputTest, OneDamagedSlotCostsNothingButItsCheckpoint) {
  std::filesystem::remove(path_ + "-lock");
  int intact = 0;
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    const std::string copy = dir_.File("copy" + std::to_string(slot));
    std::filesystem::copy_file(path_, copy);
    {
      ASSERT_OK_AND_ASSIGN(const File file, File::Open(copy, O_RDWR));
      ASSERT_OK(file.WriteAt(CommitSlotPosition(slot) + 100, "torn", 4));
    }
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy));
    testing::ExpectCleanCheck(copy, domain);
    const auto infos = domain.Collections();
    ASSERT_OK(infos);
    intact += infos->size() == 1 && infos->at(0).count == 500;
  }
  // Closing after an orderly checkpoint: one slot alone holds the newest.
  EXPECT_GE(intact, static_cast<int>(kCommitSlotCount) - 2);
}

TEST_F(BadInputTest, TruncatedFilesAreNamedAsSuch) {
  const uint64_t size = std::filesystem::file_size(path_);
  uint64_t last = 0;
  for (uint64_t cut = 0; cut < size; cut += 40960) {
    const std::string copy = dir_.File("cut.eve");
    std::filesystem::copy_file(
        path_, copy, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(copy, cut);
    std::filesystem::remove(copy + "-lock");
    DomainOptions options;
    options.background = false;
    const auto opened = Domain::Open(copy, options);
    if (opened.ok()) {
      // Cut behind the last byte that anything needs.
      Domain domain = *opened;
      testing::ExpectCleanCheck(copy, domain);
      last = last == 0 ? cut : last;
      continue;
    }
    EXPECT_EQ(last, 0u) << "a longer file is worse than a shorter one";
    if (cut >= sizeof(Superblock)) {
      EXPECT_CODE(opened, absl::StatusCode::kDataLoss);
      ExpectMessage(opened, "truncated");
    } else {
      EXPECT_CODE(opened, absl::StatusCode::kInvalidArgument);
    }
    ExpectNotCalledCorrupt(opened);
  }
}

// Random damage anywhere: opening and reading gives errors or right answers.
TEST_F(BadInputTest, RandomDamageNeverCrashesAndGetNeverLies) {
  ExpectGetNeverLies<Strings>("m", 150);
}

TEST_F(BadInputTest, RandomDamageNeverCrashesAndGetNeverLiesOfTrees) {
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_));
    // No leaf of the other collection takes the damage.
    ASSERT_OK(domain.Drop("m"));
    ASSERT_OK_AND_ASSIGN(Ordered map, domain.Collection<Ordered>("t"));
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_OK(map.Put("key" + std::to_string(i), ValueOf(i)));
    }
    ASSERT_OK(domain.Reclaim());
    ASSERT_OK_AND_ASSIGN(Snapshot now, domain.Now());
    version_ = now.version();
    ASSERT_OK(domain.Close());
  }
  ExpectGetNeverLies<Ordered>("t", 150);
}

TEST_F(BadInputTest, DamagedLockFileCostsAtMostTheUnsyncedCommits) {
  for (const uint64_t at : {0, 20, 80, 4096, 4100, 8192, 200000}) {
    {
      ASSERT_OK_AND_ASSIGN(const File file,
                           File::Open(path_ + "-lock", O_RDWR));
      const std::string noise(64, '\xA7');
      ASSERT_OK(file.WriteAt(at, noise.data(), noise.size()));
    }
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    EXPECT_EQ(map.size().value(), 500u);
    testing::ExpectCleanCheck(path_, domain);
    ASSERT_OK(domain.Close());
  }
  std::filesystem::resize_file(path_ + "-lock", 10);
  EXPECT_OK(Domain::Open(path_));
  std::filesystem::remove(path_ + "-lock");
  std::filesystem::create_directory(path_ + "-lock");
  EXPECT_CODE(Domain::Open(path_), absl::StatusCode::kInvalidArgument);
}

TEST_F(BadInputTest, NoPermissionIsSaidAndReadOnlyWorks) {
  // Where every user may look: the tests' own folder may be closed to others.
  TempDir open_dir("/tmp");
  const std::string path = open_dir.File("d.eve");
  std::filesystem::copy_file(path_, path);
  ASSERT_OK(Domain::Open(path));  // makes the lock file
  ASSERT_EQ(::chmod(open_dir.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_EQ(::chmod((path + "-lock").c_str(), 0644), 0);
  // Root may do everything: drop to another user in a child.
  ChildProcess child([&] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) {
      return 1;
    }
    const auto refused = Domain::Open(path);
    if (refused.status().code() != absl::StatusCode::kPermissionDenied) {
      return 2;
    }
    DomainOptions options;
    options.read_only = true;
    auto opened = Domain::Open(path, options);
    if (!opened.ok()) return 3;
    auto map = opened->Collection<Strings>("m");
    if (!map.ok()) return 4;
    return map->Get("key7").ok() ? 0 : 5;
  });
  EXPECT_EQ(child.Wait(), ::geteuid() == 0 ? 0 : 2);
}

TEST_F(BadInputTest, WrongTypesAndNamesAreRefused) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_));
  using Ints = Map<std::string, int64_t>;
  EXPECT_CODE(domain.Collection<Ints>("m"),
              absl::StatusCode::kFailedPrecondition);
  EXPECT_CODE(domain.Collection<Strings>(""),
              absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(domain.Collection<Strings>(std::string(256, 'n')),
              absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(domain.Collection<Strings>(std::string_view("a\0b", 3)),
              absl::StatusCode::kInvalidArgument);
  EXPECT_OK(domain.Collection<Strings>(std::string(255, 'n')));
  DomainOptions bad;
  bad.checkpoint_every = absl::ZeroDuration();
  EXPECT_CODE(Domain::Open(dir_.File("x"), bad),
              absl::StatusCode::kInvalidArgument);
  bad = {};
  bad.max_bytes = 1;
  EXPECT_CODE(Domain::Open(dir_.File("x"), bad),
              absl::StatusCode::kInvalidArgument);
}

TEST_F(BadInputTest, QuotaIsAClearErrorAndTheDomainStaysUsable) {
  DomainOptions options;
  options.max_bytes = 8 << 20;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, options));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  absl::Status status;
  for (int i = 0; status.ok() && i < 100000; ++i) {
    status = map.Put("more" + std::to_string(i), std::string(1000, 'x'));
  }
  EXPECT_CODE(status, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(map.Get("key1").value(), std::string(200, 'v'));
  ASSERT_OK(domain.Sync());
  testing::ExpectCleanCheck(path_, domain);
}

TEST_F(BadInputTest, ForkedChildGetsErrorsAndTheParentIsUnharmed) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  std::optional<Snapshot> held;
  {
    ASSERT_OK_AND_ASSIGN(Snapshot now, domain.Now());
    held.emplace(now);
  }
  ChildProcess child([&] {
    const auto refused = [](const absl::Status& status) {
      return status.code() == absl::StatusCode::kFailedPrecondition;
    };
    if (!refused(map.Put("k", "v"))) return 1;
    if (!refused(map.Get("key1").status())) return 2;
    if (!refused(domain.Now().status())) return 3;
    if (!refused(domain.Sync())) return 4;
    if (!refused(domain.Stats().status())) return 5;
    held.reset();  // must not clear the parent's pin
    auto again = Domain::Open(path_);
    if (!again.ok()) return 6;
    auto in_child = again->Collection<Strings>("m");
    if (!in_child.ok()) return 7;
    if (!in_child->Put("from the child", "v").ok()) return 8;
    return again->Close().ok() ? 0 : 9;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(map.Get("from the child").value(), "v");
  ASSERT_OK(map.Put("key1", "new"));
  EXPECT_EQ(map.At(*held).Find("key1").value(), Bytes(std::string(200, 'v')));
  const DomainStats stats = domain.Stats().value();
  EXPECT_EQ(stats.processes, 1u);
  EXPECT_EQ(stats.oldest_pin, held->version());
}

}  // namespace
}  // namespace eve
