// Ordered maps through the public interface: each operation, what keys and
// values may be, cursors under writes, ranges, savepoints, reopening, space.
#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using Strings = OrderedMap<std::string, std::string>;
using Pairs = std::vector<std::pair<std::string, std::string>>;
using Keys = std::vector<std::string>;

template <class Scan>
Keys KeysOf(const Scan& scan) {
  Keys keys;
  for (auto [key, value] : scan) keys.push_back(key.ToString());
  EXPECT_OK(scan.status());
  return keys;
}

class OrderedMapTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    DomainOptions options;
    options.durability = Durability::kNone;
    options.background = false;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("map"));
  }
  void Put(const Keys& keys) {
    for (const std::string& key : keys) {
      ASSERT_OK(map_->Put(key, "v" + key));
    }
  }
  Strings::Reader Read() {
    snapshot_ = *domain_.Now();
    return map_->At(*snapshot_);
  }
  // Runs `fn` with a writer and commits.
  void Write(absl::FunctionRef<void(Strings::Writer&)> fn) {
    ASSERT_OK(domain_.Swap([&](Transaction& txn) {
      auto writer = map_->In(txn);
      fn(writer);
      return absl::OkStatus();
    }));
  }
  // Nothing is left but the given keys.
  void ExpectKeys(const Keys& keys) { EXPECT_EQ(KeysOf(Read().All()), keys); }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("ordered.eve");
  Domain domain_;
  std::optional<Strings> map_;
  std::optional<Snapshot> snapshot_;
};

TEST_F(OrderedMapTest, DoesWhatMapsDo) {
  ASSERT_OK(map_->Put("b", "1"));
  ASSERT_OK_AND_ASSIGN(bool flag, map_->Insert("b", "2"));
  EXPECT_FALSE(flag);
  ASSERT_OK_AND_ASSIGN(flag, map_->Insert("a", "2"));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(const std::string updated,
                       map_->Update("b", [](std::optional<Bytes> old) {
                         return old->ToString() + "!";
                       }));
  EXPECT_EQ(updated, "1!");
  ASSERT_OK_AND_ASSIGN(const std::string b, map_->Get("b"));
  EXPECT_EQ(b, "1!");
  EXPECT_CODE(map_->Get("c"), absl::StatusCode::kNotFound);
  ASSERT_OK_AND_ASSIGN(flag, map_->Erase("c"));
  EXPECT_FALSE(flag);
  const auto reader = Read();
  EXPECT_EQ(reader.size(), 2u);
  EXPECT_TRUE(reader.Contains("a"));
  EXPECT_FALSE(reader.Contains("c"));
  const Bytes keys[] = {"a", "c", "b"};
  const auto values = reader.MultiGet(keys);
  EXPECT_EQ(values[0], Bytes("2"));
  EXPECT_EQ(values[1], std::nullopt);
  EXPECT_EQ(values[2], Bytes("1!"));
  ASSERT_OK_AND_ASSIGN(flag, map_->Erase("a"));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(const uint64_t size, map_->size());
  EXPECT_EQ(size, 1u);
}

TEST_F(OrderedMapTest, IsEmptyAtFirst) {
  const auto reader = Read();
  EXPECT_TRUE(reader.empty());
  EXPECT_TRUE(reader.begin() == reader.end());
  auto cursor = reader.NewCursor();
  EXPECT_FALSE(cursor.Valid());
  cursor.First();
  EXPECT_FALSE(cursor.Valid());
  cursor.Seek("");
  EXPECT_FALSE(cursor.Valid());
  cursor.Next();
  cursor.Prev();
  EXPECT_FALSE(cursor.Valid());
  EXPECT_OK(cursor.status());
  ASSERT_OK_AND_ASSIGN(const uint64_t count, reader.Count("", "z"));
  EXPECT_EQ(count, 0u);
  EXPECT_FALSE(reader.Nth(0).has_value());
}

TEST_F(OrderedMapTest, ScansAreInOrderOfBytes) {
  Put({"b", "a", "", "aa", "\xFF", std::string("a\0", 2), "B"});
  EXPECT_EQ(KeysOf(Read().All()),
            (Keys{"", "B", "a", std::string("a\0", 2), "aa", "b", "\xFF"}));
  Keys whole;
  for (auto [key, value] : Read()) {
    whole.push_back(key.ToString());
    EXPECT_EQ(value.ToString(), "v" + key.ToString());
  }
  EXPECT_EQ(whole, KeysOf(Read().All()));
}

