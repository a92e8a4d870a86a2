// Random operations against ordinary containers: several collections,
// transactions with savepoints, snapshots held, reclaims, syncs, reopens.
//
// Method: every step applies the same operation to the domain and to a model
// (an absl::flat_hash_map a collection). Snapshots keep a copy of the model,
// and must read the same at any later time. The seed is printed;
// EVE_TEST_SEED=N repeats.

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/random.h"

namespace eve {
namespace {

using Strings = Map<std::string, std::string>;
using Model = absl::flat_hash_map<std::string, std::string>;
constexpr int kCollections = 3;
using Models = std::vector<Model>;

uint64_t Seed() {
  const char* given = std::getenv("EVE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10)
                          : MonotonicNanos();
}

class ModelTest : public ::testing::Test {
 protected:
  ModelTest() : seed_(Seed()), random_(seed_), models_(kCollections) {
    std::printf("EVE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  void Open() {
    DomainOptions options;
    constexpr Durability kAll[] = {Durability::kNone, Durability::kCheckpoint,
                                   Durability::kSync};
    options.durability = kAll[random_.Uniform(3)];
    options.background = random_.Uniform(2) == 0;
    options.checkpoint_every = absl::Milliseconds(5);
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
    maps_.clear();
    for (int i = 0; i < kCollections; ++i) {
      ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>(Name(i)));
      maps_.push_back(map);
    }
  }
  static std::string Name(int i) { return "collection" + std::to_string(i); }

  std::string RandomKey() {
    const uint64_t n = random_.Uniform(2000);
    std::string key = "k" + std::to_string(n);
    // A few long ones, always the same for the same number.
    if (n % 97 == 0) key.append(n * 16, 'l');
    if (n == 5) key.clear();
    return key;
  }
  std::string RandomValue() {
    const uint64_t kind = random_.Uniform(100);
    uint64_t size = random_.Uniform(150);
    if (kind == 0) size = random_.Uniform(300 << 10);
    if (kind == 1) size = 0;
    if (kind < 6) size *= 10;
    return std::string(size, static_cast<char>('a' + random_.Uniform(26)));
  }

  void WriteOnce(Strings::Writer writer, Model& model) {
    const std::string key = RandomKey();
    const std::string value = RandomValue();
    switch (random_.Uniform(8)) {
      case 0:
      case 1: {
        ASSERT_OK_AND_ASSIGN(const bool was_there, writer.Erase(key));
        EXPECT_EQ(was_there, model.erase(key) == 1);
        return;
      }
      case 2: {
        ASSERT_OK_AND_ASSIGN(const bool is_new, writer.Insert(key, value));
        EXPECT_EQ(is_new, model.emplace(key, value).second);
        return;
      }
      case 3: {
        const auto found = writer.Find(key);
        const auto expected = model.find(key);
        ASSERT_EQ(found.has_value(), expected != model.end());
        if (found.has_value()) {
          EXPECT_EQ(*found, Bytes(expected->second));
        }
        return;
      }
      default:
        ASSERT_OK(writer.Put(key, value));
        model[key] = value;
    }
  }

  void RunTransaction() {
    Models next = models_;
    const bool fails = random_.Uniform(10) == 0;
    absl::StatusOr<Commit> done =
        domain_.Swap([&](Transaction& txn) -> absl::Status {
          next = models_;  // the closure may run again
          std::vector<std::pair<Savepoint, Models>> savepoints;
          const uint64_t steps = 1 + random_.Uniform(60);
          for (uint64_t i = 0; i < steps; ++i) {
            const int c = static_cast<int>(random_.Uniform(kCollections));
            WriteOnce(maps_[c].In(txn), next[c]);
            if (random_.Uniform(15) == 0) {
              auto savepoint = txn.Savepoint();
              if (!savepoint.ok()) return savepoint.status();
              savepoints.emplace_back(*savepoint, next);
            }
            if (random_.Uniform(20) == 0 && !savepoints.empty()) {
              const size_t to = random_.Uniform(savepoints.size());
              if (auto back = txn.RollBackTo(savepoints[to].first);
                  !back.ok()) {
                return back;
              }
              next = savepoints[to].second;
              savepoints.resize(to + 1, savepoints[to]);
            }
          }
          if (random_.Uniform(100) == 0) {
            if (auto st = maps_[0].In(txn).Clear(); !st.ok()) return st;
            next[0].clear();
          }
          return fails ? absl::CancelledError("on purpose") : absl::OkStatus();
        });
    if (fails) {
      EXPECT_CODE(done, absl::StatusCode::kCancelled);
    } else {
      ASSERT_OK(done);
      models_ = std::move(next);
    }
  }

  void ExpectSame(const Snapshot& snapshot, const Models& models) {
    for (int c = 0; c < kCollections; ++c) {
      const auto reader = maps_[c].At(snapshot);
      ASSERT_EQ(reader.size(), models[c].size());
      size_t seen = 0;
      for (auto [key, value] : reader) {
        const auto expected = models[c].find(key.ToString());
        ASSERT_NE(expected, models[c].end());
        ASSERT_EQ(value, Bytes(expected->second));
        ++seen;
      }
      ASSERT_EQ(seen, models[c].size());
      for (int i = 0; i < 50; ++i) {
        const std::string key = RandomKey();
        const auto expected = models[c].find(key);
        const auto found = reader.Find(key);
        ASSERT_EQ(found.has_value(), expected != models[c].end());
      }
    }
    ASSERT_OK(snapshot.status());
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("model.eve");
  const uint64_t seed_;
  Random random_;
  Models models_;
  Domain domain_;
  std::vector<Strings> maps_;
};

TEST_F(ModelTest, RandomOperationsAgreeWithTheModel) {
  Open();
  if (HasFatalFailure()) return;
  std::vector<std::pair<Snapshot, Models>> held;
  constexpr int kRounds = testing::kUnderTsan ? 40 : 250;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    RunTransaction();
    const uint64_t dice = random_.Uniform(100);
    if (dice < 6) {
      ASSERT_OK_AND_ASSIGN(Snapshot now, domain_.Now());
      held.emplace_back(now, models_);
    } else if (dice < 12 && !held.empty()) {
      const size_t which = random_.Uniform(held.size());
      ExpectSame(held[which].first, held[which].second);
      held.erase(held.begin() + static_cast<int64_t>(which));
    } else if (dice < 16) {
      ASSERT_OK(domain_.Reclaim());
    } else if (dice < 19) {
      ASSERT_OK(domain_.Sync());
    } else if (dice == 19) {
      held.clear();
      ASSERT_OK(domain_.Close());
      maps_.clear();
      Open();
    } else if (dice == 20) {
      testing::ExpectCleanCheck(path_, domain_);
    } else if (dice == 21) {
      const int c = static_cast<int>(random_.Uniform(kCollections));
      held.clear();  // handles of the dropped collection see nothing there
      ASSERT_OK(domain_.Drop(Name(c)));
      models_[c].clear();
      ASSERT_OK_AND_ASSIGN(maps_[c], domain_.Collection<Strings>(Name(c)));
    }
    if (HasFailure()) return;
  }
  for (auto& [snapshot, models] : held) ExpectSame(snapshot, models);
  held.clear();
  ASSERT_OK_AND_ASSIGN(Snapshot now, domain_.Now());
  ExpectSame(now, models_);
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
