// The part of TrieEditor that rebuilds leaves.
#include <algorithm>
#include <cstring>

#include "engine/collections/hamt_editor.h"
#include "engine/collections/side_moves.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// The first record whose hash is above `hash`; count() if there is none.
bool UpperBound(const LeafView& leaf, const KeyHasher& hasher, uint64_t hash,
                uint32_t* index) {
  uint32_t low = 0;
  uint32_t high = leaf.count();
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    StoredRecord record;
    if (!leaf.Record(middle, &record)) return false;
    if (LeafView::HashOf(hasher, record) <= hash) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  *index = low;
  return true;
}

// A leaf with one record taken out, put in or replaced.
struct LeafPatch {
  uint32_t index = 0;        // of the record that goes or comes
  uint32_t removed = 0;      // 0 or 1
  uint32_t from = 0;         // bytes of the old leaf that are not copied,
  uint32_t to = 0;           // up to here
  uint32_t content_end = 0;  // of the old leaf
  uint32_t added_bytes = 0;  // in the place of those, table not counted
  uint32_t count = 0;        // of the new leaf
  uint32_t bytes = 0;        // of the new leaf
};

// Copies everything but the header and the record that comes.
// Returns where that one belongs.
char* CopyPatched(const LeafView& leaf, const LeafPatch& patch, char* block) {
  char* const tags = block + sizeof(BlockHeader);
  char* const positions = tags + patch.count;
  const uint32_t added = patch.added_bytes == 0 ? 0 : 1;
  const uint32_t rest = leaf.count() - patch.index - patch.removed;
  const uint32_t index = patch.index;
  std::memcpy(tags, leaf.tags(), index);
  std::memcpy(tags + index + added, leaf.tags() + index + patch.removed, rest);
  const uint32_t table_end =
      static_cast<uint32_t>(sizeof(BlockHeader)) +
      static_cast<uint32_t>(kLeafBytesPerRecord) * patch.count;
  const uint32_t before = table_end - leaf.TableEnd();
  const uint32_t after = before + patch.added_bytes - (patch.to - patch.from);
  const auto copy_positions = [&](uint32_t first, uint32_t count,
                                  uint32_t target, uint32_t delta) {
    for (uint32_t i = 0; i < count; ++i) {
      const uint16_t position =
          static_cast<uint16_t>(leaf.Position(first + i) + delta);
      std::memcpy(positions + 2 * (target + i), &position, sizeof(position));
    }
  };
  copy_positions(0, index, 0, before);
  copy_positions(index + patch.removed, rest, index + added, after);
  char* const records = block + table_end;
  const uint32_t head = patch.from - leaf.TableEnd();
  std::memcpy(records, leaf.data() + leaf.TableEnd(), head);
  std::memcpy(records + head + patch.added_bytes, leaf.data() + patch.to,
              patch.content_end - patch.to);
  return records + head;
}

// Computes from, to, content_end, count and bytes. False if the leaf is
// damaged.
bool MeasurePatch(const LeafView& leaf, const LeafHit& hit, LeafPatch* patch) {
  if (!leaf.ContentEnd(&patch->content_end)) return false;
  patch->index = hit.index;
  if (hit.outcome == FindOutcome::kFound) {
    patch->removed = 1;
    patch->from = leaf.Position(hit.index);
    patch->to = patch->from + hit.stored.bytes;
  } else {
    patch->from = hit.index < leaf.count() ? leaf.Position(hit.index)
                                           : patch->content_end;
    patch->to = patch->from;
  }
  const uint32_t table_end = leaf.TableEnd();
  if (patch->from < table_end || patch->to > patch->content_end ||
      patch->from > patch->to) {
    return false;
  }
  patch->count =
      leaf.count() - patch->removed + (patch->added_bytes == 0 ? 0 : 1);
  patch->bytes = static_cast<uint32_t>(
      sizeof(BlockHeader) + kLeafBytesPerRecord * patch->count +
      (patch->content_end - table_end) - (patch->to - patch->from) +
      patch->added_bytes);
  return true;
}

}  // namespace

// Puts a value of the same size in the place of the one found: nothing else in
// the leaf changes.
absl::Status TrieEditor::OverwriteValue(NodeSlot old, const LeafView& leaf,
                                        const LeafHit& hit, Bytes value,
                                        NodeSlot* slot, Change* change) {
  const ptrdiff_t at = hit.stored.value().data() - leaf.data();
  char* block = writer_.Edit(old.offset());
  char copied[kInlineValueBytesMax];
  if (block != nullptr) {
    // It may lie across what it is written over, at another address.
    if (!value.empty()) std::memcpy(copied, value.data(), value.size());
    value = Bytes(copied, value.size());
  } else {
    EVE_ASSIGN_OR_RETURN(const NewBlock copy,
                         CopyBlock(*context_.store, context_.leaf_stream,
                                   old.offset(), leaf.bytes()));
    block = copy.data;
    *slot = old.At(copy.offset);
    *change = Change::kGrown;
  }
  if (!value.empty()) std::memcpy(block + at, value.data(), value.size());
  return absl::OkStatus();
}

