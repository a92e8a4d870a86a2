// Everything at once on the threads of one process: writers, readers that hold
// snapshots, Reclaim, Sync, drops and clears, and the background thread.
//
// Method: a fixed number of operations a thread. Every transaction keeps two
// invariants over several collections, which readers check in each snapshot,
// again after they have held it for a while, and the test at the end:
//   the sums of "left" and "right" are opposite;
//   "shapes" tells the size and the byte of each value of "values".

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using testing::TempDir;
using Strings = Map<std::string, std::string>;
using Numbers = Map<std::string, int64_t>;

constexpr int kWriters = 3;
constexpr int kReaders = 2;
constexpr int kCommitsEach = 600;
constexpr int kReadsEach = 300;
constexpr int kChores = 100;  // of Reclaim, Sync and the dropping thread
constexpr size_t kHeld = 4;
constexpr int kKeys = 40;

class StressTest : public ::testing::Test {
 protected:
  void SetUp() override {
    DomainOptions options;
    options.durability = Durability::kCheckpoint;
    options.checkpoint_every = absl::Milliseconds(1);
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
    ASSERT_OK_AND_ASSIGN(Numbers left, domain_.Collection<Numbers>("left"));
    ASSERT_OK_AND_ASSIGN(Numbers right, domain_.Collection<Numbers>("right"));
    ASSERT_OK_AND_ASSIGN(Numbers shapes, domain_.Collection<Numbers>("shapes"));
    ASSERT_OK_AND_ASSIGN(Strings values, domain_.Collection<Strings>("values"));
    ASSERT_OK_AND_ASSIGN(Numbers own, domain_.Collection<Numbers>("own"));
    maps_.emplace(Maps{left, right, shapes, own, values});
  }

  static std::string Key(Random& random) {
    return "k" + std::to_string(random.Uniform(kKeys));
  }

  absl::Status MoveSome(Transaction& txn, Random& random) {
    const auto amount = static_cast<int64_t>(random.Uniform(100));
    const auto add = [&](const Numbers& map, int64_t n) {
      return map.In(txn)
          .Update(
              Key(random),
              [n](std::optional<int64_t> old) { return old.value_or(0) + n; })
          .status();
    };
    EVE_RETURN_IF_ERROR(add(maps_->left, amount));
    return add(maps_->right, -amount);
  }

  absl::Status PutValue(Transaction& txn, Random& random) {
    const std::string key = Key(random);
    if (random.OneIn(8)) {
      EVE_RETURN_IF_ERROR(maps_->shapes.In(txn).Erase(key).status());
      return maps_->values.In(txn).Erase(key).status();
    }
    // Small ones, ones with a block of their own, and runs of segments.
    const uint64_t size = random.OneIn(40)  ? (600 << 10)
                          : random.OneIn(4) ? random.Uniform(20000)
                                            : random.Uniform(100);
    const auto fill = static_cast<int64_t>('a' + random.Uniform(26));
    EVE_RETURN_IF_ERROR(maps_->shapes.In(txn).Put(
        key, static_cast<int64_t>(size) * 256 + fill));
    return maps_->values.In(txn).Put(
        key, std::string(size, static_cast<char>(fill)));
  }

  // What is undone again breaks both invariants.
  absl::Status BreakAndRollBack(Transaction& txn, Random& random) {
    EVE_ASSIGN_OR_RETURN(const Savepoint savepoint, txn.Savepoint());
    EVE_RETURN_IF_ERROR(maps_->left.In(txn).Put(Key(random), 12345));
    EVE_RETURN_IF_ERROR(
        maps_->values.In(txn).Put(Key(random), std::string(3000, '!')));
    if (random.OneIn(4)) EVE_RETURN_IF_ERROR(maps_->right.In(txn).Clear());
    return txn.RollBackTo(savepoint);
  }

