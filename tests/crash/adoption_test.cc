// What the first opener after the death of all takes for the newest version:
// only what is whole and of the timeline that the lock file knows (P23).

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "engine/domain/recovery_preview.h"
#include "engine/file/file.h"
#include "engine/format/block.h"
#include "engine/format/node_layout.h"
#include "engine/format/shared_layout.h"
#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/file_bytes.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using testing::Quiet;
using testing::ReadFile;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

class AdoptionTest : public ::testing::Test {
 protected:
  // In a child that is killed then.
  void DoAndDie(const std::function<bool(Domain&, Strings&)>& work) {
    ChildProcess child([&] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Strings>("m");
      if (!map.ok() || !work(*domain, *map)) return 2;
      ::kill(::getpid(), SIGKILL);
      return 3;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
  }
  // Visible, and nobody has made it durable.
  void PutAndDie(const std::string& value) {
    DoAndDie([&](Domain& domain, Strings& map) {
      return domain.Sync().ok() && map.Put("k", value).ok();
    });
  }
  // Where the newest commit is, by the lock file.
  uint64_t RootWord() const {
    const std::string lock = ReadFile(path_ + "-lock");
    uint64_t root = 0;
    lock.copy(static_cast<char*>(static_cast<void*>(&root)), sizeof(root),
              kRegionWordsOffset + offsetof(RegionWords, root));
    return root;
  }
  static bool PutSync(Domain& domain, Strings& map, std::string_view key,
                      std::string_view value) {
    SwapOptions options;
    options.durability = Durability::kSync;
    return domain
        .Swap([&](Transaction& t) { return map.In(t).Put(key, value); },
              options)
        .ok();
  }
  // The block of a value that is alone in it, with a key of one byte, reached
  // the disk before its checksum was stored.
  void LoseChecksumOf(const std::string& value) {
    const size_t at = ReadFile(path_).find(value);
    ASSERT_NE(at, std::string::npos);
    const uint64_t header = at - 1 - sizeof(RecordBlock);
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
    BlockHeader block;
    ASSERT_OK(file.ReadAt(header, &block, sizeof(block)));
    ASSERT_EQ(block.type, static_cast<uint8_t>(BlockType::kRecord));
    ASSERT_NE(block.checksum, 0u);
    block.checksum = 0;
    ASSERT_OK(file.WriteAt(header, &block, sizeof(block)));
  }
  // All but the commit slots, as another timeline had them.
  void PutBlocksBack(const std::string& other) {
    ASSERT_EQ(ReadFile(path_).size(), other.size());
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
    ASSERT_OK(file.WriteAt(kFirstBlockOffset, other.data() + kFirstBlockOffset,
                           other.size() - kFirstBlockOffset));
  }
  // Opens it. Of a root that is lost it is said why; the dry run says the same.
  void OpenAndExpectRefusal(const char* why) {
    ASSERT_OK_AND_ASSIGN(const RecoveryPreview seen, PreviewRecovery(path_));
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain_.Stats());
    EXPECT_THAT(seen.refusal, MatchesRegex(why));
    if (seen.refusal.empty()) {
      EXPECT_THAT(stats.recovery, Not(HasSubstr("refused")));
    } else {
      EXPECT_THAT(stats.recovery, EndsWith("; " + seen.refusal));
    }
  }
  void ExpectDurable(const char* why) {
    ASSERT_NO_FATAL_FAILURE(OpenAndExpectRefusal(why));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    EXPECT_EQ(map.Get("n").value(), "durable");
    testing::ExpectCleanCheck(path_, domain_);
  }
  void ExpectRolledBack(const char* why) {
    ASSERT_NO_FATAL_FAILURE(OpenAndExpectRefusal(why));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    EXPECT_CODE(map.Get("k"), absl::StatusCode::kNotFound);
    testing::ExpectCleanCheck(path_, domain_);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
};

// What the device cannot read now may be read the next time: nobody goes on
// without it, in this boot or in the next.
TEST_F(AdoptionTest, WhatCannotBeReadNowIsNotGivenUp) {
  for (const bool is_next_boot : {false, true}) {
    SCOPED_TRACE(is_next_boot);
    DoAndDie([&](Domain& domain, Strings& map) {
      return domain.Sync().ok() &&
             (is_next_boot ? PutSync(domain, map, "k", "next")
                           : map.Put("k", "live").ok());
    });
    if (is_next_boot) {
      ASSERT_OK_AND_ASSIGN(const File lock,
                           File::Open(path_ + "-lock", O_RDWR));
      const uint64_t other = 1;
      ASSERT_OK(
          lock.WriteAt(offsetof(RegionHeader, boot_id), &other, sizeof(other)));
    }
    {
      const ScopedFaultHook once([](std::string_view point) {
        return point == "file.read_ahead" ? EIO : 0;
      });
      ASSERT_OK_AND_ASSIGN(const RecoveryPreview seen, PreviewRecovery(path_));
      EXPECT_THAT(seen.error, HasSubstr("the device cannot read"));
      EXPECT_FALSE(seen.chosen_version.has_value());
      if (!is_next_boot) {
        EXPECT_EQ(seen.region, RecoveryPreview::Region::kRefused);
      }
      const absl::Status refused = Domain::Open(path_, Quiet()).status();
      EXPECT_CODE(refused, absl::StatusCode::kUnavailable);
      EXPECT_THAT(std::string(refused.message()), HasSubstr("Try again"));
    }
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, domain.Collection<Strings>("m"));
    EXPECT_EQ(map.Get("k").value(), is_next_boot ? "next" : "live");
    testing::ExpectCleanCheck(path_, domain);
  }
}