// Cases of one op on a leaf:
//   nothing to do          erase of an absent key, insert of a present one
//   a value of one size    the leaf is copied and the value written over
//   the last record goes   the range becomes empty
//   the leaf gets too big  the general way, which splits it
//   else                   the leaf is copied around the record that changes
absl::Status TrieEditor::ApplyOne(const Region& region, NodeSlot old, size_t k,
                                  NodeSlot* slots, Change* change) {
  MapOp& op = OpAt(k);
  LeafView leaf;
  if (!LeafView::Open(writer_.view(), old.offset(), &leaf)) {
    return DamagedBlock(old.offset(), "trie leaf");
  }
  if (leaf.bytes() > kLeafBytesMax) {
    return ApplyMany(region, old, {k, k + 1}, slots, change);
  }
  AskForValuesBeside(leaf);
  LeafHit hit = FindInLeaf(writer_.view(), leaf, op.hash, op.key);
  if (hit.outcome == FindOutcome::kDamaged) {
    return DamagedBlock(old.offset(), "trie leaf");
  }
  op.existed = hit.outcome == FindOutcome::kFound;
  PendingRecord added{op.hash, op.key, op.value, kNullOffset};
  if (op.kind == MapOpKind::kErase) {
    if (!op.existed) return absl::OkStatus();
    --count_change_;
    EVE_RETURN_IF_ERROR(RewriteLeaf(old, leaf, hit, nullptr,
                                    slots + region.range.first, change));
  } else {
    if (op.kind == MapOpKind::kInsert && op.existed) return absl::OkStatus();
    if (op.existed && !hit.stored.external() &&
        hit.stored.value_bytes == op.value.size()) {
      EVE_RETURN_IF_ERROR(OverwriteValue(old, leaf, hit, op.value,
                                         slots + region.range.first, change));
      if (*change != Change::kNone) {
        MoveValuesBeside(slots[region.range.first]);
        FillRange(slots, region.range, slots[region.range.first]);
      }
      return absl::OkStatus();
    }
    if (!op.existed &&
        !UpperBound(leaf, writer_.hasher(), op.hash, &hit.index)) {
      return DamagedBlock(old.offset(), "trie leaf");
    }
    const uint32_t gone =
        op.existed
            ? static_cast<uint32_t>(kLeafBytesPerRecord) + hit.stored.bytes
            : 0;
    if (leaf.bytes() + added.LeafBytes() - gone > kLeafBytesMax) {
      return ApplyMany(region, old, {k, k + 1}, slots, change);
    }
    if (!op.existed) ++count_change_;
    EVE_RETURN_IF_ERROR(RewriteLeaf(old, leaf, hit, &added,
                                    slots + region.range.first, change));
  }
  MoveValuesBeside(slots[region.range.first]);
  FillRange(slots, region.range, slots[region.range.first]);
  return absl::OkStatus();
}

absl::Status TrieEditor::RewriteLeaf(NodeSlot old, const LeafView& leaf,
                                     const LeafHit& hit,
                                     const PendingRecord* added, NodeSlot* slot,
                                     Change* change) {
  LeafPatch patch;
  PendingRecord record;
  if (added != nullptr) {
    record = *added;
    patch.added_bytes =
        record.LeafBytes() - static_cast<uint32_t>(kLeafBytesPerRecord);
  }
  if (!MeasurePatch(leaf, hit, &patch)) {
    return DamagedBlock(old.offset(), "trie leaf");
  }
  if (added != nullptr && record.is_large()) {
    EVE_RETURN_IF_ERROR(writer_.WriteRecord(record.hash, record.key,
                                            record.value, &record.external));
  }
  if (hit.outcome == FindOutcome::kFound && hit.stored.external()) {
    EVE_RETURN_IF_ERROR(writer_.RetireRecord(hit.stored.AsExternal().offset()));
  }
  const uint64_t block_bytes = UnitsForBytes(patch.bytes) * kUnitBytes;
  *change = block_bytes < leaf.bytes() ? Change::kShrunk : Change::kGrown;
  if (patch.count == 0) {
    *slot = NodeSlot{};
    writer_.Retire(old.offset(), leaf.bytes());
    return absl::OkStatus();
  }
  const auto fill = [&](char* block) {
    char* const at = CopyPatched(leaf, patch, block);
    if (added == nullptr) return;
    StoreRecord(record, patch.index, patch.count, block, at);
  };
  EVE_RETURN_IF_ERROR(
      writer_.ReplaceLeaf(old, leaf, patch.count, patch.bytes, fill, slot));
  // Changed in place: nothing above has to know.
  if (*slot == old) *change = Change::kNone;
  return absl::OkStatus();
}

