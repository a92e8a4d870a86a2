// What a record says of its segments, applied to their rows.
#include "engine/root/accounting.h"

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "engine/format/commit_record.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace eve {
namespace {

constexpr uint32_t kSegment = 5;
constexpr uint64_t kVersion = 7;

Delta Fill(uint32_t from, uint32_t to) {
  return Delta{kSegment, static_cast<uint32_t>(DeltaKind::kFill), from, to,
               /*sum=*/1};
}
Delta Retire(uint32_t segment, uint32_t units) {
  return Delta{segment, static_cast<uint32_t>(DeltaKind::kRetire), 0, units,
               /*sum=*/0};
}

class AccountingTest : public ::testing::Test {
 protected:
  // A record that says this, as a commit writes it.
  absl::Status Apply(std::initializer_list<Delta> deltas) {
    struct {
      CommitRecord record = {};
      Delta deltas[8] = {};
    } block;
    block.record.header =
        MakeBlockHeader(BlockType::kCommitRecord, /*depth=*/0, /*count=*/0,
                        sizeof(block), kSystemId);
    block.record.version = kVersion;
    block.record.data_delta_count = static_cast<uint32_t>(deltas.size());
    std::copy(deltas.begin(), deltas.end(), block.deltas);
    const ChainRecord record{.offset = Offset{SegmentStartUnits(kSegment)},
                             .record = &block.record,
                             .hash = 0};
    return ApplyRecord(BlockView{}, record, /*salt=*/0, rows_);
  }
  uint32_t start_ = SegmentStartUnits(kSegment);
  std::vector<AccountingRow> rows_;
};

TEST_F(AccountingTest, WhatDiesInItsOwnCommitIsFilledFirst) {
  ASSERT_OK(Apply({Retire(kSegment, 10), Fill(start_, start_ + 30)}));
  EXPECT_EQ(rows_[kSegment].live_units, 20u);
  EXPECT_EQ(rows_[kSegment].birth, kVersion);
  EXPECT_EQ(rows_[kSegment].death, kVersion);
  ASSERT_OK(Apply({Retire(kSegment, 20)}));
  EXPECT_EQ(rows_[kSegment].live_units, 0u);
}

// P8: a block that two commits retire would free others' segments.
TEST_F(AccountingTest, MoreRetiredThanLivesIsDamage) {
  ASSERT_OK(Apply({Fill(start_, start_ + 30), Retire(kSegment, 10)}));
  const absl::Status twice = Apply({Retire(kSegment, 21)});
  EXPECT_EQ(twice.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(twice.message(),
            "segment 5: version 7 retired 336 bytes, only 320 were live");
  EXPECT_EQ(rows_[kSegment].live_units, 20u);
}

TEST_F(AccountingTest, NothingLivesWhereNobodyHasWritten) {
  EXPECT_EQ(Apply({Retire(kSegment + 1, 1)}).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(Apply({Retire(UINT32_MAX, 1)}).code(), absl::StatusCode::kDataLoss);
}

TEST_F(AccountingTest, UnknownKindsAreDamage) {
  EXPECT_EQ(Apply({Delta{kSegment, /*kind=*/77, 0, 1, 0}}).code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace eve
