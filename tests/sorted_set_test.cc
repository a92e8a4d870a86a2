// Sorted sets through the public interface.
#include <cstdint>
#include <string>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using Numbers = SortedSet<int64_t>;

TEST(SortedSetTest, HoldsKeysInOrder) {
  const testing::TempDir dir;
  const std::string path = dir.File("set.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path));
  ASSERT_OK_AND_ASSIGN(const Numbers set, domain.Collection<Numbers>("set"));
  for (const int64_t n : {30, -20, 10}) ASSERT_OK(set.Add(n));
  ASSERT_OK(set.Add(10));
  ASSERT_OK_AND_ASSIGN(bool flag, set.Insert(10));
  EXPECT_FALSE(flag);
  ASSERT_OK_AND_ASSIGN(flag, set.Insert(40));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(flag, set.Remove(41));
  EXPECT_FALSE(flag);
  ASSERT_OK_AND_ASSIGN(flag, set.Remove(40));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(flag, set.Contains(-20));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(flag, set.Contains(40));
  EXPECT_FALSE(flag);

  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
  const auto reader = set.At(now);
  EXPECT_EQ(reader.size(), 3u);
  EXPECT_TRUE(reader.Contains(30));
  EXPECT_FALSE(reader.Contains(31));
  std::vector<int64_t> keys;
  for (const int64_t key : reader) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<int64_t>{-20, 10, 30}));
  keys.clear();
  for (const int64_t key : reader.Range(-100, 30).Reverse()) {
    keys.push_back(key);
  }
  EXPECT_EQ(keys, (std::vector<int64_t>{10, -20}));
  EXPECT_EQ(*reader.Count(-20, 30), 2u);
  EXPECT_EQ(*reader.Rank(30), 2u);
  EXPECT_EQ(*reader.Nth(1), 10);
  EXPECT_FALSE(reader.Nth(3).has_value());
  auto cursor = reader.NewCursor();
  cursor.SeekBelow(10);
  EXPECT_EQ(cursor.key(), -20);
  testing::ExpectCleanCheck(path, domain);
}

TEST(SortedSetTest, ChangesInTransactions) {
  const testing::TempDir dir;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(dir.File("set.eve")));
  ASSERT_OK_AND_ASSIGN(const auto set,
                       domain.Collection<SortedSet<std::string>>("set"));
  ASSERT_OK(domain.Swap([&](Transaction& txn) {
    auto writer = set.In(txn);
    for (const char* key : {"a", "b", "ba", "c"}) EXPECT_OK(writer.Add(key));
    EXPECT_TRUE(writer.Contains("b"));
    EXPECT_FALSE(writer.Contains("d"));
    auto cursor = writer.NewCursor();
    cursor.Seek("b");
    EXPECT_EQ(*writer.ErasePrefix("b"), 2u);
    EXPECT_FALSE(cursor.Valid());
    cursor.Next();
    EXPECT_EQ(cursor.key(), Bytes("c"));
    EXPECT_EQ(*writer.size(), 2u);
    EXPECT_EQ(*writer.Nth(0), "a");
    return absl::OkStatus();
  }));
  ASSERT_OK(domain.Swap([&](Transaction& txn) {
    EXPECT_OK(set.In(txn).Clear());
    return set.In(txn).Add("z");
  }));
  ASSERT_OK_AND_ASSIGN(const uint64_t size, set.size());
  EXPECT_EQ(size, 1u);
}

}  // namespace
}  // namespace eve
