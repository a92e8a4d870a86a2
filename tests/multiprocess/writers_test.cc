// Several processes write one domain: every commit is there, none twice.

#include <signal.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::SharedValue;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;

DomainOptions Fast() {
  DomainOptions options;
  options.durability = Durability::kNone;
  return options;
}

TEST(WritersTest, SharedCounterCountsEveryIncrementOfEveryProcess) {
  constexpr int kProcesses = 6;
  constexpr int kEach = 2000;
  TempDir dir;
  const std::string path = dir.File("d.eve");
  std::vector<ChildProcess> children;
  for (int p = 0; p < kProcesses; ++p) {
    children.emplace_back([&] {
      auto domain = Domain::Open(path, Fast());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Numbers>("n");
      if (!map.ok()) return 2;
      for (int i = 0; i < kEach; ++i) {
        auto done = map->Update("n", [](std::optional<int64_t> old) {
          return old.value_or(0) + 1;
        });
        if (!done.ok()) return 3;
      }
      return domain->Close().ok() ? 0 : 4;
    });
  }
  for (ChildProcess& child : children) EXPECT_EQ(child.Wait(), 0);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Fast()));
  ASSERT_OK_AND_ASSIGN(Numbers map, domain.Collection<Numbers>("n"));
  EXPECT_EQ(map.Get("n").value(), kProcesses * kEach);
  testing::ExpectCleanCheck(path, domain);
  ASSERT_OK(domain.Reclaim());
  testing::ExpectCleanCheck(path, domain);
}

// Two writers on the same map, a collection each besides, and readers that
// check that both always move together.
TEST(WritersTest, TransactionsOfSeveralProcessesAreAtomicForReaders) {
  constexpr int kWriters = 3;
  constexpr int kEach = 400;
  TempDir dir;
  const std::string path = dir.File("d.eve");
  SharedValue<std::atomic<int>> finished;
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Fast()));
    ASSERT_OK(domain.Collection<Numbers>("shared"));
    for (int w = 0; w < kWriters; ++w) {
      ASSERT_OK(domain.Collection<Numbers>("own" + std::to_string(w)));
    }
  }
  const auto write = [&](int w) {
    auto domain = Domain::Open(path, Fast());
    if (!domain.ok()) return 1;
    auto shared = domain->Collection<Numbers>("shared");
    auto own = domain->Collection<Numbers>("own" + std::to_string(w));
    if (!shared.ok() || !own.ok()) return 2;
    const std::string me = "w" + std::to_string(w);
    for (int i = 1; i <= kEach; ++i) {
      auto done = domain->Swap([&](Transaction& txn) -> absl::Status {
        auto in_shared = shared->In(txn);
        if (in_shared.Find(me).value_or(0) != i - 1) {
          return absl::InternalError("a commit is lost or doubled");
        }
        if (auto st = in_shared.Put(me, i); !st.ok()) return st;
        const int64_t total = in_shared.Find("total").value_or(0);
        if (auto st = in_shared.Put("total", total + 1); !st.ok()) return st;
        return own->In(txn).Put(std::to_string(i), i);
      });
      if (!done.ok()) return 3;
    }
    ++*finished;
    return 0;
  };
  const auto read = [&] {
    auto domain = Domain::Open(path, Fast());
    if (!domain.ok()) return 1;
    auto shared = domain->Collection<Numbers>("shared");
    if (!shared.ok()) return 2;
    uint64_t last_version = 0;
    while (*finished < kWriters) {
      auto now = domain->Now();
      if (!now.ok() || now->version() < last_version) return 3;
      last_version = now->version();
      const auto in_shared = shared->At(*now);
      int64_t sum = 0;
      for (int w = 0; w < kWriters; ++w) {
        sum += in_shared.Find("w" + std::to_string(w)).value_or(0);
      }
      if (sum != in_shared.Find("total").value_or(0)) return 4;
      if (!now->status().ok()) return 5;
    }
    return 0;
  };
  std::vector<ChildProcess> children;
  for (int w = 0; w < kWriters; ++w) {
    children.emplace_back([&, w] { return write(w); });
  }
  children.emplace_back(read);
  children.emplace_back(read);
  for (ChildProcess& child : children) EXPECT_EQ(child.Wait(), 0);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Fast()));
  ASSERT_OK_AND_ASSIGN(Numbers shared, domain.Collection<Numbers>("shared"));
  EXPECT_EQ(shared.Get("total").value(), kWriters * kEach);
  testing::ExpectCleanCheck(path, domain);
}

// Each run of the long transaction loses to thousands of short ones: without
// their courtesy it would never end.
TEST(WritersTest, ALongTransactionGetsThroughShortOnes) {
  constexpr int kWriters = 4;
  constexpr int kPuts = 100'000;
  TempDir dir;
  const std::string path = dir.File("d.eve");
  SharedValue<std::atomic<int>> writing;
  SharedValue<std::atomic<bool>> stop;
  std::vector<ChildProcess> children;
  for (int w = 0; w < kWriters; ++w) {
    children.emplace_back([&, w] {
      auto domain = Domain::Open(path, Fast());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Numbers>("n");
      if (!map.ok()) return 2;
      const std::string mine = "w" + std::to_string(w);
      for (int64_t i = 1; !*stop; ++i) {
        if (!map->Put(mine, i).ok()) return 3;
        if (i == 1) ++*writing;
      }
      return domain->Close().ok() ? 0 : 4;
    });
  }
  while (*writing < kWriters) std::this_thread::yield();
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Fast()));
    ASSERT_OK_AND_ASSIGN(Numbers map, domain.Collection<Numbers>("n"));
    ASSERT_OK_AND_ASSIGN(
        const Commit commit,
        domain.Swap([&](Transaction& transaction) -> absl::Status {
          auto writer = map.In(transaction);
          for (int i = 0; i < kPuts; ++i) {
            if (auto status = writer.Put("long" + std::to_string(i), i);
                !status.ok()) {
              return status;
            }
          }
          return absl::OkStatus();
        }));
    // Two to find out, and some that lose to waits which were too short.
    EXPECT_GE(commit.attempts, 2);
    EXPECT_LE(commit.attempts, 20);
    EXPECT_GE(domain.Stats().value().turns, 1u);
    *stop = true;
  }
  for (ChildProcess& child : children) EXPECT_EQ(child.Wait(), 0);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Fast()));
  ASSERT_OK_AND_ASSIGN(Numbers map, domain.Collection<Numbers>("n"));
  EXPECT_EQ(map.size().value(), kPuts + kWriters);
  testing::ExpectCleanCheck(path, domain);
}

}  // namespace
}  // namespace eve