  void Write(int writer) {
    Random random(static_cast<uint64_t>(writer) + 1);
    const std::string me = std::to_string(writer);
    for (int64_t i = 1; i <= kCommitsEach; ++i) {
      const uint64_t seed = random.Next();
      ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
        Random again(seed);  // every run of the closure does the same
        EVE_RETURN_IF_ERROR(MoveSome(txn, again));
        EVE_RETURN_IF_ERROR(PutValue(txn, again));
        if (again.OneIn(3)) EVE_RETURN_IF_ERROR(BreakAndRollBack(txn, again));
        EVE_RETURN_IF_ERROR(PutValue(txn, again));
        return maps_->own.In(txn).Put(me, i);
      }));
    }
  }

  static int64_t Sum(const Numbers::Reader& map) {
    int64_t sum = 0;
    for (auto [key, value] : map) sum += value;
    return sum;
  }

  void ExpectInvariants(const Snapshot& snapshot) {
    EXPECT_EQ(Sum(maps_->left.At(snapshot)), -Sum(maps_->right.At(snapshot)));
    const auto shapes = maps_->shapes.At(snapshot);
    const auto values = maps_->values.At(snapshot);
    EXPECT_EQ(values.size(), shapes.size());
    for (auto [key, value] : values) {
      const int64_t shape = shapes.Find(key).value_or(-1);
      ASSERT_EQ(static_cast<int64_t>(value.size()), shape / 256);
      const size_t other = std::string_view(value).find_first_not_of(
          static_cast<char>(shape % 256));
      ASSERT_EQ(other, std::string_view::npos);
    }
    EXPECT_OK(snapshot.status());
  }

  void ReadOn() {
    std::deque<Snapshot> held;
    uint64_t version = 0;
    for (int i = 0; i < kReadsEach; ++i) {
      ASSERT_OK_AND_ASSIGN(Snapshot now, domain_.Now());
      ASSERT_GE(now.version(), version);
      version = now.version();
      ExpectInvariants(now);
      held.push_back(std::move(now));
      if (held.size() <= kHeld) continue;
      ExpectInvariants(held.front());
      held.pop_front();
    }
  }

  void DropAndClear() {
    for (int i = 0; i < kChores; ++i) {
      ASSERT_OK_AND_ASSIGN(Strings scratch,
                           domain_.Collection<Strings>("scratch"));
      for (int k = 0; k < 20; ++k) {
        ASSERT_OK(scratch.Put(std::to_string(k), std::string(300, 's')));
      }
      ASSERT_OK(domain_.Swap(
          [&](Transaction& txn) { return scratch.In(txn).Clear(); }));
      ASSERT_OK(scratch.Put("k", "v"));
      if (i % 2 == 0) ASSERT_OK(domain_.Drop("scratch"));
    }
  }

  struct Maps {
    Numbers left, right, shapes, own;
    Strings values;
  };

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Maps> maps_;
};

TEST_F(StressTest, InvariantsHoldWhileAllGoOnAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kWriters; ++i) {
    threads.emplace_back([this, i] { Write(i); });
  }
  for (int i = 0; i < kReaders; ++i) {
    threads.emplace_back([this] { ReadOn(); });
  }
  threads.emplace_back([this] { DropAndClear(); });
  threads.emplace_back([this] {
    for (int i = 0; i < kChores; ++i) ASSERT_OK(domain_.Reclaim());
  });
  threads.emplace_back([this] {
    for (int i = 0; i < kChores; ++i) ASSERT_OK(domain_.Sync());
  });
  threads.emplace_back([this] {
    CompactOptions options;
    options.share = 1;
    for (int i = 0; i < kChores; ++i) ASSERT_OK(domain_.Compact(options));
  });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kWriters; ++i) {
    EXPECT_EQ(maps_->own.Get(std::to_string(i)).value(), kCommitsEach);
  }
  ASSERT_OK_AND_ASSIGN(Snapshot now, domain_.Now());
  ExpectInvariants(now);
  testing::ExpectCleanCheck(path_, domain_);
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
