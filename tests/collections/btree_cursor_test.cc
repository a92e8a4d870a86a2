// Cursors of a tree that stop at a key, and keys of all lengths under them.
//
// Method: all seeks and walks of a cursor with a stop against an ordered map;
// the stops are keys of the map, neighbours of them, and both ends. The seed is
// fixed.

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/collections/btree_fixture.h"

namespace eve {
namespace {

// Some share long beginnings, so that leaves have prefixes of all sizes.
std::string RandomKey(Random& random) {
  std::string key = std::to_string(random.Uniform(4'000));
  const uint64_t kind = random.Uniform(6);
  if (kind == 0) key.insert(0, 100 + random.Uniform(40), 'p');
  if (kind == 1) key.append(random.Uniform(300), 's');
  if (kind == 2) key.insert(0, 1, '\0');
  if (kind == 3) key.insert(0, 3'000, 'q');
  if (kind == 4) key.insert(0, 16 - key.size(), '0');
  return key;
}

// What a cursor should show at `at`, with the stop.
void ExpectAt(TreeCursor& cursor, const OrderedModel& model,
              OrderedModel::const_iterator at, const std::string& stop,
              bool forward) {
  const bool is_there = at != model.end() && (at->first < stop) == forward;
  ASSERT_FALSE(cursor.damaged());
  ASSERT_EQ(cursor.Valid(), is_there);
  if (!is_there) return;
  ASSERT_TRUE(cursor.key() == Bytes(at->first));
  ASSERT_TRUE(cursor.value() == Bytes(at->second));
}

OrderedModel::const_iterator Before(const OrderedModel& model,
                                    OrderedModel::const_iterator at) {
  return at == model.begin() ? model.end() : std::prev(at);
}

void CheckSeeks(TreeFixture& tree, const std::string& key,
                const std::string& stop, bool forward) {
  const OrderedModel& model = tree.model();
  TreeCursor cursor(tree.store().view(), tree.root().slot);
  cursor.StopAt(stop, forward);
  const auto expect_at = [&](OrderedModel::const_iterator at) {
    ASSERT_NO_FATAL_FAILURE(ExpectAt(cursor, model, at, stop, forward));
  };
  const auto lower = model.lower_bound(key);
  const auto upper = model.upper_bound(key);
  cursor.SeekToFirst();
  expect_at(model.begin());
  cursor.SeekToLast();
  expect_at(Before(model, model.end()));
  cursor.SeekAbove(key);
  expect_at(upper);
  cursor.SeekBelow(key);
  expect_at(Before(model, lower));
  cursor.SeekToRank(static_cast<uint64_t>(std::distance(model.begin(), lower)));
  expect_at(lower);
  cursor.SeekAtMost(key);
  auto at = Before(model, upper);
  expect_at(at);
  for (int i = 0; i < 200 && cursor.Valid(); ++i) {
    cursor.Prev();
    at = Before(model, at);
    expect_at(at);
  }
  cursor.SeekAtLeast(key);
  at = lower;
  expect_at(at);
  for (int i = 0; i < 200 && cursor.Valid(); ++i) {
    cursor.Next();
    expect_at(++at);
  }
}

class BtreeCursorTest : public ::testing::Test {
 protected:
  void Fill(int keys) {
    std::vector<TreeTestOp> ops;
    for (int i = 0; i < keys; ++i) {
      ops.push_back({MapOpKind::kPut, RandomKey(random_),
                     std::string(random_.Uniform(80), 'v')});
    }
    tree_.Apply(ops);
  }

  Random random_{20260102};
  TreeFixture tree_;
};

TEST_F(BtreeCursorTest, StopsEndAllWalksAndSeeks) {
  ASSERT_NO_FATAL_FAILURE(Fill(6'000));
  std::vector<std::string> stops = {"", std::string(10, '\xFF')};
  for (int i = 0; i < 150; ++i) {
    stops.push_back(RandomKey(random_));
    const auto at = tree_.model().lower_bound(stops.back());
    if (at != tree_.model().end()) stops.push_back(at->first);
  }
  for (const std::string& stop : stops) {
    for (const bool forward : {true, false}) {
      CheckSeeks(tree_, RandomKey(random_), stop, forward);
      CheckSeeks(tree_, stop, stop, forward);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(BtreeCursorTest, StopRemainsWhenTheTreeIsAnother) {
  for (char c = 'a'; c <= 'e'; ++c) tree_.Put(std::string(1, c), "v");
  TreeCursor cursor = tree_.Cursor();
  const std::string stop = "c";
  cursor.StopAt(stop, /*forward=*/true);
  tree_.Put("bb", "v");
  cursor.SetTree(tree_.store().view(), tree_.root().slot);
  EXPECT_FALSE(cursor.Valid());
  cursor.SeekAtLeast("b");
  ASSERT_TRUE(cursor.Valid());
  cursor.Next();
  ASSERT_TRUE(cursor.Valid());
  EXPECT_EQ(cursor.key(), "bb");
  cursor.Next();
  EXPECT_FALSE(cursor.Valid());
}

// The prefix fills the cursor's own room to the last byte, and more.
TEST_F(BtreeCursorTest, PrefixesOfAllLengthsFitTheCursor) {
  for (size_t prefix = 90; prefix <= 140; ++prefix) {
    TreeFixture tree;
    for (char c = 'a'; c <= 'z'; ++c) {
      tree.Put(std::string(prefix, 'p') + std::string(1, c), "value");
    }
    tree.CheckScans();
    if (HasFatalFailure()) return;
  }
}

// A cursor is often sought with a part of its own key: back to the first of a
// group, or on to the next group.
TEST_F(BtreeCursorTest, SeeksByItsOwnKey) {
  std::vector<TreeTestOp> ops;
  for (const char* group : {"group/a/", "group/b/"}) {
    for (int i = 0; i < 3000; ++i) {
      ops.push_back({MapOpKind::kPut, absl::StrFormat("%s%012d", group, i),
                     std::string(100, 'v')});
    }
  }
  tree_.Apply(ops);
  for (int erased = 0; erased < 1500; erased += 25) {
    TreeCursor cursor = tree_.Cursor();
    cursor.SeekAtLeast("group/b/000000002000");
    ASSERT_TRUE(cursor.Valid());
    const Bytes own = cursor.key();
    const std::string group = own.ToString().substr(0, 7);
    cursor.SeekAtLeast(Bytes(own.data(), group.size()));
    ASSERT_TRUE(cursor.Valid());
    EXPECT_EQ(cursor.key(), Bytes(tree_.model().lower_bound(group)->first));
    // Whole leaves: what leads to the group is then the last leaf before it.
    tree_.EraseRange("group/b/", absl::StrFormat("group/b/%012d", erased));
  }
}

}  // namespace
}  // namespace eve
