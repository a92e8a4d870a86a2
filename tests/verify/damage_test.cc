// Damage of every kind must be found, and none may crash the verifier. The
// files are small, so that every byte can have its turn.
#include <algorithm>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/verify/image_builder.h"
#include "tests/verify/verify_image.h"
#include "util/random.h"

namespace eve::testing {
namespace {

// Two commits, a fold, one commit: a record of every kind but delta lists.
void BuildSmall(ImageBuilder& builder, const std::string& value = "old") {
  builder.node_segment = 0;
  builder.leaf_segment = 0;
  Records records;
  for (int i = 0; i < 12; ++i) records["key" + std::to_string(i)] = "value";
  records["large"] = std::string(400, 'x');
  builder.SetCollection("a", records);
  builder.Commit();
  builder.WriteSlot(0);
  builder.Fold();
  records["key3"] = value;
  builder.SetCollection("b", records);
  builder.Commit();
  builder.WriteSlot(1);
}

uint64_t EndOf(const ImageBuilder& builder) {
  const AccountingRow& row = const_cast<ImageBuilder&>(builder).rows()[0];
  return row.fill_units * kUnitBytes;
}

void ExpectFound(const std::string& image, uint64_t byte) {
  EXPECT_TRUE(IsDamageFound(VerifyImage(image))) << "at byte " << byte;
}

TEST(DamageTest, EveryFlippedByteIsFound) {
  ImageBuilder builder;
  BuildSmall(builder);
  std::string image = builder.image();
  ASSERT_FALSE(IsDamageFound(VerifyImage(image)))
      << ErrorsOf(*VerifyImage(image));
  const std::pair<uint64_t, uint64_t> ranges[] = {
      {0, kPageBytes},
      {CommitSlotPosition(1), CommitSlotPosition(2)},
      {kFirstBlockOffset, EndOf(builder)}};
  for (const auto& [from, to] : ranges) {
    // The middle of a page of zeroes is like the rest of it.
    for (uint64_t byte = from; byte<to; byte += byte> from + 256 &&
                                       byte + 256 < to &&
                                       to <= kFirstBlockOffset
                                   ? 61
                                   : 1) {
      image[byte] = static_cast<char>(image[byte] ^ (1 << byte % 8));
      ExpectFound(image, byte);
      image[byte] = static_cast<char>(image[byte] ^ (1 << byte % 8));
    }
  }
}

TEST(DamageTest, EveryZeroedPageIsFound) {
  ImageBuilder builder;
  BuildSmall(builder);
  for (uint64_t page = kFirstBlockOffset; page < EndOf(builder);
       page += kPageBytes) {
    std::string image = builder.image();
    std::fill_n(image.begin() + static_cast<ptrdiff_t>(page), kPageBytes, 0);
    ExpectFound(image, page);
  }
}

TEST(DamageTest, ATruncatedFileIsFound) {
  ImageBuilder builder;
  BuildSmall(builder);
  const uint64_t end = EndOf(builder);
  for (uint64_t size = 0; size < end;
       size += size < kFirstBlockOffset ? 1021 : 16) {
    ExpectFound(builder.image().substr(0, size), size);
  }
  // What is left of the file is whole, but the slot knows that there was more.
  ASSERT_LT(end, builder.image().size());
  EXPECT_TRUE(IsDamageFound(VerifyImage(builder.image().substr(0, end))));
  EXPECT_FALSE(IsDamageFound(VerifyImage(builder.image())));
}

TEST(DamageTest, AStaleBlockWithAValidChecksumIsFoundByTheSum) {
  ImageBuilder now;
  BuildSmall(now, "new");
  ImageBuilder before;
  BuildSmall(before, "old");
  int replaced = 0;
  for (Offset leaf : now.BlocksOf(BlockType::kTrieLeaf)) {
    std::string image = now.image();
    BlockHeader header;
    std::memcpy(&header, image.data() + leaf.bytes(), sizeof(header));
    if (image.compare(leaf.bytes(), header.bytes(), before.image(),
                      leaf.bytes(), header.bytes()) == 0) {
      continue;
    }
    ++replaced;
    image.replace(leaf.bytes(), header.bytes(), before.image(), leaf.bytes(),
                  header.bytes());
    const absl::StatusOr<VerifyReport> report = VerifyImage(image);
    ASSERT_TRUE(report.ok());
    ASSERT_EQ(report->error_count, 1u) << ErrorsOf(*report);
    EXPECT_NE(report->errors[0].what.find("lost or stale write"),
              std::string::npos)
        << ErrorsOf(*report);
  }
  EXPECT_EQ(replaced, 1);
}

TEST(DamageTest, SwappedBlocksAreFound) {
  ImageBuilder builder;
  BuildSmall(builder);
  const std::vector<Offset> leaves = builder.BlocksOf(BlockType::kTrieLeaf);
  int swapped = 0;
  for (Offset a : leaves) {
    for (Offset b : leaves) {
      std::string image = builder.image();
      BlockHeader header_a;
      BlockHeader header_b;
      std::memcpy(&header_a, &image[a.bytes()], sizeof(header_a));
      std::memcpy(&header_b, &image[b.bytes()], sizeof(header_b));
      if (a >= b || header_a.size_units != header_b.size_units) continue;
      std::swap_ranges(
          image.begin() + static_cast<ptrdiff_t>(a.bytes()),
          image.begin() + static_cast<ptrdiff_t>(a.bytes() + header_a.bytes()),
          image.begin() + static_cast<ptrdiff_t>(b.bytes()));
      ++swapped;
      ExpectFound(image, a.bytes());
    }
  }
  EXPECT_GT(swapped, 0);
}

TEST(DamageTest, NoSlotAtAllIsAnError) {
  ImageBuilder builder;
  builder.Commit();
  const absl::StatusOr<VerifyReport> report = VerifyImage(builder.image());
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->error_count, 1u);
  EXPECT_EQ(report->version, 0u);
}

TEST(DamageTest, ATornSlotIsAWarningAndTheOlderRootIsVerified) {
  ImageBuilder builder;
  BuildSmall(builder);
  builder.Commit();
  builder.WriteSlot(2);
  builder.image()[CommitSlotPosition(2) + 30] ^= 1;
  const absl::StatusOr<VerifyReport> report = VerifyImage(builder.image());
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->ok()) << ErrorsOf(*report);
  EXPECT_EQ(report->warnings.size(), 1u);
  EXPECT_EQ(report->version, 3u);
  EXPECT_EQ(report->slots[2].state, SlotState::kInvalid);
}