// Record `index` of a leaf, checked as far as its neighbours allow.
absl::Status TrieEditor::LoadRecord(const LeafView& leaf, uint32_t index,
                                    PendingRecord* record) {
  StoredRecord stored;
  if (!leaf.Record(index, &stored)) {
    return absl::DataLossError("a damaged record in a trie leaf");
  }
  *record = PendingRecord{};
  record->hash = LeafView::HashOf(writer_.hasher(), stored);
  if (stored.external()) {
    record->external = stored.AsExternal().offset();
  } else {
    record->key = stored.key();
    record->value = stored.value();
  }
  return absl::OkStatus();
}

// Applies an op to the end of records_, where all of smaller or equal hash are.
absl::Status TrieEditor::ApplyToTail(size_t k, bool* changed) {
  MapOp& op = OpAt(k);
  size_t at = records_.size();
  op.existed = false;
  while (at > 0 && records_[at - 1].hash == op.hash && !op.existed) {
    PendingRecord& record = records_[--at];
    if (record.external.is_null()) {
      op.existed = record.key == op.key;
      continue;
    }
    LargeRecord large;
    if (!OpenLargeRecord(writer_.view(), record.external, &large)) {
      return DamagedBlock(record.external, "record");
    }
    op.existed = large.key == op.key;
  }
  if (op.kind == MapOpKind::kErase
          ? !op.existed
          : op.kind == MapOpKind::kInsert && op.existed) {
    return absl::OkStatus();
  }
  *changed = true;
  if (op.existed && !records_[at].external.is_null()) {
    EVE_RETURN_IF_ERROR(writer_.RetireRecord(records_[at].external));
  }
  if (op.kind == MapOpKind::kErase) {
    records_.erase(records_.begin() + static_cast<ptrdiff_t>(at));
    --count_change_;
    return absl::OkStatus();
  }
  if (!op.existed) {
    at = records_.size();
    records_.emplace_back();
    ++count_change_;
  }
  records_[at] = PendingRecord{op.hash, op.key, op.value, kNullOffset};
  return absl::OkStatus();
}

// records_ = those of the leaf at `old`, if there is one, after ops `range`.
absl::Status TrieEditor::MergeOps(const Region& region, NodeSlot old,
                                  OpRange range, bool* changed) {
  records_.clear();
  LeafView leaf;
  uint32_t left = 0;
  if (!old.is_empty()) {
    if (old.kind() != SlotKind::kLeaf ||
        !LeafView::Open(writer_.view(), old.offset(), &leaf)) {
      return DamagedBlock(old.offset(), "trie leaf");
    }
    left = leaf.count();
  }
  const int bits = region.prefix_bits();
  const uint64_t prefix_mask = bits == 0 ? 0 : ~uint64_t{0} << (64 - bits);
  const uint64_t prefix = order_[range.begin].hash & prefix_mask;
  PendingRecord next;
  uint64_t last_hash = prefix;
  size_t k = range.begin;
  while (left > 0) {
    EVE_RETURN_IF_ERROR(LoadRecord(leaf, leaf.count() - left, &next));
    // Out of order or in the wrong leaf: splitting it would lose records.
    if (next.hash < last_hash || (next.hash & prefix_mask) != prefix) {
      return DamagedBlock(old.offset(), "trie leaf");
    }
    last_hash = next.hash;
    for (; k < range.end && order_[k].hash < next.hash; ++k) {
      EVE_RETURN_IF_ERROR(ApplyToTail(k, changed));
    }
    records_.push_back(next);
    --left;
  }
  for (; k < range.end; ++k) EVE_RETURN_IF_ERROR(ApplyToTail(k, changed));
  return absl::OkStatus();
}

// Any number of ops on a leaf or an empty range: collects what the records will
// be, then writes them.
absl::Status TrieEditor::ApplyMany(const Region& region, NodeSlot old,
                                   OpRange range, NodeSlot* slots,
                                   Change* change) {
  bool changed = false;
  EVE_RETURN_IF_ERROR(MergeOps(region, old, range, &changed));
  if (!changed) return absl::OkStatus();
  uint64_t bytes = sizeof(BlockHeader);
  for (const PendingRecord& record : records_) bytes += record.LeafBytes();
  uint64_t old_bytes = 0;
  if (!old.is_empty()) {
    old_bytes = writer_.view().As<BlockHeader>(old.offset())->bytes();
  }
  *change = records_.empty() || UnitsForBytes(bytes) * kUnitBytes < old_bytes
                ? Change::kShrunk
                : Change::kGrown;
  EVE_RETURN_IF_ERROR(
      writer_.BuildRange(absl::MakeSpan(records_), region, slots));
  if (old_bytes != 0) writer_.Retire(old.offset(), old_bytes);
  return absl::OkStatus();
}

}  // namespace eve
