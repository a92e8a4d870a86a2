// Ordered maps through the public interface: each operation, what keys and
// values may be, ranges, savepoints, reopening, space. Cursors have a test of
// their own.
#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/ordered_map_fixture.h"
#include "tests/testing/status_matchers.h"

namespace eve {
namespace {

using testing::Keys;
using testing::KeysOf;
using testing::Strings;

using OrderedMapTest = testing::OrderedMapFixture;

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

TEST_F(OrderedMapTest, NumbersInAGapAreZero) {
  using Numbers = OrderedMap<int32_t, int64_t>;
  ASSERT_OK_AND_ASSIGN(const Numbers numbers,
                       domain_.Collection<Numbers>("numbers"));
  ASSERT_OK(numbers.Put(-1, 10));
  ASSERT_OK(domain_.Swap([&](Transaction& txn) {
    auto writer = numbers.In(txn);
    auto cursor = writer.NewCursor();
    EXPECT_EQ(cursor.key(), 0);
    cursor.First();
    EXPECT_EQ(cursor.value(), 10);
    EXPECT_OK(writer.Erase(-1));
    EXPECT_EQ(cursor.key(), -1);
    EXPECT_EQ(cursor.value(), 0);
    return cursor.status();
  }));
}

TEST_F(OrderedMapTest, ErasesRanges) {
  Keys keys;
  for (int i = 1000; i < 9000; ++i) keys.push_back(std::to_string(i));
  Write([&](Strings::Writer& writer) {
    for (const std::string& key : keys) ASSERT_OK(writer.Put(key, key));
  });
  Write([&](Strings::Writer& writer) {
    ASSERT_OK_AND_ASSIGN(uint64_t erased, writer.EraseRange("2", "8"));
    EXPECT_EQ(erased, 6000u);
    ASSERT_OK_AND_ASSIGN(erased, writer.EraseRange("2", "8"));
    EXPECT_EQ(erased, 0u);
    ASSERT_OK_AND_ASSIGN(erased, writer.EraseRange("9", "1"));
    EXPECT_EQ(erased, 0u);
    ASSERT_OK_AND_ASSIGN(erased, writer.ErasePrefix("19"));
    EXPECT_EQ(erased, 100u);
    EXPECT_EQ(*writer.size(), 1900u);
  });
  EXPECT_EQ(Read().size(), 1900u);
  EXPECT_EQ(KeysOf(Read().From("1899").Limit(2)), (Keys{"1899", "8000"}));
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
  EXPECT_EQ(KeysOf(Read().All()).size(), 1900u);
}

TEST_F(OrderedMapTest, AnErasedRangeComesBackWithItsSavepoint) {
  Keys keys;
  for (int i = 1000; i < 5000; ++i) keys.push_back(std::to_string(i));
  Put({"0"});
  Write([&](Strings::Writer& writer) {
    for (const std::string& key : keys) ASSERT_OK(writer.Put(key, key));
  });
  ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
    auto writer = map_->In(txn);
    EXPECT_OK(writer.EraseRange("45", "46"));
    const auto savepoint = txn.Savepoint();
    EXPECT_OK(savepoint);
    EXPECT_OK(writer.EraseRange("2", "4"));
    EXPECT_OK(writer.Clear());
    EXPECT_OK(txn.RollBackTo(*savepoint));
    EXPECT_EQ(*writer.size(), 3901u);
    EXPECT_OK(writer.EraseRange("1", "2"));
    return absl::OkStatus();
  }));
  EXPECT_EQ(Read().size(), 2901u);
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(KeysOf(Read().All()).size(), 2901u);
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(OrderedMapTest, KeysAndValuesOfAllSizes) {
  std::map<std::string, std::string> model;
  const size_t sizes[] = {0, 1, 7, 8, 9, 255, 256, 1000, 4096, 40000, 65535};
  for (const size_t size : sizes) {
    model[std::string(size, 'k')] = std::string(size, 'v');
    model[std::string(size, '\0')] = std::string(1000 * (size % 7), 'w');
    model[std::string(size, 'k') + std::string("\0x", 2)] = "";
  }
  model[std::string(64 << 10, 'm')] = std::string(3 << 20, 'x');
  Write([&](Strings::Writer& writer) {
    for (auto& [key, value] : model) {
      if (key.size() <= 64 << 10) ASSERT_OK(writer.Put(key, value));
    }
  });
  std::erase_if(model, [](auto& e) { return e.first.size() > 64 << 10; });
  for (int round = 0; round < 2; ++round) {
    const auto reader = Read();
    auto expected = model.begin();
    for (auto [key, value] : reader) {
      ASSERT_TRUE(key == Bytes(expected->first));
      ASSERT_TRUE(value == Bytes(expected->second));
      ++expected;
    }
    EXPECT_TRUE(expected == model.end());
    auto from_end = model.rbegin();
    for (auto [key, value] : reader.All().Reverse()) {
      ASSERT_TRUE(key == Bytes((from_end++)->first));
    }
    for (auto& [key, value] : model) {
      ASSERT_TRUE(reader.Find(key) == Bytes(value));
    }
    snapshot_.reset();
    ASSERT_OK(domain_.Close());
    Open();
  }
  EXPECT_CODE(map_->Put(std::string((64 << 10) + 1, 'k'), ""),
              absl::StatusCode::kInvalidArgument);
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(OrderedMapTest, TuplesOrderAndHavePrefixes) {
  using Key = std::tuple<std::string, int32_t>;
  using Events = OrderedMap<Key, double>;
  ASSERT_OK_AND_ASSIGN(const Events events,
                       domain_.Collection<Events>("events"));
  for (int i = -2; i <= 2; ++i) {
    for (const char* name : {"a", "ab", "b"}) {
      ASSERT_OK(events.Put({name, i}, i));
    }
  }
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  const auto reader = events.At(now);
  int expected = -2;
  for (const auto& [key, value] : reader.Prefix("a")) {
    EXPECT_EQ(key, Key("a", expected));
    EXPECT_EQ(value, expected++);
  }
  EXPECT_EQ(expected, 3);
  EXPECT_EQ(*reader.Prefix("a", -1).Count(), 1u);
  EXPECT_EQ(*reader.Prefix().Count(), 15u);
  EXPECT_EQ(*reader.Count({"a", 0}, {"b", 0}), 10u);
  EXPECT_EQ(reader.Nth(5)->key, Key("ab", -2));
}

TEST_F(OrderedMapTest, KindsAreToldApart) {
  EXPECT_CODE((domain_.Collection<Map<std::string, std::string>>("map")),
              absl::StatusCode::kFailedPrecondition);
  EXPECT_CODE((domain_.Collection<OrderedMap<std::string, int32_t>>("map")),
              absl::StatusCode::kFailedPrecondition);
  EXPECT_CODE((domain_.Collection<SortedSet<std::string>>("map")),
              absl::StatusCode::kFailedPrecondition);
  ASSERT_OK((domain_.Collection<SortedSet<int8_t>>("set")));
  ASSERT_OK((domain_.Collection<Map<int8_t, bool>>("hashed")));
  ASSERT_OK((domain_.Collection<MultiMap<int8_t, bool>>("pairs")));
  ASSERT_OK_AND_ASSIGN(const auto infos, domain_.Collections());
  std::vector<std::string> kinds;
  for (const auto& info : infos) kinds.push_back(info.kind);
  EXPECT_EQ(kinds, (Keys{"map", "ordered_map", "multi_map", "sorted_set"}));
}

// Dropped, cleared and erased trees give their space back, also beside tries.
TEST_F(OrderedMapTest, SpaceComesBack) {
  using Hashed = Map<std::string, std::string>;
  ASSERT_OK_AND_ASSIGN(const Hashed hashed,
                       domain_.Collection<Hashed>("hashed"));
  const auto fill = [&] {
    ASSERT_OK(domain_.Swap([&](Transaction& txn) {
      auto writer = map_->In(txn);
      auto other = hashed.In(txn);
      for (int i = 0; i < 20000; ++i) {
        const std::string key = std::to_string(i);
        const std::string value(i % 1000 == 0 ? 10000 : 100, 'x');
        EXPECT_OK(writer.Put(key, value));
        EXPECT_OK(other.Put(key, value));
      }
      return absl::OkStatus();
    }));
  };
  const auto live = [&] {
    EXPECT_OK(domain_.Reclaim());
    return domain_.Stats()->live_bytes;
  };
  const uint64_t before = live();
  fill();
  Write([](Strings::Writer& writer) { ASSERT_OK(writer.Clear()); });
  ASSERT_OK(domain_.Drop("hashed"));
  EXPECT_LE(live(), before + 8192);
  ASSERT_OK_AND_ASSIGN(const Hashed again,
                       domain_.Collection<Hashed>("hashed"));
  Write([](Strings::Writer& writer) {
    for (int i = 0; i < 20000; ++i) {
      ASSERT_OK(writer.Put(std::to_string(i), std::string(100, 'x')));
    }
  });
  Write([](Strings::Writer& writer) {
    ASSERT_OK_AND_ASSIGN(const uint64_t erased, writer.EraseRange("", ":"));
    EXPECT_EQ(erased, 20000u);
  });
  EXPECT_LE(live(), before + 8192);
  ASSERT_OK(domain_.Drop("map"));
  EXPECT_LE(live(), before + 8192);
  EXPECT_TRUE(Read().empty());
  EXPECT_CODE(map_->Put("a", "b"), absl::StatusCode::kFailedPrecondition);
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(OrderedMapTest, OldSnapshotsStayAsTheyWere) {
  Keys keys;
  for (int i = 1000; i < 4000; ++i) keys.push_back(std::to_string(i));
  Write([&](Strings::Writer& writer) {
    for (const std::string& key : keys) ASSERT_OK(writer.Put(key, key));
  });
  ASSERT_OK_AND_ASSIGN(const Snapshot old, domain_.Now());
  Write([&](Strings::Writer& writer) {
    ASSERT_OK(writer.EraseRange("1500", "3500").status());
    for (int i = 0; i < 500; ++i) {
      ASSERT_OK(writer.Put("x" + std::to_string(i), "y"));
    }
  });
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(KeysOf(map_->At(old).All()), keys);
  EXPECT_EQ(Read().size(), 1500u);
}

// A leaf that loses bytes and no records merges too.
TEST_F(OrderedMapTest, ValuesThatBecomeShortTakeNoMoreThanShortOnes) {
  constexpr int kKeys = 20000;
  const auto key = [](int i) { return "key" + std::to_string(100000 + i); };
  const auto live_bytes = [&] {
    EXPECT_OK(domain_.Reclaim());  // what was cleared before
    return domain_.Stats()->live_bytes;
  };
  const auto fill = [&](size_t value_bytes) {
    Write([&](Strings::Writer& writer) {
      for (int i = 0; i < kKeys; ++i) {
        ASSERT_OK(writer.Put(key(i), std::string(value_bytes, 'v')));
      }
    });
  };
  fill(8);
  const uint64_t fresh = live_bytes();
  for (const bool in_batches : {false, true}) {
    for (const size_t before : {100, 250, 500}) {
      SCOPED_TRACE(before);
      ASSERT_OK(domain_.Swap(
          [&](Transaction& txn) { return map_->In(txn).Clear(); }));
      fill(before);
      const int step = in_batches ? 1000 : 1;
      for (int i = 0; i < kKeys; i += step) {
        Write([&](Strings::Writer& writer) {
          for (int k = i; k < i + step; ++k) {
            ASSERT_OK(writer.Put(key(k), std::string(8, 'w')));
          }
        });
      }
      EXPECT_LT(live_bytes(), fresh * 3 / 2);
      ASSERT_EQ(Read().size(), static_cast<uint64_t>(kKeys));
    }
  }
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
