// Offsets of every persisted and shared field, in the order of docs/format.md.
// A field that moves breaks the build here before it breaks anybody's file;
// tests/format_doc_test.cc holds the document to the same structs.
#include <cstddef>

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

namespace eve {

#define EVE_AT(Type, field, offset) \
  static_assert(offsetof(Type, field) == (offset))

static_assert(sizeof(Superblock) == 128);
EVE_AT(Superblock, magic, 0);
EVE_AT(Superblock, format_version, 8);
EVE_AT(Superblock, header_bytes, 12);
EVE_AT(Superblock, features_compat, 16);
EVE_AT(Superblock, features_read, 24);
EVE_AT(Superblock, features_must, 32);
EVE_AT(Superblock, uuid, 40);
EVE_AT(Superblock, hash_seed, 56);
EVE_AT(Superblock, hash_mask, 64);
EVE_AT(Superblock, segment_bytes, 72);
EVE_AT(Superblock, reserved, 80);
EVE_AT(Superblock, checksum, 120);

static_assert(sizeof(CommitExtent) == 24);
EVE_AT(CommitExtent, segment, 0);
EVE_AT(CommitExtent, from_units, 4);
EVE_AT(CommitExtent, to_units, 8);
EVE_AT(CommitExtent, reserved, 12);
EVE_AT(CommitExtent, sum, 16);

static_assert(sizeof(CommitSlot) == 4096);
EVE_AT(CommitSlot, magic, 0);
EVE_AT(CommitSlot, incarnation, 8);
EVE_AT(CommitSlot, version, 16);
EVE_AT(CommitSlot, record, 24);
EVE_AT(CommitSlot, record_hash, 32);
EVE_AT(CommitSlot, segment_count, 40);
EVE_AT(CommitSlot, uuid, 48);
EVE_AT(CommitSlot, slot_index, 64);
EVE_AT(CommitSlot, extent_count, 68);
EVE_AT(CommitSlot, file_bytes, 72);
EVE_AT(CommitSlot, extents, 80);
EVE_AT(CommitSlot, reserved, 3920);
EVE_AT(CommitSlot, checksum, 4088);

static_assert(sizeof(BlockHeader) == 16);
EVE_AT(BlockHeader, type, 0);
EVE_AT(BlockHeader, depth, 1);
EVE_AT(BlockHeader, count, 2);
EVE_AT(BlockHeader, size_units, 4);
EVE_AT(BlockHeader, collection, 8);
EVE_AT(BlockHeader, checksum, 12);

static_assert(sizeof(NodeSlot) == 8);
EVE_AT(NodeSlot, word, 0);

static_assert(sizeof(TrieNode) == 288);
EVE_AT(TrieNode, header, 0);
EVE_AT(TrieNode, prefix, 16);
EVE_AT(TrieNode, reserved, 24);
EVE_AT(TrieNode, slots, 32);

static_assert(sizeof(ExternalRecord) == 16);
EVE_AT(ExternalRecord, word, 0);
EVE_AT(ExternalRecord, hash, 8);

static_assert(sizeof(RecordBlock) == 40);
EVE_AT(RecordBlock, header, 0);
EVE_AT(RecordBlock, hash, 16);
EVE_AT(RecordBlock, key_bytes, 24);
EVE_AT(RecordBlock, value_bytes, 32);

static_assert(sizeof(CollisionLeaf) == 32);
EVE_AT(CollisionLeaf, header, 0);
EVE_AT(CollisionLeaf, hash, 16);
EVE_AT(CollisionLeaf, entries, 24);
EVE_AT(CollisionLeaf, reserved, 28);

static_assert(sizeof(CollisionEntry) == 8);
EVE_AT(CollisionEntry, word, 0);

static_assert(sizeof(TreeSlot) == 8);
EVE_AT(TreeSlot, word, 0);

static_assert(sizeof(TreeLeaf) == 24);
EVE_AT(TreeLeaf, header, 0);
EVE_AT(TreeLeaf, prefix_bytes, 16);
EVE_AT(TreeLeaf, key_bytes, 18);
EVE_AT(TreeLeaf, value_bytes, 20);
EVE_AT(TreeLeaf, flags, 22);

static_assert(sizeof(TreeNode) == 24);
EVE_AT(TreeNode, header, 0);
EVE_AT(TreeNode, prefix_bytes, 16);
EVE_AT(TreeNode, flags, 18);
EVE_AT(TreeNode, reserved, 20);

static_assert(sizeof(TreeValue) == 32);
EVE_AT(TreeValue, header, 0);
EVE_AT(TreeValue, value_bytes, 16);
EVE_AT(TreeValue, key_bytes, 24);

static_assert(sizeof(CatalogEntry) == 32);
EVE_AT(CatalogEntry, id, 0);
EVE_AT(CatalogEntry, kind, 4);
EVE_AT(CatalogEntry, reserved, 5);
EVE_AT(CatalogEntry, key_type_bytes, 6);
EVE_AT(CatalogEntry, value_type_bytes, 8);
EVE_AT(CatalogEntry, reserved2, 10);
EVE_AT(CatalogEntry, reserved3, 12);
EVE_AT(CatalogEntry, root, 16);
EVE_AT(CatalogEntry, count, 24);

static_assert(sizeof(CommitRecord) == 112);
EVE_AT(CommitRecord, header, 0);
EVE_AT(CommitRecord, version, 16);
EVE_AT(CommitRecord, incarnation, 24);
EVE_AT(CommitRecord, previous, 32);
EVE_AT(CommitRecord, catalog_root, 40);
EVE_AT(CommitRecord, accounting_root, 48);
EVE_AT(CommitRecord, folded_version, 56);
EVE_AT(CommitRecord, catalog_version, 64);
EVE_AT(CommitRecord, segment_count, 72);
EVE_AT(CommitRecord, accounting_rows, 76);
EVE_AT(CommitRecord, next_collection, 80);
EVE_AT(CommitRecord, collection_count, 84);
EVE_AT(CommitRecord, writer, 88);
EVE_AT(CommitRecord, data_delta_count, 92);
EVE_AT(CommitRecord, catalog_delta_count, 96);
EVE_AT(CommitRecord, spilled_delta_count, 100);
EVE_AT(CommitRecord, spill, 104);

static_assert(sizeof(DeltaList) == 32);
EVE_AT(DeltaList, header, 0);
EVE_AT(DeltaList, count, 16);
EVE_AT(DeltaList, reserved, 24);

static_assert(sizeof(Delta) == 24);
EVE_AT(Delta, segment, 0);
EVE_AT(Delta, kind, 4);
EVE_AT(Delta, from_units, 8);
EVE_AT(Delta, to_units, 12);
EVE_AT(Delta, sum, 16);

static_assert(sizeof(AccountingRow) == 40);
EVE_AT(AccountingRow, birth, 0);
EVE_AT(AccountingRow, death, 8);
EVE_AT(AccountingRow, sum, 16);
EVE_AT(AccountingRow, fill_units, 24);
EVE_AT(AccountingRow, live_units, 28);
EVE_AT(AccountingRow, run_index, 32);
EVE_AT(AccountingRow, run_length, 36);

static_assert(sizeof(AccountingLeaf) == 1312);
EVE_AT(AccountingLeaf, header, 0);
EVE_AT(AccountingLeaf, first_segment, 16);
EVE_AT(AccountingLeaf, reserved, 24);
EVE_AT(AccountingLeaf, rows, 32);

static_assert(sizeof(AccountingNode) == 288);
EVE_AT(AccountingNode, header, 0);
EVE_AT(AccountingNode, first_segment, 16);
EVE_AT(AccountingNode, reserved, 24);
EVE_AT(AccountingNode, children, 32);

static_assert(sizeof(RegionHeader) == 4096);
EVE_AT(RegionHeader, magic, 0);
EVE_AT(RegionHeader, abi_hash, 8);
EVE_AT(RegionHeader, nonce, 16);
EVE_AT(RegionHeader, data_device, 24);
EVE_AT(RegionHeader, data_inode, 32);
EVE_AT(RegionHeader, uuid, 40);
EVE_AT(RegionHeader, boot_id, 56);
EVE_AT(RegionHeader, incarnation, 72);
EVE_AT(RegionHeader, ready, 80);
EVE_AT(RegionHeader, poison, 84);
EVE_AT(RegionHeader, reserved, 88);

static_assert(sizeof(RegionWords) == 4096);
EVE_AT(RegionWords, root, 0);
EVE_AT(RegionWords, pad0, 8);
EVE_AT(RegionWords, capacity, 64);
EVE_AT(RegionWords, pad1, 72);
EVE_AT(RegionWords, pending, 128);
EVE_AT(RegionWords, durable, 256);
EVE_AT(RegionWords, processes_used, 384);
EVE_AT(RegionWords, pad2, 388);
EVE_AT(RegionWords, compactor, 392);
EVE_AT(RegionWords, pad3, 400);
EVE_AT(RegionWords, turn, 448);
EVE_AT(RegionWords, pad4, 456);
EVE_AT(RegionWords, flusher, 512);
EVE_AT(RegionWords, beat, 520);
EVE_AT(RegionWords, settled, 528);
EVE_AT(RegionWords, pad5, 536);
EVE_AT(RegionWords, watch, 576);
EVE_AT(RegionWords, pad6, 584);
EVE_AT(RegionWords, replays, 640);
EVE_AT(RegionWords, flush_begun, 648);
EVE_AT(RegionWords, flush_bytes, 776);
EVE_AT(RegionWords, io_engine, 904);
EVE_AT(RegionWords, reserved, 908);

static_assert(sizeof(ProcessSlot) == 128);
EVE_AT(ProcessSlot, generation, 0);
EVE_AT(ProcessSlot, cells_used, 8);
EVE_AT(ProcessSlot, pid, 12);
EVE_AT(ProcessSlot, commits, 16);
EVE_AT(ProcessSlot, conflicts, 24);
EVE_AT(ProcessSlot, restamps, 32);
EVE_AT(ProcessSlot, folds, 40);
EVE_AT(ProcessSlot, segments_claimed, 48);
EVE_AT(ProcessSlot, segments_freed, 56);
EVE_AT(ProcessSlot, checkpoints, 64);
EVE_AT(ProcessSlot, bytes_committed, 72);
EVE_AT(ProcessSlot, cells_revoked, 80);
EVE_AT(ProcessSlot, blocks_moved, 88);
EVE_AT(ProcessSlot, bytes_moved, 96);
EVE_AT(ProcessSlot, bytes_punched, 104);
EVE_AT(ProcessSlot, turns, 112);
EVE_AT(ProcessSlot, waits, 120);

static_assert(sizeof(ReaderCell) == 64);
EVE_AT(ReaderCell, word, 0);
EVE_AT(ReaderCell, reserved, 8);

static_assert(static_cast<int>(BlockType::kInvalid) == 0);
static_assert(static_cast<int>(BlockType::kTrieNode) == 1);
static_assert(static_cast<int>(BlockType::kTrieLeaf) == 2);
static_assert(static_cast<int>(BlockType::kCollisionLeaf) == 3);
static_assert(static_cast<int>(BlockType::kRecord) == 4);
static_assert(static_cast<int>(BlockType::kCommitRecord) == 5);
static_assert(static_cast<int>(BlockType::kDeltaList) == 6);
static_assert(static_cast<int>(BlockType::kAccountingLeaf) == 7);
static_assert(static_cast<int>(BlockType::kAccountingNode) == 8);
static_assert(static_cast<int>(BlockType::kTreeLeaf) == 9);
static_assert(static_cast<int>(BlockType::kTreeNode) == 10);
static_assert(static_cast<int>(BlockType::kTreeValue) == 11);

static_assert(static_cast<int>(SlotKind::kEmpty) == 0);
static_assert(static_cast<int>(SlotKind::kNode) == 1);
static_assert(static_cast<int>(SlotKind::kLeaf) == 2);
static_assert(static_cast<int>(SlotKind::kCollisionLeaf) == 3);

static_assert(static_cast<int>(CollectionKind::kInvalid) == 0);
static_assert(static_cast<int>(CollectionKind::kMap) == 1);
static_assert(static_cast<int>(CollectionKind::kOrderedMap) == 2);
static_assert(static_cast<int>(CollectionKind::kSortedSet) == 3);
static_assert(static_cast<int>(CollectionKind::kMultiMap) == 4);
static_assert(static_cast<int>(CollectionKind::kGraveyard) == 255);

static_assert(static_cast<int>(DeltaKind::kFill) == 1);
static_assert(static_cast<int>(DeltaKind::kRetire) == 2);
static_assert(static_cast<int>(DeltaKind::kRun) == 3);

static_assert(kDomainMagic == 0x314E4D4F44455645);
static_assert(kCommitSlotMagic == 0x31544F4C53455645);
static_assert(kRegionMagic == 0x314556494C455645);
static_assert(kFormatVersion == 3);
static_assert(kUnitBytes == 16);
static_assert(kOffsetBits == 48);
static_assert(kPageBytes == 4096);
static_assert(kSegmentBytes == 2097152);
static_assert(kSegmentUnits == 131072);
static_assert(kCommitSlotCount == 16);
static_assert(kCommitExtentsMax == 160);
static_assert(kCommitSlotsOffset == 65536);
static_assert(kFirstBlockOffset == 131072);
static_assert(kInitialFileBytes == 196608);
static_assert(kRunThresholdBytes == 524288);
static_assert(kAccountingFanout == 32);
static_assert(kAccountingHeightMax == 6);
static_assert(kInlineDeltasMax == 32);
static_assert(kTrieBits == 5);
static_assert(kTrieFanout == 32);
static_assert(kTrieDepthMax == 13);
static_assert(kExternalMark == 255);
static_assert(kTreeLevelsMax == 32);
static_assert(kTreeLeafRecordsMax == 4096);
static_assert(kTreePrefixBytesMax == 65535);
static_assert(kTreeBlockBytesMax == 524288);
static_assert(kTreeVaries == 65535);
static_assert(kTreeLeafWide == 1);
static_assert(kTreeLeafExternal == 2);
static_assert(kTreeLeafAligned == 4);
static_assert(kTreeNodeLong == 1);
static_assert(kTreeNarrowAreaMax == 32767);
static_assert(kTreeExternalBytes == 8);
static_assert(kTreeValueAlign == 8);
static_assert(kKeyBytesMax == 65536);
static_assert(kValueBytesMax == 4294967296);
static_assert(kNameBytesMax == 255);
static_assert(kTypeNameBytesMax == 255);
static_assert(kInlineKeyBytesMax == 254);
static_assert(kInlineValueBytesMax == 255);
static_assert(kSegmentsMax == 2097152);
static_assert(kProcessesMax == 1024);
static_assert(kCellsPerProcessMax == 4096);
static_assert(kRegionWordsOffset == 4096);
static_assert(kProcessSlotsOffset == 8192);
static_assert(kSegmentStatesOffset == 139264);
static_assert(kReaderCellsOffset == 16916480);
static_assert(kInitLockByte == 1099511627776);
static_assert(kProcessLockBase == 1099511627792);
static_assert(kCommitSlotLockBase == 1099511628816);
static_assert(kUnpinnedReadersLockByte == 2305843009213693951);
static_assert(kRegionLockBase == 2305843009213693952);
static_assert(kRegionLockRange == 1099511627776);

#undef EVE_AT

}  // namespace eve
