// Random operations on ordered maps against absl::btree_map: cursors in flight
// while their transaction writes, appends and erases ranges, savepoints,
// snapshots held and compared with each other, reclaims, reopens.
//
// Method: every step applies the same operation to the domain and to a model a
// collection. A cursor's model is its key: where it stands follows from that
// and from the model's present keys. Snapshots keep a copy of the models, and
// must read the same at any later time. The seed is printed; EVE_TEST_SEED=N
// repeats.

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
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

using Strings = OrderedMap<std::string, std::string>;
using Model = absl::btree_map<std::string, std::string>;
constexpr int kCollections = 2;
constexpr int kCursors = 3;
constexpr const char* kAppended = "q";
using Models = std::vector<Model>;

uint64_t Seed() {
  const char* given = std::getenv("EVE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10)
                          : MonotonicNanos();
}

// A cursor of a transaction and the key that it should remember.
struct Flight {
  Strings::Cursor cursor;
  std::optional<std::string> place;
};

class OrderedModelTest : public ::testing::Test {
 protected:
  OrderedModelTest() : seed_(Seed()), random_(seed_), models_(kCollections) {
    std::printf("EVE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  static std::string Name(int i) { return "ordered" + std::to_string(i); }
  void Open() {
    DomainOptions options;
    options.durability =
        random_.Uniform(2) == 0 ? Durability::kNone : Durability::kCheckpoint;
    options.background = random_.Uniform(2) == 0;
    options.checkpoint_every = absl::Milliseconds(5);
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
    maps_.clear();
    for (int i = 0; i < kCollections; ++i) {
      ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>(Name(i)));
      maps_.push_back(map);
    }
  }

  // Neighbours are likely to be written together; some are long, some share
  // long beginnings, some hold zero bytes.
  std::string RandomKey() {
    const uint64_t n = random_.Uniform(3000);
    std::string key = std::to_string(n);
    if (n % 7 == 0) key.insert(0, 60, 'p');
    if (n % 11 == 0) key.insert(0, 1, '\0');
    if (n % 97 == 0) key.append(n * 20, 'l');
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

  static std::optional<std::string> KeyAt(const Model& model,
                                          Model::const_iterator at) {
    if (at == model.end()) return std::nullopt;
    return at->first;
  }
  // The one before `at`.
  static std::optional<std::string> KeyBefore(const Model& model,
                                              Model::const_iterator at) {
    if (at == model.begin()) return std::nullopt;
    return (--at)->first;
  }

  void MoveCursor(Flight& flight, const Model& model) {
    const std::string key = RandomKey();
    switch (random_.Uniform(12)) {
      case 0:
        flight.cursor.Seek(key);
        flight.place = KeyAt(model, model.lower_bound(key));
        return;
      case 1:
        flight.cursor.SeekAbove(key);
        flight.place = KeyAt(model, model.upper_bound(key));
        return;
      case 2:
        flight.cursor.SeekAtMost(key);
        flight.place = KeyBefore(model, model.upper_bound(key));
        return;
      case 3:
        flight.cursor.SeekBelow(key);
        flight.place = KeyBefore(model, model.lower_bound(key));
        return;
      case 4:
        random_.Uniform(2) == 0 ? flight.cursor.First() : flight.cursor.Nth(0);
        flight.place = KeyAt(model, model.begin());
        return;
      case 5:
        flight.cursor.Last();
        flight.place = KeyBefore(model, model.end());
        return;
      case 6:
      case 7:
      case 8:
        flight.cursor.Next();
        if (!flight.place.has_value()) return;
        flight.place = KeyAt(model, model.upper_bound(*flight.place));
        return;
      default:
        flight.cursor.Prev();
        if (!flight.place.has_value()) return;
        flight.place = KeyBefore(model, model.lower_bound(*flight.place));
    }
  }

  void ExpectPlace(const Flight& flight, const Model& model) {
    const Strings::Cursor& cursor = flight.cursor;
    const auto at =
        flight.place.has_value() ? model.find(*flight.place) : model.end();
    ASSERT_EQ(cursor.Valid(), at != model.end());
    ASSERT_TRUE(cursor.key() == Bytes(flight.place.value_or("")));
    ASSERT_TRUE(cursor.value() ==
                (at == model.end() ? Bytes() : Bytes(at->second)));
  }

  void EraseRange(Strings::Writer& writer, Model& model) {
    std::string from = RandomKey();
    std::string to = RandomKey();
    // Mostly small ranges.
    if (random_.Uniform(4) != 0) to = from + "9";
    ASSERT_OK_AND_ASSIGN(const uint64_t erased, writer.EraseRange(from, to));
    const size_t before = model.size();
    if (from < to) model.erase(model.lower_bound(from), model.lower_bound(to));
    ASSERT_EQ(erased, before - model.size());
  }

  void ErasePrefix(Strings::Writer& writer, Model& model) {
    const std::string prefix =
        random_.Uniform(2) == 0 ? kAppended : RandomKey();
    // The empty one is all there is, which Clear() has its turns for.
    if (prefix.empty()) return;
    ASSERT_OK_AND_ASSIGN(const uint64_t erased, writer.ErasePrefix(prefix));
    const auto starts_with = [&](const Model::value_type& entry) {
      return entry.first.compare(0, prefix.size(), prefix) == 0;
    };
    ASSERT_EQ(erased, absl::erase_if(model, starts_with));
  }

  // One key behind the last, mostly, and some more behind that.
  void Append(Strings::Writer& writer, Model& model) {
    std::string key = RandomKey();
    for (uint64_t left = 1 + random_.Uniform(20); left > 0; --left) {
      const std::string value = RandomValue();
      const bool is_above = model.empty() || key > model.rbegin()->first;
      const absl::Status done = writer.Append(key, value);
      if (is_above) {
        ASSERT_OK(done);
        model.emplace(key, value);
      } else {
        EXPECT_CODE(done, absl::StatusCode::kInvalidArgument);
      }
      // Longer and longer ones, above all of RandomKey(), until ErasePrefix()
      // takes them.
      key = model.empty() ? "" : model.rbegin()->first;
      if (key.starts_with(kAppended)) {
        key += '~';
      } else {
        key = kAppended;
      }
    }
  }

  void Update(Strings::Writer& writer, Model& model) {
    const std::string key = RandomKey();
    const std::string suffix = RandomValue();
    const auto found = model.find(key);
    const std::optional<Bytes> old = found == model.end()
                                         ? std::nullopt
                                         : std::optional<Bytes>(found->second);
    const std::string next =
        std::string(old.value_or("none")).substr(0, 2000) + suffix;
    ASSERT_OK_AND_ASSIGN(const std::string put,
                         writer.Update(key, [&](std::optional<Bytes> before) {
                           EXPECT_TRUE(before == old);
                           return next;
                         }));
    ASSERT_TRUE(put == next);
    model[key] = next;
  }

  void WriteOnce(Strings::Writer& writer, Model& model) {
    const std::string key = RandomKey();
    const std::string value = RandomValue();
    switch (random_.Uniform(20)) {
      case 0:
        EraseRange(writer, model);
        return;
      case 16:
        if (random_.Uniform(4) == 0) ErasePrefix(writer, model);
        return;
      case 17:
        if (random_.Uniform(2) == 0) Append(writer, model);
        return;
      case 18:
      case 19:
        Update(writer, model);
        return;
      case 1:
      case 2:
      case 3: {
        ASSERT_OK_AND_ASSIGN(const bool was_there, writer.Erase(key));
        ASSERT_EQ(was_there, model.erase(key) == 1);
        return;
      }
      case 4:
      case 5: {
        ASSERT_OK_AND_ASSIGN(const bool is_new, writer.Insert(key, value));
        ASSERT_EQ(is_new, model.emplace(key, value).second);
        return;
      }
      case 6: {
        const auto found = writer.Find(key);
        const auto expected = model.find(key);
        ASSERT_EQ(found.has_value(), expected != model.end());
        if (found.has_value()) {
          ASSERT_TRUE(*found == Bytes(expected->second));
        }
        return;
      }
      case 7: {
        ASSERT_OK_AND_ASSIGN(const uint64_t rank, writer.Rank(key));
        const auto below = std::distance(model.begin(), model.lower_bound(key));
        ASSERT_EQ(rank, static_cast<uint64_t>(below));
        return;
      }
      default:
        ASSERT_OK(writer.Put(key, value));
        model[key] = value;
    }
  }

  // Some steps in one collection, with cursors in flight.
  void RunBatch(Transaction& txn, int which, Model& model) {
    Strings::Writer writer = maps_[which].In(txn);
    std::vector<Flight> flights;
    for (int i = 0; i < kCursors; ++i) {
      flights.push_back(Flight{writer.NewCursor(), std::nullopt});
    }
    std::optional<std::pair<Savepoint, Model>> savepoint;
    const uint64_t steps = 1 + random_.Uniform(80);
    for (uint64_t i = 0; i < steps; ++i) {
      WriteOnce(writer, model);
      for (Flight& flight : flights) {
        if (random_.Uniform(3) == 0) MoveCursor(flight, model);
        if (random_.Uniform(2) == 0) ExpectPlace(flight, model);
      }
      if (random_.Uniform(25) == 0) {
        ASSERT_OK_AND_ASSIGN(const Savepoint here, txn.Savepoint());
        savepoint.emplace(here, model);
      }
      if (random_.Uniform(40) == 0 && savepoint.has_value()) {
        ASSERT_OK(txn.RollBackTo(savepoint->first));
        model = savepoint->second;
      }
      if (HasFatalFailure()) return;
    }
  }

  void RunTransaction() {
    Models next = models_;
    const bool fails = random_.Uniform(10) == 0;
    absl::StatusOr<Commit> done =
        domain_.Swap([&](Transaction& txn) -> absl::Status {
          next = models_;  // the closure may run again
          for (int i = 0; i < kCollections; ++i) RunBatch(txn, i, next[i]);
          if (random_.Uniform(100) == 0) {
            EXPECT_OK(maps_[0].In(txn).Clear());
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

  void ExpectSameRange(const Strings::Reader& reader, const Model& model) {
    const std::string from = RandomKey();
    const std::string to = RandomKey();
    const auto first = model.lower_bound(from);
    const auto end = from < to ? model.lower_bound(to) : first;
    auto expected = first;
    for (auto [key, value] : reader.Range(from, to)) {
      ASSERT_TRUE(expected != end && key == Bytes(expected->first));
      ++expected;
    }
    ASSERT_TRUE(expected == end);
    for (auto [key, value] : reader.Range(from, to).Reverse()) {
      ASSERT_TRUE(expected != first);
      --expected;
      ASSERT_TRUE(key == Bytes(expected->first));
      ASSERT_TRUE(value == Bytes(expected->second));
    }
    ASSERT_TRUE(expected == first);
    ASSERT_OK_AND_ASSIGN(const uint64_t count, reader.Count(from, to));
    ASSERT_EQ(count, static_cast<uint64_t>(std::distance(first, end)));
    Flight flight{reader.NewCursor(), std::nullopt};
    for (int i = 0; i < 30; ++i) {
      MoveCursor(flight, model);
      ASSERT_NO_FATAL_FAILURE(ExpectPlace(flight, model));
    }
  }

  void ExpectDiff(const Snapshot& before, const Models& old_models,
                  const Snapshot& after, const Models& new_models) {
    const auto value_in = [](const Model& model, const std::string& key) {
      const auto found = model.find(key);
      return found == model.end() ? std::nullopt
                                  : std::optional<Bytes>(found->second);
    };
    for (int c = 0; c < kCollections; ++c) {
      Model keys = old_models[c];
      keys.insert(new_models[c].begin(), new_models[c].end());
      auto at = keys.begin();
      const auto skip_same = [&] {
        while (at != keys.end() && value_in(old_models[c], at->first) ==
                                       value_in(new_models[c], at->first)) {
          ++at;
        }
      };
      ASSERT_OK(maps_[c].Diff(
          before, after,
          [&](Bytes key, std::optional<Bytes> old_value,
              std::optional<Bytes> new_value) {
            skip_same();
            if (at == keys.end()) {
              ADD_FAILURE() << "one more than there are";
              return false;
            }
            EXPECT_TRUE(key == Bytes(at->first));
            EXPECT_TRUE(old_value == value_in(old_models[c], at->first));
            EXPECT_TRUE(new_value == value_in(new_models[c], at->first));
            ++at;
            return !HasFailure();
          }));
      skip_same();
      ASSERT_TRUE(at == keys.end()) << "not all were told";
    }
  }

  void ExpectSame(const Snapshot& snapshot, const Models& models) {
    for (int c = 0; c < kCollections; ++c) {
      const auto reader = maps_[c].At(snapshot);
      const Model& model = models[c];
      ASSERT_EQ(reader.size(), model.size());
      auto expected = model.begin();
      for (auto [key, value] : reader) {
        ASSERT_TRUE(expected != model.end() && key == Bytes(expected->first));
        ASSERT_TRUE(value == Bytes(expected->second));
        ++expected;
      }
      ASSERT_TRUE(expected == model.end());
      for (int i = 0; i < 5; ++i) {
        ASSERT_NO_FATAL_FAILURE(ExpectSameRange(reader, model));
      }
      if (!model.empty()) {
        const uint64_t index = random_.Uniform(model.size());
        const auto at = std::next(model.begin(), static_cast<int64_t>(index));
        ASSERT_EQ(reader.Nth(index)->key, at->first);
      }
    }
    ASSERT_OK(snapshot.status());
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("ordered_model.eve");
  const uint64_t seed_;
  Random random_;
  Models models_;
  Domain domain_;
  std::vector<Strings> maps_;
};

TEST_F(OrderedModelTest, RandomOperationsAgreeWithTheModel) {
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
      ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
      ExpectDiff(held[which].first, held[which].second, now, models_);
      ExpectDiff(now, models_, held[which].first, held[which].second);
      ExpectDiff(held[which].first, held[which].second, held.back().first,
                 held.back().second);
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
