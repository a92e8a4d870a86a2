// Records without the form of their type, as damage leaves them: every way to
// read says so, and none reads beyond them.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/domain/domain_impl.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using internal::DomainImpl;

struct Point {
  int64_t x;
  int64_t y;
};

// A collection of points of which one is three bytes long.
template <class Typed, class Raw>
class UndecodableTest : public ::testing::Test {
 protected:
  static constexpr int64_t kGood = 1;
  static constexpr int64_t kShort = 2;

  void SetUp() override {
    ASSERT_OK(impl_->Start(dir_.File("d.eve")));
    ASSERT_OK_AND_ASSIGN(
        const internal::CollectionRef ref,
        impl_->OpenCollection("points", Typed::kKind, Typed::KeyTypeName(),
                              Typed::ValueTypeName()));
    typed_.emplace(ref);
    ASSERT_OK(typed_->Put(kGood, Point{3, 4}));
    Scratch scratch;
    ASSERT_OK(Raw(ref).Put(Codec<int64_t>::Encode(kShort, scratch), "abc"));
  }
  Snapshot Now() { return Snapshot(impl_->Now().value()); }

  // Every read of a snapshot of its own, which starts without damage.
  void TestReads() {
    const Snapshot found = Now();
    EXPECT_EQ(typed_->At(found).Find(kGood)->y, 4);
    EXPECT_OK(found.status());
    EXPECT_FALSE(typed_->At(found).Find(kShort).has_value());
    EXPECT_CODE(found.status(), absl::StatusCode::kDataLoss);

    const Snapshot got = Now();
    EXPECT_CODE(typed_->At(got).Get(kShort), absl::StatusCode::kDataLoss);

    const Snapshot many = Now();
    const std::vector<int64_t> keys = {kGood, kShort};
    const auto values = typed_->At(many).MultiGet(keys);
    EXPECT_TRUE(values[0].has_value());
    EXPECT_FALSE(values[1].has_value());
    EXPECT_CODE(many.status(), absl::StatusCode::kDataLoss);

    EXPECT_CODE(typed_->Get(kShort), absl::StatusCode::kDataLoss);
  }
  void TestIteration() {
    const Snapshot walked = Now();
    int64_t sum = 0;
    for (const auto& entry : typed_->At(walked)) sum += entry.value.y;
    EXPECT_EQ(sum, 4);
    EXPECT_CODE(walked.status(), absl::StatusCode::kDataLoss);
  }
  void TestWriters() {
    const auto changed = typed_->Update(kShort, [](std::optional<Point>) {
      return Point{5, 6};
    });
    EXPECT_CODE(changed, absl::StatusCode::kDataLoss);
    // A write that reads nothing mends it.
    ASSERT_OK(typed_->Put(kShort, Point{5, 6}));
    EXPECT_EQ(typed_->Get(kShort).value().x, 5);
  }

  testing::TempDir dir_;
  std::shared_ptr<DomainImpl> impl_ =
      std::make_shared<DomainImpl>(testing::Quiet());
  std::optional<Typed> typed_;
};

using MapTest =
    UndecodableTest<Map<int64_t, Point>, Map<std::string, std::string>>;
TEST_F(MapTest, ReadsSaySo) { TestReads(); }
TEST_F(MapTest, IterationSaysSo) { TestIteration(); }
TEST_F(MapTest, WritersSaySo) { TestWriters(); }

using OrderedMapTest = UndecodableTest<OrderedMap<int64_t, Point>,
                                       OrderedMap<std::string, std::string>>;
TEST_F(OrderedMapTest, ReadsSaySo) { TestReads(); }
TEST_F(OrderedMapTest, IterationSaysSo) { TestIteration(); }
TEST_F(OrderedMapTest, WritersSaySo) { TestWriters(); }

}  // namespace
}  // namespace eve