// Of all that an opening reads before it has chosen, each once: the records,
// what they lead to, what a slot lists.
TEST_F(AdoptionTest, NothingOfARootThatCannotBeReadIsGivenUp) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs faults";
  for (const bool is_live : {false, true}) {
    SCOPED_TRACE(is_live);
    DoAndDie([&](Domain& domain, Strings& map) {
      for (int i = 0; i < 100; ++i) {
        if (!map.Put("k", std::to_string(i)).ok()) return false;
      }
      return domain.Sync().ok() && (!is_live || map.Put("k", "live").ok());
    });
    int failed = 0;
    for (bool is_open = false; !is_open; ++failed) {
      SCOPED_TRACE(failed);
      int calls = 0;
      const ScopedFaultHook once([&](std::string_view point) {
        return point == "file.read_ahead" && calls++ == failed ? EIO : 0;
      });
      absl::StatusOr<Domain> domain = Domain::Open(path_, Quiet());
      is_open = calls <= failed;
      if (is_open) {
        ASSERT_OK_AND_ASSIGN(const Strings map,
                             domain->Collection<Strings>("m"));
        EXPECT_EQ(map.Get("k").value(), is_live ? "live" : "99");
        continue;
      }
      EXPECT_CODE(domain, absl::StatusCode::kUnavailable);
      EXPECT_THAT(std::string(domain.status().message()),
                  HasSubstr("the device cannot read"));
    }
    // A record at least, a leaf of the accounting, and the chain.
    EXPECT_GT(failed, 10);
  }
}

TEST_F(AdoptionTest, BlockWithoutItsChecksumIsNotAdopted) {
  const std::string value(600, 'v');
  PutAndDie(value);
  ASSERT_NO_FATAL_FAILURE(LoseChecksumOf(value));
  ExpectRolledBack(
      "live version [0-9]+ refused: the segment at offset [0-9]+ is not .*");
}

TEST_F(AdoptionTest, RunWithoutItsChecksumIsNotAdopted) {
  const std::string value(3 << 20, 'v');
  PutAndDie(value);
  ASSERT_NO_FATAL_FAILURE(LoseChecksumOf(value));
  ExpectRolledBack(
      "live version [0-9]+ refused: the segment at offset [0-9]+ is not .*");
}

// After a rollback the same versions are written again, to the same offsets.
// The lock file names the second timeline's newest record by its offset; if the
// disk has the first one's there, with all that it needs, that is not it.
TEST_F(AdoptionTest, RolledBackTimelineIsNotAdopted) {
  DoAndDie([](Domain& domain, Strings& map) {
    return map.Put("n", "durable").ok() && domain.Sync().ok() &&
           map.Put("n", "first  ").ok();
  });
  const std::string first = ReadFile(path_);
  std::filesystem::remove(path_ + "-lock");
  DoAndDie([](Domain&, Strings& map) {
    return map.Get("n").value() == "durable" && map.Put("n", "second ").ok();
  });
  ASSERT_NO_FATAL_FAILURE(PutBlocksBack(first));
  ExpectDurable(
      "live version [0-9]+ refused: .* commits that were rolled back");
}

