// Multimaps through the public interface: many sorted values for a key.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using Tags = MultiMap<std::string, std::string>;
using Words = std::vector<std::string>;

Words WordsOf(const auto& scan) {
  Words words;
  for (const Bytes word : scan) words.push_back(word.ToString());
  EXPECT_OK(scan.status());
  return words;
}

TEST(MultiMapTest, KeepsTheValuesOfEachKeyInOrder) {
  const testing::TempDir dir;
  const std::string path = dir.File("tags.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path));
  ASSERT_OK_AND_ASSIGN(const Tags tags, domain.Collection<Tags>("tags"));
  ASSERT_OK(tags.Add("a", "2"));
  ASSERT_OK(tags.Add("a", "1"));
  ASSERT_OK(tags.Add("a", "1"));  // each once
  ASSERT_OK(tags.Add("a", ""));
  ASSERT_OK(tags.Add("aa", "0"));
  ASSERT_OK(tags.Add(Bytes("a\0", 2), "z"));
  ASSERT_OK(tags.Add("", "x"));
  ASSERT_OK_AND_ASSIGN(bool removed, tags.Remove("aa", "1"));
  EXPECT_FALSE(removed);
  ASSERT_OK_AND_ASSIGN(Snapshot now, domain.Now());
  const auto reader = tags.At(now);
  EXPECT_EQ(reader.size(), 6u);
  EXPECT_EQ(WordsOf(reader.Values("a")), (Words{"", "1", "2"}));
  EXPECT_EQ(WordsOf(reader.Values("a").Reverse().Limit(2)), (Words{"2", "1"}));
  EXPECT_EQ(WordsOf(reader.Values(Bytes("a\0", 2))), Words{"z"});
  EXPECT_EQ(WordsOf(reader.Values("")), Words{"x"});
  EXPECT_EQ(WordsOf(reader.Values("b")), Words{});
  EXPECT_EQ(WordsOf(reader.Range("a", "1", "2")), Words{"1"});
  EXPECT_EQ(*reader.Count("a"), 3u);
  EXPECT_EQ(*reader.Count("b"), 0u);
  EXPECT_TRUE(reader.Contains("a", "1"));
  EXPECT_FALSE(reader.Contains("a", "3"));
  Words pairs;
  for (const auto& [key, value] : reader) {
    pairs.push_back(key + "=" + value.ToString());
  }
  EXPECT_EQ(pairs,
            (Words{"=x", "a=", "a=1", "a=2", std::string("a\0=z", 4), "aa=0"}));
  EXPECT_EQ(*reader.Keys("a", "aa").Count(), 4u);

  ASSERT_OK_AND_ASSIGN(const uint64_t gone, tags.RemoveAll("a"));
  EXPECT_EQ(gone, 3u);
  ASSERT_OK_AND_ASSIGN(removed, tags.Remove("aa", "0"));
  EXPECT_TRUE(removed);
  ASSERT_OK_AND_ASSIGN(const uint64_t size, tags.size());
  EXPECT_EQ(size, 2u);
  testing::ExpectCleanCheck(path, domain);
}

TEST(MultiMapTest, ValuesMayBeLong) {
  const testing::TempDir dir;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(dir.File("tags.eve")));
  ASSERT_OK_AND_ASSIGN(const Tags tags, domain.Collection<Tags>("tags"));
  // Two bytes end the key.
  const std::string most((64 << 10) - 3, 'v');
  ASSERT_OK(tags.Add("k", most));
  EXPECT_CODE(tags.Add("k", most + "v"), absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(tags.Add("kk", most), absl::StatusCode::kInvalidArgument);
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
  EXPECT_EQ(WordsOf(tags.At(now).Values("k")), Words{most});
}

// A key is there once a leaf, not once a value, however long it is: in what is
// stored, and in what a commit writes.
TEST(MultiMapTest, LongKeysTakeNoMoreForEachValue) {
  constexpr uint64_t kValues = 20'000;
  for (const bool sorted : {true, false}) {
    for (const size_t key_bytes : {16, 1'100, 2'100, 40'000}) {
      SCOPED_TRACE(key_bytes);
      const testing::TempDir dir;
      ASSERT_OK_AND_ASSIGN(Domain domain,
                           Domain::Open(dir.File("d.eve"), testing::Quiet()));
      ASSERT_OK_AND_ASSIGN(
          auto map, (domain.Collection<MultiMap<std::string, uint64_t>>("m")));
      const std::string key(key_bytes, 'k');
      const auto value_of = [&](uint64_t i) {
        return sorted ? i : i * 7919 % kValues;
      };
      for (uint64_t done = 0; done < kValues;) {
        ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
          auto writer = map.In(txn);
          for (uint64_t i = 0; i < 1'000; ++i) {
            EXPECT_OK(writer.Add(key, value_of(done + i)));
          }
          return absl::OkStatus();
        }));
        done += 1'000;
      }
      ASSERT_OK(domain.Reclaim());
      const DomainStats before = domain.Stats().value();
      // About two hundred to a leaf, and tens of leaves to a node.
      EXPECT_LT(before.live_bytes,
                kValues * 30 + kValues / 50 * key_bytes + 100'000);
      ASSERT_OK(map.Add(key, kValues));
      const DomainStats after = domain.Stats().value();
      EXPECT_LT(after.bytes_committed - before.bytes_committed,
                8'000 + 6 * key_bytes);
      ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
      EXPECT_EQ(map.At(now).Count(key).value(), kValues + 1);
      for (uint64_t i = 0; i <= kValues; i += 97) {
        ASSERT_TRUE(map.At(now).Contains(key, i)) << i;
      }
      // And when most are gone, and what is left is united.
      for (uint64_t done = 0; done < kValues; done += 1'000) {
        ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
          auto writer = map.In(txn);
          for (uint64_t i = done; i < done + 1'000; ++i) {
            if (i % 50 != 0) EXPECT_OK(writer.Remove(key, i));
          }
          return absl::OkStatus();
        }));
      }
      ASSERT_OK(domain.Reclaim());
      EXPECT_LT(domain.Stats().value().live_bytes, 100'000 + 25 * key_bytes);
      testing::ExpectCleanCheck(dir.File("d.eve"), domain);
    }
  }
}

