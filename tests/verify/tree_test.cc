// Trees as the verifier sees them: sound ones pass, whoever wrote them, every
// flipped byte is found, and hostile ones do no harm.
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/collections/btree_fixture.h"
#include "tests/verify/image_builder.h"
#include "tests/verify/tree_image.h"
#include "tests/verify/verify_image.h"
#include "util/random.h"

namespace eve::testing {
namespace {

Records Numbered(int count, size_t value_bytes = 8) {
  Records records;
  for (int i = 0; i < count; ++i) {
    std::string number = std::to_string(i);
    number.insert(0, 6 - number.size(), '0');
    records["key" + number] = std::string(value_bytes, 'v');
  }
  return records;
}

// Sizes of all kinds, of keys and of values.
Records Varied(int count, uint64_t seed) {
  Random random(seed);
  Records records;
  while (records.size() < static_cast<size_t>(count)) {
    std::string key(1 + random.Uniform(random.OneIn(20) ? 200 : 14), '\0');
    for (char& c : key) c = static_cast<char>(random.Uniform(3) * 100);
    records[key] = std::string(random.Uniform(random.OneIn(10) ? 300 : 30),
                               static_cast<char>(random.Uniform(256)));
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

VerifyReport VerifiedTree(const Records& records, const TreeShape& shape) {
  ImageBuilder builder;
  SetTree(builder, "tree", records, shape);
  builder.Commit();
  return Verified(builder);
}

TEST(TreeTest, ATreeOfSeveralLevels) {
  const VerifyReport report = VerifiedTree(Numbered(1000), {});
  ASSERT_EQ(report.trees.size(), 2u);
  const TreeReport& tree = report.trees[1];
  EXPECT_EQ(tree.kind, "ordered map");
  EXPECT_EQ(tree.records, 1000u);
  EXPECT_EQ(report.records, 1000u);
  EXPECT_EQ(tree.leaves, 100u);
  EXPECT_EQ(tree.max_depth, 4u);
  EXPECT_EQ(tree.nodes, 25u + 6u + 2u + 1u);
  EXPECT_EQ(report.live_bytes, report.fill_bytes);
}

TEST(TreeTest, AllShapesOfLeavesAndNodes) {
  for (bool aligned : {false, true}) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const VerifyReport report =
          VerifiedTree(Varied(400, seed), {.aligned = aligned});
      EXPECT_GT(report.trees[1].external_records, 5u);
    }
    const TreeShape shape{.aligned = aligned};
    VerifiedTree({}, shape);
    VerifiedTree({{"", ""}}, shape);
    VerifiedTree({{std::string(kKeyBytesMax, 'k'), "v"}}, shape);
    VerifiedTree(Numbered(100, 5), shape);
    VerifiedTree(Numbered(100, 0), shape);
    // Wide by their values, by their keys, with ends and without.
    VerifiedTree(Numbered(40, 9000),
                 {.aligned = aligned, .inline_bytes_max = 10000});
    Records long_keys;
    for (char c = 'a'; c <= 'z'; ++c) long_keys[std::string(9000, c)] = "v";
    VerifiedTree(long_keys, shape);
    long_keys["b"] = "value";
    VerifiedTree(long_keys, shape);
    // All values external, of one size and another.
    Records large = Numbered(30, 5000);
    EXPECT_EQ(VerifiedTree(large, shape).trees[1].external_records, 30u);
    large["key000007"] = std::string(5'000'000, 'r');
    EXPECT_EQ(VerifiedTree(large, shape).segments.run, 3u);
  }
}

TEST(TreeTest, SetsAndTheirGraveyards) {
  for (CollectionKind kind :
       {CollectionKind::kSortedSet, CollectionKind::kMultiMap}) {
    ImageBuilder builder;
    SetTree(builder, "tree", Numbered(300, 0), {.kind = kind});
    builder.SetCollection("map", Numbered(50));
    builder.Commit();
    EXPECT_EQ(Verified(builder).records, 350u);
    builder.Bury("tree");
    builder.Commit();
    EXPECT_EQ(Verified(builder).records, 50u);
    builder.Fold();
    Verified(builder);
  }
}

TEST(TreeTest, AGraveyardThatIsHalfRetired) {
  ImageBuilder builder;
  SetTree(builder, "tree", Numbered(300), {.half_retired = true});
  builder.entry("tree").count = 12345;  // that of its burial
  builder.Bury("tree");
  builder.Commit();
  Verified(builder);
}

// What the engine writes: its blocks, live and dead, at the offsets that they
// have in a domain.
class EngineTree {
 public:
  explicit EngineTree(bool aligned = false) : tree_(aligned) {
    tree_.context().collection = kFirstCollectionId;
    const uint64_t skip = kFirstBlockOffset - kPageBytes;
    const absl::StatusOr<NewBlock> gap =
        tree_.store().Allocate(Stream::kNodes, skip);
    EXPECT_TRUE(gap.ok());
    const BlockHeader header =
        MakeBlockHeader(BlockType::kTreeValue, 0, 0, skip, 0);
    std::memcpy(gap->data, &header, sizeof(header));
    tree_.store().Retire(gap->offset, skip);
  }

