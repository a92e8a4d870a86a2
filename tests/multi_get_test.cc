// Look-ups of many keys at once, beside look-ups one by one: more keys than are
// interleaved, from many leaves, absent ones among them, of every kind of key.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

struct Point {
  int32_t x;
  int32_t y;
  bool operator==(const Point&) const = default;
};

// What a span of keys is made of, and the n-th of many different ones.
template <class K>
struct Sample;
template <>
struct Sample<std::string> {
  using Passed = Bytes;
  static std::string Make(int n) { return "key " + std::to_string(n * 7919); }
};
template <>
struct Sample<int64_t> {
  using Passed = int64_t;
  static int64_t Make(int n) {
    return (n % 2 == 0 ? 1 : -1) * n * int64_t{997};
  }
};
template <>
struct Sample<std::tuple<std::string, int32_t>> {
  using Passed = std::tuple<std::string, int32_t>;
  static Passed Make(int n) { return {std::to_string(n % 100), n}; }
};
template <>
struct Sample<Point> {
  using Passed = Point;
  static Point Make(int n) { return {n, -n}; }
};

constexpr int kKeys = 3000;

template <class Collection>
class MultiGetTest : public ::testing::Test {
 protected:
  using Key = typename Collection::Key;
  using Passed = typename Sample<Key>::Passed;

  void SetUp() override {
    DomainOptions options;
    options.durability = Durability::kNone;
    options.background = false;
    ASSERT_OK_AND_ASSIGN(domain_,
                         Domain::Open(dir_.File("multi.eve"), options));
    // Every other key is there.
    for (int n = 0; n < kKeys; ++n) keys_.push_back(Sample<Key>::Make(n));
  }
  // So many of them in a random order, absent and repeated ones included.
  std::vector<int> Draw(size_t count) {
    std::vector<int> drawn(count);
    for (int& n : drawn) n = static_cast<int>(random_.Uniform(kKeys));
    return drawn;
  }
  std::vector<Passed> KeysOf(const std::vector<int>& drawn) const {
    std::vector<Passed> keys;
    for (const int n : drawn) keys.push_back(keys_[static_cast<size_t>(n)]);
    return keys;
  }

  testing::TempDir dir_;
  Domain domain_;
  Random random_{3};
  std::vector<Key> keys_;
};

// Around the widths of what is interleaved, and far beyond them.
constexpr size_t kCounts[] = {0, 1, 15, 16, 17, 31, 33, 64, 65, 1000};

using Maps =
    ::testing::Types<OrderedMap<std::string, std::string>,
                     OrderedMap<std::string, int64_t>,
                     OrderedMap<int64_t, std::string>,
                     OrderedMap<std::tuple<std::string, int32_t>, std::string>,
                     Map<std::string, std::string>, Map<int64_t, std::string>,
                     Map<std::tuple<std::string, int32_t>, std::string>,
                     Map<Point, std::string>>;
TYPED_TEST_SUITE(MultiGetTest, Maps);

TYPED_TEST(MultiGetTest, FindsWhatFindFinds) {
  using Value = typename TypeParam::Value;
  ASSERT_OK_AND_ASSIGN(const TypeParam map,
                       this->domain_.template Collection<TypeParam>("m"));
  const auto value_of = [](int n) {
    if constexpr (std::is_same_v<Value, int64_t>) {
      return int64_t{n};
    } else {
      // Some are in blocks of their own.
      return std::string(n % 50 == 0 ? 700 : 20, 'v') + std::to_string(n);
    }
  };
  ASSERT_OK(this->domain_.Swap([&](Transaction& txn) {
    auto writer = map.In(txn);
    for (int n = 0; n < kKeys; n += 2) {
      EXPECT_OK(writer.Put(this->keys_[static_cast<size_t>(n)], value_of(n)));
    }
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, this->domain_.Now());
  const auto reader = map.At(now);
  for (const size_t count : kCounts) {
    SCOPED_TRACE(count);
    const std::vector<int> drawn = this->Draw(count);
    const auto keys = this->KeysOf(drawn);
    const auto found = reader.MultiGet(keys);
    ASSERT_EQ(found.size(), count);
    for (size_t i = 0; i < count; ++i) {
      const bool is_there = drawn[i] % 2 == 0;
      ASSERT_EQ(found[i].has_value(), is_there) << i;
      ASSERT_EQ(found[i], reader.Find(keys[i])) << i;
      if (is_there) {
        ASSERT_TRUE(Value(*found[i]) == value_of(drawn[i])) << i;
      }
    }
  }
  EXPECT_OK(now.status());
}

template <class Set>
using MultiContainsTest = MultiGetTest<Set>;
using Sets = ::testing::Types<SortedSet<std::string>, SortedSet<int64_t>,
                              SortedSet<std::tuple<std::string, int32_t>>>;
TYPED_TEST_SUITE(MultiContainsTest, Sets);

TYPED_TEST(MultiContainsTest, FindsWhatContainsFinds) {
  ASSERT_OK_AND_ASSIGN(const TypeParam set,
                       this->domain_.template Collection<TypeParam>("s"));
  ASSERT_OK(this->domain_.Swap([&](Transaction& txn) {
    auto writer = set.In(txn);
    for (int n = 0; n < kKeys; n += 2) {
      EXPECT_OK(writer.Add(this->keys_[static_cast<size_t>(n)]));
    }
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, this->domain_.Now());
  const auto reader = set.At(now);
  for (const size_t count : kCounts) {
    SCOPED_TRACE(count);
    const std::vector<int> drawn = this->Draw(count);
    const auto keys = this->KeysOf(drawn);
    const std::vector<bool> found = reader.MultiContains(keys);
    ASSERT_EQ(found.size(), count);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(found[i], drawn[i] % 2 == 0) << i;
      ASSERT_EQ(found[i], reader.Contains(keys[i])) << i;
    }
  }
}

}  // namespace
}  // namespace eve
