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

// The rule of writers' cursors, case by case: a cursor stays on its key, or in
// the gap that the key left.
TEST_F(OrderedMapTest, CursorsSurviveWritesOfTheirTransaction) {
  Put({"a", "b", "c", "d"});
  Write([](Strings::Writer& writer) {
    auto cursor = writer.NewCursor();
    cursor.Seek("b");
    // A new value shows at once.
    ASSERT_OK(writer.Put("b", "new"));
    EXPECT_TRUE(cursor.Valid());
    EXPECT_EQ(cursor.value(), Bytes("new"));
    // Neighbours that appear are met, and those that vanish are not.
    ASSERT_OK(writer.Put("bb", "between"));
    ASSERT_OK(writer.Erase("c"));
    cursor.Next();
    EXPECT_EQ(cursor.key(), Bytes("bb"));
    cursor.Next();
    EXPECT_EQ(cursor.key(), Bytes("d"));
    cursor.Prev();
    EXPECT_EQ(cursor.key(), Bytes("bb"));
    // Erased under the cursor: a gap, with the key and without a value.
    ASSERT_OK(writer.Erase("bb"));
    EXPECT_FALSE(cursor.Valid());
    EXPECT_EQ(cursor.key(), Bytes("bb"));
    EXPECT_TRUE(cursor.value().empty());
    EXPECT_OK(cursor.status());
    // Put back, it is there again.
    ASSERT_OK(writer.Put("bb", "again"));
    EXPECT_TRUE(cursor.Valid());
    EXPECT_EQ(cursor.value(), Bytes("again"));
    // Out of the gap, either way; looking at it before makes no difference.
    ASSERT_OK(writer.Erase("bb"));
    cursor.Next();
    EXPECT_EQ(cursor.key(), Bytes("d"));
    cursor.Seek("b");
    ASSERT_OK(writer.Erase("b"));
    EXPECT_FALSE(cursor.Valid());
    cursor.Prev();
    EXPECT_EQ(cursor.key(), Bytes("a"));
    // Nowhere stays nowhere.
    cursor.Prev();
    ASSERT_OK(writer.Put("", "first"));
    cursor.Next();
    EXPECT_FALSE(cursor.Valid());
    // All gone at once.
    cursor.First();
    ASSERT_OK(writer.Clear());
    EXPECT_FALSE(cursor.Valid());
    cursor.Next();
    EXPECT_FALSE(cursor.Valid());
    ASSERT_OK(writer.Put("z", "z"));
    cursor.Next();
    EXPECT_FALSE(cursor.Valid());
    cursor.First();
    EXPECT_EQ(cursor.key(), Bytes("z"));
  });
}

TEST_F(OrderedMapTest, CursorsGoBackWithASavepoint) {
  Put({"a", "c"});
  ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
    auto writer = map_->In(txn);
    const auto before = txn.Savepoint();
    EXPECT_OK(before);
    EXPECT_OK(writer.Put("b", "b"));
    auto cursor = writer.NewCursor();
    cursor.Seek("b");
    EXPECT_TRUE(cursor.Valid());
    EXPECT_OK(txn.RollBackTo(*before));
    EXPECT_FALSE(cursor.Valid());
    EXPECT_EQ(cursor.key(), Bytes("b"));
    cursor.Next();
    EXPECT_EQ(cursor.key(), Bytes("c"));
    return absl::OkStatus();
  }));
  ExpectKeys({"a", "c"});
}

TEST_F(OrderedMapTest, AScanMayChangeWhatItWalks) {
  Keys keys;
  for (int i = 100; i < 600; ++i) keys.push_back("k" + std::to_string(i));
  Put(keys);
  Write([&](Strings::Writer& writer) {
    size_t seen = 0;
    for (auto [key, value] : writer.All()) {
      EXPECT_EQ(key, Bytes(keys[seen++]));
      if (seen % 2 == 0) {
        ASSERT_OK(writer.Erase(key));
      } else {
        ASSERT_OK(writer.Put(key.ToString() + "+", "below the scan"));
        ASSERT_OK(writer.Erase(key.ToString() + "+"));
      }
    }
    EXPECT_EQ(seen, keys.size());
    seen = 0;
    for (auto [key, value] : writer.Range("k2", "k3").Reverse()) {
      ++seen;
      ASSERT_OK(writer.Put(key, "new"));
    }
    EXPECT_EQ(seen, 50u);
    EXPECT_EQ(*writer.Count("k2", "k3"), 50u);
    EXPECT_EQ(*writer.size(), 250u);
    EXPECT_EQ(*writer.Find("k298"), Bytes("new"));
    EXPECT_EQ(writer.Nth(1)->key, "k102");
  });
  EXPECT_EQ(*Read().Prefix("k2").Count(), 50u);
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

TEST_F(OrderedMapTest, ADroppedCollectionHasUselessCursors) {
  ASSERT_OK(domain_.Drop("map"));
  const auto done = domain_.Swap([&](Transaction& txn) {
    auto writer = map_->In(txn);
    auto cursor = writer.NewCursor();
    cursor.First();
    EXPECT_FALSE(cursor.Valid());
    EXPECT_CODE(cursor.status(), absl::StatusCode::kFailedPrecondition);
    EXPECT_CODE(writer.All().status(), absl::StatusCode::kFailedPrecondition);
    EXPECT_CODE(writer.EraseRange("a", "b"),
                absl::StatusCode::kFailedPrecondition);
    for (auto [key, value] : writer.All()) ADD_FAILURE() << key << value;
    return absl::OkStatus();
  });
  EXPECT_CODE(done, absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace eve
