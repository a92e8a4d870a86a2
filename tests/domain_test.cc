// Domain and Map as their users see them: the contract of include/eve/.

#include <string>
#include <thread>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::TempDir;
using Strings = Map<std::string, std::string>;

class DomainTest : public ::testing::Test {
 protected:
  Domain Open(const DomainOptions& options = {}) {
    absl::StatusOr<Domain> domain =
        Domain::Open(dir_.File("shop.eve"), options);
    EXPECT_OK(domain);
    return domain.ok() ? *std::move(domain) : Domain();
  }
  TempDir dir_;
};

TEST_F(DomainTest, PutIsSeenByGetAndSnapshotsStayAsTheyWere) {
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_OK(map.Put("a", "1"));
  ASSERT_OK_AND_ASSIGN(Snapshot before, domain.Now());
  EXPECT_OK(map.Put("a", "2"));
  EXPECT_OK(map.Put("b", "3"));
  EXPECT_EQ(map.Get("a").value(), "2");
  const auto reader = map.At(before);
  EXPECT_EQ(reader.Find("a").value(), Bytes("1"));
  EXPECT_FALSE(reader.Find("b").has_value());
  EXPECT_EQ(reader.size(), 1u);
  EXPECT_EQ(map.size().value(), 2u);
  EXPECT_CODE(map.Get("missing"), absl::StatusCode::kNotFound);
}

TEST_F(DomainTest, ContentSurvivesCloseAndReopen) {
  {
    Domain domain = Open();
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    for (int i = 0; i < 1000; ++i) {
      ASSERT_OK(map.Put("key" + std::to_string(i), std::to_string(i)));
    }
    ASSERT_OK(domain.Close());
    EXPECT_CODE(domain.Now(), absl::StatusCode::kFailedPrecondition);
  }
  DomainOptions existing;
  existing.create = false;
  Domain domain = Open(existing);
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.size().value(), 1000u);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(map.Get("key" + std::to_string(i)).value(), std::to_string(i));
  }
}

// A segment that was left half full is gone on with, and what does not fit its
// rest goes elsewhere. Each session meets the rest that the one before left.
TEST_F(DomainTest, ReopenedSegmentsAreNeverFilledBeyondTheirEnd) {
  constexpr int kSessions = 60;
  const auto value_of = [](int session) {
    return std::string(300'000 + 3000 * session, static_cast<char>(session));
  };
  for (int session = 0; session < kSessions; ++session) {
    Domain domain = Open();
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    ASSERT_OK(map.Put(std::to_string(session), value_of(session)));
    ASSERT_OK(domain.Close());
  }
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  for (int session = 0; session < kSessions; ++session) {
    EXPECT_EQ(map.Get(std::to_string(session)).value(), value_of(session));
  }
  testing::ExpectCleanCheck(dir_.File("shop.eve"), domain);
}

TEST_F(DomainTest, SwapIsAtomicOverCollections) {
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings a, domain.Collection<Strings>("a"));
  ASSERT_OK_AND_ASSIGN(Strings b, domain.Collection<Strings>("b"));
  ASSERT_OK_AND_ASSIGN(Commit commit, domain.Swap([&](Transaction& txn) {
    EXPECT_OK(a.In(txn).Put("k", "in a"));
    return b.In(txn).Put("k", "in b");
  }));
  ASSERT_OK_AND_ASSIGN(Snapshot now, domain.Now());
  EXPECT_EQ(now.version(), commit.version);
  EXPECT_EQ(a.At(now).Find("k").value(), Bytes("in a"));
  EXPECT_EQ(b.At(now).Find("k").value(), Bytes("in b"));

  EXPECT_CODE(domain.Swap([&](Transaction& txn) -> absl::Status {
    EXPECT_OK(a.In(txn).Put("k", "never seen"));
    return absl::CancelledError("the closure says no");
  }),
              absl::StatusCode::kCancelled);
  EXPECT_EQ(a.Get("k").value(), "in a");
}

TEST_F(DomainTest, TransactionReadsItsOwnWrites) {
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
    auto writer = map.In(txn);
    EXPECT_OK(writer.Put("a", "1"));
    EXPECT_EQ(writer.Find("a").value(), Bytes("1"));
    EXPECT_TRUE(writer.Insert("b", "2").value());
    EXPECT_FALSE(writer.Insert("b", "3").value());
    EXPECT_EQ(writer.size().value(), 2u);
    EXPECT_TRUE(writer.Erase("a").value());
    EXPECT_FALSE(writer.Erase("a").value());
    EXPECT_FALSE(writer.Find("a").has_value());
    auto reader = writer.Read();
    EXPECT_OK(reader);
    int entries = 0;
    for (auto [key, value] : *reader) {
      EXPECT_EQ(key, Bytes("b"));
      EXPECT_EQ(value, Bytes("2"));
      ++entries;
    }
    EXPECT_EQ(entries, 1);
    return absl::OkStatus();
  }));
  EXPECT_EQ(map.size().value(), 1u);
}

