// Bulk loads in order through the public interface: Append(), and long runs of
// ascending puts, among everything else that a transaction may do.
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_format.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/ordered_map_fixture.h"
#include "tests/testing/status_matchers.h"

namespace eve {
namespace {

using testing::Keys;
using testing::KeysOf;
using testing::Strings;

// More than the puts that wait, so that most of them are appended.
constexpr uint64_t kBulk = 3 << 16;

std::string KeyOf(uint64_t i) { return absl::StrFormat("%08d", i); }

class OrderedAppendTest : public testing::OrderedMapFixture {
 protected:
  static void PutRun(Strings::Writer& writer, uint64_t first, uint64_t n) {
    for (uint64_t i = first; i < first + n; ++i) {
      ASSERT_OK(writer.Put(KeyOf(i), KeyOf(i)));
    }
  }
  // The keys are `n` from KeyOf(0) on, each with itself as its value, and
  // nothing in the file is amiss.
  void ExpectRun(uint64_t n) {
    const auto reader = Read();
    ASSERT_EQ(reader.size(), n);
    uint64_t i = 0;
    for (auto [key, value] : reader.All()) {
      ASSERT_EQ(key, Bytes(KeyOf(i)));
      ASSERT_EQ(value, Bytes(KeyOf(i)));
      ++i;
    }
    ASSERT_EQ(i, n);
    testing::ExpectCleanCheck(path_, domain_);
  }
};

TEST_F(OrderedAppendTest, AppendInsistsOnTheOrder) {
  Put({"b"});
  Write([](Strings::Writer& writer) {
    EXPECT_CODE(writer.Append("a", ""), absl::StatusCode::kInvalidArgument);
    EXPECT_CODE(writer.Append("b", ""), absl::StatusCode::kInvalidArgument);
    EXPECT_OK(writer.Append("ba", "1"));
    EXPECT_CODE(writer.Append("ba", "2"), absl::StatusCode::kInvalidArgument);
    EXPECT_CODE(writer.Append("b", "2"), absl::StatusCode::kInvalidArgument);
    EXPECT_CODE(writer.Append(std::string(70'000, 'c'), ""),
                absl::StatusCode::kInvalidArgument);
    EXPECT_OK(writer.Append("c", "1"));
  });
  const auto reader = Read();
  EXPECT_EQ(KeysOf(reader.All()), (Keys{"b", "ba", "c"}));
  EXPECT_EQ(reader.Find("b"), Bytes("vb"));
  EXPECT_EQ(reader.Find("ba"), Bytes("1"));
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(OrderedAppendTest, SetsAndMultiMapsAppendToo) {
  ASSERT_OK_AND_ASSIGN(auto set,
                       domain_.Collection<SortedSet<uint32_t>>("set"));
  using Pairs = MultiMap<std::string, int32_t>;
  ASSERT_OK_AND_ASSIGN(auto pairs, domain_.Collection<Pairs>("pairs"));
  ASSERT_OK(domain_.Swap([&](Transaction& txn) {
    auto to_set = set.In(txn);
    auto to_pairs = pairs.In(txn);
    for (int32_t i = 0; i < 1000; ++i) {
      EXPECT_OK(to_set.Append(static_cast<uint32_t>(3 * i)));
      EXPECT_OK(to_pairs.Append(i < 500 ? "a" : "b", i - 100));
    }
    EXPECT_CODE(to_set.Append(2997), absl::StatusCode::kInvalidArgument);
    EXPECT_CODE(to_pairs.Append("a", 5000), absl::StatusCode::kInvalidArgument);
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  EXPECT_EQ(set.At(now).size(), 1000u);
  EXPECT_TRUE(set.At(now).Contains(2997));
  EXPECT_EQ(pairs.At(now).size(), 1000u);
  ASSERT_OK_AND_ASSIGN(const uint64_t count, pairs.At(now).Count("a"));
  EXPECT_EQ(count, 500u);
  EXPECT_TRUE(pairs.At(now).Contains("b", 899));
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(OrderedAppendTest, AppendsOfOneTransactionEach) {
  for (uint64_t i = 0; i < 300; ++i) {
    Write([i](Strings::Writer& writer) {
      EXPECT_OK(writer.Append(KeyOf(i), KeyOf(i)));
    });
  }
  ExpectRun(300);
}

TEST_F(OrderedAppendTest, ABulkOfPutsIsAppended) {
  Write([](Strings::Writer& writer) { PutRun(writer, 0, kBulk + 5); });
  ExpectRun(kBulk + 5);
  // And goes on where it has stopped.
  Write([](Strings::Writer& writer) { PutRun(writer, kBulk + 5, kBulk); });
  ExpectRun(2 * kBulk + 5);
}

TEST_F(OrderedAppendTest, ReadsAndOtherWritesSeeWhatHasBeenAppended) {
  Write([](Strings::Writer& writer) {
    auto cursor = writer.NewCursor();
    PutRun(writer, 1, kBulk);
    cursor.Last();
    ASSERT_TRUE(cursor.Valid());
    EXPECT_EQ(cursor.key(), Bytes(KeyOf(kBulk)));
    PutRun(writer, kBulk + 1, 10);
    cursor.Next();
    EXPECT_EQ(cursor.key(), Bytes(KeyOf(kBulk + 1)));
    PutRun(writer, kBulk + 11, kBulk);
    EXPECT_EQ(writer.Find(KeyOf(2 * kBulk + 10)), Bytes(KeyOf(2 * kBulk + 10)));
    PutRun(writer, 2 * kBulk + 11, kBulk);
    // Below what is being appended, and in its midst.
    ASSERT_OK(writer.Put(KeyOf(0), KeyOf(0)));
    ASSERT_OK(writer.Put(KeyOf(kBulk + 20), KeyOf(kBulk + 20)));
    ASSERT_OK_AND_ASSIGN(const uint64_t size, writer.size());
    EXPECT_EQ(size, 3 * kBulk + 11);
    PutRun(writer, 3 * kBulk + 11, kBulk + 9);
    ASSERT_OK_AND_ASSIGN(
        const uint64_t erased,
        writer.EraseRange(KeyOf(4 * kBulk + 10), KeyOf(5 * kBulk)));
    EXPECT_EQ(erased, 10u);
  });
  ExpectRun(4 * kBulk + 10);
}

TEST_F(OrderedAppendTest, ABulkIsUndoneToItsSavepoint) {
  ASSERT_OK(domain_.Swap([&](Transaction& txn) {
    auto writer = map_->In(txn);
    PutRun(writer, 0, kBulk + 100);
    const auto savepoint = txn.Savepoint();
    EXPECT_OK(savepoint);
    PutRun(writer, kBulk + 100, 2 * kBulk);
    EXPECT_OK(txn.RollBackTo(*savepoint));
    PutRun(writer, kBulk + 100, 50);
    return absl::OkStatus();
  }));
  ExpectRun(kBulk + 150);
}

TEST_F(OrderedAppendTest, AMapThatIsClearedAmidABulkLeavesNoBlocks) {
  Write([](Strings::Writer& writer) {
    PutRun(writer, 0, 2 * kBulk);
    ASSERT_OK(writer.Clear());
    PutRun(writer, 0, 100);
  });
  ExpectRun(100);
}

TEST_F(OrderedAppendTest, ABulkThatIsAbandonedLeavesNothing) {
  Put({KeyOf(7)});
  EXPECT_CODE(domain_.Swap([&](Transaction& txn) {
    auto writer = map_->In(txn);
    PutRun(writer, 8, 2 * kBulk);
    return absl::AbortedError("enough");
  }),
              absl::StatusCode::kAborted);
  ExpectKeys({KeyOf(7)});
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(OrderedAppendTest, ASynchronousBulkIsWhole) {
  DomainOptions options;
  options.durability = Durability::kSync;
  options.background = false;
  map_.reset();
  snapshot_.reset();
  ASSERT_OK(domain_.Close());
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
  ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("map"));
  // Small enough to be staged to its end, and not.
  for (const auto& [first, n] :
       {std::pair<uint64_t, uint64_t>{0, 2'000}, {2'000, 2 * kBulk}}) {
    Write([first = first, n = n](Strings::Writer& writer) {
      for (uint64_t i = first; i < first + n; ++i) {
        ASSERT_OK(writer.Append(KeyOf(i), KeyOf(i)));
      }
    });
    ExpectRun(first + n);
  }
}

}  // namespace
}  // namespace eve