// The same where the second one's slot is on the disk, and what that lists is
// not: then nothing says that this version was published since.
TEST_F(AdoptionTest, RolledBackTimelineIsNotAdoptedForASlotOfItsVersion) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  // A synchronous commit that dies there.
  const auto put_and_die_at = [](Domain& domain, Strings& map,
                                 std::string_view value,
                                 std::string_view where) {
    const ScopedStepHook hook([where](std::string_view step) {
      if (step == where) ::kill(::getpid(), SIGKILL);
    });
    return PutSync(domain, map, "n", value);
  };
  DoAndDie([](Domain& domain, Strings& map) {
    return map.Put("n", "durable").ok() && domain.Sync().ok();
  });
  // Both begin with the same file.
  DoAndDie([&](Domain& domain, Strings& map) {
    return put_and_die_at(domain, map, "first  ", "commit.after_cas");
  });
  const std::string first = ReadFile(path_);
  const uint64_t first_root = RootWord();
  std::filesystem::remove(path_ + "-lock");
  DoAndDie([&](Domain& domain, Strings& map) {
    return map.Get("n").value() == "durable" &&
           put_and_die_at(domain, map, "second ", "one_flush.slot_written");
  });
  ASSERT_EQ(RootWord(), first_root);
  ASSERT_NO_FATAL_FAILURE(PutBlocksBack(first));
  ExpectDurable(
      "live version [0-9]+ refused: .* commits that were rolled back");
}

// P24: that a version had been on the disk is known to the lock file of this
// boot. That it is not there any more is no power failure.
TEST_F(AdoptionTest, ALossOfWhatWasAcknowledgedIsReportedAndTheRestRead) {
  const std::string value(600, 'v');
  DoAndDie([&](Domain& domain, Strings& map) {
    return domain.Sync().ok() && PutSync(domain, map, "k", value);
  });
  const size_t at = ReadFile(path_).find(value);
  ASSERT_NE(at, std::string::npos);
  {
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
    ASSERT_OK(file.WriteAt(at, "X", 1));
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain.Stats());
  EXPECT_NE(stats.recovery.find("all that it reaches was read: the lock file "
                                "knows that version"),
            std::string::npos)
      << stats.recovery;
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_CODE(map.Get("k"), absl::StatusCode::kNotFound);
}

TEST_F(AdoptionTest, WholeRootOfThisBootIsAdopted) {
  PutAndDie("v");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), "v");
}

// The same with one word of the lock file other than this file, boot and build
// have it.
struct OtherWord {
  const char* name;
  uint64_t at;
  const char* refusal = "";  // that is told; none of another file or boot
};

class OtherRegionTest : public AdoptionTest,
                        public ::testing::WithParamInterface<OtherWord> {};

TEST_P(OtherRegionTest, IsNotAdopted) {
  PutAndDie("v");
  {
    ASSERT_OK_AND_ASSIGN(const File lock, File::Open(path_ + "-lock", O_RDWR));
    uint8_t byte = 0;
    ASSERT_OK(lock.ReadAt(GetParam().at, &byte, 1));
    byte ^= 1;
    ASSERT_OK(lock.WriteAt(GetParam().at, &byte, 1));
  }
  ExpectRolledBack(GetParam().refusal);
}

INSTANTIATE_TEST_SUITE_P(
    All, OtherRegionTest,
    ::testing::Values(
        OtherWord{"Magic", offsetof(RegionHeader, magic)},
        OtherWord{"Build", offsetof(RegionHeader, abi_hash),
                  ".* another shared layout: what that may have .*"},
        OtherWord{"Device", offsetof(RegionHeader, data_device)},
        OtherWord{"Inode", offsetof(RegionHeader, data_inode)},
        OtherWord{"Uuid", offsetof(RegionHeader, uuid)},
        OtherWord{"Boot", offsetof(RegionHeader, boot_id)},
        OtherWord{"Incarnation", offsetof(RegionHeader, incarnation),
                  "live version [0-9]+ refused: it is of incarnation .*"},
        OtherWord{"Unready", offsetof(RegionHeader, ready)},
        OtherWord{"Poison", offsetof(RegionHeader, poison),
                  "live version [0-9]+ refused: a flush had failed, .*"}),
    [](const ::testing::TestParamInfo<OtherWord>& info) {
      return info.param.name;
    });

// A file that was copied, with its lock file, is another file.
TEST_F(AdoptionTest, CopyOfTheFileIsNotAdopted) {
  PutAndDie("v");
  std::filesystem::copy_file(path_, path_ + "2");
  std::filesystem::rename(path_ + "2", path_);
  ExpectRolledBack(/*why=*/"");
}

// A child that was forked while the domain was open, and that outlives its
// killed parent, holds nothing of it.
TEST_F(AdoptionTest, OrphanOfAKilledProcessIsNotInTheWay) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  DoAndDie([&](Domain&, Strings& map) {
    if (!map.Put("k", "v").ok()) return false;
    const pid_t orphan = ::fork();
    if (orphan != 0) return orphan > 0;
    ::close(ends[1]);
    char none;
    static_cast<void>(::read(ends[0], &none, 1));  // until the test lets it go
    ::_exit(0);
  });
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), "v");
  ::close(ends[1]);
  ::close(ends[0]);
}

}  // namespace
}  // namespace eve