TEST_F(DomainTest, SavepointsUndoWhatCameAfterThem) {
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings a, domain.Collection<Strings>("a"));
  ASSERT_OK_AND_ASSIGN(Strings b, domain.Collection<Strings>("b"));
  ASSERT_OK(a.Put("base", "0"));
  ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
    auto in_a = a.In(txn);
    EXPECT_OK(in_a.Put("x", "1"));
    auto first = txn.Savepoint();
    EXPECT_OK(first);
    EXPECT_OK(in_a.Put("x", "2"));
    EXPECT_OK(in_a.Put("y", "2"));
    EXPECT_OK(b.In(txn).Put("z", "2"));
    auto second = txn.Savepoint();
    EXPECT_OK(second);
    EXPECT_TRUE(in_a.Erase("base").value());
    EXPECT_OK(txn.RollBackTo(*second));
    EXPECT_EQ(in_a.Find("base").value(), Bytes("0"));
    EXPECT_EQ(in_a.Find("x").value(), Bytes("2"));
    EXPECT_OK(txn.RollBackTo(*first));
    EXPECT_EQ(in_a.Find("x").value(), Bytes("1"));
    EXPECT_FALSE(in_a.Find("y").has_value());
    EXPECT_FALSE(b.In(txn).Find("z").has_value());
    EXPECT_CODE(txn.RollBackTo(*second), absl::StatusCode::kInvalidArgument);
    EXPECT_OK(in_a.Put("w", "3"));
    return absl::OkStatus();
  }));
  EXPECT_EQ(a.size().value(), 3u);  // base, x, w
  EXPECT_EQ(a.Get("x").value(), "1");
  EXPECT_EQ(b.size().value(), 0u);
}

TEST_F(DomainTest, UpdateAndTypedCollections) {
  using Counters = Map<uint64_t, int64_t>;
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Counters map, domain.Collection<Counters>("n"));
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK_AND_ASSIGN(int64_t now,
                         map.Update(7, [](std::optional<int64_t> old) {
                           return old.value_or(100) + 1;
                         }));
    EXPECT_EQ(now, 101 + i);
  }
  EXPECT_CODE(domain.Collection<Strings>("n"),
              absl::StatusCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(auto infos, domain.Collections());
  ASSERT_EQ(infos.size(), 1u);
  EXPECT_EQ(infos[0].name, "n");
  EXPECT_EQ(infos[0].count, 1u);
}

TEST_F(DomainTest, DropRemovesTheNameAndReclaimsTheBlocks) {
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  ASSERT_OK(domain.Reclaim());
  const uint64_t live_before = domain.Stats().value().live_bytes;
  ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
    auto writer = map.In(txn);
    for (int i = 0; i < 50000; ++i) {
      if (auto put = writer.Put(std::to_string(i), std::string(50, 'v'));
          !put.ok()) {
        return put;
      }
    }
    return absl::OkStatus();
  }));
  ASSERT_OK(domain.Drop("m"));
  EXPECT_CODE(domain.Drop("m"), absl::StatusCode::kNotFound);
  EXPECT_CODE(map.Put("a", "b"), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(domain.Collections().value().size(), 0u);
  ASSERT_OK(domain.Reclaim());
  EXPECT_LT(domain.Stats().value().live_bytes, live_before + 64 * 1024);
  ASSERT_OK_AND_ASSIGN(Strings again, domain.Collection<Strings>("m"));
  EXPECT_EQ(again.size().value(), 0u);
}

TEST_F(DomainTest, ClearEmptiesAndReclaims) {
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  for (int i = 0; i < 2000; ++i) ASSERT_OK(map.Put(std::to_string(i), "v"));
  ASSERT_OK_AND_ASSIGN(Snapshot before, domain.Now());
  ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
    auto writer = map.In(txn);
    if (auto cleared = writer.Clear(); !cleared.ok()) return cleared;
    return writer.Put("only", "one");
  }));
  EXPECT_EQ(map.size().value(), 1u);
  EXPECT_EQ(map.At(before).size(), 2000u);
  ASSERT_OK(domain.Reclaim());
  // Several times, without another Reclaim(): the background finds them.
  for (int round = 0; round < 3; ++round) {
    ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
      auto writer = map.In(txn);
      for (int i = 0; i < 3000; ++i) {
        if (auto put = writer.Put(std::to_string(i), "v"); !put.ok()) {
          return put;
        }
      }
      return absl::OkStatus();
    }));
    ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
      auto writer = map.In(txn);
      if (auto cleared = writer.Clear(); !cleared.ok()) return cleared;
      return writer.Put("only", "one");
    }));
  }
  while (domain.Stats().value().live_bytes > (512 << 10)) {
    std::this_thread::yield();
  }
  EXPECT_EQ(map.At(before).Find("77").value(), Bytes("v"));
  EXPECT_EQ(map.Get("only").value(), "one");
}

