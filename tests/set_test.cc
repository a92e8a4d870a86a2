// Hash sets through the public interface.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using Names = Set<std::string>;

class SetTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_)); }
  std::set<std::string> KeysOf(const Names::Reader& reader) {
    std::set<std::string> keys;
    for (const Bytes key : reader) {
      EXPECT_TRUE(keys.insert(key.ToString()).second) << "twice";
    }
    EXPECT_EQ(keys.size(), reader.size());
    return keys;
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("set.eve");
  Domain domain_;
};

TEST_F(SetTest, HoldsEachKeyOnce) {
  ASSERT_OK_AND_ASSIGN(const Names names, domain_.Collection<Names>("names"));
  ASSERT_OK(names.Add("b"));
  ASSERT_OK(names.Add("b"));
  ASSERT_OK_AND_ASSIGN(bool flag, names.Insert("b"));
  EXPECT_FALSE(flag);
  ASSERT_OK_AND_ASSIGN(flag, names.Insert("a"));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(flag, names.Remove("c"));
  EXPECT_FALSE(flag);
  ASSERT_OK_AND_ASSIGN(flag, names.Contains("a"));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(Snapshot now, domain_.Now());
  EXPECT_EQ(KeysOf(names.At(now)), (std::set<std::string>{"a", "b"}));
  ASSERT_OK_AND_ASSIGN(flag, names.Remove("a"));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(flag, names.Contains("a"));
  EXPECT_FALSE(flag);
  ASSERT_OK_AND_ASSIGN(const uint64_t size, names.size());
  EXPECT_EQ(size, 1u);
  EXPECT_TRUE(names.At(now).Contains("a"));
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(SetTest, AgreesWithTheModel) {
  ASSERT_OK_AND_ASSIGN(const Names names, domain_.Collection<Names>("names"));
  std::set<std::string> model;
  Random random(6);
  for (int round = 0; round < 10; ++round) {
    ASSERT_OK_AND_ASSIGN(const Snapshot before, domain_.Now());
    const std::set<std::string> old_model = model;
    ASSERT_OK(domain_.Swap([&](Transaction& txn) {
      auto writer = names.In(txn);
      for (int i = 0; i < 1000; ++i) {
        const std::string key(random.Uniform(4) * 100 + 1,
                              static_cast<char>(random.Uniform(256)));
        if (random.OneIn(3)) {
          EXPECT_EQ(*writer.Remove(key), model.erase(key) == 1);
        } else if (random.OneIn(2)) {
          EXPECT_EQ(*writer.Insert(key), model.insert(key).second);
        } else {
          EXPECT_OK(writer.Add(key));
          model.insert(key);
        }
        EXPECT_EQ(writer.Contains(key), model.contains(key));
      }
      EXPECT_EQ(*writer.size(), model.size());
      EXPECT_EQ(KeysOf(*writer.Read()), model);
      return absl::OkStatus();
    }));
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
    EXPECT_EQ(KeysOf(names.At(now)), model);
    std::set<std::string> added;
    std::set<std::string> removed;
    ASSERT_OK(names.Diff(before, now, [&](Bytes key, bool is_new) {
      (is_new ? added : removed).insert(key.ToString());
      return true;
    }));
    std::set<std::string> patched = old_model;
    for (const std::string& key : removed) EXPECT_EQ(patched.erase(key), 1u);
    for (const std::string& key : added) {
      EXPECT_TRUE(patched.insert(key).second);
    }
    EXPECT_EQ(patched, model);
  }
  ASSERT_OK(
      domain_.Swap([&](Transaction& txn) { return names.In(txn).Clear(); }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  EXPECT_TRUE(names.At(now).empty());
}

// PERSISTED: a map of empty tuples, in both directions.
TEST_F(SetTest, IsAMapToNothing) {
  using Plain = Map<int32_t, std::tuple<>>;
  ASSERT_OK_AND_ASSIGN(const auto set, domain_.Collection<Set<int32_t>>("n"));
  ASSERT_OK(set.Add(-7));
  ASSERT_OK_AND_ASSIGN(const auto map, domain_.Collection<Plain>("n"));
  ASSERT_OK(map.Put(8, {}));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  EXPECT_TRUE(map.At(now).Contains(-7));
  EXPECT_TRUE(set.At(now).Contains(8));
  std::vector<int32_t> keys;
  for (const int32_t key : set.At(now)) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(keys, (std::vector<int32_t>{-7, 8}));
  EXPECT_CODE((domain_.Collection<Map<int32_t, std::string>>("n")),
              absl::StatusCode::kFailedPrecondition);
  EXPECT_CODE(domain_.Collection<SortedSet<int32_t>>("n"),
              absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace eve
