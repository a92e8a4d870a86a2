// docs/format.md must say what the code does: every struct, field, enumerator
// and constant in its tables, with their offsets, sizes and values.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/format/accounting_row.h"
#include "engine/format/block.h"
#include "engine/format/catalog_entry.h"
#include "engine/format/commit_record.h"
#include "engine/format/commit_slot.h"
#include "engine/format/constants.h"
#include "engine/format/node_layout.h"
#include "engine/format/shared_layout.h"
#include "engine/format/superblock.h"
#include "engine/format/tree_layout.h"
#include "gtest/gtest.h"

namespace eve {
namespace {

struct Field {
  std::string name;
  uint64_t offset;
  uint64_t size;
  friend bool operator==(const Field&, const Field&) = default;
  friend void PrintTo(const Field& field, std::ostream* out) {
    *out << field.name << " at " << field.offset << ", " << field.size
         << " bytes";
  }
};
struct Struct {
  uint64_t size = 0;
  std::vector<Field> fields;
};
using Values = std::vector<std::pair<std::string, uint64_t>>;

#define EVE_FIELD(Type, field) \
  Field { #field, offsetof(Type, field), sizeof(Type::field) }
#define EVE_VALUE(name) \
  { #name, static_cast < uint64_t>(name) }
#define EVE_ENUMERATOR(Type, name) \
  { #name, static_cast < uint64_t>(Type::name) }

std::map<std::string, Struct> FileStructs() {
  std::map<std::string, Struct> structs;
  structs["Superblock"] = {
      sizeof(Superblock),
      {EVE_FIELD(Superblock, magic), EVE_FIELD(Superblock, format_version),
       EVE_FIELD(Superblock, header_bytes),
       EVE_FIELD(Superblock, features_compat),
       EVE_FIELD(Superblock, features_read),
       EVE_FIELD(Superblock, features_must), EVE_FIELD(Superblock, uuid),
       EVE_FIELD(Superblock, hash_seed), EVE_FIELD(Superblock, hash_mask),
       EVE_FIELD(Superblock, segment_bytes), EVE_FIELD(Superblock, reserved),
       EVE_FIELD(Superblock, checksum)}};
  structs["CommitSlot"] = {
      sizeof(CommitSlot),
      {EVE_FIELD(CommitSlot, magic), EVE_FIELD(CommitSlot, incarnation),
       EVE_FIELD(CommitSlot, version), EVE_FIELD(CommitSlot, record),
       EVE_FIELD(CommitSlot, record_hash), EVE_FIELD(CommitSlot, segment_count),
       EVE_FIELD(CommitSlot, uuid), EVE_FIELD(CommitSlot, slot_index),
       EVE_FIELD(CommitSlot, extent_count), EVE_FIELD(CommitSlot, file_bytes),
       EVE_FIELD(CommitSlot, extents), EVE_FIELD(CommitSlot, reserved),
       EVE_FIELD(CommitSlot, checksum)}};
  structs["CommitExtent"] = {
      sizeof(CommitExtent),
      {EVE_FIELD(CommitExtent, segment), EVE_FIELD(CommitExtent, from_units),
       EVE_FIELD(CommitExtent, to_units), EVE_FIELD(CommitExtent, reserved),
       EVE_FIELD(CommitExtent, sum)}};
  structs["BlockHeader"] = {
      sizeof(BlockHeader),
      {EVE_FIELD(BlockHeader, type), EVE_FIELD(BlockHeader, depth),
       EVE_FIELD(BlockHeader, count), EVE_FIELD(BlockHeader, size_units),
       EVE_FIELD(BlockHeader, collection), EVE_FIELD(BlockHeader, checksum)}};
  structs["NodeSlot"] = {sizeof(NodeSlot), {EVE_FIELD(NodeSlot, word)}};
  structs["TrieNode"] = {
      sizeof(TrieNode),
      {EVE_FIELD(TrieNode, header), EVE_FIELD(TrieNode, prefix),
       EVE_FIELD(TrieNode, reserved), EVE_FIELD(TrieNode, slots)}};
  structs["ExternalRecord"] = {
      sizeof(ExternalRecord),
      {EVE_FIELD(ExternalRecord, word), EVE_FIELD(ExternalRecord, hash)}};
  structs["RecordBlock"] = {
      sizeof(RecordBlock),
      {EVE_FIELD(RecordBlock, header), EVE_FIELD(RecordBlock, hash),
       EVE_FIELD(RecordBlock, key_bytes), EVE_FIELD(RecordBlock, value_bytes)}};
  structs["CollisionLeaf"] = {
      sizeof(CollisionLeaf),
      {EVE_FIELD(CollisionLeaf, header), EVE_FIELD(CollisionLeaf, hash),
       EVE_FIELD(CollisionLeaf, entries), EVE_FIELD(CollisionLeaf, reserved)}};
  structs["CollisionEntry"] = {sizeof(CollisionEntry),
                               {EVE_FIELD(CollisionEntry, word)}};
  structs["CatalogEntry"] = {
      sizeof(CatalogEntry),
      {EVE_FIELD(CatalogEntry, id), EVE_FIELD(CatalogEntry, kind),
       EVE_FIELD(CatalogEntry, reserved),
       EVE_FIELD(CatalogEntry, key_type_bytes),
       EVE_FIELD(CatalogEntry, value_type_bytes),
       EVE_FIELD(CatalogEntry, reserved2), EVE_FIELD(CatalogEntry, reserved3),
       EVE_FIELD(CatalogEntry, root), EVE_FIELD(CatalogEntry, count)}};
  return structs;
}

std::map<std::string, Struct> TreeStructs() {
  std::map<std::string, Struct> structs;
  structs["TreeSlot"] = {sizeof(TreeSlot), {EVE_FIELD(TreeSlot, word)}};
  structs["TreeLeaf"] = {
      sizeof(TreeLeaf),
      {EVE_FIELD(TreeLeaf, header), EVE_FIELD(TreeLeaf, prefix_bytes),
       EVE_FIELD(TreeLeaf, key_bytes), EVE_FIELD(TreeLeaf, value_bytes),
       EVE_FIELD(TreeLeaf, flags)}};
  structs["TreeNode"] = {
      sizeof(TreeNode),
      {EVE_FIELD(TreeNode, header), EVE_FIELD(TreeNode, prefix_bytes),
       EVE_FIELD(TreeNode, flags), EVE_FIELD(TreeNode, reserved)}};
  structs["TreeValue"] = {
      sizeof(TreeValue),
      {EVE_FIELD(TreeValue, header), EVE_FIELD(TreeValue, value_bytes),
       EVE_FIELD(TreeValue, key_bytes)}};
  return structs;
}

std::map<std::string, Struct> CommitStructs() {
  std::map<std::string, Struct> structs;
  structs["CommitRecord"] = {
      sizeof(CommitRecord),
      {EVE_FIELD(CommitRecord, header), EVE_FIELD(CommitRecord, version),
       EVE_FIELD(CommitRecord, incarnation), EVE_FIELD(CommitRecord, previous),
       EVE_FIELD(CommitRecord, catalog_root),
       EVE_FIELD(CommitRecord, accounting_root),
       EVE_FIELD(CommitRecord, folded_version),
       EVE_FIELD(CommitRecord, catalog_version),
       EVE_FIELD(CommitRecord, segment_count),
       EVE_FIELD(CommitRecord, accounting_rows),
       EVE_FIELD(CommitRecord, next_collection),
       EVE_FIELD(CommitRecord, collection_count),
       EVE_FIELD(CommitRecord, writer),
       EVE_FIELD(CommitRecord, data_delta_count),
       EVE_FIELD(CommitRecord, catalog_delta_count),
       EVE_FIELD(CommitRecord, spilled_delta_count),
       EVE_FIELD(CommitRecord, spill)}};
  structs["DeltaList"] = {
      sizeof(DeltaList),
      {EVE_FIELD(DeltaList, header), EVE_FIELD(DeltaList, count),
       EVE_FIELD(DeltaList, reserved)}};
  structs["Delta"] = {sizeof(Delta),
                      {EVE_FIELD(Delta, segment), EVE_FIELD(Delta, kind),
                       EVE_FIELD(Delta, from_units), EVE_FIELD(Delta, to_units),
                       EVE_FIELD(Delta, sum)}};
  structs["AccountingRow"] = {
      sizeof(AccountingRow),
      {EVE_FIELD(AccountingRow, birth), EVE_FIELD(AccountingRow, death),
       EVE_FIELD(AccountingRow, sum), EVE_FIELD(AccountingRow, fill_units),
       EVE_FIELD(AccountingRow, live_units),
       EVE_FIELD(AccountingRow, run_index),
       EVE_FIELD(AccountingRow, run_length)}};
  structs["AccountingLeaf"] = {
      sizeof(AccountingLeaf),
      {EVE_FIELD(AccountingLeaf, header),
       EVE_FIELD(AccountingLeaf, first_segment),
       EVE_FIELD(AccountingLeaf, reserved), EVE_FIELD(AccountingLeaf, rows)}};
  structs["AccountingNode"] = {sizeof(AccountingNode),
                               {EVE_FIELD(AccountingNode, header),
                                EVE_FIELD(AccountingNode, first_segment),
                                EVE_FIELD(AccountingNode, reserved),
                                EVE_FIELD(AccountingNode, children)}};
  return structs;
}

std::map<std::string, Struct> SharedStructs() {
  std::map<std::string, Struct> structs;
  structs["RegionHeader"] = {
      sizeof(RegionHeader),
      {EVE_FIELD(RegionHeader, magic), EVE_FIELD(RegionHeader, abi_hash),
       EVE_FIELD(RegionHeader, nonce), EVE_FIELD(RegionHeader, data_device),
       EVE_FIELD(RegionHeader, data_inode), EVE_FIELD(RegionHeader, uuid),
       EVE_FIELD(RegionHeader, boot_id), EVE_FIELD(RegionHeader, incarnation),
       EVE_FIELD(RegionHeader, ready), EVE_FIELD(RegionHeader, poison),
       EVE_FIELD(RegionHeader, reserved)}};
  structs["RegionWords"] = {sizeof(RegionWords),
                            {EVE_FIELD(RegionWords, root),
                             EVE_FIELD(RegionWords, pad0),
                             EVE_FIELD(RegionWords, capacity),
                             EVE_FIELD(RegionWords, pad1),
                             EVE_FIELD(RegionWords, pending),
                             EVE_FIELD(RegionWords, durable),
                             EVE_FIELD(RegionWords, processes_used),
                             EVE_FIELD(RegionWords, pad2),
                             EVE_FIELD(RegionWords, compactor),
                             EVE_FIELD(RegionWords, pad3),
                             EVE_FIELD(RegionWords, turn),
                             EVE_FIELD(RegionWords, pad4),
                             EVE_FIELD(RegionWords, flusher),
                             EVE_FIELD(RegionWords, beat),
                             EVE_FIELD(RegionWords, settled),
                             EVE_FIELD(RegionWords, pad5),
                             EVE_FIELD(RegionWords, watch),
                             EVE_FIELD(RegionWords, pad6),
                             EVE_FIELD(RegionWords, replays),
                             EVE_FIELD(RegionWords, flush_begun),
                             EVE_FIELD(RegionWords, flush_bytes),
                             EVE_FIELD(RegionWords, io_engine),
                             EVE_FIELD(RegionWords, reserved)}};
  structs["ProcessSlot"] = {
      sizeof(ProcessSlot),
      {EVE_FIELD(ProcessSlot, generation), EVE_FIELD(ProcessSlot, cells_used),
       EVE_FIELD(ProcessSlot, pid), EVE_FIELD(ProcessSlot, commits),
       EVE_FIELD(ProcessSlot, conflicts), EVE_FIELD(ProcessSlot, restamps),
       EVE_FIELD(ProcessSlot, folds), EVE_FIELD(ProcessSlot, segments_claimed),
       EVE_FIELD(ProcessSlot, segments_freed),
       EVE_FIELD(ProcessSlot, checkpoints),
       EVE_FIELD(ProcessSlot, bytes_committed),
       EVE_FIELD(ProcessSlot, cells_revoked),
       EVE_FIELD(ProcessSlot, blocks_moved),
       EVE_FIELD(ProcessSlot, bytes_moved),
       EVE_FIELD(ProcessSlot, bytes_punched), EVE_FIELD(ProcessSlot, turns),
       EVE_FIELD(ProcessSlot, waits)}};
  structs["ReaderCell"] = {
      sizeof(ReaderCell),
      {EVE_FIELD(ReaderCell, word), EVE_FIELD(ReaderCell, reserved)}};
  return structs;
}

std::map<std::string, Values> CodeEnums() {
  return {
      {"BlockType",
       {EVE_ENUMERATOR(BlockType, kInvalid),
        EVE_ENUMERATOR(BlockType, kTrieNode),
        EVE_ENUMERATOR(BlockType, kTrieLeaf),
        EVE_ENUMERATOR(BlockType, kCollisionLeaf),
        EVE_ENUMERATOR(BlockType, kRecord),
        EVE_ENUMERATOR(BlockType, kCommitRecord),
        EVE_ENUMERATOR(BlockType, kDeltaList),
        EVE_ENUMERATOR(BlockType, kAccountingLeaf),
        EVE_ENUMERATOR(BlockType, kAccountingNode),
        EVE_ENUMERATOR(BlockType, kTreeLeaf),
        EVE_ENUMERATOR(BlockType, kTreeNode),
        EVE_ENUMERATOR(BlockType, kTreeValue)}},
      {"SlotKind",
       {EVE_ENUMERATOR(SlotKind, kEmpty), EVE_ENUMERATOR(SlotKind, kNode),
        EVE_ENUMERATOR(SlotKind, kLeaf),
        EVE_ENUMERATOR(SlotKind, kCollisionLeaf)}},
      {"CollectionKind",
       {EVE_ENUMERATOR(CollectionKind, kInvalid),
        EVE_ENUMERATOR(CollectionKind, kMap),
        EVE_ENUMERATOR(CollectionKind, kOrderedMap),
        EVE_ENUMERATOR(CollectionKind, kSortedSet),
        EVE_ENUMERATOR(CollectionKind, kMultiMap),
        EVE_ENUMERATOR(CollectionKind, kGraveyard)}},
      {"DeltaKind",
       {EVE_ENUMERATOR(DeltaKind, kFill), EVE_ENUMERATOR(DeltaKind, kRetire),
        EVE_ENUMERATOR(DeltaKind, kRun)}}};
}

Values CodeConstants() {
  return {EVE_VALUE(kDomainMagic),
          EVE_VALUE(kCommitSlotMagic),
          EVE_VALUE(kRegionMagic),
          EVE_VALUE(kFormatVersion),
          EVE_VALUE(kUnitBytes),
          EVE_VALUE(kOffsetBits),
          EVE_VALUE(kPageBytes),
          EVE_VALUE(kSegmentBytes),
          EVE_VALUE(kSegmentUnits),
          EVE_VALUE(kCommitSlotCount),
          EVE_VALUE(kCommitExtentsMax),
          EVE_VALUE(kCommitSlotsOffset),
          EVE_VALUE(kFirstBlockOffset),
          EVE_VALUE(kInitialFileBytes),
          EVE_VALUE(kRunThresholdBytes),
          EVE_VALUE(kAccountingFanout),
          EVE_VALUE(kAccountingHeightMax),
          EVE_VALUE(kInlineDeltasMax),
          EVE_VALUE(kTrieBits),
          EVE_VALUE(kTrieFanout),
          EVE_VALUE(kTrieDepthMax),
          EVE_VALUE(kExternalMark),
          EVE_VALUE(kTreeLevelsMax),
          EVE_VALUE(kTreeLeafRecordsMax),
          EVE_VALUE(kTreePrefixBytesMax),
          EVE_VALUE(kTreeBlockBytesMax),
          EVE_VALUE(kTreeVaries),
          EVE_VALUE(kTreeLeafWide),
          EVE_VALUE(kTreeLeafExternal),
          EVE_VALUE(kTreeLeafAligned),
          EVE_VALUE(kTreeNodeLong),
          EVE_VALUE(kTreeNarrowAreaMax),
          EVE_VALUE(kTreeExternalBytes),
          EVE_VALUE(kTreeValueAlign),
          EVE_VALUE(kKeyBytesMax),
          EVE_VALUE(kValueBytesMax),
          EVE_VALUE(kNameBytesMax),
          EVE_VALUE(kTypeNameBytesMax),
          EVE_VALUE(kInlineKeyBytesMax),
          EVE_VALUE(kInlineValueBytesMax),
          EVE_VALUE(kSegmentsMax),
          EVE_VALUE(kProcessesMax),
          EVE_VALUE(kCellsPerProcessMax),
          EVE_VALUE(kRegionWordsOffset),
          EVE_VALUE(kProcessSlotsOffset),
          EVE_VALUE(kSegmentStatesOffset),
          EVE_VALUE(kReaderCellsOffset),
          EVE_VALUE(kInitLockByte),
          EVE_VALUE(kProcessLockBase),
          EVE_VALUE(kCommitSlotLockBase),
          EVE_VALUE(kUnpinnedReadersLockByte),
          EVE_VALUE(kRegionLockBase),
          EVE_VALUE(kRegionLockRange)};
}

// The tables of the document.
struct Document {
  std::map<std::string, Struct> structs;
  std::map<std::string, Values> enums;
  Values constants;
};

// The cells of "| a | b |", without spaces and backquotes at their ends.
std::vector<std::string> CellsOf(const std::string& line) {
  std::vector<std::string> cells;
  for (size_t at = 1; at < line.size();) {
    const size_t end = line.find('|', at);
    if (end == std::string::npos) break;
    std::string cell = line.substr(at, end - at);
    cell.erase(0, cell.find_first_not_of(" `"));
    cell.erase(cell.find_last_not_of(" `") + 1);
    cells.push_back(cell);
    at = end + 1;
  }
  return cells;
}

uint64_t NumberOf(const std::string& text) {
  char* end = nullptr;
  const uint64_t value = std::strtoull(text.c_str(), &end, 0);
  EXPECT_TRUE(!text.empty() && *end == '\0') << "no number: " << text;
  return value;
}

bool IsNumber(const std::string& text) {
  return !text.empty() &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

Document ReadDocument() {
  std::ifstream file("docs/format.md");
  EXPECT_TRUE(file.is_open());
  Document document;
  std::string name;
  bool is_enum = false;
  bool is_constants = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) {
      name.clear();
      is_constants = false;
      const size_t close = line.find("` (");
      if (!line.starts_with("### `") || close == std::string::npos) continue;
      name = line.substr(5, close - 5);
      is_enum = line.ends_with("(enum)");
      if (!is_enum) {
        document.structs[name].size =
            NumberOf(line.substr(close + 3, line.rfind(' ') - close - 3));
      }
      continue;
    }
    if (!line.starts_with("|")) continue;
    const std::vector<std::string> cells = CellsOf(line);
    if (cells[0] == "Constant") {
      name.clear();
      is_constants = true;
    } else if (is_constants && cells[0].starts_with("k")) {
      document.constants.emplace_back(cells[0], NumberOf(cells[1]));
    } else if (!name.empty() && is_enum && cells[0].starts_with("k")) {
      document.enums[name].emplace_back(cells[0], NumberOf(cells[1]));
    } else if (!name.empty() && !is_enum && IsNumber(cells[0])) {
      document.structs[name].fields.push_back(
          Field{cells[2], NumberOf(cells[0]), NumberOf(cells[1])});
    }
  }
  return document;
}

TEST(FormatDocTest, StructsAreAsDocumented) {
  const Document document = ReadDocument();
  std::map<std::string, Struct> code = FileStructs();
  code.merge(TreeStructs());
  code.merge(CommitStructs());
  code.merge(SharedStructs());
  EXPECT_EQ(document.structs.size(), code.size());
  for (const auto& [name, expected] : code) {
    const auto found = document.structs.find(name);
    ASSERT_NE(found, document.structs.end()) << name;
    EXPECT_EQ(found->second.size, expected.size) << name;
    EXPECT_EQ(found->second.fields, expected.fields) << name;
  }
}

TEST(FormatDocTest, NoByteOfAStructIsLeftOut) {
  const Document document = ReadDocument();
  std::map<std::string, Struct> code = FileStructs();
  code.merge(TreeStructs());
  code.merge(CommitStructs());
  code.merge(SharedStructs());
  for (const auto& [name, unused] : code) {
    uint64_t end = 0;
    for (const Field& field : document.structs.at(name).fields) {
      EXPECT_EQ(field.offset, end) << name << "." << field.name;
      end = field.offset + field.size;
    }
    EXPECT_EQ(end, document.structs.at(name).size) << name;
  }
}

TEST(FormatDocTest, EnumeratorsAndConstantsAreAsDocumented) {
  const Document document = ReadDocument();
  EXPECT_EQ(document.enums, CodeEnums());
  EXPECT_EQ(document.constants, CodeConstants());
  EXPECT_EQ(document.enums.at("BlockType").size(), kBlockTypeMax + 1u);
}

// Builds whose fields lie elsewhere refuse each other (SharedAbiHash).
TEST(FormatDocTest, EveryFieldOfTheSharedLayoutIsHashed) {
  const std::map<std::string, Struct> structs = SharedStructs();
  std::vector<uint64_t> offsets;
  for (const char* name :
       {"RegionHeader", "RegionWords", "ProcessSlot", "ReaderCell"}) {
    for (const Field& field : structs.at(name).fields) {
      const std::string_view part = field.name;
      if (part.starts_with("pad") || part.starts_with("reserved")) continue;
      offsets.push_back(field.offset);
    }
  }
  const std::vector<uint64_t> hashed(std::begin(kSharedOffsets),
                                     std::end(kSharedOffsets));
  EXPECT_EQ(hashed, offsets);
}

}  // namespace
}  // namespace eve
