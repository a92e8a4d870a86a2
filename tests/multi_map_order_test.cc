// The order of a multimap: cursors over pairs and keys, ranks, ranges and their
// erasure, against a sorted model; the seed is fixed.
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
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

using Tags = MultiMap<std::string, std::string>;
using Pair = std::pair<std::string, std::string>;
using Model = std::set<Pair>;

class MultiMapOrderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    DomainOptions options;
    options.durability = Durability::kNone;
    options.background = false;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
  }

  // Few keys, so that each has many values; bytes that upset codecs.
  std::string DrawKey() {
    static const auto* const kPieces = new std::vector<std::string>{
        "", "a", "b", std::string("\0", 1), std::string("\0\xFF", 2), "\xFF"};
    std::string key;
    for (uint64_t i = random_.Uniform(4); i > 0; --i) {
      key += (*kPieces)[random_.Uniform(kPieces->size())];
    }
    return key;
  }
  std::string DrawValue() {
    return std::string(random_.Uniform(3), '\0') +
           std::to_string(random_.Uniform(200));
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("tags.eve");
  Domain domain_;
  Random random_{20261130};
};

// Whether a cursor stands where the model does.
void ExpectAt(const Tags::Cursor& cursor, const Model& model,
              Model::const_iterator at) {
  ASSERT_EQ(cursor.Valid(), at != model.end());
  ASSERT_OK(cursor.status());
  if (!cursor.Valid()) return;
  ASSERT_EQ(cursor.key(), at->first);
  ASSERT_EQ(cursor.value(), Bytes(at->second));
}

Model::const_iterator Before(const Model& model, Model::const_iterator at) {
  return at == model.begin() ? model.end() : std::prev(at);
}

// The first pair whose key is above.
Model::const_iterator AfterKey(const Model& model, const std::string& key) {
  return model.lower_bound({key + std::string(1, '\0'), ""});
}

uint64_t RankOf(const Model& model, Model::const_iterator at) {
  return static_cast<uint64_t>(std::distance(model.begin(), at));
}

// All seeks around a key and a pair, and the steps from there.
template <class View>
void CheckAround(const View& view, const Model& model, const std::string& key,
                 const std::string& value) {
  const auto of_key = model.lower_bound({key, ""});
  const auto after_key = AfterKey(model, key);
  Tags::Cursor cursor = view.NewCursor();
  cursor.Seek(key);
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, of_key));
  cursor.SeekAbove(key);
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, after_key));
  cursor.SeekAtMost(key);
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, Before(model, after_key)));
  cursor.SeekBelow(key);
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, Before(model, of_key)));

  const auto at = model.lower_bound({key, value});
  const auto above = model.upper_bound({key, value});
  cursor.Seek(key, value);
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, at));
  if (at != model.end()) {
    const auto next_key = AfterKey(model, at->first);
    const auto own_key = model.lower_bound({at->first, ""});
    cursor.NextKey();
    ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, next_key));
    cursor.Seek(key, value);
    cursor.PrevKey();
    ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, Before(model, own_key)));
    cursor.Seek(key, value);
    cursor.Next();
    ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, std::next(at)));
    cursor.Seek(key, value);
    cursor.Prev();
    ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, Before(model, at)));
  }
  cursor.SeekAbove(key, value);
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, above));
  cursor.SeekAtMost(key, value);
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, Before(model, above)));
  cursor.SeekBelow(key, value);
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, Before(model, at)));

  ASSERT_EQ(*view.Rank(key), RankOf(model, of_key));
  ASSERT_EQ(*view.Rank(key, value), RankOf(model, at));
  ASSERT_EQ(*view.Count(key), RankOf(model, after_key) - RankOf(model, of_key));
  cursor.Nth(RankOf(model, at));
  ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, at));
  const auto nth = view.Nth(RankOf(model, at));
  ASSERT_EQ(nth.has_value(), at != model.end());
  if (nth.has_value()) {
    ASSERT_EQ((Pair{nth->key, nth->value}), *at);
  }
}

Model Collect(const Tags::Reader::Scan& scan) {
  Model pairs;
  for (const auto& [key, value] : scan) pairs.emplace(key, value);
  EXPECT_OK(scan.status());
  return pairs;
}