  TreeFixture& tree() { return tree_; }

  VerifyReport Verify(NodeSlot root, bool is_graveyard) {
    ImageBuilder builder;
    CatalogEntry& entry =
        builder.ResetCollection("tree", CollectionKind::kOrderedMap);
    const BlockView& view = tree_.store().view();
    for (Offset at = Offset::FromBytes(kFirstBlockOffset);
         at.units < view.limit_units;) {
      const BlockHeader header = *view.As<BlockHeader>(at);
      const std::string bytes(view.At(at), header.bytes());
      if (tree_.store().live().contains(at.units)) {
        EXPECT_EQ(builder.AddBlock(0, header, bytes), at);
      } else {
        builder.AddDeadBlock(0, header, bytes);
      }
      at.units += header.size_units;
    }
    EXPECT_LT(view.limit_units, kSegmentUnits) << "one segment is expected";
    entry.root = root;
    entry.count = tree_.root().count;
    if (is_graveyard) builder.Bury("tree");
    builder.Commit();
    return Verified(builder);
  }

 private:
  TreeFixture tree_;
};

std::string RandomKey(Random& random) {
  return "user" + std::to_string(random.Uniform(5000)) +
         std::string(random.OneIn(9) ? 30 : 0, 'x');
}

TEST(TreeTest, WhatTheEngineWrites) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    EngineTree engine(/*aligned=*/seed % 2 == 0);
    TreeFixture& tree = engine.tree();
    for (int round = 0; round < 8; ++round) {
      std::vector<TreeTestOp> ops;
      for (uint64_t i = random.Uniform(400); i > 0; --i) {
        const bool erases = random.OneIn(3);
        ops.push_back({erases ? MapOpKind::kErase : MapOpKind::kPut,
                       RandomKey(random),
                       std::string(random.OneIn(40) ? 900 : 20, 'v')});
      }
      ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
      if (random.OneIn(4)) {
        const std::string from = RandomKey(random);
        ASSERT_NO_FATAL_FAILURE(tree.EraseRange(from, from + "9"));
      }
      const VerifyReport report = engine.Verify(tree.root().slot, false);
      EXPECT_EQ(report.records, tree.model().size());
    }
    // Retired to the end, in slices.
    NodeSlot grave = tree.root().slot;
    for (bool done = grave.is_empty(); !done;) {
      ASSERT_EQ(TreeRetireSome(tree.context(), 15, grave, &done),
                absl::OkStatus());
      engine.Verify(grave, true);
    }
  }
}

// Leaves and nodes of every shape, in one segment.
void BuildSmall(ImageBuilder& builder) {
  Records records = Numbered(30);
  records["key000004"] = std::string(150, 'x');
  SetTree(builder, "even", Numbered(60), {.aligned = true});
  SetTree(builder, "odd", records);
  SetTree(builder, "varied", Varied(40, 3), {.aligned = true});
  builder.Commit();
  builder.WriteSlot(0);
}

