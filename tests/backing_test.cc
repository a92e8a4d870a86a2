// How a segment gets its pages: populated where nothing was stored in it,
// written otherwise, since what the disk holds would be read for nothing.

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/alloc/segment_source.h"
#include "engine/domain/domain_impl.h"
#include "engine/domain/registry.h"
#include "engine/file/file_observer.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using testing::Quiet;
using Strings = Map<std::string, std::string>;

// Counts the writes of whole segments.
class WholeWrites : public FileObserver {
 public:
  WholeWrites() { SetFileObserver(this); }
  ~WholeWrites() override { SetFileObserver(nullptr); }
  std::optional<int> Before(const FileCall& call) override {
    if (call.op == FileOp::kWrite && call.size == kSegmentBytes) ++count_;
    return std::nullopt;
  }
  void After(const FileCall&, int) override {}
  int count() const { return count_; }

 private:
  std::atomic<int> count_{0};
};

class BackingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kFailpointsEnabled) GTEST_SKIP() << "needs an observer";
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
    // In segments of its own, behind those that are backed in steps.
    ASSERT_OK(map_->Put("kept", std::string(3 * kSegmentBytes, 'k')));
  }
  void TearDown() override {
    if (impl_ != nullptr) testing::ExpectCleanCheck(path_, domain_);
  }
  SegmentSource& source() { return *impl_->core().source; }
  bool IsZero(uint32_t segment) {
    const char* data = impl_->core().view.At(SegmentOffset(segment));
    return std::all_of(data, data + kSegmentBytes,
                       [](char c) { return c == 0; });
  }
  // Pages of a segment that are in memory.
  int CountCached(uint32_t segment) {
    std::vector<unsigned char> pages(kSegmentBytes / kPageBytes);
    char* at =
        impl_->core().write_mapping.data() + SegmentOffset(segment).bytes();
    EXPECT_EQ(::mincore(at, kSegmentBytes, pages.data()), 0);
    return static_cast<int>(std::count_if(
        pages.begin(), pages.end(), [](unsigned char c) { return c & 1; }));
  }
  // A free one that was stored to, and reached the disk: what lay in it has
  // gone from both durable roots.
  void FreeOneWithData() {
    ASSERT_OK(map_->Put("gone", std::string(kSegmentBytes * 3 / 2, 'g')));
    ASSERT_OK(domain_.Sync());
    ASSERT_OK(map_->Erase("gone"));
    for (int i = 0; i < 2; ++i) {
      ASSERT_OK(map_->Put("n", std::to_string(i)));
      ASSERT_OK(domain_.Sync());
    }
    ASSERT_OK(domain_.Reclaim());
  }
  void ClaimOne(ClaimedSegment* claimed) {
    ASSERT_OK_AND_ASSIGN(*claimed, source().Claim());
    EXPECT_TRUE(source().table().Load(claimed->segment).backed());
    EXPECT_EQ(claimed->backed_units, kSegmentUnits);
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<internal::DomainImpl> impl_;
  std::optional<Strings> map_;
};

TEST_F(BackingTest, AFreshSegmentIsPopulated) {
  if (!impl_->core().write_mapping.Populate(0, kPageBytes)) {
    GTEST_SKIP() << "a kernel before 5.14";
  }
  // So that the next one has its space, too.
  ASSERT_OK_AND_ASSIGN(const uint32_t first, source().ClaimRun(2));
  source().table().ReleaseFree(first);
  source().table().ReleaseFree(first + 1);
  const int next_before = CountCached(first + 1);
  const WholeWrites writes;
  ClaimedSegment fresh;
  ASSERT_NO_FATAL_FAILURE(ClaimOne(&fresh));
  ASSERT_EQ(fresh.segment, first);
  EXPECT_EQ(writes.count(), 0);
  EXPECT_EQ(CountCached(fresh.segment), kSegmentBytes / kPageBytes);
  EXPECT_EQ(CountCached(fresh.segment + 1), next_before);
  EXPECT_TRUE(IsZero(fresh.segment));
  source().table().ReleaseFree(fresh.segment);
}