TEST(DamageTest, OtherFilesAreRefused) {
  EXPECT_EQ(VerifyImage("").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(VerifyImage(std::string(1 << 20, 'x')).status().code(),
            absl::StatusCode::kInvalidArgument);
  ImageBuilder builder;
  BuildSmall(builder);
  builder.image()[8] = 77;  // the version of the format
  EXPECT_EQ(VerifyImage(builder.image()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// A hostile file has valid checksums, so that its bytes are looked at. What the
// verifier says is no matter here, as long as it says it.
TEST(DamageTest, BlocksOfRandomBytesWithGoodChecksumsDoNoHarm) {
  Random random(20240229);
  for (int round = 0; round < 3000; ++round) {
    ImageBuilder builder(round % 3 == 0 ? 0 : ~uint64_t{0});
    int damaged = 0;
    builder.edit = [&](BlockHeader& header, std::string& bytes) {
      if (random.Uniform(12) != 0 || bytes.size() <= sizeof(header)) return;
      ++damaged;
      for (uint64_t i = 0; i <= random.Uniform(4); ++i) {
        const uint64_t at =
            sizeof(header) + random.Uniform(bytes.size() - sizeof(header));
        bytes[at] = static_cast<char>(random.Next());
      }
      if (random.Uniform(4) == 0) header.count ^= 1u << random.Uniform(16);
      if (random.Uniform(8) == 0) header.depth ^= 1u << random.Uniform(8);
    };
    builder.edit_record = [&](CommitRecord& record) {
      if (random.Uniform(10) != 0) return;
      ++damaged;
      auto* bytes = reinterpret_cast<char*>(&record);
      bytes[sizeof(BlockHeader) +
            random.Uniform(sizeof(record) - sizeof(BlockHeader))] ^=
          static_cast<char>(1 << random.Uniform(8));
    };
    BuildSmall(builder);
    const absl::StatusOr<VerifyReport> report = VerifyImage(builder.image());
    if (damaged == 0) {
      EXPECT_FALSE(IsDamageFound(report)) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace eve::testing