TEST(TreeTest, EveryFlippedByteIsFound) {
  ImageBuilder builder;
  BuildSmall(builder);
  std::string image = builder.image();
  ASSERT_FALSE(IsDamageFound(VerifyImage(image)))
      << ErrorsOf(*VerifyImage(image));
  const uint64_t end = builder.rows()[0].fill_units * kUnitBytes;
  for (uint64_t byte = kFirstBlockOffset; byte < end; ++byte) {
    const char before = image[byte];
    image[byte] = static_cast<char>(before ^ (1 << byte % 8));
    ASSERT_TRUE(IsDamageFound(VerifyImage(image))) << "at byte " << byte;
    image[byte] = before;
  }
}

bool IsTreeBlock(const BlockHeader& header) {
  return header.type >= static_cast<uint8_t>(BlockType::kTreeLeaf) &&
         header.type <= static_cast<uint8_t>(BlockType::kTreeValue);
}

// With checksums that are right, so that only the rules can tell. A byte of a
// key or value may become another that fits; no other byte may.
TEST(TreeTest, EveryFlippedBitOfStructureIsFoundWithoutChecksums) {
  // Keys without neighbours in their bytes, and values of one byte.
  Records records;
  for (int i = 0; i < 40; ++i) {
    records[std::string(1 + i % 3, static_cast<char>('A' + i))] =
        std::string(i % 8 == 0 ? 40 : 1, 'v');
  }
  uint64_t unfound = 0;
  uint64_t tried = 0;
  for (uint64_t target = 0;; ++target) {
    uint64_t at = 0;
    bool is_done = false;
    const auto build = [&](int bit) {
      ImageBuilder builder;
      at = 0;
      is_done = false;
      builder.edit = [&](BlockHeader& header, std::string& bytes) {
        if (!IsTreeBlock(header) || is_done) return;
        const uint64_t first = at;
        at += bytes.size() - sizeof(header);
        if (target >= at) return;
        is_done = true;
        char& byte = bytes[sizeof(header) + (target - first)];
        byte = static_cast<char>(byte ^ (1 << bit));
      };
      SetTree(builder, "tree", records,
              {.leaf_records = 5, .aligned = true, .inline_bytes_max = 30});
      builder.edit = nullptr;
      builder.Commit();
      builder.WriteSlot(0);
      return builder.image();
    };
    for (int bit = 0; bit < 8; ++bit) {
      const bool found = IsDamageFound(VerifyImage(build(bit)));
      if (!is_done) break;
      ++tried;
      unfound += found ? 0 : 1;
    }
    if (!is_done) break;
  }
  // The content: values, and low bits of some keys and separators.
  EXPECT_GT(tried, 8000u);
  EXPECT_LT(unfound * 3, tried);
}

// What the verifier says of a hostile file is no matter, as long as it says it.
TEST(TreeTest, BlocksOfRandomBytesWithGoodChecksumsDoNoHarm) {
  Random random(20261122);
  for (int round = 0; round < 3000; ++round) {
    ImageBuilder builder;
    int damaged = 0;
    builder.edit = [&](BlockHeader& header, std::string& bytes) {
      if (!IsTreeBlock(header) || random.Uniform(6) != 0) return;
      ++damaged;
      const uint64_t reach = random.OneIn(2) ? 32 : bytes.size();
      const uint64_t room =
          std::min<uint64_t>(reach, bytes.size() - sizeof(header));
      for (uint64_t i = 0; i <= random.Uniform(4); ++i) {
        bytes[sizeof(header) + random.Uniform(room)] =
            static_cast<char>(random.OneIn(3) ? 0xFF : random.Next());
      }
      if (random.OneIn(4)) header.count ^= 1u << random.Uniform(16);
      if (random.OneIn(8)) header.depth ^= 1u << random.Uniform(8);
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
