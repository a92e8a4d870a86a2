// The part of TreeEditor that rebuilds leaves.
#include <algorithm>
#include <cstring>

#include "engine/collections/btree_editor.h"
#include "util/check.h"
#include "util/prefetch.h"
#include "util/status_macros.h"

namespace eve {
namespace {

bool IsLong(Bytes value) { return value.size() > kTreeInlineValueBytesMax; }

// What `value` takes in a leaf.
size_t StoredBytes(Bytes value) {
  return IsLong(value) ? kTreeExternalBytes : value.size();
}

}  // namespace

absl::Status TreeEditor::ApplyToLeaf(const Place& place,
                                     absl::Span<MapOp* const> ops,
                                     Children& out) {
  TreeLeafView leaf;
  if (!TreeLeafView::Open(writer_.view(), place.slot.offset(), &leaf)) {
    return DamagedTree(place.slot.offset(), "tree leaf");
  }
  AskForValuesBeside(leaf);
  const size_t before = out.size();
  EVE_RETURN_IF_ERROR(EditLeaf(place, leaf, ops, out));
  for (size_t i = before; i < out.size(); ++i) MoveValuesBeside(out[i].slot);
  return absl::OkStatus();
}

absl::Status TreeEditor::EditLeaf(const Place& place, const TreeLeafView& leaf,
                                  absl::Span<MapOp* const> ops, Children& out) {
  if (ops.size() == 1) {
    bool done = false;
    EVE_RETURN_IF_ERROR(TryPatchLeaf(place, leaf, *ops.front(), out, &done));
    if (done) return absl::OkStatus();
  }
  bool changed = false;
  EVE_RETURN_IF_ERROR(MergeLeaf(leaf, ops, &changed));
  if (!changed) {
    out.push_back(Unchanged(place));
    return absl::OkStatus();
  }
  // Keys that come after all others are likely to be followed by more. A load
  // may begin with some that are there.
  bool equal = false;
  const bool appends =
      place.is_last &&
      leaf.LowerBound(ops[ops.size() / 2]->key, &equal) == leaf.count();
  return RewriteLeaf(
      place, leaf,
      appends ? TreeWriter::Packing::kFull : TreeWriter::Packing::kEven, out);
}

absl::Status TreeEditor::RewriteLeaf(const Place& place,
                                     const TreeLeafView& leaf,
                                     TreeWriter::Packing packing,
                                     Children& out) {
  const size_t before = out.size();
  if (!records_.empty()) {
    EVE_RETURN_IF_ERROR(
        writer_.WriteLeaves(records_, place.separator, packing, out));
  }
  // Only what shrinks looks for a neighbour, of records or of bytes.
  TreeLeafView made;
  const bool is_less =
      records_.size() < leaf.count() ||
      (out.size() == before + 1 &&
       TreeLeafView::Open(writer_.view(), out[before].slot.offset(), &made) &&
       made.bytes() < leaf.bytes());
  if (!is_less) {
    for (size_t i = before; i < out.size(); ++i) out[i].is_small = false;
  }
  writer_.Retire(place.slot.offset(), leaf.bytes());
  return absl::OkStatus();
}

absl::Status TreeEditor::MergeLeaf(const TreeLeafView& leaf,
                                   absl::Span<MapOp* const> ops,
                                   bool* changed) {
  records_.clear();
  words_.clear();
  const uint32_t count = leaf.is_open() ? leaf.count() : 0;
  uint32_t copied = 0;
  for (size_t done = 0; done < ops.size();) {
    const Bytes key = ops[done]->key;
    size_t end = done + 1;
    while (end < ops.size() && ops[end]->key == key) ++end;
    bool equal = false;
    const uint32_t index = count == 0 ? 0 : leaf.LowerBound(key, &equal);
    while (copied < index) records_.push_back(leaf.Record(copied++));
    TreeRecord stored;
    if (equal) stored = leaf.Record(copied++);
    EVE_RETURN_IF_ERROR(RunOps(ops.subspan(done, end - done), leaf,
                               equal ? &stored : nullptr, changed));
    done = end;
  }
  while (copied < count) records_.push_back(leaf.Record(copied++));
  return absl::OkStatus();
}

absl::Status TreeEditor::RunOps(absl::Span<MapOp* const> ops,
                                const TreeLeafView& leaf,
                                const TreeRecord* stored, bool* changed) {
  bool exists = stored != nullptr;
  const MapOp* written = nullptr;
  bool is_stored = exists;
  for (MapOp* op : ops) {
    op->existed = exists;
    if (op->kind == MapOpKind::kInsert && exists) continue;
    if (op->kind == MapOpKind::kErase && !exists) continue;
    exists = op->kind != MapOpKind::kErase;
    written = exists ? op : nullptr;
    is_stored = false;
  }
  if (is_stored) {
    records_.push_back(*stored);
    return absl::OkStatus();
  }
  count_delta_ += (exists ? 1 : 0) - (stored != nullptr ? 1 : 0);
  if (written != nullptr) {
    TreeRecord record;
    record.key.tail = ops.front()->key;
    uint64_t* word = nullptr;
    if (IsLong(written->value)) word = &words_.emplace_front();
    EVE_RETURN_IF_ERROR(
        writer_.PlaceValue(written->key, written->value, word, &record));
    records_.push_back(record);
  }
  *changed |= exists || stored != nullptr;
  if (stored == nullptr || !stored->external) return absl::OkStatus();
  return writer_.RetireExternal(leaf, stored->value);
}

absl::Status TreeEditor::TryPatchLeaf(const Place& place,
                                      const TreeLeafView& leaf, MapOp& op,
                                      Children& out, bool* done) {
  bool equal;
  const uint32_t index = leaf.LowerBound(op.key, &equal);
  op.existed = equal;
  if (equal ? op.kind == MapOpKind::kInsert : op.kind == MapOpKind::kErase) {
    out.push_back(Unchanged(place));
    *done = true;
    return absl::OkStatus();
  }
  const size_t stored_bytes = StoredBytes(op.value);
  if (equal && op.kind == MapOpKind::kPut) {
    bool external;
    const Bytes stored = leaf.Stored(index, &external);
    if (external != IsLong(op.value) || stored.size() != stored_bytes) {
      return absl::OkStatus();
    }
    *done = true;
    return OverwriteValue(place, leaf, index, op, out);
  }
  if (!leaf.IsUniform()) return absl::OkStatus();
  const uint64_t record_bytes = leaf.key_bytes() + leaf.value_stride();
  if (op.kind == MapOpKind::kErase) {
    if (leaf.count() == 1 ||
        CountedBytes(leaf.bytes(), leaf.prefix().size()) <
            kTreeLeafBytesMin + record_bytes + kUnitBytes) {
      return absl::OkStatus();
    }
    *done = true;
    --count_delta_;
    if (leaf.all_external()) {
      const TreeRecord erased = leaf.Record(index);
      EVE_RETURN_IF_ERROR(writer_.RetireExternal(leaf, erased.value));
    }
    return PatchUniform(place, leaf, index, nullptr, out);
  }
  if (leaf.all_external() != IsLong(op.value) ||
      stored_bytes != leaf.value_bytes() ||
      op.key.size() != leaf.prefix().size() + leaf.key_bytes() ||
      ComparePrefix(op.key, leaf.prefix()) != PrefixOrder::kWithin ||
      CountedBytes(leaf.bytes(), leaf.prefix().size()) + record_bytes +
              kUnitBytes >
          kTreeLeafBytesMax ||
      leaf.count() == kTreeLeafRecordsMax) {
    return absl::OkStatus();
  }
  *done = true;
  ++count_delta_;
  uint64_t word;
  TreeRecord record;
  record.key.tail = op.key;
  EVE_RETURN_IF_ERROR(writer_.PlaceValue(op.key, op.value, &word, &record));
  return PatchUniform(place, leaf, index, &record, out);
}

absl::Status TreeEditor::OverwriteValue(const Place& place,
                                        const TreeLeafView& leaf,
                                        uint32_t index, const MapOp& op,
                                        Children& out) {
  bool external;
  const Bytes old = leaf.Stored(index, &external);
  const size_t at = static_cast<size_t>(old.data() - leaf.data());
  // Its header says what is retired: it comes while the new value is copied.
  if (external && old.size() == kTreeExternalBytes) {
    const Offset block = TreeLeafView::ExternalOffset(old);
    if (writer_.view().Contains(block)) PrefetchLine(writer_.view().At(block));
  }
  uint64_t word;
  TreeRecord record;
  EVE_RETURN_IF_ERROR(writer_.PlaceValue(op.key, op.value, &word, &record));
  if (external) {
    EVE_RETURN_IF_ERROR(writer_.RetireExternal(leaf, old));
  }
  TreeChild child = Unchanged(place);
  char* data = writer_.Edit(place.slot.offset());
  const bool is_in_place = data != nullptr;
  if (!is_in_place) {
    NewBlock block;
    EVE_RETURN_IF_ERROR(writer_.NewBlockOf(BlockType::kTreeLeaf, 0,
                                           leaf.count(), leaf.bytes(), &block));
    data = block.data;
    std::memcpy(data + sizeof(BlockHeader), leaf.data() + sizeof(BlockHeader),
                leaf.bytes() - sizeof(BlockHeader));
    writer_.Retire(place.slot.offset(), leaf.bytes());
    child.slot = TreeSlot::Make(block.offset, leaf.count());
  }
  if (is_in_place) {
    // It may lie across what it is written over, at another address.
    const std::string copied = record.value.ToString();
    std::memcpy(data + at, copied.data(), copied.size());
  } else if (!record.value.empty()) {
    std::memcpy(data + at, record.value.data(), record.value.size());
  }
  out.push_back(child);
  return absl::OkStatus();
}

absl::Status TreeEditor::PatchUniform(const Place& place,
                                      const TreeLeafView& leaf, uint32_t index,
                                      const TreeRecord* record, Children& out) {
  const uint32_t count =
      record != nullptr ? leaf.count() + 1 : leaf.count() - 1;
  const uint32_t skipped = record != nullptr ? 0 : 1;
  const size_t key_bytes = leaf.key_bytes();
  const size_t stride = leaf.value_stride();
  const size_t keys_at = static_cast<size_t>(leaf.keys() - leaf.data());
  const size_t keys_end = keys_at + count * key_bytes;
  const size_t values_at =
      leaf.is_aligned() ? AlignUp(keys_end, kTreeValueAlign) : keys_end;
  const size_t bytes = values_at + (count - 1) * stride + leaf.value_bytes();
  NewBlock block;
  EVE_RETURN_IF_ERROR(
      writer_.NewBlockOf(BlockType::kTreeLeaf, 0, count, bytes, &block));
  char* const data = block.data;
  std::memcpy(data + sizeof(BlockHeader), leaf.data() + sizeof(BlockHeader),
              keys_at - sizeof(BlockHeader));
  // Copies both sides of the gap, and a new item into it.
  const auto splice = [&](const char* from, size_t total, size_t step,
                          Bytes item, char* to) {
    const size_t head = std::min(index * step, total);
    if (head > 0) std::memcpy(to, from, head);
    to += index * step;
    if (record != nullptr) {
      if (!item.empty()) std::memcpy(to, item.data(), item.size());
      to += step;
    }
    const size_t resume = std::min((index + skipped) * step, total);
    if (total > resume) std::memcpy(to, from + resume, total - resume);
  };
  // Gaps between aligned values are zero, also where the new one stands.
  std::memset(data + keys_end, 0, values_at - keys_end);
  if (stride != leaf.value_bytes()) {
    std::memset(data + values_at, 0, bytes - values_at);
  }
  const size_t prefix = leaf.prefix().size();
  const Bytes key = record == nullptr ? Bytes() : record->key.PieceAt(prefix);
  splice(leaf.keys(), leaf.count() * key_bytes, key_bytes, key, data + keys_at);
  splice(leaf.values(), leaf.value_area_bytes(), stride,
         record == nullptr ? Bytes() : record->value, data + values_at);
  writer_.Retire(place.slot.offset(), leaf.bytes());
  TreeChild child = Unchanged(place);
  child.slot = TreeSlot::Make(block.offset, count);
  child.records = count;
  out.push_back(child);
  return absl::OkStatus();
}

}  // namespace eve
