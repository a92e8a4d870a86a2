// Cursors and scans of ordered maps through the public interface, above all
// while the transaction they belong to writes.
#include <string>
#include <utility>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/ordered_map_fixture.h"
#include "tests/testing/status_matchers.h"

namespace eve {
namespace {

using testing::Keys;
using testing::Strings;

using OrderedCursorTest = testing::OrderedMapFixture;

TEST_F(OrderedCursorTest, CursorsSeekAllFourWays) {
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
TEST_F(OrderedCursorTest, CursorsSurviveWritesOfTheirTransaction) {
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

TEST_F(OrderedCursorTest, CursorsGoBackWithASavepoint) {
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

TEST_F(OrderedCursorTest, AScanMayChangeWhatItWalks) {
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

TEST_F(OrderedCursorTest, ADroppedCollectionHasUselessCursors) {
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