void CheckRanges(const Tags::Reader& reader, const Model& model,
                 const std::string& from, const std::string& to) {
  const auto begin = model.lower_bound({from, ""});
  ASSERT_EQ(Collect(reader.From(from)), Model(begin, model.end()));
  ASSERT_EQ(Collect(reader.Until(from)), Model(model.begin(), begin));
  Model within;
  Model prefixed;
  for (const Pair& pair : model) {
    if (pair.first >= from && pair.first < to) within.insert(pair);
    if (pair.first.starts_with(from)) prefixed.insert(pair);
  }
  ASSERT_EQ(Collect(reader.Keys(from, to)), within);
  ASSERT_EQ(*reader.Keys(from, to).Count(), within.size());
  ASSERT_EQ(Collect(reader.Prefix(from)), prefixed);
}

TEST_F(MultiMapOrderTest, AgreesWithTheModel) {
  ASSERT_OK_AND_ASSIGN(const Tags tags, domain_.Collection<Tags>("tags"));
  Model model;
  for (int round = 0; round < 12; ++round) {
    ASSERT_OK(domain_.Swap([&](Transaction& txn) {
      auto writer = tags.In(txn);
      for (int i = 0; i < 400; ++i) {
        const Pair pair{DrawKey(), DrawValue()};
        if (random_.OneIn(3)) {
          EXPECT_EQ(*writer.Remove(pair.first, pair.second),
                    model.erase(pair) == 1);
        } else {
          EXPECT_OK(writer.Add(pair.first, pair.second));
          model.insert(pair);
        }
        if (i % 20 == 0) CheckAround(writer, model, DrawKey(), DrawValue());
      }
      if (round % 3 == 2) {
        const std::string from = DrawKey();
        const std::string to = DrawKey();
        const size_t before = model.size();
        if (from < to) {
          model.erase(model.lower_bound({from, ""}),
                      model.lower_bound({to, ""}));
        }
        EXPECT_EQ(*writer.EraseRange(from, to), before - model.size());
      }
      return absl::OkStatus();
    }));
    if (HasFatalFailure()) return;
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
    const Tags::Reader reader = tags.At(now);
    ASSERT_EQ(Collect(reader.All()), model);
    for (int i = 0; i < 60; ++i) {
      ASSERT_NO_FATAL_FAILURE(
          CheckAround(reader, model, DrawKey(), DrawValue()));
    }
    ASSERT_NO_FATAL_FAILURE(CheckRanges(reader, model, DrawKey(), DrawKey()));
  }
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(MultiMapOrderTest, ACursorMeetsEachKeyOnce) {
  ASSERT_OK_AND_ASSIGN(const Tags tags, domain_.Collection<Tags>("tags"));
  ASSERT_OK(domain_.Swap([&](Transaction& txn) {
    auto writer = tags.In(txn);
    for (const char* key : {"a", "b", "c"}) {
      for (int i = 0; i < 2000; ++i) {
        EXPECT_OK(writer.Add(key, std::to_string(i)));
      }
    }
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  auto cursor = tags.At(now).NewCursor();
  std::string forward;
  for (cursor.First(); cursor.Valid(); cursor.NextKey()) {
    EXPECT_EQ(cursor.value(), Bytes("0"));
    forward += cursor.key();
  }
  EXPECT_EQ(forward, "abc");
  cursor.NextKey();  // it stands nowhere, and stays
  EXPECT_FALSE(cursor.Valid());
  std::string back;
  for (cursor.Last(); cursor.Valid(); cursor.PrevKey()) {
    EXPECT_EQ(cursor.value(), Bytes("999"));
    back += cursor.key();
  }
  EXPECT_EQ(back, "cba");
  cursor.PrevKey();
  EXPECT_FALSE(cursor.Valid());
}

// There are no bytes above all that begin with theirs.
TEST_F(MultiMapOrderTest, NothingIsAboveTheLargestKey) {
  using Numbers = MultiMap<int64_t, uint8_t>;
  ASSERT_OK_AND_ASSIGN(const Numbers numbers, domain_.Collection<Numbers>("n"));
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  for (const uint8_t value : {0, 255}) {
    ASSERT_OK(numbers.Add(kMax - 1, value));
    ASSERT_OK(numbers.Add(kMax, value));
  }
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  const auto reader = numbers.At(now);
  EXPECT_EQ(*reader.Count(kMax), 2u);
  auto cursor = reader.NewCursor();
  cursor.SeekAbove(kMax);
  EXPECT_FALSE(cursor.Valid());
  cursor.SeekAtMost(kMax);
  EXPECT_EQ(cursor.key(), kMax);
  EXPECT_EQ(cursor.value(), 255);
  cursor.NextKey();
  EXPECT_FALSE(cursor.Valid());
  cursor.SeekAbove(kMax - 1);
  EXPECT_EQ(cursor.key(), kMax);
  EXPECT_EQ(cursor.value(), 0);
  cursor.PrevKey();
  EXPECT_EQ(cursor.key(), kMax - 1);
  EXPECT_EQ(cursor.value(), 255);
}

TEST_F(MultiMapOrderTest, ACursorSurvivesWrites) {
  ASSERT_OK_AND_ASSIGN(const Tags tags, domain_.Collection<Tags>("tags"));
  ASSERT_OK(domain_.Swap([&](Transaction& txn) {
    auto writer = tags.In(txn);
    for (const char* key : {"a", "b", "c"}) {
      EXPECT_OK(writer.Add(key, "1"));
      EXPECT_OK(writer.Add(key, "2"));
    }
    auto cursor = writer.NewCursor();
    cursor.Seek("b", "1");
    EXPECT_EQ(*writer.RemoveAll("b"), 2u);
    // In the gap.
    EXPECT_FALSE(cursor.Valid());
    EXPECT_EQ(cursor.key(), "b");
    EXPECT_EQ(cursor.value(), Bytes("1"));
    EXPECT_OK(writer.Add("b", "0"));
    cursor.PrevKey();
    EXPECT_EQ(cursor.key(), "a");
    EXPECT_EQ(cursor.value(), Bytes("2"));
    cursor.Seek("b", "1");
    EXPECT_EQ(cursor.key(), "c");
    EXPECT_EQ(*writer.ErasePrefix("c"), 2u);
    EXPECT_OK(writer.Add("d", "x"));
    cursor.NextKey();
    EXPECT_EQ(cursor.key(), "d");
    cursor.Prev();
    EXPECT_EQ(cursor.key(), "b");
    EXPECT_EQ(cursor.value(), Bytes("0"));
    return absl::OkStatus();
  }));
}

TEST_F(MultiMapOrderTest, TupleKeysHavePrefixes) {
  using Events = MultiMap<std::tuple<std::string, int32_t>, int64_t>;
  ASSERT_OK_AND_ASSIGN(const Events events, domain_.Collection<Events>("e"));
  for (const char* name : {"a", "aa", "b"}) {
    for (const int32_t day : {-1, 2}) {
      ASSERT_OK(events.Add({name, day}, 10 * day));
      ASSERT_OK(events.Add({name, day}, 10 * day + 1));
    }
  }
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  const auto reader = events.At(now);
  EXPECT_EQ(*reader.Prefix("a").Count(), 4u);
  EXPECT_EQ(*reader.Prefix("aa", 2).Count(), 2u);
  EXPECT_EQ(*reader.Prefix("c").Count(), 0u);
  EXPECT_EQ(*reader.Prefix().Count(), 12u);
  EXPECT_EQ(*reader.Rank({"aa", 2}, 21), 7u);
  const auto nth = reader.Nth(7);
  ASSERT_TRUE(nth.has_value());
  EXPECT_EQ(nth->key, std::tuple("aa", 2));
  EXPECT_EQ(nth->value, 21);
}

TEST_F(MultiMapOrderTest, OneOpForms) {
  ASSERT_OK_AND_ASSIGN(const Tags tags, domain_.Collection<Tags>("tags"));
  ASSERT_OK_AND_ASSIGN(bool flag, tags.Insert("a", "1"));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(flag, tags.Insert("a", "1"));
  EXPECT_FALSE(flag);
  ASSERT_OK_AND_ASSIGN(flag, tags.Insert("a", "2"));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(flag, tags.Contains("a", "2"));
  EXPECT_TRUE(flag);
  ASSERT_OK_AND_ASSIGN(flag, tags.Contains("a", "3"));
  EXPECT_FALSE(flag);
  ASSERT_OK_AND_ASSIGN(uint64_t count, tags.Count("a"));
  EXPECT_EQ(count, 2u);
  ASSERT_OK_AND_ASSIGN(count, tags.Count("b"));
  EXPECT_EQ(count, 0u);
}

}  // namespace
}  // namespace eve
