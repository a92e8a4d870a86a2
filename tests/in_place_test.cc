// Values read where they lie: aligned whatever is done to the map, the same
// bytes for every process, and refused to who would not keep them aligned.
#include "eve/in_place.h"

#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

struct Point {
  double x = 0;
  int64_t y = 0;
  int32_t id = 0;
  uint8_t tag[4] = {};
  friend bool operator==(const Point&, const Point&) = default;
};
struct Large {
  uint64_t words[100] = {};  // has a block of its own
};

using Points = OrderedMap<std::string, InPlace<Point>>;
using Tracks = OrderedMap<uint64_t, InPlace<double[]>>;

Point PointOf(uint64_t seed) {
  Point point;
  point.x = static_cast<double>(seed) / 3;
  point.y = -static_cast<int64_t>(seed);
  point.id = static_cast<int32_t>(seed % 1000);
  return point;
}

// Keys of all lengths: nothing else would keep the values aligned.
std::string KeyOf(Random& random) {
  return absl::StrFormat("%d", random.Uniform(4000)) +
         std::string(random.Uniform(9), 'k');
}

bool IsAlignedFor8(const void* address) {
  return codec_internal::IsAligned(address, 8);
}

class InPlaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, testing::Quiet()));
  }
  testing::TempDir dir_;
  const std::string path_ = dir_.File("in_place.eve");
  Domain domain_;
};

void ExpectPoints(const Points::Reader& reader,
                  const std::map<std::string, Point>& model) {
  ASSERT_EQ(reader.size(), model.size());
  auto at = model.begin();
  for (auto [key, point] : reader.All()) {
    ASSERT_EQ(key, Bytes(at->first));
    ASSERT_TRUE(IsAlignedFor8(point));
    ASSERT_EQ(*point, at->second);
    ++at;
  }
}