TEST_F(BackingTest, IsWrittenWhereItCannotBePopulated) {
  const WholeWrites writes;
  const ScopedFaultHook fault([](std::string_view point) {
    return point == "file.populate" ? EINVAL : 0;
  });
  ClaimedSegment fresh;
  ASSERT_NO_FATAL_FAILURE(ClaimOne(&fresh));
  EXPECT_EQ(writes.count(), 1);
  EXPECT_TRUE(IsZero(fresh.segment));
  source().table().ReleaseFree(fresh.segment);
}

TEST_F(BackingTest, WhatWasStoredIsWrittenOverAndNotRead) {
  ASSERT_NO_FATAL_FAILURE(FreeOneWithData());
  const uint32_t capacity = source().table().capacity();
  const WholeWrites writes;
  int populated = 0;
  const ScopedFaultHook fault([&](std::string_view point) {
    populated += point == "file.populate" ? 1 : 0;
    return 0;
  });
  ClaimedSegment used;
  ASSERT_NO_FATAL_FAILURE(ClaimOne(&used));
  ASSERT_EQ(source().table().capacity(), capacity) << "the file grew instead";
  EXPECT_EQ(writes.count(), 1);
  EXPECT_EQ(populated, 0);
  EXPECT_TRUE(IsZero(used.segment));
  source().table().ReleaseFree(used.segment);
}

// What the file has beyond what is used is disk that others could use.
TEST_F(BackingTest, TheFileGrowsByAHundredthAtMost) {
  constexpr uint32_t kMany = 200;
  ASSERT_OK_AND_ASSIGN(const uint32_t first, source().ClaimRun(kMany));
  ClaimedSegment one;
  ASSERT_NO_FATAL_FAILURE(ClaimOne(&one));
  ASSERT_NO_FATAL_FAILURE(ClaimOne(&one));
  EXPECT_LE(source().table().CountFree(kMany, /*backed=*/false), kMany / 100);
  for (uint32_t i = 0; i < kMany; ++i) source().table().ReleaseFree(first + i);
}

// How many of a domain's used segments have their pages populated when they are
// prepared, of how many.
struct Prepared {
  size_t populated = 0;
  size_t all = 0;
};
absl::StatusOr<Prepared> PrepareUsed(Durability durability) {
  const testing::TempDir dir;
  const std::string path = dir.File("d.eve");
  DomainOptions options = Quiet();
  options.durability = durability;
  EVE_ASSIGN_OR_RETURN(const Domain domain, Domain::Open(path, options));
  EVE_ASSIGN_OR_RETURN(const auto impl, internal::OpenInstance(path, options));
  SegmentSource& source = *impl->core().source;
  std::vector<uint32_t> used;
  while (source.table().capacity() <= kSteppedSegments) {
    EVE_ASSIGN_OR_RETURN(const ClaimedSegment one, source.Claim());
    EVE_RETURN_IF_ERROR(
        source.Back(one.segment, one.fill_units, kSegmentUnits).status());
    used.push_back(one.segment);
  }
  for (const uint32_t segment : used) source.table().ReleaseFree(segment);
  Prepared prepared{.populated = 0, .all = used.size()};
  const ScopedFaultHook fault([&](std::string_view point) {
    prepared.populated += point == "file.populate" ? 1 : 0;
    return 0;
  });
  // Who has claimed some lets others be prepared.
  EVE_RETURN_IF_ERROR(source.Claim().status());
  for (size_t i = 1; i < used.size(); ++i) {
    EXPECT_TRUE(source.PrepareOne());
    EVE_ASSIGN_OR_RETURN(const ClaimedSegment one, source.Claim());
    EXPECT_EQ(one.backed_units, kSegmentUnits);
  }
  return prepared;
}

TEST(PreparingTest, UsedSegmentsArePopulatedForCheckpointsOnly) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs an observer";
  ASSERT_OK_AND_ASSIGN(const Prepared none, PrepareUsed(Durability::kNone));
  ASSERT_GT(none.all, 2u);
  EXPECT_EQ(none.populated, 0u);
  ASSERT_OK_AND_ASSIGN(const Prepared checkpoint,
                       PrepareUsed(Durability::kCheckpoint));
  EXPECT_EQ(checkpoint.populated, checkpoint.all - 1);
  ASSERT_OK_AND_ASSIGN(const Prepared sync, PrepareUsed(Durability::kSync));
  EXPECT_EQ(sync.populated, 0u);
}

}  // namespace
}  // namespace eve
