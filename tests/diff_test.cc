// Diff() of all kinds of collections between any two of many versions, against
// maps that were kept of them: the seed is fixed.

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "engine/txn/snapshot_impl.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using HashMap = Map<std::string, std::string>;
using TreeMap = OrderedMap<std::string, std::string>;
using Names = SortedSet<std::string>;
using Model = absl::btree_map<std::string, std::string>;

struct Change {
  std::string key;
  std::optional<std::string> before;
  std::optional<std::string> after;
  bool operator==(const Change&) const = default;
};

std::optional<std::string> ValueIn(const Model& model, const std::string& key) {
  const auto found = model.find(key);
  if (found == model.end()) return std::nullopt;
  return found->second;
}

std::vector<Change> ExpectedDiff(const Model& before, const Model& after) {
  Model keys = before;
  keys.insert(after.begin(), after.end());
  std::vector<Change> changes;
  for (const auto& [key, value] : keys) {
    Change change{key, ValueIn(before, key), ValueIn(after, key)};
    if (change.before != change.after) changes.push_back(std::move(change));
  }
  return changes;
}

std::optional<std::string> Own(const std::optional<Bytes>& value) {
  if (!value.has_value()) return std::nullopt;
  return std::string(*value);
}

// The first `limit` changes; in the order of the keys, in which trees give
// them.
template <class Strings>
std::vector<Change> DiffOf(const Strings& map, const Snapshot& before,
                           const Snapshot& after, size_t limit = SIZE_MAX) {
  std::vector<Change> changes;
  EXPECT_OK(map.Diff(
      before, after,
      [&](Bytes key, std::optional<Bytes> old_value,
          std::optional<Bytes> new_value) {
        changes.push_back({std::string(key), Own(old_value), Own(new_value)});
        return changes.size() < limit;
      }));
  if constexpr (std::is_same_v<Strings, HashMap>) {
    std::sort(changes.begin(), changes.end(),
              [](const Change& a, const Change& b) { return a.key < b.key; });
  }
  return changes;
}

class DiffTest : public ::testing::Test {
 protected:
  void SetUp() override {
    DomainOptions options;
    options.background = false;
    options.durability = Durability::kNone;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(dir_.File("diff.eve"), options));
  }
  Snapshot Now() { return domain_.Now().value(); }

  // Some puts, erasures and of trees a range; values up to external ones.
  template <class Strings>
  void Write(const Strings& map, uint64_t writes) {
    ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
      auto writer = map.In(txn);
      for (uint64_t i = 0; i < writes; ++i) {
        const std::string key = std::to_string(random_.Uniform(5'000));
        const std::string value(random_.Uniform(random_.OneIn(20) ? 2000 : 40),
                                static_cast<char>('a' + random_.Uniform(26)));
        if (random_.OneIn(4)) {
          EXPECT_OK(writer.Erase(key));
          model_.erase(key);
        } else {
          EXPECT_OK(writer.Put(key, value));
          model_[key] = value;
        }
      }
      if constexpr (std::is_same_v<Strings, TreeMap>) {
        const std::string from = std::to_string(random_.Uniform(5'000));
        EXPECT_OK(writer.EraseRange(from, from + "5"));
        model_.erase(model_.lower_bound(from), model_.lower_bound(from + "5"));
      }
      return absl::OkStatus();
    }));
  }

  testing::TempDir dir_;
  Random random_{20260103};
  Domain domain_;
  Model model_;
};

template <class T>
class DiffOfMapsTest : public DiffTest {};
using Kinds = ::testing::Types<HashMap, TreeMap>;
TYPED_TEST_SUITE(DiffOfMapsTest, Kinds);