TEST_F(InPlaceTest, PointersStayAlignedWhateverIsDone) {
  ASSERT_OK_AND_ASSIGN(const Points map, domain_.Collection<Points>("points"));
  std::map<std::string, Point> model;
  Random random(8);
  for (int round = 0; round < 30; ++round) {
    ASSERT_OK(domain_.Swap([&](Transaction& txn) {
      auto writer = map.In(txn);
      // One by one in some rounds, in batches in others.
      for (int i = 0; i < 300; ++i) {
        const std::string key = KeyOf(random);
        if (random.OneIn(4)) {
          EXPECT_OK(writer.Erase(key));
          model.erase(key);
          continue;
        }
        const Point point = PointOf(random.Next() % 100'000);
        EXPECT_OK(writer.Put(key, point));
        model[key] = point;
        if (round % 3 != 0) continue;
        const auto found = writer.Find(key);
        EXPECT_TRUE(found.has_value() && IsAlignedFor8(*found) &&
                    **found == point);
      }
      return absl::OkStatus();
    }));
  }
  {
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
    ASSERT_NO_FATAL_FAILURE(ExpectPoints(map.At(now), model));
    const auto& [key, point] = *model.begin();
    // The file itself, not a copy of it.
    EXPECT_EQ(*map.At(now).Find(key), *map.At(now).Find(key));
    ASSERT_OK_AND_ASSIGN(const InPlace<Point> copy, map.Get(key));
    EXPECT_EQ(*copy, point);
    EXPECT_EQ(copy->id, point.id);
  }
  ASSERT_OK(domain_.Compact());
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  ASSERT_NO_FATAL_FAILURE(ExpectPoints(map.At(now), model));
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(InPlaceTest, AppendedValuesAreAligned) {
  ASSERT_OK_AND_ASSIGN(const Points map, domain_.Collection<Points>("points"));
  std::map<std::string, Point> model;
  ASSERT_OK(domain_.Swap([&](Transaction& txn) {
    auto writer = map.In(txn);
    std::string key;
    for (uint64_t i = 0; i < 5000; ++i) {
      key = absl::StrFormat("%05d", i) + std::string(i % 7, 'k');
      EXPECT_OK(writer.Append(key, PointOf(i)));
      model[key] = PointOf(i);
    }
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  ASSERT_NO_FATAL_FAILURE(ExpectPoints(map.At(now), model));
}

TEST_F(InPlaceTest, ArraysOfAllLengthsAndLargeStructs) {
  ASSERT_OK_AND_ASSIGN(const Tracks map, domain_.Collection<Tracks>("tracks"));
  using Larges = OrderedMap<std::string, InPlace<Large>>;
  ASSERT_OK_AND_ASSIGN(const Larges larges,
                       domain_.Collection<Larges>("larges"));
  ASSERT_OK(domain_.Swap([&](Transaction& txn) {
    auto writer = map.In(txn);
    for (uint64_t n = 0; n < 300; ++n) {
      std::vector<double> track(n);
      std::iota(track.begin(), track.end(), n);
      EXPECT_OK(writer.Put(n, track));
    }
    Large large;
    large.words[99] = 7;
    EXPECT_OK(larges.In(txn).Put("odd", large));
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  uint64_t n = 0;
  for (auto [key, track] : map.At(now)) {
    ASSERT_EQ(key, n);
    ASSERT_EQ(track.size(), n);
    ASSERT_TRUE(n == 0 || IsAlignedFor8(track.data()));
    for (uint64_t i = 0; i < n; ++i) {
      ASSERT_EQ(track[i], static_cast<double>(n + i));
    }
    ++n;
  }
  ASSERT_EQ(n, 300u);
  const Large* const large = *larges.At(now).Find("odd");
  EXPECT_TRUE(IsAlignedFor8(large));
  EXPECT_EQ(large->words[99], 7u);
  ASSERT_OK_AND_ASSIGN(
      const InPlace<double[]> longer,
      map.Update(5, [](std::optional<absl::Span<const double>> old) {
        std::vector<double> track(old->begin(), old->end());
        track.push_back(0.5);
        return InPlace<double[]>(track);
      }));
  EXPECT_EQ(longer->size(), 6u);
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(InPlaceTest, OtherTypesAreRefused) {
  ASSERT_OK(domain_.Collection<Points>("points"));
  using Copied = OrderedMap<std::string, Point>;
  const auto refused = domain_.Collection<Copied>("points");
  EXPECT_CODE(refused, absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.status().message().find("aligned:struct:24"),
            std::string::npos)
      << refused.status();
  EXPECT_CODE(
      (domain_.Collection<OrderedMap<std::string, InPlace<Point[]>>>("points")),
      absl::StatusCode::kFailedPrecondition);
  ASSERT_OK(domain_.Collection<Copied>("copied"));
  EXPECT_CODE(domain_.Collection<Points>("copied"),
              absl::StatusCode::kFailedPrecondition);
}

// One that did not align would break the pointers of all others.
TEST_F(InPlaceTest, OtherProcessesKeepTheAlignment) {
  ASSERT_OK_AND_ASSIGN(const Points map, domain_.Collection<Points>("points"));
  std::map<std::string, Point> model;
  for (int part = 0; part < 4; ++part) {
    const auto write = [&](const Points& to, Domain& domain) {
      return domain
          .Swap([&](Transaction& txn) {
            auto writer = to.In(txn);
            absl::Status status;
            for (int i = part; i < 2000; i += 4) {
              status.Update(writer.Put(std::to_string(i),
                                       PointOf(static_cast<uint64_t>(i))));
            }
            return status;
          })
          .status();
    };
    for (int i = part; i < 2000; i += 4) {
      model[std::to_string(i)] = PointOf(static_cast<uint64_t>(i));
    }
    if (part % 2 == 0) {
      ASSERT_OK(write(map, domain_));
    } else {
      testing::ChildProcess child([&] {
        auto domain = Domain::Open(path_, testing::Quiet());
        if (!domain.ok()) return 1;
        const auto theirs = domain->Collection<Points>("points");
        if (!theirs.ok()) return 2;
        return write(*theirs, *domain).ok() ? 0 : 3;
      });
      ASSERT_EQ(child.Wait(), 0);
    }
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
    ASSERT_NO_FATAL_FAILURE(ExpectPoints(map.At(now), model));
  }
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
