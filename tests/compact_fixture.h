// CompactTest: a domain that is written at random, beside a model of it. The
// seed is printed; EVE_TEST_SEED=N repeats.
//
// Threads:    one.
// Processes:  one.
// Owns:       the file.
// Lifetime:   one test.
// Errors:     reported to GoogleTest.
// Cost:       none.
#ifndef EVE_TESTS_COMPACT_FIXTURE_H_
#define EVE_TESTS_COMPACT_FIXTURE_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/random.h"

namespace eve::testing {

using Hashed = Map<std::string, std::string>;
using Sorted = OrderedMap<std::string, std::string>;
using Model = absl::btree_map<std::string, std::string>;

inline constexpr uint64_t kMiB = 1 << 20;
inline uint64_t Seed() {
  const char* given = std::getenv("EVE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10)
                          : MonotonicNanos();
}

inline std::string KeyOf(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(12 - digits.size(), '0') + digits;
}

class CompactTest : public ::testing::Test {
 protected:
  CompactTest() : seed_(Seed()), random_(seed_) {
    std::printf("EVE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  void Open(bool background) {
    DomainOptions options;
    options.durability = Durability::kNone;
    options.background = background;
    options.checkpoint_every = absl::Milliseconds(5);
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
  }
  DomainStats Stats() {
    const absl::StatusOr<DomainStats> stats = domain_.Stats();
    EXPECT_OK(stats.status());
    return stats.value_or(DomainStats{});
  }
  std::string Value(size_t bytes_max) {
    return std::string(random_.Uniform(bytes_max),
                       static_cast<char>('a' + random_.Uniform(26)));
  }
  // `records` single puts of random keys.
  template <class C>
  void Overwrite(C& map, Model& model, uint64_t keys, uint64_t records,
                 size_t bytes_max) {
    for (uint64_t i = 0; i < records; ++i) {
      const std::string key = KeyOf(random_.Uniform(keys));
      std::string value = Value(bytes_max);
      ASSERT_OK(map.Put(key, value));
      model[key] = std::move(value);
    }
  }
  template <class C>
  void ExpectHolds(C& map, const Model& model) {
    ASSERT_OK_AND_ASSIGN(const uint64_t size, map.size());
    ASSERT_EQ(size, model.size());
    for (const auto& [key, value] : model) {
      ASSERT_OK_AND_ASSIGN(const std::string found, map.Get(key));
      ASSERT_TRUE(found == value) << key;
    }
  }
  void ExpectClean() { ExpectCleanCheck(path_, domain_); }

  TempDir dir_;
  const std::string path_ = dir_.path() + "/compact.eve";
  const uint64_t seed_;
  Random random_;
  Domain domain_;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_COMPACT_FIXTURE_H_
