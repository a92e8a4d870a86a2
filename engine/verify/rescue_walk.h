// RescueWalk: goes down from a root as far as blocks can be believed.
//
// Threads:    one.
// Processes:  none.
// Owns:       the blocks that it is at.
// Lifetime:   the file outlives it.
// Errors:     a block that cannot be believed is a loss, and a gap.
// Cost:       reads what it walks over.
#ifndef EVE_ENGINE_VERIFY_RESCUE_WALK_H_
#define EVE_ENGINE_VERIFY_RESCUE_WALK_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "engine/file/file.h"
#include "engine/format/node_layout.h"
#include "engine/format/tree_layout.h"
#include "engine/verify/block_reader.h"
#include "engine/verify/reach_map.h"
#include "engine/verify/rescue.h"

namespace eve::verify {

// Where keys may be that no walk came to. Of a trie by hash, of a tree by key.
struct Gap {
  uint64_t hash_low = 0;
  uint64_t hash_high = UINT64_MAX;
  std::string key_low;
  std::string key_high;
  bool has_key_high = false;
};

// A whole block, however large.
struct WholeBlock {
  Offset offset;
  BlockHeader header{};
  std::string bytes;
};

// Whether there is such a type, and its blocks can have such a size.
bool LooksLikeABlock(const BlockHeader& header);

struct RescueContext {
  const File* file;
  uint64_t file_bytes;
  uint64_t salt;
  // Unknown if the superblock is damaged; then nothing is judged by hashes.
  std::optional<uint64_t> hash_seed;
  uint64_t hash_mask = 0;

  // A block that is one, at `offset`, whatever it is. False: why not.
  bool LoadAny(Offset offset, WholeBlock& block, std::string* why) const;
  std::optional<uint64_t> HashOf(std::string_view key) const;
};

using FoundRecord = absl::FunctionRef<absl::Status(std::string_view key,
                                                   std::string_view value)>;

class RescueWalk {
 public:
  explicit RescueWalk(const RescueContext* context) : context_(*context) {}

  // All records below a root. The status is that of `visit`.
  absl::Status WalkTrie(uint32_t id, NodeSlot root, FoundRecord visit);
  absl::Status WalkTree(uint32_t id, TreeSlot root, FoundRecord visit);

  // The records of a single leaf, or of a block with one; nothing of others.
  // False: it does not hold what its header says.
  bool VisitBlock(const WholeBlock& block, FoundRecord visit,
                  absl::Status* status);

  const std::vector<Gap>& gaps() const { return gaps_; }
  const std::vector<RescueLoss>& losses() const { return losses_; }
  uint64_t lost_blocks() const { return lost_blocks_; }
  // Whether the walk came to the block and believed it.
  bool WasHandedOut(Offset offset) const {
    return reached_.IsStart(offset) && disowned_.count(offset.units) == 0;
  }
  // Before another collection. What was reached stays so.
  void ClearGaps() { gaps_.clear(); }

 private:
  struct TriePlace {
    NodeSlot slot;
    uint32_t depth = 0;
    uint64_t prefix = 0;
    uint32_t first = 0;
    uint32_t length = kTrieFanout;
  };
  struct TreePlace {
    TreeSlot slot;
    uint32_t level = 0;
    Gap bounds;
  };

  bool Load(Offset offset, BlockType type, uint32_t depth, const Gap& gap,
            WholeBlock& block);
  void Lose(Offset offset, BlockType type, const std::string& why,
            const Gap& gap);
  static Gap GapOf(const TriePlace& place);
  void PushChildren(const TriePlace& place, const WholeBlock& node,
                    std::vector<TriePlace>& stack);
  absl::Status VisitTrieLeaf(const TriePlace& place, FoundRecord visit);
  absl::Status VisitCollisions(const TriePlace& place, FoundRecord visit);
  absl::Status VisitExternal(Offset offset, uint64_t hash, FoundRecord visit);
  // Calls `inlined` with a record, `external` with where one is. False: the
  // leaf makes no sense.
  static bool SplitTrieLeaf(
      const WholeBlock& leaf,
      absl::FunctionRef<void(std::string_view, std::string_view)> inlined,
      absl::FunctionRef<void(ExternalRecord)> external);
  bool PushTreeChildren(const TreePlace& place, const WholeBlock& node,
                        std::vector<TreePlace>& stack);
  absl::Status VisitTreeLeaf(const WholeBlock& leaf, const Gap& bounds,
                             FoundRecord visit);
  absl::Status VisitTreeValue(Offset offset, const std::string& key,
                              FoundRecord visit);

  const RescueContext& context_;
  uint32_t id_ = 0;
  std::vector<Gap> gaps_;
  std::vector<RescueLoss> losses_;
  uint64_t lost_blocks_ = 0;
  ReachMap reached_;
  std::set<uint64_t> disowned_;  // whole, but not what belongs there
  WholeBlock block_;
  WholeBlock external_;
};

// The key and value of a block that holds one record.
bool SplitRecordBlock(const WholeBlock& block, std::string_view* key,
                      std::string_view* value);
bool SplitTreeValue(const WholeBlock& block, std::string_view* key,
                    std::string_view* value);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_RESCUE_WALK_H_
