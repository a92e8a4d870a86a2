// Changes: what a diff of two maps says, and what one of two models would say.
//
// Threads:    one thread.
// Processes:  none.
// Owns:       copies of keys and values.
// Lifetime:   one test.
// Errors:     a failing diff, and a key that comes twice, are test failures.
// Cost:       O(records) for the model.
#ifndef EVE_TESTS_COLLECTIONS_CHANGES_H_
#define EVE_TESTS_COLLECTIONS_CHANGES_H_

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "engine/collections/diff.h"
#include "gtest/gtest.h"

namespace eve {

// Before and after.
using Change =
    std::pair<std::optional<std::string>, std::optional<std::string>>;
using Changes = std::map<std::string, Change>;

// `diff` is called with the visitor.
template <class Diff>
Changes CollectChanges(bool in_order, Diff diff) {
  const auto copy = [](const std::optional<Bytes>& bytes) {
    return bytes.has_value() ? std::optional(bytes->ToString()) : std::nullopt;
  };
  Changes changes;
  std::string last;
  const absl::Status status = diff([&](Bytes key,
                                       const std::optional<Bytes>& before,
                                       const std::optional<Bytes>& after) {
    EXPECT_TRUE(!in_order || changes.empty() || key > Bytes(last))
        << "out of order";
    last = key.ToString();
    EXPECT_TRUE(changes.emplace(last, Change(copy(before), copy(after))).second)
        << last << " twice";
    return true;
  });
  EXPECT_EQ(status, absl::OkStatus());
  return changes;
}

template <class Model>
Changes ModelDiff(const Model& before, const Model& after) {
  Changes changes;
  for (const auto& [key, value] : before) changes[key].first = value;
  for (const auto& [key, value] : after) changes[key].second = value;
  std::erase_if(changes, [](const auto& each) {
    return each.second.first == each.second.second;
  });
  return changes;
}

inline Changes Reversed(const Changes& changes) {
  Changes reversed;
  for (const auto& [key, change] : changes) {
    reversed[key] = Change(change.second, change.first);
  }
  return reversed;
}

}  // namespace eve

#endif  // EVE_TESTS_COLLECTIONS_CHANGES_H_
