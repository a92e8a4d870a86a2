// An outsider has cut a domain that nobody has open, anywhere: it says how far
// the file goes, and does not go on without the rest. Who has it open dies
// when it meets the end, and serves nothing wrong until then.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "engine/checkpoint/recovery.h"
#include "engine/file/file.h"
#include "engine/format/commit_slot.h"
#include "engine/format/constants.h"
#include "engine/format/superblock.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/file_bytes.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// Of a file of so many bytes, which must stay as it is.
void ExpectTruncated(const std::string& path, uint64_t bytes,
                     bool is_read_only) {
  DomainOptions options = Quiet();
  options.create = false;
  options.read_only = is_read_only;
  const absl::Status opened = Domain::Open(path, options).status();
  EXPECT_CODE(opened, absl::StatusCode::kDataLoss);
  const std::string message(opened.message());
  EXPECT_NE(message.find("truncated"), std::string::npos) << message;
  EXPECT_NE(message.find(std::to_string(bytes)), std::string::npos) << message;
  EXPECT_EQ(std::filesystem::file_size(path), bytes);
}

constexpr int kCutKeys = 700;

// Whether it opens, and nothing is lost.
bool IsAllThere(const std::string& path) {
  DomainOptions options = Quiet();
  options.create = false;
  options.read_only = true;
  absl::StatusOr<Domain> domain = Domain::Open(path, options);
  if (!domain.ok()) return false;
  absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
  if (!map.ok() || map->Get("k").value_or("") != "v") return false;
  for (int i = 0; i < kCutKeys; ++i) {
    if (map->Get("k" + std::to_string(i)).value_or("").size() != 3000) {
      return false;
    }
  }
  return true;
}

class TruncationTest : public ::testing::TestWithParam<std::tuple<bool, bool>> {
};

TEST_P(TruncationTest, AnywhereIsACleanError) {
  const auto [keeps_lock_file, is_synchronous] = GetParam();
  TempDir dir;
  const std::string path = dir.File("d.eve");
  {
    DomainOptions options = Quiet();
    options.durability =
        is_synchronous ? Durability::kSync : Durability::kCheckpoint;
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    // Of a size that a checkpoint knows, and then longer.
    ASSERT_OK(map.Put("k", "v"));
    ASSERT_OK(domain.Sync());
    for (int i = 0; i < kCutKeys; ++i) {
      ASSERT_OK(map.Put("k" + std::to_string(i), std::string(3000, 'v')));
    }
    ASSERT_OK(domain.Close());
  }
  const uint64_t size = std::filesystem::file_size(path);
  const std::string whole =
      testing::CopyAfterPowerLoss(path, dir.File("whole.eve"));
  int refused = 0;
  // Every page of superblock, slots and first blocks, then some.
  for (uint64_t at = 0; at < size;
       at += at < kSegmentBytes / 2 ? kPageBytes : 7 * kPageBytes) {
    SCOPED_TRACE("cut at " + std::to_string(at));
    // The same inode, so that the lock file belongs to it.
    std::filesystem::copy_file(
        whole, path, std::filesystem::copy_options::overwrite_existing);
    if (!keeps_lock_file) std::filesystem::remove(path + "-lock");
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(at)), 0);
    if (at == 0) {
      DomainOptions options = Quiet();
      options.create = false;
      EXPECT_CODE(Domain::Open(path, options).status(),
                  absl::StatusCode::kInvalidArgument);
      continue;
    }
    // What a synchronous slot tells of the size may be less than it was: then
    // only free space is missing.
    if (is_synchronous && IsAllThere(path)) continue;
    ExpectTruncated(path, at, /*is_read_only=*/true);
    ExpectTruncated(path, at, /*is_read_only=*/false);
    ++refused;
    if (HasFailure()) return;
  }
  EXPECT_GT(refused, 300);
}

// A synchronous commit's slot reaches the disk together with what it lists.
// With the rest of the file cut off that looks like a commit that the power
// failed under, and the root before it is whole. But of one that was killed
// this boot knows that it was acknowledged, and of one that was closed the slot
// tells.
class GrownTruncationTest : public ::testing::TestWithParam<bool> {};

// Makes one that the file grows for, in a process of its own, which closes the
// domain or is killed. Returns how long the file was before.
uint64_t GrowByASynchronousCommit(const std::string& path, bool closes) {
  testing::SharedValue<uint64_t> before;
  testing::ChildProcess child([&] {
    const DomainOptions options = testing::Synchronous();
    absl::StatusOr<Domain> domain = Domain::Open(path, options);
    if (!domain.ok()) return 1;
    {
      absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
      if (!map.ok() || !map->Put("k", "v").ok() || !domain->Sync().ok()) {
        return 2;
      }
      *before = std::filesystem::file_size(path);
      if (!map->Put("run", std::string(3 << 20, 'v')).ok()) return 3;
    }
    if (!closes) ::raise(SIGKILL);
    return domain->Close().ok() ? 0 : 4;
  });
  EXPECT_EQ(child.Wait(), closes ? 0 : -SIGKILL);
  return *before;
}

TEST_P(GrownTruncationTest, WhatWasAcknowledgedIsMissed) {
  const bool closes = GetParam();
  TempDir dir;
  const std::string path = dir.File("d.eve");
  const uint64_t before = GrowByASynchronousCommit(path, closes);
  if (closes) std::filesystem::remove(path + "-lock");
  ASSERT_GT(std::filesystem::file_size(path), before);
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(before)), 0);
  ExpectTruncated(path, before, /*is_read_only=*/true);
  ExpectTruncated(path, before, /*is_read_only=*/false);
}

