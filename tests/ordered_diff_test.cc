// Diff() of ordered collections between any two of many versions, against maps
// that were kept of them: the seed is fixed.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using Strings = OrderedMap<std::string, std::string>;
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

// The first `limit` changes.
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
  return changes;
}

class OrderedDiffTest : public ::testing::Test {
 protected:
  void SetUp() override {
    DomainOptions options;
    options.background = false;
    options.durability = Durability::kNone;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(dir_.File("diff.eve"), options));
  }
  Snapshot Now() { return domain_.Now().value(); }

  // Some puts, erasures and now and then a range; values up to external ones.
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
      const std::string from = std::to_string(random_.Uniform(5'000));
      EXPECT_OK(writer.EraseRange(from, from + "5"));
      model_.erase(model_.lower_bound(from), model_.lower_bound(from + "5"));
      return absl::OkStatus();
    }));
  }

  testing::TempDir dir_;
  Random random_{20260103};
  Domain domain_;
  Model model_;
};

TEST_F(OrderedDiffTest, BetweenAnyTwoVersionsInBothDirections) {
  std::vector<std::pair<Snapshot, Model>> versions;
  versions.emplace_back(Now(), Model());  // before its creation
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  versions.emplace_back(Now(), Model());
  // The file grows in between: an old version ends before the new blocks.
  for (const uint64_t writes : {8'000, 1, 0, 30, 1'000, 20'000, 3}) {
    Write(map, writes);
    versions.emplace_back(Now(), model_);
  }
  ASSERT_OK(domain_.Drop("m"));
  versions.emplace_back(Now(), Model());
  // Of the same name, but another one: nothing of it is in `map`.
  ASSERT_OK_AND_ASSIGN(const Strings anew, domain_.Collection<Strings>("m"));
  ASSERT_OK(anew.Put("other", "v"));
  versions.emplace_back(Now(), Model());
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

TEST_F(OrderedDiffTest, EndsWhenToldTo) {
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  const Snapshot before = Now();
  Write(map, 5'000);
  const Snapshot after = Now();
  std::vector<Change> expected = ExpectedDiff(Model(), model_);
  ASSERT_GT(expected.size(), 100u);
  for (const size_t limit : {100, 7, 1}) {
    expected.resize(limit);
    EXPECT_EQ(DiffOf(map, before, after, limit), expected);
  }
}

TEST_F(OrderedDiffTest, SetsTellWhatWasAddedAndRemoved) {
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

TEST_F(OrderedDiffTest, SnapshotsOfTwoDomainsAreRefused) {
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
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