TEST_F(OrderedMapTest, RangesAreHalfOpen) {
  Put({"a", "b", "c", "d"});
  const auto reader = Read();
  EXPECT_EQ(KeysOf(reader.Range("b", "d")), (Keys{"b", "c"}));
  EXPECT_EQ(KeysOf(reader.Range("aa", "cc")), (Keys{"b", "c"}));
  EXPECT_EQ(KeysOf(reader.Range("b", "b")), Keys{});
  EXPECT_EQ(KeysOf(reader.Range("d", "b")), Keys{});
  EXPECT_EQ(KeysOf(reader.Range("d", "b").Reverse()), Keys{});
  EXPECT_EQ(KeysOf(reader.Range("b", "d").Reverse()), (Keys{"c", "b"}));
  EXPECT_EQ(KeysOf(reader.Range("", "b").Reverse()), (Keys{"a"}));
  EXPECT_EQ(KeysOf(reader.From("c")), (Keys{"c", "d"}));
  EXPECT_EQ(KeysOf(reader.From("c").Reverse()), (Keys{"d", "c"}));
  EXPECT_EQ(KeysOf(reader.Until("c")), (Keys{"a", "b"}));
  EXPECT_EQ(KeysOf(reader.Until("")), Keys{});
  EXPECT_EQ(KeysOf(reader.All().Reverse()), (Keys{"d", "c", "b", "a"}));
  EXPECT_EQ(KeysOf(reader.All().Reverse().Reverse().Limit(1)), (Keys{"a"}));
  EXPECT_EQ(KeysOf(reader.All().Limit(3).Limit(2)), (Keys{"a", "b"}));
  EXPECT_EQ(KeysOf(reader.All().Limit(0)), Keys{});
  EXPECT_EQ(KeysOf(reader.All().Reverse().Limit(9)).size(), 4u);
  // A scan may be walked again.
  const auto scan = reader.Range("b", "d");
  EXPECT_EQ(KeysOf(scan), KeysOf(scan));
}

TEST_F(OrderedMapTest, PrefixesAreExact) {
  const std::string ff = "\xFF";
  Put({"a", "ab", "abc", "ac", "b", "a" + ff, "a" + ff + ff, ff, ff + ff});
  const auto reader = Read();
  EXPECT_EQ(KeysOf(reader.Prefix("ab")), (Keys{"ab", "abc"}));
  EXPECT_EQ(KeysOf(reader.Prefix("a")).size(), 6u);
  EXPECT_EQ(KeysOf(reader.Prefix("a" + ff)), (Keys{"a" + ff, "a" + ff + ff}));
  EXPECT_EQ(KeysOf(reader.Prefix(ff)), (Keys{ff, ff + ff}));
  EXPECT_EQ(KeysOf(reader.Prefix(ff).Reverse()), (Keys{ff + ff, ff}));
  EXPECT_EQ(KeysOf(reader.Prefix("")).size(), 9u);
  EXPECT_EQ(KeysOf(reader.Prefix("x")), Keys{});
}

TEST_F(OrderedMapTest, CountsAndRanks) {
  Put({"a", "b", "c", "d"});
  const auto reader = Read();
  const auto count = [&](Bytes from, Bytes to) {
    return *reader.Count(from, to);
  };
  EXPECT_EQ(count("a", "d"), 3u);
  EXPECT_EQ(count("", "\xFF"), 4u);
  EXPECT_EQ(count("bb", "bc"), 0u);
  EXPECT_EQ(count("d", "a"), 0u);
  EXPECT_EQ(*reader.Prefix("c").Count(), 1u);
  EXPECT_EQ(*reader.All().Count(), 4u);
  EXPECT_EQ(*reader.All().Limit(3).Count(), 3u);
  EXPECT_EQ(*reader.Rank("a"), 0u);
  EXPECT_EQ(*reader.Rank("cc"), 3u);
  EXPECT_EQ(*reader.Rank("z"), 4u);
  EXPECT_EQ(reader.Nth(2)->key, "c");
  EXPECT_EQ(reader.Nth(2)->value, Bytes("vc"));
  EXPECT_FALSE(reader.Nth(4).has_value());
}

TEST_F(OrderedMapTest, CursorsSeekAllFourWays) {
  Put({"b", "d"});
  const auto reader = Read();
  auto cursor = reader.NewCursor();
  const auto at = [&] {
    return cursor.Valid() ? cursor.key().ToString() : "-";
  };
  const auto sought = [&](Bytes key) {
    std::string found;
    cursor.Seek(key);
    found += at();
    cursor.SeekAbove(key);
    found += at();
    cursor.SeekAtMost(key);
    found += at();
    cursor.SeekBelow(key);
    return found + at();
  };
  EXPECT_EQ(sought("a"), "bb--");
  EXPECT_EQ(sought("b"), "bdb-");
  EXPECT_EQ(sought("c"), "ddbb");
  EXPECT_EQ(sought("d"), "d-db");
  EXPECT_EQ(sought("e"), "--dd");
  cursor.Last();
  EXPECT_EQ(at(), "d");
  EXPECT_EQ(cursor.value(), Bytes("vd"));
  cursor.Prev();
  EXPECT_EQ(at(), "b");
  cursor.Prev();
  EXPECT_EQ(at(), "-");
  cursor.Next();  // stays nowhere: only a seek moves it
  EXPECT_EQ(at(), "-");
  EXPECT_TRUE(cursor.key().empty());
  EXPECT_TRUE(cursor.value().empty());
  cursor.Nth(1);
  EXPECT_EQ(at(), "d");
  cursor.Next();
  EXPECT_EQ(at(), "-");
  EXPECT_OK(cursor.status());
}

}  // namespace
}  // namespace eve