TEST_F(DomainTest, OpeningTwiceGivesTheSameInstance) {
  Domain first = Open();
  Domain second = Open();
  ASSERT_OK_AND_ASSIGN(Strings a, first.Collection<Strings>("m"));
  ASSERT_OK_AND_ASSIGN(Strings b, second.Collection<Strings>("m"));
  ASSERT_OK(a.Put("k", "v"));
  EXPECT_EQ(b.Get("k").value(), "v");
  EXPECT_EQ(first.Stats().value().processes, 1u);
  ASSERT_OK(first.Close());
  EXPECT_EQ(b.Get("k").value(), "v");
}

TEST_F(DomainTest, ConcurrentWritersOfOneCounterLoseNothing) {
  using Counters = Map<std::string, int64_t>;
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Counters map, domain.Collection<Counters>("n"));
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        EXPECT_OK(map.Update("n", [](std::optional<int64_t> old) {
          return old.value_or(0) + 1;
        }));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(map.Get("n").value(), kThreads * kEach);
}

TEST_F(DomainTest, LargeKeysAndValues) {
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  const std::string key(64 << 10, 'k');
  const std::string small_key;
  std::string large(5 << 20, 'x');
  large[1234567] = 'y';
  ASSERT_OK(map.Put(key, "value of the long key"));
  ASSERT_OK(map.Put(small_key, ""));
  ASSERT_OK(map.Put("large", large));
  EXPECT_EQ(map.Get(key).value(), "value of the long key");
  EXPECT_EQ(map.Get(small_key).value(), "");
  EXPECT_EQ(map.Get("large").value(), large);
  EXPECT_CODE(map.Put(key + "k", "too long"),
              absl::StatusCode::kInvalidArgument);
  ASSERT_OK(map.Put("large", "small now"));
  ASSERT_OK(domain.Close());
  domain = Open();
  ASSERT_OK_AND_ASSIGN(map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("large").value(), "small now");
  EXPECT_EQ(map.Get(key).value(), "value of the long key");
}

TEST_F(DomainTest, InMemoryDomainsWorkAlikeAndLeaveNoFile) {
  DomainOptions options;
  options.in_memory = true;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open("scratch", options));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  for (int i = 0; i < 1000; ++i) ASSERT_OK(map.Put(std::to_string(i), "v"));
  ASSERT_OK_AND_ASSIGN(Domain same, Domain::Open("scratch", options));
  ASSERT_OK_AND_ASSIGN(Strings map2, same.Collection<Strings>("m"));
  EXPECT_EQ(map2.size().value(), 1000u);
  EXPECT_FALSE(std::filesystem::exists("scratch"));
}

TEST_F(DomainTest, ReadOnlyReadsAndRefusesToWrite) {
  {
    Domain domain = Open();
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    ASSERT_OK(map.Put("k", "v"));
    ASSERT_OK(domain.Close());
  }
  DomainOptions options;
  options.read_only = true;
  Domain domain = Open(options);
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), "v");
  EXPECT_CODE(map.Put("k", "w"), absl::StatusCode::kFailedPrecondition);
  EXPECT_CODE(domain.Collection<Strings>("new"), absl::StatusCode::kNotFound);
  EXPECT_OK(domain.Close());
}

TEST_F(DomainTest, MultiGetAgreesWithFind) {
  Domain domain = Open();
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
    auto writer = map.In(txn);
    for (int i = 0; i < 3000; i += 2) {
      EXPECT_OK(writer.Put(std::to_string(i), "v" + std::to_string(i)));
    }
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(Snapshot now, domain.Now());
  std::vector<std::string> names;
  for (int i = 0; i < 3000; ++i) names.push_back(std::to_string(i));
  const std::vector<Bytes> keys(names.begin(), names.end());
  const auto found = map.At(now).MultiGet(keys);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(found[i].has_value(), i % 2 == 0) << i;
    if (found[i].has_value()) {
      EXPECT_EQ(*found[i], Bytes("v" + names[i]));
    }
  }
}

TEST_F(DomainTest, ManyCommitsOfOneKeyReuseFewSegments) {
  DomainOptions options;
  options.durability = Durability::kNone;
  Domain domain = Open(options);
  using Counters = Map<std::string, int64_t>;
  ASSERT_OK_AND_ASSIGN(Counters map, domain.Collection<Counters>("n"));
  constexpr int kCommits = testing::kUnderTsan ? 30000 : 100000;
  for (int i = 0; i < kCommits; ++i) ASSERT_OK(map.Put("n", i));
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain.Stats());
  // 100,000 commits of some 400 bytes are 40 MB; what is live is tiny.
  EXPECT_LT(stats.segments, 16u);
  EXPECT_GT(stats.folds, 0u);
  EXPECT_GT(stats.segments_freed, 0u);
}

}  // namespace
}  // namespace eve
