// ImageBuilder: makes domain files byte by byte, for tests of the verifier.
//
// A third writing of the format, after the engine's and the verifier's: tests
// of the verifier must be able to make files that the engine never would.
//
// Threads:    one at a time.
// Processes:  none.
// Owns:       the image.
// Lifetime:   none.
// Errors:     none; misuse is undefined.
// Cost:       that of the image.
#ifndef EVE_TESTS_VERIFY_IMAGE_BUILDER_H_
#define EVE_TESTS_VERIFY_IMAGE_BUILDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/format/accounting_row.h"
#include "engine/format/block.h"
#include "engine/format/catalog_entry.h"
#include "engine/format/commit_record.h"
#include "engine/format/commit_slot.h"
#include "engine/format/node_layout.h"
#include "engine/format/superblock.h"

namespace eve::testing {

using Records = std::map<std::string, std::string>;

class ImageBuilder {
 public:
  explicit ImageBuilder(uint64_t hash_mask = ~uint64_t{0});

  // Called with every block before it gets its checksum; may change it, but
  // not its size.
  std::function<void(BlockHeader&, std::string&)> edit;
  // Called with the root's fields before they are written.
  std::function<void(CommitRecord&)> edit_record;
  // Where trie blocks and everything else go.
  uint32_t leaf_segment = 0;
  uint32_t node_segment = 0;
  // More data deltas than this go into a list.
  uint32_t inline_deltas_max = kInlineDeltasMax;

  // Makes `records` the content of collection `name`, retiring what it had.
  void SetCollection(const std::string& name, const Records& records);
  // For collections that are no maps: the entry of a new or old name, emptied,
  // and blocks that belong to it. What it had is retired.
  CatalogEntry& ResetCollection(const std::string& name, CollectionKind kind);
  Offset AddBlock(uint32_t segment, const BlockHeader& header,
                  std::string bytes);
  // A block of garbage: it was live once.
  void AddDeadBlock(uint32_t segment, const BlockHeader& header,
                    std::string bytes);
  // Buries the collection of that name; its blocks stay live.
  void Bury(const std::string& name);
  // Publishes a version.
  void Commit();
  // Publishes a version whose accounting covers all the earlier ones.
  void Fold();
  // Points a slot at the newest record.
  void WriteSlot(uint32_t index);

  // Accounting rows as they are now, to be tampered with before a Fold().
  std::vector<AccountingRow>& rows() { return rows_; }
  CatalogEntry& entry(const std::string& name) { return catalog_[name]; }

  std::string& image() { return image_; }
  Offset newest_record() const { return record_; }
  uint64_t version() const { return version_; }
  uint64_t salt() const { return salt_; }
  const Superblock& superblock() const { return superblock_; }
  // All blocks of a type, in the order of their making.
  std::vector<Offset> BlocksOf(BlockType type) const;
  // Recomputes the checksum in the header of a block.
  void FixChecksum(Offset block);

 private:
  using Hashed = std::vector<std::pair<uint64_t, std::string>>;

  Offset Place(uint32_t segment, BlockHeader header, std::string bytes);
  Offset PlaceRun(BlockHeader header, std::string bytes);
  void Grow(uint32_t segment);
  void RetireAt(Offset offset);
  void RetireTree(uint32_t id);
  uint64_t HashOf(const std::string& key) const;

  NodeSlot BuildTrie(uint32_t id, const Records& records);
  NodeSlot BuildSlots(uint32_t id, const Records& records, const Hashed& hashed,
                      size_t from, size_t to, uint32_t depth);
  void FillNode(uint32_t id, const Records& records, const Hashed& hashed,
                size_t from, size_t to, uint32_t depth, uint32_t first,
                uint32_t length, NodeSlot* slots);
  NodeSlot MakeLeaf(uint32_t id, const Records& records, const Hashed& hashed,
                    size_t from, size_t to, uint32_t depth);
  NodeSlot MakeCollisionLeaf(uint32_t id, const Records& records,
                             const Hashed& hashed, size_t from, size_t to);
  Offset MakeRecordBlock(uint32_t id, uint64_t hash, const std::string& key,
                         const std::string& value);
  void BuildCatalog();
  void Seal(uint64_t folded_version);
  Offset PlaceSpill(std::vector<Delta>& deltas);
  std::vector<Delta> TakeDeltas();
  void ApplyDeltas(const std::vector<Delta>& deltas, uint64_t version);

  Superblock superblock_;
  uint64_t salt_ = 0;
  std::string image_;
  std::vector<uint32_t> fill_;  // per segment, in units
  std::vector<uint32_t> committed_fill_;
  std::map<uint32_t, uint64_t> sums_;     // of the open commit
  std::map<uint32_t, uint64_t> retired_;  // of the open commit
  std::map<uint32_t, uint32_t> runs_;     // of the open commit: head, units
  std::vector<AccountingRow> rows_;       // exact, at the newest version
  std::map<std::string, CatalogEntry> catalog_;
  std::vector<std::pair<Offset, BlockHeader>> blocks_;
  std::vector<std::pair<Offset, BlockHeader>> live_;  // of tries
  std::vector<Offset> chain_;       // records and lists, not yet retired
  std::vector<Offset> accounting_;  // blocks of the vector
  uint64_t version_ = 0;
  uint64_t folded_ = 0;
  Offset record_;
  Offset accounting_root_;
  uint32_t accounting_rows_ = 0;
  NodeSlot catalog_root_;
  uint32_t next_collection_ = kFirstCollectionId;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_VERIFY_IMAGE_BUILDER_H_
