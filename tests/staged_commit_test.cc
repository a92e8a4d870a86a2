// Synchronous commits build their blocks in private copies of pages and write
// them to the file before they publish.

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/domain/registry.h"
#include "engine/format/constants.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"
#include "util/random.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::HeldThread;
using testing::Synchronous;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

class StagedCommitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Synchronous()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Synchronous()));
    ASSERT_NE(impl_->core().staging_mapping.data(), nullptr);
  }
  void TearDown() override {
    ClearStepHook();
    ClearFaultHook();
  }
  // The file as others see it, where the map of this process does not count.
  std::string ReadCopy(const std::string& key) {
    const std::string copy = dir_.File("copy" + std::to_string(copies_++));
    testing::CopyAfterPowerLoss(path_, copy);
    absl::StatusOr<Domain> domain = Domain::Open(copy, Synchronous());
    EXPECT_OK(domain);
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    EXPECT_OK(map);
    testing::ExpectCleanCheck(copy, *domain);
    return map->Get(key).value_or("none");
  }

  TempDir dir_;
  int copies_ = 0;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<internal::DomainImpl> impl_;
};

// Whichever write fails: an error before anything is published, which is not
// the code of a commit that is visible but not durable, and the next goes well.
TEST_F(StagedCommitTest, AFailedWritePublishesNothing) {
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "before"));
  const uint64_t version = domain_.durable_version();
  SetFaultHook([&](std::string_view point) {
    return point == "file.write" ? ENOSPC : 0;
  });
  EXPECT_CODE(map.Put("k", "after"), absl::StatusCode::kResourceExhausted);
  SetFaultHook(
      [&](std::string_view point) { return point == "file.write" ? EIO : 0; });
  const absl::Status failed = map.Put("k", "after");
  ClearFaultHook();
  EXPECT_FALSE(failed.ok());
  EXPECT_NE(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(map.Get("k").value(), "before");
  EXPECT_EQ(domain_.Now().value().version(), version);
  int writes = 0;
  SetFaultHook([&](std::string_view point) {
    writes += point == "file.write" ? 1 : 0;
    return 0;
  });
  ASSERT_OK(map.Put("k", "after"));
  ClearFaultHook();
  EXPECT_EQ(writes, 2) << "all blocks in one stretch, and the slot";
  EXPECT_EQ(map.Get("k").value(), "after");
  EXPECT_EQ(ReadCopy("k"), "after");
}

// Between staging and writing the file has nothing of it, and a death there
// leaves nothing: the bytes are in private copies.
TEST_F(StagedCommitTest, TheFileChangesWhenItIsWrittenNotBefore) {
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "before"));
  const std::string marker = "nobody writes this but the closure below";
  const auto is_there = [&] {
    std::string bytes(impl_->core().file.Size().value(), '\0');
    EXPECT_OK(impl_->core().file.ReadAt(0, bytes.data(), bytes.size()));
    return bytes.find(marker) != std::string::npos;
  };
  ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
    auto writer = map.In(txn);
    absl::Status put = writer.Put("k", marker);
    // Reading applies what is pending.
    EXPECT_EQ(writer.Find("k").value_or("none"), marker);
    EXPECT_FALSE(is_there());
    return put;
  }));
  EXPECT_TRUE(is_there());
  EXPECT_EQ(map.Get("k").value(), marker);
}

// A lost race that only restamps writes the new catalog path and record.
TEST_F(StagedCommitTest, ARestampIsWrittenAgain) {
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK_AND_ASSIGN(const Strings other, domain_.Collection<Strings>("o"));
  HeldThread held([&] { EXPECT_OK(map.Put("k", "mine")); },
                  HeldThread::At("commit.before_cas"));
  ASSERT_TRUE(held.AwaitHeld());
  ASSERT_OK(other.Put("k", "theirs"));
  held.LetGo();
  EXPECT_EQ(domain_.Stats().value().restamps, 1u);
  EXPECT_EQ(map.Get("k").value(), "mine");
  EXPECT_EQ(other.Get("k").value(), "theirs");
  EXPECT_EQ(ReadCopy("k"), "mine");
}

// A bulk goes on without private copies, in the middle of a transaction that
// reads what it wrote, overwrites it and rolls some of it back.
TEST_F(StagedCommitTest, ABulkReadsItsOwnWrites) {
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  const std::string run(700 << 10, 'r');
  const auto value = [](int i) { return std::string(40 << 10, 'a' + i % 26); };
  ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
    auto writer = map.In(txn);
    for (int i = 0; i < 300; ++i) {
      absl::Status put = writer.Put(std::to_string(i), value(i));
      if (!put.ok()) return put;
      if (i % 50 == 0) {
        EXPECT_EQ(writer.Find(std::to_string(i)).value_or(""), value(i));
      }
    }
    EXPECT_OK(writer.Put("run", run));
    auto savepoint = txn.Savepoint();
    if (!savepoint.ok()) return savepoint.status();
    EXPECT_OK(writer.Put("7", "undone"));
    EXPECT_EQ(writer.Find("7").value_or(""), "undone");
    EXPECT_OK(txn.RollBackTo(*savepoint));
    EXPECT_OK(writer.Put("8", "small"));
    for (int i = 9; i < 300; ++i) {
      EXPECT_EQ(writer.Find(std::to_string(i)).value_or(""), value(i));
    }
    EXPECT_EQ(writer.Find("run").value_or(""), run);
    return absl::OkStatus();
  }));
  EXPECT_EQ(map.Get("7").value(), value(7));
  EXPECT_EQ(map.Get("8").value(), "small");
  EXPECT_EQ(map.Get("run").value(), run);
  testing::ExpectCleanCheck(path_, domain_);
  ASSERT_OK(map.Put("9", "after"));
  EXPECT_EQ(ReadCopy("9"), "after");
}

