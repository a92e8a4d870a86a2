// Views that a transaction gives of what it has written itself, handed to its
// next call: each means what it showed when it was passed, although the call
// first applies puts that write over the same bytes.
//
// Method: a closure writes leaves, so that they may be changed in place, takes
// a view of a value, puts another value of the same length under the same key,
// which stays pending, and passes the view on.
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using HashMap = Map<std::string, std::string>;
using TreeMap = OrderedMap<std::string, std::string>;

// Beyond both, Scratch does not keep it inline, and it is in a block of its
// own.
constexpr size_t kLengths[] = {4, 100, 3000};

template <class Strings>
class OwnViewsTest : public ::testing::Test {
 protected:
  using Writer = typename Strings::Writer;

  // Calls `fn` with a writer, a view of `old` and its text, in a closure of its
  // own for each length.
  void WithViewOfOldValue(
      absl::FunctionRef<void(Writer&, Bytes view, const std::string& old)> fn) {
    for (const Durability durability : {Durability::kNone, Durability::kSync}) {
      for (const size_t length : kLengths) {
        SCOPED_TRACE(length);
        const testing::TempDir dir;
        DomainOptions options;
        options.durability = durability;
        options.background = false;
        ASSERT_OK_AND_ASSIGN(Domain domain,
                             Domain::Open(dir.File("own.eve"), options));
        ASSERT_OK_AND_ASSIGN(const Strings map,
                             domain.Collection<Strings>("map"));
        ASSERT_OK(domain.Swap([&](Transaction& txn) {
          Writer writer = map.In(txn);
          const std::string old(length, 'o');
          for (const char* key : {"k1", "k2", "k3", "k4"}) {
            EXPECT_OK(writer.Put(key, old));
          }
          // Keys that either value could be taken for.
          EXPECT_OK(writer.Put(old, "of old"));
          EXPECT_OK(writer.Put(New(length), "of new"));
          const std::optional<Bytes> view = writer.Find("k3");
          EXPECT_EQ(view, Bytes(old));
          EXPECT_OK(writer.Put("k3", New(length)));
          fn(writer, *view, old);
          EXPECT_EQ(writer.Find("k3"), Bytes(New(length)));
          return absl::OkStatus();
        }));
      }
    }
  }
  static std::string New(size_t length) { return std::string(length, 'n'); }
};

using Kinds = ::testing::Types<HashMap, TreeMap>;
TYPED_TEST_SUITE(OwnViewsTest, Kinds);

TYPED_TEST(OwnViewsTest, AsTheValueOfAnInsert) {
  this->WithViewOfOldValue(
      [](auto& writer, Bytes view, const std::string& old) {
        EXPECT_OK(writer.Insert("renamed", view));
        EXPECT_EQ(writer.Find("renamed"), Bytes(old));
      });
}

TYPED_TEST(OwnViewsTest, AsTheValueOfAPut) {
  this->WithViewOfOldValue(
      [](auto& writer, Bytes view, const std::string& old) {
        EXPECT_OK(writer.Put("renamed", view));
        EXPECT_EQ(writer.Find("renamed"), Bytes(old));
      });
}

TYPED_TEST(OwnViewsTest, AsTheKeyOfWrites) {
  this->WithViewOfOldValue(
      [](auto& writer, Bytes view, const std::string& old) {
        ASSERT_OK_AND_ASSIGN(const bool erased, writer.Erase(view));
        EXPECT_TRUE(erased);
        EXPECT_FALSE(writer.Contains(old));
        EXPECT_TRUE(writer.Contains(std::string(old.size(), 'n')));
      });
  this->WithViewOfOldValue(
      [](auto& writer, Bytes view, const std::string& old) {
        ASSERT_OK_AND_ASSIGN(const std::string updated,
                             writer.Update(view, [](std::optional<Bytes> was) {
                               return was.has_value() ? was->ToString() + "!"
                                                      : "nothing";
                             }));
        EXPECT_EQ(updated, "of old!");
        EXPECT_EQ(writer.Find(old), Bytes("of old!"));
        EXPECT_EQ(writer.Find(std::string(old.size(), 'n')), Bytes("of new"));
      });
}

TYPED_TEST(OwnViewsTest, AsTheKeyOfReads) {
  this->WithViewOfOldValue([](auto& writer, Bytes view, const std::string&) {
    EXPECT_EQ(writer.Find(view), Bytes("of old"));
  });
  this->WithViewOfOldValue([](auto& writer, Bytes view, const std::string&) {
    ASSERT_OK_AND_ASSIGN(const Bytes value, writer.Get(view));
    EXPECT_EQ(value, Bytes("of old"));
  });
}

using OwnViewsInOrderTest = OwnViewsTest<TreeMap>;

TEST_F(OwnViewsInOrderTest, AsWhatIsAppended) {
  WithViewOfOldValue([](auto& writer, Bytes view, const std::string& old) {
    EXPECT_OK(writer.Append("z", view));
    EXPECT_EQ(writer.Find("z"), Bytes(old));
  });
  WithViewOfOldValue([](auto& writer, Bytes view, const std::string& old) {
    EXPECT_OK(writer.Clear());
    for (const char* key : {"k1", "k2", "k3"}) EXPECT_OK(writer.Put(key, old));
    view = *writer.Find("k3");
    EXPECT_OK(writer.Put("k3", New(old.size())));
    EXPECT_OK(writer.Append(view, "appended"));
    EXPECT_EQ(writer.Find(old), Bytes("appended"));
  });
}

TEST_F(OwnViewsInOrderTest, AsBoundsAndPlaces) {
  WithViewOfOldValue([](auto& writer, Bytes view, const std::string& old) {
    auto cursor = writer.NewCursor();
    cursor.Seek(view);
    EXPECT_EQ(cursor.key(), Bytes(old));
  });
  WithViewOfOldValue([](auto& writer, Bytes view, const std::string&) {
    EXPECT_EQ(*writer.Count(view, "z"), 1u);
  });
  WithViewOfOldValue([](auto& writer, Bytes view, const std::string&) {
    EXPECT_EQ(*writer.Rank(view), 5u);
  });
  WithViewOfOldValue([](auto& writer, Bytes view, const std::string&) {
    EXPECT_EQ(*writer.EraseRange(view, "z"), 1u);
  });
}

}  // namespace
}  // namespace eve
