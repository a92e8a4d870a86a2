// What is sound must pass, with the right counts: else nobody would believe the
// verifier when it does find something.
#include <string>

#include "gtest/gtest.h"
#include "tests/verify/image_builder.h"
#include "tests/verify/verify_image.h"

namespace eve::testing {
namespace {

Records Numbered(int count, size_t value_bytes = 8) {
  Records records;
  for (int i = 0; i < count; ++i) {
    records["key" + std::to_string(i)] = std::string(value_bytes, 'v');
  }
  return records;
}

VerifyReport Verified(ImageBuilder& builder) {
  builder.WriteSlot(builder.version() % kCommitSlotCount);
  absl::StatusOr<VerifyReport> report = VerifyImage(builder.image());
  EXPECT_TRUE(report.ok()) << report.status();
  if (!report.ok()) return {};
  EXPECT_TRUE(report->ok()) << ErrorsOf(*report);
  EXPECT_TRUE(report->warnings.empty()) << ErrorsOf(*report);
  return *std::move(report);
}

TEST(SoundTest, ADomainWithoutCollections) {
  ImageBuilder builder;
  builder.Commit();
  const VerifyReport report = Verified(builder);
  EXPECT_EQ(report.version, 1u);
  EXPECT_EQ(report.blocks, 1u);  // the record
  EXPECT_EQ(report.segments.live, 1u);
  ASSERT_EQ(report.trees.size(), 1u);
  EXPECT_EQ(report.trees[0].kind, "catalog");
}

TEST(SoundTest, ATrieOfSeveralLevels) {
  ImageBuilder builder;
  builder.SetCollection("numbers", Numbered(3000));
  builder.Commit();
  const VerifyReport report = Verified(builder);
  ASSERT_EQ(report.trees.size(), 2u);
  const TreeReport& tree = report.trees[1];
  EXPECT_EQ(tree.name, "numbers");
  EXPECT_EQ(tree.kind, "map");
  EXPECT_EQ(tree.key_type, "kkkkk");
  EXPECT_EQ(tree.records, 3000u);
  EXPECT_EQ(report.records, 3000u);
  EXPECT_GE(tree.max_depth, 2u);
  EXPECT_GT(tree.nodes, 30u);
  EXPECT_GT(tree.leaves, 3000u / 4);
  EXPECT_EQ(report.live_bytes, report.fill_bytes);
}

TEST(SoundTest, LargeRecordsInBlocksAndRuns) {
  ImageBuilder builder;
  Records records = Numbered(20);
  records["block"] = std::string(5000, 'b');
  records["long key" + std::string(3000, 'k')] = "";
  records["one segment"] = std::string(1'500'000, '1');
  records["three segments"] = std::string(5'000'000, '3');
  builder.SetCollection("large", records);
  builder.Commit();
  const VerifyReport report = Verified(builder);
  EXPECT_EQ(report.trees[1].external_records, 4u);
  EXPECT_EQ(report.segments.run, 3u);
  EXPECT_EQ(report.segments.live, 2u);
  // The same after a fold, and after the runs have died.
  builder.Fold();
  EXPECT_EQ(Verified(builder).segments.run, 3u);
  builder.SetCollection("large", Numbered(20));
  builder.Commit();
  EXPECT_EQ(Verified(builder).segments.dead, 4u);
  builder.Fold();
  EXPECT_EQ(Verified(builder).segments.dead, 4u);
}

TEST(SoundTest, KeysOfEqualHash) {
  ImageBuilder builder(/*hash_mask=*/0);
  builder.SetCollection("equal", Numbered(100));
  builder.Commit();
  const VerifyReport report = Verified(builder);
  EXPECT_EQ(report.trees[1].collision_leaves, 1u);
  EXPECT_EQ(report.trees[1].records, 100u);
  EXPECT_EQ(report.trees[1].external_records, 100u);
  EXPECT_EQ(report.trees[1].max_depth, kTrieDepthMax);
}

TEST(SoundTest, HashesThatDifferInTheirLastBits) {
  ImageBuilder builder(/*hash_mask=*/0x1F);
  builder.SetCollection("near", Numbered(60));
  builder.Commit();
  EXPECT_EQ(Verified(builder).trees[1].records, 60u);
}

TEST(SoundTest, ManyCommitsAndFolds) {
  ImageBuilder builder;
  for (int i = 1; i <= 40; ++i) {
    builder.leaf_segment = static_cast<uint32_t>(i % 3);
    builder.node_segment = static_cast<uint32_t>(i % 2);
    builder.SetCollection("a", Numbered(10 * i));
    if (i % 4 == 0) builder.SetCollection("b", Numbered(i, 300));
    if (i % 7 == 0) {
      builder.Fold();
    } else {
      builder.Commit();
    }
    const VerifyReport report = Verified(builder);
    EXPECT_EQ(report.version, static_cast<uint64_t>(i));
    EXPECT_EQ(report.chain_records, static_cast<uint64_t>(i % 7 + (i > 6)));
  }
}

TEST(SoundTest, AVectorWithMoreThanOneLeaf) {
  ImageBuilder builder;
  builder.leaf_segment = 40;
  builder.SetCollection("far", Numbered(50));
  builder.Commit();
  builder.Fold();
  const VerifyReport report = Verified(builder);
  EXPECT_EQ(report.segments.total, 41u);
  EXPECT_EQ(report.segments.unwritten, 39u);
}

TEST(SoundTest, DeltasInAListOfTheirOwn) {
  ImageBuilder builder;
  builder.inline_deltas_max = 0;
  builder.leaf_segment = 1;
  builder.SetCollection("a", Numbered(50));
  builder.Commit();
  builder.SetCollection("a", Numbered(60));
  builder.Commit();
  EXPECT_EQ(Verified(builder).version, 2u);
  builder.Fold();
  Verified(builder);
}

TEST(SoundTest, AGraveyard) {
  ImageBuilder builder;
  builder.SetCollection("a", Numbered(50));
  builder.SetCollection("b", Numbered(5));
  builder.Commit();
  builder.Bury("a");
  builder.Commit();
  const VerifyReport report = Verified(builder);
  EXPECT_EQ(report.records, 5u);
  ASSERT_EQ(report.trees.size(), 3u);
  EXPECT_EQ(report.trees[1].kind == "graveyard" ||
                report.trees[2].kind == "graveyard",
            true);
}

TEST(SoundTest, TheNewestSlotIsVerifiedUnlessARecordIsNamed) {
  ImageBuilder builder;
  builder.SetCollection("a", Numbered(5));
  builder.Commit();
  builder.WriteSlot(3);
  const uint64_t first = builder.newest_record().bytes();
  builder.SetCollection("b", Numbered(5));
  builder.Commit();
  builder.WriteSlot(1);
  absl::StatusOr<VerifyReport> report = VerifyImage(builder.image());
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->ok()) << ErrorsOf(*report);
  EXPECT_EQ(report->version, 2u);
  EXPECT_EQ(report->slots[3].state, SlotState::kValid);
  EXPECT_EQ(report->slots[3].version, 1u);
  EXPECT_EQ(report->slots[2].state, SlotState::kNeverWritten);
  report = VerifyImage(builder.image(), {.record_offset = first});
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->ok()) << ErrorsOf(*report);
  EXPECT_EQ(report->version, 1u);
}

}  // namespace
}  // namespace eve::testing
