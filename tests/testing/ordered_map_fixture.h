// A domain with an ordered map of strings, and what its tests say of keys.
#ifndef EVE_TESTS_TESTING_ORDERED_MAP_FIXTURE_H_
#define EVE_TESTS_TESTING_ORDERED_MAP_FIXTURE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve::testing {

using Strings = OrderedMap<std::string, std::string>;
using Keys = std::vector<std::string>;

template <class Scan>
Keys KeysOf(const Scan& scan) {
  Keys keys;
  for (auto [key, value] : scan) keys.push_back(key.ToString());
  EXPECT_OK(scan.status());
  return keys;
}

class OrderedMapFixture : public ::testing::Test {
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

  TempDir dir_;
  const std::string path_ = dir_.File("ordered.eve");
  Domain domain_;
  std::optional<Strings> map_;
  std::optional<Snapshot> snapshot_;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_ORDERED_MAP_FIXTURE_H_