TEST(MultiMapTest, NumbersAgreeWithTheModel) {
  const testing::TempDir dir;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(dir.File("numbers.eve")));
  using Numbers = MultiMap<int8_t, double>;
  ASSERT_OK_AND_ASSIGN(const Numbers numbers,
                       domain.Collection<Numbers>("numbers"));
  std::map<int8_t, std::set<double>> model;
  uint64_t pairs = 0;
  Random random(1);
  ASSERT_OK(domain.Swap([&](Transaction& txn) {
    auto writer = numbers.In(txn);
    for (int i = 0; i < 5000; ++i) {
      const auto key = static_cast<int8_t>(random.Uniform(8) - 4);
      const double value = static_cast<double>(random.Uniform(1000)) - 500;
      if (random.OneIn(4)) {
        const bool was_there = model[key].erase(value) == 1;
        EXPECT_EQ(*writer.Remove(key, value), was_there);
        pairs -= was_there ? 1 : 0;
      } else {
        const bool is_new = model[key].insert(value).second;
        EXPECT_EQ(*writer.Insert(key, value), is_new);
        pairs += is_new ? 1 : 0;
      }
      EXPECT_TRUE(writer.Contains(key, value) == model[key].contains(value));
    }
    EXPECT_EQ(*writer.Count(-1), model[-1].size());
    EXPECT_EQ(*writer.size(), pairs);
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
  const auto reader = numbers.At(now);
  for (const auto& [key, values] : model) {
    auto expected = values.begin();
    for (const double value : reader.Values(key)) {
      ASSERT_TRUE(expected != values.end());
      EXPECT_EQ(value, *expected++);
    }
    EXPECT_TRUE(expected == values.end());
    EXPECT_EQ(*reader.Count(key), values.size());
    double last = -1000;
    for (const double value : reader.Range(key, -100, 100)) {
      EXPECT_GT(value, last);
      EXPECT_GE(value, -100);
      EXPECT_LT(value, 100);
      last = value;
    }
  }
  EXPECT_EQ(*reader.Keys(-4, 0).Count() + *reader.Keys(0, 100).Count(), pairs);
}

}  // namespace
}  // namespace eve
