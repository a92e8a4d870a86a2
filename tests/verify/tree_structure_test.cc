// Trees whose checksums and sums are right and of which one rule is broken:
// what a bug of the engine would write. Each test names the one thing that is
// wrong and expects the error that says so.
#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "engine/format/tree_layout.h"
#include "gtest/gtest.h"
#include "tests/verify/image_builder.h"
#include "tests/verify/tree_image.h"
#include "tests/verify/verify_image.h"

namespace eve::testing {
namespace {

Records Numbered(int count, size_t value_bytes = 8) {
  Records records;
  for (int i = 0; i < count; ++i) {
    records["key" + std::to_string(100 + i)] = std::string(value_bytes, 'v');
  }
  return records;
}

template <class T>
void Overwrite(std::string& bytes, size_t at, T value) {
  std::memcpy(&bytes[at], &value, sizeof(value));
}
template <class T>
T Read(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, &bytes[at], sizeof(value));
  return value;
}

void ExpectError(ImageBuilder& builder, const std::string& what) {
  builder.WriteSlot(0);
  const absl::StatusOr<VerifyReport> report = VerifyImage(builder.image());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_NE(ErrorsOf(*report).find(what), std::string::npos)
      << "expected: " << what << "\nfound:\n"
      << ErrorsOf(*report);
  EXPECT_FALSE(report->ok());
}

using Change = std::function<void(BlockHeader&, std::string&)>;

// A tree of which the second block of `type` and `level` is changed before it
// is hashed, or the only one.
struct Fault {
  BlockType type = BlockType::kTreeLeaf;
  uint8_t level = 0;
  Records records = Numbered(100);
  TreeShape shape;
};
void ExpectErrorAfter(const Fault& fault, const Change& change,
                      const std::string& what) {
  SCOPED_TRACE(what);
  int found = 0;
  const auto build = [&](int nth, ImageBuilder& builder) {
    found = 0;
    builder.edit = [&found, &fault, &change, nth](BlockHeader& header,
                                                  std::string& bytes) {
      if (header.type != static_cast<uint8_t>(fault.type)) return;
      if (header.depth != fault.level || ++found != nth) return;
      change(header, bytes);
    };
    SetTree(builder, "a", fault.records, fault.shape);
    builder.edit = nullptr;
    builder.Commit();
  };
  ImageBuilder sound;
  build(0, sound);
  ASSERT_GT(found, 0);
  sound.WriteSlot(0);
  ASSERT_FALSE(IsDamageFound(VerifyImage(sound.image())))
      << ErrorsOf(*VerifyImage(sound.image()));
  ImageBuilder broken;
  build(std::min(found, 2), broken);
  ExpectError(broken, what);
}

TEST(TreeStructureTest, Headers) {
  for (const Fault& fault :
       {Fault{}, Fault{.type = BlockType::kTreeNode, .level = 1},
        Fault{.type = BlockType::kTreeNode, .level = 2},
        Fault{.type = BlockType::kTreeValue, .records = Numbered(20, 200)}}) {
    ExpectErrorAfter(
        fault, [](auto& header, auto&) { header.collection = 9; }, ": owner");
    ExpectErrorAfter(
        fault, [](auto& header, auto&) { header.type = 2; }, "block type");
  }
  ExpectErrorAfter(
      {}, [](auto& header, auto&) { header.depth = 1; }, "tree leaf: depth");
  ExpectErrorAfter(
      {.type = BlockType::kTreeNode, .level = 1},
      [](auto& header, auto&) { header.depth = 2; }, "tree node: depth");
  ExpectErrorAfter(
      {.type = BlockType::kTreeNode, .level = 2},
      [](auto& header, auto&) { header.depth = 33; }, "tree root: level");
}

// A leaf of uniform records: prefix at 24, no ends.
TEST(TreeStructureTest, UniformLeaves) {
  const auto expect = [](const Change& change, const std::string& what) {
    ExpectErrorAfter({}, change, what);
  };
  expect([](auto& header, auto&) { header.count = 0; }, "tree leaf: count");
  expect([](auto& header, auto&) { header.count = 4097; }, "tree leaf: count");
  expect([](auto& header, auto&) { header.count = 9; },
         "tree slot: records of the leaf");
  expect([](auto&, auto& bytes) { bytes[22] |= 8; },
         "tree leaf: unknown flags");
  expect([](auto&, auto& bytes) { bytes[22] |= kTreeLeafWide; },
         "tree leaf: wide");
  expect([](auto&, auto& bytes) { Overwrite<uint16_t>(bytes, 16, 60000); },
         "tree leaf: where its keys begin");
  expect([](auto&, auto& bytes) { Overwrite<uint16_t>(bytes, 18, 60000); },
         "tree leaf: end of key 0");
  expect([](auto&, auto& bytes) { Overwrite<uint16_t>(bytes, 20, 60000); },
         "tree leaf: end of value 0");
  expect([](auto&, auto& bytes) { bytes[20] -= 4; },
         "tree leaf: size in units");
  expect([](auto&, auto& bytes) { bytes.back() = 1; }, "tree leaf: padding");
}

// The second leaf holds "key110" to "key119": prefix "key11", keys of a byte.
TEST(TreeStructureTest, KeysOfLeaves) {
  const auto expect = [](const Change& change, const std::string& what) {
    ExpectErrorAfter({}, change, what);
  };
  const size_t keys = 24 + 5;
  expect([&](auto&, auto& bytes) { std::swap(bytes[keys], bytes[keys + 1]); },
         "tree leaf: order of keys");
  expect([&](auto&, auto& bytes) { bytes[keys] = bytes[keys + 1]; },
         "tree leaf: a key is here twice");
  // Down or up with the prefix: the order within the leaf stays.
  expect([&](auto&, auto& bytes) { bytes[keys - 1] = '0'; },
         "tree leaf: least key and the separator before it");
  expect([&](auto&, auto& bytes) { bytes[keys - 1] = '2'; },
         "tree leaf: greatest key and the separator after it");
  Fault longest;
  longest.records = {{std::string(kKeyBytesMax + 1, 'k'), "v"}};
  ImageBuilder builder;
  SetTree(builder, "a", longest.records);
  builder.Commit();
  ExpectError(builder, "tree leaf: key bytes");
}

TEST(TreeStructureTest, LeavesWithEnds) {
  Fault fault;
  fault.records.clear();
  for (int i = 0; i < 20; ++i) {
    fault.records[std::string(1 + i % 2, static_cast<char>('a' + i))] =
        std::string(1 + i % 3, 'v');
  }
  fault.shape.aligned = true;
  // No prefix: 10 key ends at 24, 10 value ends at 44, keys at 64.
  const auto expect = [&](const Change& change, const std::string& what) {
    ExpectErrorAfter(fault, change, what);
  };
  expect([](auto&, auto& bytes) { Overwrite<uint16_t>(bytes, 26, 0); },
         "tree leaf: end of key 1");
  expect([](auto&, auto& bytes) { Overwrite<uint16_t>(bytes, 42, 999); },
         "tree leaf: end of key 9");
  expect([](auto&, auto& bytes) { Overwrite<uint16_t>(bytes, 46, 0); },
         "tree leaf: end of value 1");
  expect([](auto&, auto& bytes) { Overwrite<uint16_t>(bytes, 62, 999); },
         "tree leaf: end of value 9");
  // Shorter than it is: what is left over is in a gap.
  expect(
      [](auto&, auto& bytes) {
        const auto end = Read<uint16_t>(bytes, 46);
        Overwrite<uint16_t>(bytes, 46, static_cast<uint16_t>(end - 1));
      },
      "tree leaf: gap before value 2");
  expect([](auto&, auto& bytes) { bytes[64 + 15] = 1; },
         "tree leaf: gap between keys and values");
  // The external bit of an inline value.
  expect([](auto&, auto& bytes) { bytes[45] ^= '\x80'; },
         "tree leaf: bytes of external value 0");
  expect([](auto&, auto& bytes) { bytes[22] |= kTreeLeafExternal; },
         "tree leaf: bytes of values that are external");
}

TEST(TreeStructureTest, WideLeaves) {
  Fault fault;
  fault.records = Numbered(20, 5000);
  fault.shape.inline_bytes_max = 6000;
  fault.records["key115"] = "short";
  // Prefix "key11" of the second leaf, then value ends of 32 bits, from 29.
  ExpectErrorAfter(
      fault, [](auto&, auto& bytes) { bytes[22] &= ~kTreeLeafWide; },
      "tree leaf: ");
  ExpectErrorAfter(
      fault,
      [](auto&, auto& bytes) { Overwrite<uint32_t>(bytes, 65, ~0u >> 1); },
      "tree leaf: end of value 9");
  ExpectErrorAfter(
      fault, [](auto&, auto& bytes) { bytes[32] ^= '\x80'; },
      "tree leaf: bytes of external value 0");
}

TEST(TreeStructureTest, LargeValues) {
  Fault fault{.type = BlockType::kTreeValue, .records = Numbered(20, 201)};
  const auto expect = [&](const Change& change, const std::string& what) {
    ExpectErrorAfter(fault, change, what);
  };
  expect([](auto& header, auto&) { header.depth = 1; }, "tree value: depth");
  expect([](auto& header, auto&) { header.count = 1; }, "tree value: count");
  expect([](auto&, auto& bytes) { bytes[22] = 1; }, "tree value: bytes");
  expect([](auto&, auto& bytes) { bytes[17] = 1; },
         "tree value: size in units");
  expect([](auto&, auto& bytes) { bytes[26] = 2; }, "tree value: key bytes");
  expect([](auto&, auto& bytes) { bytes[32 + 201] ^= 1; }, "tree value: key");
  expect([](auto&, auto& bytes) { bytes.back() = 1; }, "tree value: padding");
  // Two records with one value; prefix "key11", keys of a byte, then values.
  ExpectErrorAfter(
      {.records = fault.records},
      [](auto&, auto& bytes) { bytes.replace(39 + 8, 8, bytes, 39, 8); },
      "tree value is reached twice");
  ExpectErrorAfter(
      {.records = fault.records},
      [](auto&, auto& bytes) { Overwrite<uint64_t>(bytes, 39, ~uint64_t{0}); },
      "pointer past the end of the file");
}

// The root of four children of level 2: heads at 24, slots at 48, counts at
// 80, sizes at 112, prefix "key1" at 115.
TEST(TreeStructureTest, Nodes) {
  const Fault fault{
      .type = BlockType::kTreeNode, .level = 3, .records = Numbered(600)};
  const Fault low{
      .type = BlockType::kTreeNode, .level = 1, .records = Numbered(600)};
  const auto expect = [&](const Change& change, const std::string& what) {
    ExpectErrorAfter(fault, change, what);
  };
  expect([](auto& header, auto&) { header.count = 0; }, "tree node: children");
  expect([](auto& header, auto&) { header.count = 1; }, "tree node: children");
  expect([](auto& header, auto&) { header.count = 60000; },
         "tree node: bytes for its children");
  expect([](auto&, auto& bytes) { bytes[18] |= 2; },
         "tree node: unknown flags");
  expect([](auto&, auto& bytes) { bytes[20] = 1; }, "tree node: reserved");
  expect([](auto&, auto& bytes) { Overwrite<uint16_t>(bytes, 16, 60000); },
         "tree node: bytes for its prefix");
  expect([](auto&, auto& bytes) { ++bytes[80]; },
         "tree node: records below child 0");
  expect([](auto&, auto& bytes) { bytes[48 + 6] = 1; },
         "tree slot: records, though it leads to a node");
  ExpectErrorAfter(
      low, [](auto&, auto& bytes) { ++bytes[48 + 6]; },
      "tree slot: records of the leaf");
  expect([](auto&, auto& bytes) { bytes.replace(48, 8, bytes, 56, 8); },
         "tree node is reached twice");
  ExpectErrorAfter(
      low, [](auto&, auto& bytes) { bytes.replace(48, 8, bytes, 56, 8); },
      "tree leaf is reached twice");
  expect([](auto&, auto& bytes) { Overwrite<uint64_t>(bytes, 48, 0); },
         "pointer to where no blocks are");
  expect([](auto&, auto& bytes) { bytes.back() = 1; }, "tree node: padding");
}

TEST(TreeStructureTest, Separators) {
  const Fault fault{
      .type = BlockType::kTreeNode, .level = 1, .records = Numbered(100)};
  // Four children: "key15", "key16", "key17", of one byte behind the prefix.
  const auto expect = [&](const Change& change, const std::string& what) {
    ExpectErrorAfter(fault, change, what);
  };
  const size_t sizes = 24 + 3 * 8 + 4 * 8;
  expect([&](auto&, auto& bytes) { bytes[sizes] = 9; },
         "tree node: size of a separator");
  expect([&](auto&, auto& bytes) { bytes[sizes] = 0; },
         "tree node: head of separator 0");
  expect([&](auto&, auto& bytes) { bytes[25] = 1; },
         "tree node: head of separator 0");
  expect([&](auto&, auto& bytes) { std::swap(bytes[24], bytes[32]); },
         "tree node: order of separators");
  expect([&](auto&, auto& bytes) { bytes[32] = bytes[24]; },
         "tree node: order of separators");
  expect([&](auto&, auto& bytes) { ++bytes[24]; }, "tree leaf: least key");
  expect([&](auto&, auto& bytes) { --bytes[24]; }, "tree leaf: greatest key");
  // All move with the prefix, out of what the root says.
  expect([&](auto&, auto& bytes) { ++bytes[sizes + 3 + 3]; },
         "its last one not below");
  expect([&](auto&, auto& bytes) { --bytes[sizes + 3 + 3]; },
         "its first one not above");
  expect([&](auto&, auto& bytes) { bytes[18] |= kTreeNodeLong; },
         "tree node: ");
}

TEST(TreeStructureTest, LongSeparators) {
  Fault fault{.type = BlockType::kTreeNode, .level = 1, .records = {}};
  for (char c = 'a'; c <= 'h'; ++c) {
    for (char d : {'x', 'y'}) {
      fault.records[std::string(1, c) + "0123456789" + d] = "v";
    }
  }
  fault.shape.leaf_records = 1;
  // Four leaves: separators "bx", of 12 bytes, "c" and again 12; the second
  // node's are "c...y", "d", "d...y".
  const size_t ends = 24 + 3 * 8 + 4 * 8;
  const auto expect = [&](const Change& change, const std::string& what) {
    ExpectErrorAfter(fault, change, what);
  };
  expect([&](auto&, auto& bytes) { Overwrite<uint32_t>(bytes, ends + 4, 0); },
         "tree node: end of separator 1");
  expect([&](auto&, auto& bytes) { Overwrite<uint32_t>(bytes, ends + 8, ~0u); },
         "tree node: end of separator 2");
  expect([&](auto&, auto& bytes) { ++bytes[24 + 3]; },
         "tree node: head of separator 0");
  expect(
      [&](auto&, auto& bytes) {
        const auto end = Read<uint32_t>(bytes, ends + 8);
        Overwrite<uint32_t>(bytes, ends + 8, end - 1);
      },
      "tree node: padding");
}

TEST(TreeStructureTest, TheCatalogAndItsTrees) {
  const auto expect = [](const std::function<void(ImageBuilder&)>& change,
                         const std::string& what, size_t value_bytes = 8) {
    ImageBuilder builder;
    SetTree(builder, "a", Numbered(50, value_bytes));
    SetTree(builder, "b", Numbered(60, value_bytes));
    change(builder);
    builder.Commit();
    ExpectError(builder, what);
  };
  expect([](auto& b) { ++b.entry("a").count; }, "collection 1: records");
  expect([](auto& b) { b.entry("a").kind = 1; }, "slot: kind");
  expect([](auto& b) { b.entry("a").kind = 3; }, "of a set");
  expect([](auto& b) { b.entry("a").kind = 4; }, "of a set");
  expect([](auto& b) { b.entry("a").kind = 3; }, "of a set", 200);
  expect([](auto& b) { b.entry("b").root = b.entry("a").root; },
         "tree node: owner");
  expect([](auto& b) { b.entry("b") = b.entry("a"); },
         "tree node is reached twice");
  expect([](auto& b) { b.entry("a").root = NodeSlot{}; }, "are reachable");
  expect([](auto& b) { b.entry("a").root.word |= uint64_t{1} << 50; },
         "tree slot: records, though it leads to a node");
  expect([](auto& b) { b.entry("a").root.word = uint64_t{1} << 47; },
         "pointer past the end of the file");
}

TEST(TreeStructureTest, OnlyGraveyardsMayBeHalfRetired) {
  const auto build = [](ImageBuilder& builder) {
    SetTree(builder, "a", Numbered(300), {.half_retired = true});
  };
  ImageBuilder live;
  build(live);
  live.Commit();
  ExpectError(live, "tree node: children");
  ExpectError(live, "tree node: records below child 0");
  // Even there a count may not be too low.
  ImageBuilder buried;
  buried.edit = [](BlockHeader& header, std::string& bytes) {
    if (header.depth != 2 || header.count < 2) return;
    Overwrite<uint64_t>(bytes, 24 + 8 * (2 * header.count - 1), 3);
  };
  build(buried);
  buried.edit = nullptr;
  buried.Bury("a");
  buried.Commit();
  ExpectError(buried, "tree node: records below child 0");
}

// Damage in one place does not hide other places.
TEST(TreeStructureTest, TheWalkGoesOn) {
  ImageBuilder builder;
  int leaves = 0;
  builder.edit = [&](BlockHeader& header, std::string& bytes) {
    if (header.type != static_cast<uint8_t>(BlockType::kTreeLeaf)) return;
    if (++leaves % 2 == 0) bytes[22] |= 8;
  };
  SetTree(builder, "a", Numbered(400));
  builder.edit = nullptr;
  builder.Commit();
  builder.WriteSlot(0);
  const absl::StatusOr<VerifyReport> report = VerifyImage(builder.image());
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->error_count, 20u) << ErrorsOf(*report);
  EXPECT_EQ(report->trees[1].records, 400u);
}

}  // namespace
}  // namespace eve::testing