// Commits of all durabilities by the same writers, in turns: a page that one
// stored to through the map is the base of the private copy of the next, and
// the other way round.
TEST_F(StagedCommitTest, DurabilitiesTakeTurns) {
  // In a domain of kSync all commits are staged.
  impl_.reset();
  ASSERT_OK(domain_.Close());
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, testing::Quiet()));
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  std::map<std::string, std::string> model;
  Random random(7);
  for (int round = 0; round < 400; ++round) {
    SwapOptions options;
    options.durability =
        random.Uniform(2) == 0 ? Durability::kNone : Durability::kSync;
    const int puts = 1 + static_cast<int>(random.Uniform(4));
    const bool fails = random.Uniform(5) == 0;
    std::map<std::string, std::string> after = model;
    const absl::Status done =
        domain_
            .Swap(
                [&](Transaction& txn) -> absl::Status {
                  auto writer = map.In(txn);
                  for (int i = 0; i < puts; ++i) {
                    const std::string key = std::to_string(random.Uniform(50));
                    const std::string value(random.Uniform(600), 'a' + i);
                    after[key] = value;
                    EXPECT_OK(writer.Put(key, value));
                    EXPECT_EQ(writer.Find(key).value_or("none"), value);
                  }
                  return fails ? absl::CancelledError("on purpose")
                               : absl::OkStatus();
                },
                options)
            .status();
    EXPECT_EQ(done.ok(), !fails);
    if (!fails) model = after;
    if (round % 40 != 0) continue;
    for (const auto& [key, value] : model) {
      EXPECT_EQ(map.Get(key).value_or("none"), value);
    }
    testing::ExpectCleanCheck(path_, domain_);
  }
}

// I18: a segment that a writer gives back may be filled anew by others, and
// what this process had copied of it must not hide that.
TEST_F(StagedCommitTest, CopiesEndWithTheSegment) {
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  const std::string old(30 << 10, 'o');
  const auto total = [&] { return domain_.Stats().value().segments; };
  // Up to the commit that has just begun another segment, some segments on.
  const uint64_t first = total();
  uint64_t before = first;
  while (total() < first + 4 || total() == before) {
    before = total();
    ASSERT_OK(map.Put("k", old));
  }
  ASSERT_OK(map.Erase("k").status());
  for (int i = 0; i < 4; ++i) {
    ASSERT_OK(domain_.Reclaim());
    ASSERT_OK(map.Put("small", std::to_string(i)));
  }
  ASSERT_GE(domain_.Stats().value().segments_free, 3u);
  constexpr int kValues = 300;
  const auto value = [](int i) { return std::string(30 << 10, 'a' + i % 26); };
  ChildProcess other([&] {
    auto domain = Domain::Open(path_, testing::Quiet());
    if (!domain.ok()) return 1;
    auto theirs = domain->Collection<Strings>("theirs");
    if (!theirs.ok()) return 2;
    for (int i = 0; i < kValues; ++i) {
      if (!theirs->Put(std::to_string(i), value(i)).ok()) return 3;
    }
    return 0;
  });
  ASSERT_EQ(other.Wait(), 0);
  ASSERT_OK_AND_ASSIGN(const Strings theirs,
                       domain_.Collection<Strings>("theirs"));
  ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
    auto reader = theirs.In(txn);
    for (int i = 0; i < kValues; ++i) {
      EXPECT_EQ(reader.Find(std::to_string(i)).value_or("none"), value(i)) << i;
    }
    return map.In(txn).Put("small", "read");
  }));
}

// What a transaction has begun that ends with an error goes back as well, and
// nobody reads what it had built there.
TEST_F(StagedCommitTest, CopiesEndWithWhatIsGivenUp) {
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("seed", "x"));
  constexpr int kKeys = 600;
  const auto put_all = [&](const Strings& to, Transaction& txn, int from,
                           int end, char fill) -> absl::Status {
    auto writer = to.In(txn);
    for (int i = from; i < end; ++i) {
      absl::Status put = writer.Put(std::to_string(i), std::string(3000, fill));
      if (!put.ok()) return put;
    }
    writer.Find("none");  // what was put is built now
    return absl::OkStatus();
  };
  for (char fill = 'b'; fill < 'h'; ++fill) {
    SCOPED_TRACE(fill);
    EXPECT_CODE(domain_
                    .Swap([&](Transaction& txn) -> absl::Status {
                      EXPECT_OK(put_all(map, txn, 0, 50, 'a'));
                      return absl::CancelledError("given up");
                    })
                    .status(),
                absl::StatusCode::kCancelled);
    ChildProcess other([&] {
      auto domain = Domain::Open(path_, testing::Quiet());
      if (!domain.ok()) return 1;
      auto theirs = domain->Collection<Strings>("m");
      if (!theirs.ok()) return 2;
      for (int from = 0; from < kKeys; from += 50) {
        if (!domain
                 ->Swap([&](Transaction& txn) {
                   return put_all(*theirs, txn, from, from + 50, fill);
                 })
                 .ok()) {
          return 3;
        }
      }
      return 0;
    });
    ASSERT_EQ(other.Wait(), 0);
    ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
      auto reader = map.In(txn);
      for (int i = 0; i < kKeys; ++i) {
        const auto found = reader.Get(std::to_string(i));
        EXPECT_TRUE(found.ok() && *found == std::string(3000, fill))
            << i << ": " << found.status();
      }
      return reader.Put("mine", "x");
    }));
  }
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