TYPED_TEST(DiffOfMapsTest, BetweenAnyTwoVersionsInBothDirections) {
  using Strings = TypeParam;
  std::vector<std::pair<Snapshot, Model>> versions;
  versions.emplace_back(this->Now(), Model());  // before its creation
  ASSERT_OK_AND_ASSIGN(const Strings map,
                       this->domain_.template Collection<Strings>("m"));
  versions.emplace_back(this->Now(), Model());
  // The file grows in between: an old version ends before the new blocks.
  for (const uint64_t writes : {8'000, 1, 0, 30, 1'000, 20'000, 3}) {
    this->Write(map, writes);
    versions.emplace_back(this->Now(), this->model_);
  }
  // The same records in other places.
  ASSERT_OK(this->domain_.Compact());
  versions.emplace_back(this->Now(), this->model_);
  ASSERT_OK(this->domain_.Drop("m"));
  versions.emplace_back(this->Now(), Model());
  // Of the same name, but another one: nothing of it is in `map`.
  ASSERT_OK_AND_ASSIGN(const Strings anew,
                       this->domain_.template Collection<Strings>("m"));
  ASSERT_OK(anew.Put("other", "v"));
  versions.emplace_back(this->Now(), Model());
  for (const auto& [before, old_model] : versions) {
    for (const auto& [after, new_model] : versions) {
      SCOPED_TRACE(std::to_string(before.version()) + " to " +
                   std::to_string(after.version()));
      const std::vector<Change> expected = ExpectedDiff(old_model, new_model);
      ASSERT_TRUE(DiffOf(map, before, after) == expected);
    }
  }
  EXPECT_EQ(DiffOf(anew, versions[0].first, versions.back().first),
            (std::vector<Change>{{"other", std::nullopt, "v"}}));
}

TYPED_TEST(DiffOfMapsTest, EndsWhenToldTo) {
  using Strings = TypeParam;
  ASSERT_OK_AND_ASSIGN(const Strings map,
                       this->domain_.template Collection<Strings>("m"));
  const Snapshot before = this->Now();
  this->Write(map, 5'000);
  const Snapshot after = this->Now();
  const std::vector<Change> all = ExpectedDiff(Model(), this->model_);
  ASSERT_GT(all.size(), 100u);
  for (const size_t limit : {100, 7, 1}) {
    const std::vector<Change> some = DiffOf(map, before, after, limit);
    EXPECT_EQ(some.size(), limit);
    EXPECT_TRUE(std::includes(
        all.begin(), all.end(), some.begin(), some.end(),
        [](const Change& a, const Change& b) { return a.key < b.key; }));
    if (std::is_same_v<Strings, TreeMap>) {
      EXPECT_EQ(some.back(), all[limit - 1]);
    }
  }
}

TEST_F(DiffTest, SetsTellWhatWasAddedAndRemoved) {
  ASSERT_OK_AND_ASSIGN(const Names set, domain_.Collection<Names>("s"));
  ASSERT_OK(set.Add("kept"));
  ASSERT_OK(set.Add("removed"));
  const Snapshot before = Now();
  ASSERT_OK(set.Remove("removed"));
  ASSERT_OK(set.Add("added"));
  const Snapshot after = Now();
  using Changes = std::vector<std::pair<std::string, bool>>;
  const auto diff = [&set](const Snapshot& from, const Snapshot& to) {
    Changes changes;
    EXPECT_OK(set.Diff(from, to, [&changes](Bytes key, bool added) {
      changes.emplace_back(key, added);
      return true;
    }));
    return changes;
  };
  EXPECT_EQ(diff(before, after),
            (Changes{{"added", true}, {"removed", false}}));
  EXPECT_EQ(diff(after, before),
            (Changes{{"added", false}, {"removed", true}}));
  EXPECT_EQ(diff(after, after), Changes());
}

TEST_F(DiffTest, MultiMapsTellWhichPairsWereAddedAndRemoved) {
  using Numbers = MultiMap<std::string, int32_t>;
  ASSERT_OK_AND_ASSIGN(const Numbers map, domain_.Collection<Numbers>("n"));
  ASSERT_OK(map.Add("kept", 1));
  ASSERT_OK(map.Add("less", 2));
  ASSERT_OK(map.Add("less", -3));
  const Snapshot before = Now();
  ASSERT_OK(map.Remove("less", -3).status());
  ASSERT_OK(map.Add("kept", -1));
  ASSERT_OK(map.Add(std::string("\0new", 4), 4));
  const Snapshot after = Now();
  using Changes = std::vector<std::tuple<std::string, int32_t, bool>>;
  const auto diff = [&map](const Snapshot& from, const Snapshot& to,
                           size_t limit = SIZE_MAX) {
    Changes changes;
    EXPECT_OK(map.Diff(from, to,
                       [&](const std::string& key, int32_t value, bool added) {
                         changes.emplace_back(key, value, added);
                         return changes.size() < limit;
                       }));
    return changes;
  };
  const std::string zero("\0new", 4);
  EXPECT_EQ(
      diff(before, after),
      (Changes{{zero, 4, true}, {"kept", -1, true}, {"less", -3, false}}));
  EXPECT_EQ(
      diff(after, before),
      (Changes{{zero, 4, false}, {"kept", -1, false}, {"less", -3, true}}));
  EXPECT_EQ(diff(after, before, 1), (Changes{{zero, 4, false}}));
}

// What damage makes look absent is not reported as a change.
TEST_F(DiffTest, ASnapshotThatMetDamageIsRefused) {
  ASSERT_OK_AND_ASSIGN(const TreeMap map, domain_.Collection<TreeMap>("m"));
  const Snapshot before = Now();
  ASSERT_OK(map.Put("k", "v"));
  const Snapshot after = Now();
  const auto diff = [&map](const Snapshot& from, const Snapshot& to) {
    return map.Diff(from, to,
                    [](Bytes, std::optional<Bytes>, std::optional<Bytes>) {
                      ADD_FAILURE() << "a change";
                      return true;
                    });
  };
  before.impl().MarkDamaged();
  EXPECT_CODE(diff(before, after), absl::StatusCode::kDataLoss);
  EXPECT_CODE(diff(after, before), absl::StatusCode::kDataLoss);
}

TEST_F(DiffTest, SnapshotsOfTwoDomainsAreRefused) {
  ASSERT_OK_AND_ASSIGN(const TreeMap map, domain_.Collection<TreeMap>("m"));
  ASSERT_OK_AND_ASSIGN(Domain other, Domain::Open(dir_.File("other.eve")));
  ASSERT_OK_AND_ASSIGN(const Snapshot elsewhere, other.Now());
  EXPECT_CODE(map.Diff(Now(), elsewhere,
                       [](Bytes, std::optional<Bytes>, std::optional<Bytes>) {
                         return true;
                       }),
              absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace eve