// An image of another time, written over the file in this boot, with its newest
// commit half on disk: that a region of now knows newer versions says nothing
// of its slots.
TEST(OtherTimeTest, WhatAnotherIncarnationPromisedIsNotMissed) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  const uint64_t before = GrowByASynchronousCommit(path, /*closes=*/false);
  const std::string image = testing::ReadFile(path).substr(0, before);
  GrowByASynchronousCommit(path, /*closes=*/false);
  {
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(before)), 0);
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path, O_RDWR));
    ASSERT_OK(file.WriteAt(0, image.data(), image.size()));
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), "v");
  EXPECT_CODE(map.Get("run"), absl::StatusCode::kNotFound);
}

// The slots of a domain that nobody has open, newest first.
class Slots {
 public:
  explicit Slots(const std::string& path)
      : file_(File::Open(path, O_RDWR).value()) {
    EXPECT_OK(file_.ReadAt(0, &superblock_, sizeof(superblock_)));
    slots_ = ReadCommitSlots(file_, superblock_).value();
  }

  size_t size() const { return slots_.size(); }
  uint32_t IndexOf(size_t nth) const { return slots_[nth].slot_index; }
  // Writes the n-th to this place, with other fields.
  void Write(size_t nth, uint32_t index,
             const std::function<void(CommitSlotFields&)>& change) {
    const CommitSlot& slot = slots_[nth];
    ASSERT_EQ(slot.extent_count, 0u);
    CommitSlotFields fields{
        slot.incarnation,   slot.version,    slot.record, slot.record_hash,
        slot.segment_count, slot.file_bytes, {}};
    change(fields);
    const CommitSlot written = MakeCommitSlot(index, fields, superblock_.uuid);
    ASSERT_OK(
        file_.WriteAt(CommitSlotPosition(index), &written, sizeof(written)));
  }

 private:
  File file_;
  Superblock superblock_;
  std::vector<CommitSlot> slots_;
};

// Eve cuts the file for the two newest roots, and does not ask older ones. When
// both have rotted, one that was longer is no sign of an outsider.
TEST(OwnCutTest, OlderSlotsMaySayMoreThanTheFileHas) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    for (const char* value : {"oldest", "long", "newest"}) {
      ASSERT_OK(map.Put("k", value));
      ASSERT_OK(domain.Sync());
    }
    ASSERT_OK(domain.Close());
  }
  std::filesystem::remove(path + "-lock");
  {
    Slots slots(path);
    ASSERT_GE(slots.size(), 3u);
    slots.Write(0, slots.IndexOf(0),
                [](CommitSlotFields& fields) { ++fields.record_hash; });
    slots.Write(1, slots.IndexOf(1),
                [](CommitSlotFields& fields) { fields.file_bytes <<= 1; });
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), "oldest");
  testing::ExpectCleanCheck(path, domain);
}

// Before the cut each root is copied to a slot that says less. If the one that
// says more could not be wiped, the copy counts.
TEST(OwnCutTest, OfTwoSlotsWithOneRootTheShorterCounts) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    ASSERT_OK(map.Put("k", "v"));
    ASSERT_OK(domain.Close());
  }
  std::filesystem::remove(path + "-lock");
  {
    Slots slots(path);
    constexpr uint32_t kCopy = kCommitSlotCount - 1;
    ASSERT_LT(slots.IndexOf(0), kCopy);
    slots.Write(0, kCopy, [](CommitSlotFields&) {});
    slots.Write(0, slots.IndexOf(0),
                [](CommitSlotFields& fields) { fields.file_bytes <<= 1; });
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), "v");
}

INSTANTIATE_TEST_SUITE_P(Ends, GrownTruncationTest, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& info) {
                           return info.param ? "Closed" : "Killed";
                         });

TEST(MappedTruncationTest, WhoMeetsTheEndDies) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  constexpr int kKeys = 3000;
  const std::string value(3000, 'v');
  testing::ChildProcess child([&] {
    absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
    if (!domain.ok()) return 1;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    if (!map.ok()) return 2;
    for (int i = 0; i < kKeys; ++i) {
      if (!map->Put("k" + std::to_string(i), value).ok()) return 3;
    }
    if (!domain->Sync().ok()) return 4;
    ::raise(SIGSTOP);
    for (int i = 0; i < kKeys; ++i) {
      const absl::StatusOr<std::string> got = map->Get("k" + std::to_string(i));
      if (!got.ok() || *got != value) return 5;
    }
    return 0;
  });
  child.AwaitStopped();
  ASSERT_EQ(::truncate(path.c_str(), 2 * kSegmentBytes), 0);
  child.Signal(SIGCONT);
  EXPECT_EQ(child.Wait(), -SIGBUS);
  ExpectTruncated(path, 2 * kSegmentBytes, /*is_read_only=*/false);
}

INSTANTIATE_TEST_SUITE_P(
    LockFile, TruncationTest,
    ::testing::Combine(::testing::Bool(), ::testing::Bool()),
    [](const ::testing::TestParamInfo<std::tuple<bool, bool>>& info) {
      return std::string(std::get<0>(info.param) ? "Kept" : "Gone") +
             (std::get<1>(info.param) ? "OfSynchronousCommits"
                                      : "OfCheckpoints");
    });

}  // namespace
}  // namespace eve
