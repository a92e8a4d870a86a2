// Files whose checksums and sums are right and whose structure is wrong: what a
// bug of the engine would write. Each test names the one thing that is wrong
// and expects the error that says so.
#include <cstring>
#include <functional>
#include <string>

#include "gtest/gtest.h"
#include "tests/verify/image_builder.h"
#include "tests/verify/verify_image.h"

namespace eve::testing {
namespace {

Records Some(int count, size_t value_bytes = 8) {
  Records records;
  for (int i = 0; i < count; ++i) {
    records["key" + std::to_string(i)] = std::string(value_bytes, 'v');
  }
  return records;
}

template <class T>
void Overwrite(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

// Expects an error that contains `what`.
void ExpectError(ImageBuilder& builder, const std::string& what) {
  builder.WriteSlot(0);
  const absl::StatusOr<VerifyReport> report = VerifyImage(builder.image());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_NE(ErrorsOf(*report).find(what), std::string::npos)
      << "expected: " << what << "\nfound:\n"
      << ErrorsOf(*report);
  EXPECT_FALSE(report->ok());
}

// Changes the first block of `type` in a collection before it is hashed.
using Change = std::function<void(BlockHeader&, std::string&)>;
void ExpectErrorAfter(BlockType type, const Change& change,
                      const std::string& what, int records = 200,
                      size_t value_bytes = 8,
                      uint64_t hash_mask = ~uint64_t{0}) {
  ImageBuilder builder(hash_mask);
  bool is_done = false;
  builder.edit = [&](BlockHeader& header, std::string& bytes) {
    if (is_done || header.type != static_cast<uint8_t>(type)) return;
    is_done = true;
    change(header, bytes);
  };
  builder.SetCollection("a", Some(records, value_bytes));
  ASSERT_TRUE(is_done);
  builder.Commit();
  ExpectError(builder, what);
}

TEST(StructureTest, TrieNodes) {
  const auto type = BlockType::kTrieNode;
  ExpectErrorAfter(
      type, [](auto&, auto& bytes) { bytes[23] ^= 1; }, "trie node: prefix");
  ExpectErrorAfter(
      type, [](auto&, auto& bytes) { bytes[24] = 1; }, "trie node: reserved");
  ExpectErrorAfter(
      type, [](auto& header, auto&) { header.count = 1; }, "trie node: count");
  ExpectErrorAfter(
      type, [](auto& header, auto&) { header.depth ^= 1; }, "trie node: depth");
  ExpectErrorAfter(
      type, [](auto& header, auto&) { header.collection = 9; },
      "trie node: owner");
  ExpectErrorAfter(
      type, [](auto& header, auto&) { header.type = 2; }, "block type");
}

TEST(StructureTest, Slots) {
  const auto change_slot = [](auto change) {
    return [change](BlockHeader&, std::string& bytes) {
      for (size_t at = 32; at < 32 + 32 * 8; at += 8) {
        uint64_t word;
        std::memcpy(&word, bytes.data() + at, 8);
        if (word == 0) continue;
        Overwrite<uint64_t>(bytes, at, change(word));
        // All slots of a leaf change together, but for the last test.
        if (change(word) == 0) return;
      }
    };
  };
  const auto type = BlockType::kTrieNode;
  ExpectErrorAfter(
      type, change_slot([](uint64_t w) { return w | uint64_t{1} << 60; }),
      "slot: reserved bits");
  ExpectErrorAfter(
      type, change_slot([](uint64_t w) { return w ^ uint64_t { 1 } << 50; }),
      "slot: lines of the leaf");
  ExpectErrorAfter(
      type, change_slot([](uint64_t w) { return w & ~(uint64_t{3} << 48); }),
      "slot: kind");
  ExpectErrorAfter(
      type, change_slot([](uint64_t w) { return w | (uint64_t{1} << 47); }),
      "pointer past the end of the file");
  ExpectErrorAfter(type,
                   change_slot([](uint64_t w) { return (w >> 48 << 48) | 5; }),
                   "pointer to where no blocks are");
  // Keys that cannot be found any more: one slot of their leaf is empty.
  ExpectErrorAfter(type, change_slot([](uint64_t) { return uint64_t{0}; }),
                   "an aligned power of two");
}

TEST(StructureTest, Leaves) {
  const auto type = BlockType::kTrieLeaf;
  ExpectErrorAfter(
      type, [](auto&, auto& bytes) { bytes[16] ^= 1; }, "leaf: fingerprint");
  ExpectErrorAfter(
      type, [](auto& header, auto& bytes) { bytes[16 + header.count] ^= 1; },
      "leaf: position of a record");
  ExpectErrorAfter(
      type, [](auto& header, auto&) { header.count = 0; }, "leaf: count");
  ExpectErrorAfter(
      type, [](auto& header, auto&) { header.count = 60000; }, "leaf: count");
  // Another key: it hashes to another place.
  ExpectErrorAfter(
      type,
      [](auto& header, auto& bytes) { bytes[16 + 3 * header.count + 2] ^= 1; },
      "record: its hash belongs elsewhere");
  ExpectErrorAfter(
      type,
      [](auto& header, auto& bytes) { bytes[17 + 3 * header.count] = 120; },
      "ends past the leaf", 3);
}

TEST(StructureTest, LeavesOfEqualHashes) {
  // Three keys of one length and hash in the root leaf; two made equal.
  const auto change = [](auto& header, auto& bytes) {
    const size_t first = 16 + 3 * header.count + 2;
    const size_t record = 2 + 4 + 8;
    bytes.replace(first + record, 4, bytes.substr(first, 4));
  };
  ExpectErrorAfter(BlockType::kTrieLeaf, change, "its key is here twice", 3, 8,
                   /*hash_mask=*/0);
}

TEST(StructureTest, LeavesOutOfOrder) {
  // Two records of equal size trade places with their fingerprints.
  const auto change = [](auto& header, auto& bytes) {
    const size_t first = 16 + 3 * header.count;
    const size_t record = 2 + 4 + 8;
    std::swap_ranges(&bytes[first], &bytes[first + record],
                     &bytes[first + record]);
    std::swap(bytes[16], bytes[17]);
  };
  ExpectErrorAfter(BlockType::kTrieLeaf, change, "leaf: order of hashes", 3);
}

TEST(StructureTest, LargeRecords) {
  const auto type = BlockType::kRecord;
  ExpectErrorAfter(
      type, [](auto&, auto& bytes) { bytes[16] ^= 1; },
      "record block: hash of its key", 10, 500);
  ExpectErrorAfter(
      type, [](auto&, auto& bytes) { bytes[40] ^= 1; },
      "record block: hash of its key", 10, 500);
  ExpectErrorAfter(
      type, [](auto&, auto& bytes) { bytes[25] = 1; },
      "record block: size in units", 10, 500);
  ExpectErrorAfter(
      type, [](auto&, auto& bytes) { bytes[30] = 1; },
      "record block: key bytes", 10, 500);
  ExpectErrorAfter(
      type, [](auto&, auto& bytes) { bytes.back() = 1; },
      "record block: padding", 10, 501);
}

TEST(StructureTest, CollisionLeaves) {
  const auto type = BlockType::kCollisionLeaf;
  const auto expect = [&](const Change& change, const std::string& what) {
    ExpectErrorAfter(type, change, what, 20, 8, /*hash_mask=*/0);
  };
  expect([](auto&, auto& bytes) { bytes[39] ^= 1; }, "collision leaf: tag");
  expect([](auto&, auto& bytes) { bytes[16] = 1; },
         "record block: hash of its key");
  expect([](auto&, auto& bytes) { bytes[23] = 1; },
         "collision leaf: its hash belongs elsewhere");
  expect([](auto&, auto& bytes) { bytes[24] = 90; },
         "collision leaf: size in units");
  expect([](auto&, auto& bytes) { bytes[28] = 1; }, "collision leaf: reserved");
  expect([](auto&, auto& bytes) { bytes.replace(40, 8, bytes, 32, 8); },
         "is reached twice");
}

TEST(StructureTest, TheCatalog) {
  const auto expect = [](const std::function<void(ImageBuilder&)>& change,
                         const std::string& what) {
    ImageBuilder builder;
    builder.SetCollection("a", Some(5));
    builder.SetCollection("b", Some(6));
    change(builder);
    builder.Commit();
    ExpectError(builder, what);
  };
  expect([](auto& b) { ++b.entry("a").count; }, "collection 1: records");
  expect([](auto& b) { b.entry("a").id = 2; }, "also at offset");
  expect([](auto& b) { b.entry("a").id = 3; }, "catalog entry: id");
  expect([](auto& b) { b.entry("a").kind = 7; }, "catalog entry: kind");
  expect([](auto& b) { b.entry("a").reserved2 = 7; },
         "catalog entry: reserved");
  expect([](auto& b) { b.entry("a").kind = 255; }, "catalog entry: name");
  // Two collections with the same blocks.
  expect([](auto& b) { b.entry("b").root = b.entry("a").root; },
         "trie node: owner");
  expect([](auto& b) { b.entry("b") = b.entry("a"); },
         "trie node is reached twice");
  expect([](auto& b) { b.entry("a").root = NodeSlot{}; }, "are reachable");
}

TEST(StructureTest, TheCommitRecord) {
  const auto expect = [](const std::function<void(CommitRecord&)>& change,
                         const std::string& what) {
    ImageBuilder builder;
    builder.leaf_segment = 1;
    builder.SetCollection("a", Some(5));
    builder.Commit();
    builder.edit_record = change;
    builder.Commit();
    ExpectError(builder, what);
  };
  expect([](auto& r) { r.collection_count = 3; }, "collections");
  expect([](auto& r) { r.version = 5; }, "version of the predecessor");
  expect([](auto& r) { r.folded_version = 9; }, "folded version");
  expect([](auto& r) { r.folded_version = 1; }, "start of the fill");
  expect([](auto& r) { r.segment_count = kSegmentsMax + 1; },
         "commit record: segments");
  expect([](auto& r) { r.segment_count = 1; }, "segments");
  expect([](auto& r) { r.catalog_delta_count = 999; }, "more deltas than fit");
  expect([](auto& r) { r.catalog_delta_count = 0; }, "live bytes");
  expect([](auto& r) { r.accounting_rows = 9; }, "accounting rows");
  expect([](auto& r) { r.catalog_version = 9; }, "catalog version");
  expect([](auto& r) { r.spilled_delta_count = 1; }, "without a list");
  expect([](auto& r) { r.incarnation = 9; }, "incarnation");
  expect([](auto& r) { r.previous = Offset{}; }, "where no blocks are");
}

TEST(StructureTest, TheAccounting) {
  const auto expect = [](const std::function<void(AccountingRow&)>& change,
                         const std::string& what) {
    ImageBuilder builder;
    builder.leaf_segment = 1;
    builder.SetCollection("a", Some(500));
    builder.leaf_segment = 0;  // segment 1 is not written again
    builder.Commit();
    change(builder.rows()[1]);
    builder.Fold();
    ExpectError(builder, what);
  };
  // One unit more or less is told.
  expect([](auto& row) { row.live_units -= 1; }, "segment 1: live bytes");
  expect([](auto& row) { row.live_units += 1; }, "segment 1: live bytes");
  expect([](auto& row) { row.sum += 1; }, "lost or stale write");
  expect([](auto& row) { row.fill_units -= 1; }, "row: live units");
  expect([](auto& row) { row.fill_units += 1; }, "segment 1");
  expect([](auto& row) { row.birth = 99; }, "row: birth");
  expect([](auto& row) { row.death = 99; }, "row: death");
  expect([](auto& row) { row.run_length = 0; }, "row: run");
  expect([](auto& row) { row.run_index = 1, row.run_length = 2; },
         "row: head of its run");
  expect([](auto& row) { row.fill_units = 1 << 20; }, "row: fill");
}

TEST(StructureTest, ManyErrorsAreCountedAndSomeAreKept) {
  ImageBuilder builder;
  builder.edit = [](BlockHeader& header, std::string& bytes) {
    if (header.type != static_cast<uint8_t>(BlockType::kTrieLeaf)) return;
    for (int i = 0; i < header.count; ++i) bytes[16 + i] ^= 1;
  };
  builder.SetCollection("a", Some(1000));
  builder.edit = nullptr;
  builder.Commit();
  builder.WriteSlot(0);
  const absl::StatusOr<VerifyReport> report =
      VerifyImage(builder.image(), {.errors_kept = 7});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->errors.size(), 7u);
  EXPECT_EQ(report->error_count, 1000u);
}

}  // namespace
}  // namespace eve::testing
