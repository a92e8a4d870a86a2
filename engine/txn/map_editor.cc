#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/collections/btree.h"
#include "engine/collections/btree_append.h"
#include "engine/collections/btree_cursor.h"
#include "engine/format/node_layout.h"
#include "engine/format/tree_layout.h"
#include "engine/txn/transaction_impl.h"
#include "eve/codec.h"
#include "eve/internal/ordered_access.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// Pending writes are applied when they reach either limit, so that a bulk
// transaction needs little memory of its own.
constexpr size_t kPendingOpsMax = 1 << 16;
constexpr size_t kPendingBytesMax = 8 << 20;
// Larger values are not copied but applied at once.
constexpr size_t kCopiedValueMax = 64 << 10;

absl::Status CheckSizes(CollectionKind kind, Bytes key, Bytes value) {
  if (key.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        kind == CollectionKind::kMultiMap ? "key and value with together "
                                          : "key of ",
        key.size(), " bytes; at most ", kKeyBytesMax, " are allowed"));
  }
  if (value.size() > kValueBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("value of ", value.size(), " bytes; at most ",
                     kValueBytesMax, " are allowed"));
  }
  return absl::OkStatus();
}

// An argument as it was passed: it may be a view of a leaf of this transaction,
// which applying what is pending changes in place. What is larger than a leaf
// lies in a block of its own, which nothing changes.
Bytes Keep(Bytes argument, Scratch& room) {
  static_assert(kTreeLeafBytesMax < kCopiedValueMax &&
                kLeafBytesMax < kCopiedValueMax);
  if (argument.size() > kCopiedValueMax) return argument;
  return room.Copy(argument);
}

}  // namespace

MapEditor::MapEditor(TransactionImpl* transaction)
    : transaction_(transaction) {}

MapEditor::~MapEditor() = default;

EditContext MapEditor::Context() const {
  EditContext context{&transaction_->attempt(), transaction_->core().hasher,
                      record_.entry.id};
  context.side_moves = &transaction_->side_moves_;
  context.align_values = aligns_values_;
  return context;
}

void MapEditor::SetBase(Bytes entry, CatalogRecord record) {
  base_bytes_.assign(entry.data(), entry.size());
  record_ = std::move(record);
  aligns_values_ = record_.value_type.starts_with(kAlignedTypePrefix);
  root_ = MapRoot{record_.entry.root, record_.entry.count};
}

bool MapEditor::Advance(Bytes entry) {
  if (!DiffersInRootAndCountOnly(entry, base_bytes_)) return false;
  CatalogEntry now;
  std::memcpy(static_cast<void*>(&now), entry.data(), sizeof(now));
  base_bytes_.assign(entry.data(), entry.size());
  record_.entry = now;
  root_ = MapRoot{now.root, now.count};
  return true;
}

void MapEditor::Reset() {
  buried_.clear();
  DropUnapplied();
  has_read_ = has_dropped_puts_ = false;
}

void MapEditor::DropUnapplied() {
  appender_.reset();
  pending_.clear();
  bytes_.Clear();
}

absl::Status MapEditor::ApplyPending() {
  // A closure may have forked. Between two batches nobody holds a block to
  // write to.
  absl::Status status = transaction_->core().CheckUsable();
  if (status.ok()) status = transaction_->attempt().StopStagingIfLarge();
  if (status.ok() && appender_ != nullptr) {
    status = appender_->Finish(root_);
    appender_.reset();
  }
  if (status.ok() && !pending_.empty()) {
    status = ApplyTo(structure(), Context(), absl::MakeSpan(pending_), root_);
  }
  transaction_->status_.Update(status);
  return status;
}

absl::Status MapEditor::Flush() {
  absl::Status status = ApplyPending();
  if (!pending_.empty()) has_dropped_puts_ = true;
  pending_.clear();
  bytes_.Clear();
  return status;
}

absl::Status MapEditor::Move(absl::Span<const MoveTarget> targets,
                             MoveResult* moved) {
  EditContext context = Context();
  context.leaf_stream = Stream::kMoved;
  context.side_moves = nullptr;
  absl::Status status =
      eve::MoveIn(structure(), context, targets, root_.slot, moved);
  transaction_->status_.Update(status);
  return status;
}

absl::StatusOr<std::optional<Bytes>> MapEditor::Find(Bytes key) {
  has_read_ = true;
  Scratch kept_key;
  if (!pending_.empty()) key = Keep(key, kept_key);
  EVE_RETURN_IF_ERROR(Flush());
  const FindResult found = FindIn(structure(), transaction_->attempt().view(),
                                  transaction_->core().hasher, root_.slot, key);
  if (found.outcome == FindOutcome::kDamaged) {
    MarkDamaged();
    return transaction_->status_;
  }
  if (found.outcome == FindOutcome::kAbsent) return std::nullopt;
  return found.value;
}

void MapEditor::MarkDamaged() {
  transaction_->status_.Update(absl::DataLossError(absl::StrCat(
      "collection '", record_.name, "' is damaged; run eve check")));
}

const absl::Status& MapEditor::status() const { return transaction_->status_; }

absl::Status MapEditor::FlushBulk() {
  const std::string newest = pending_.back().key.ToString();
  EVE_RETURN_IF_ERROR(Flush());
  if (structure() != Structure::kTree) return absl::OkStatus();
  TreeCursor cursor(transaction_->attempt().view(), root_.slot);
  cursor.SeekToLast();
  if (!cursor.Valid() || cursor.key() != Bytes(newest)) return absl::OkStatus();
  return StartAppending();
}

absl::Status MapEditor::StartAppending() {
  EditContext context = Context();
  // Little lies beside what is appended.
  context.side_moves = nullptr;
  appender_ = std::make_unique<TreeAppender>(context);
  absl::Status status = appender_->Start(root_);
  transaction_->status_.Update(status);
  return status;
}

absl::Status MapEditor::AddBehind(Bytes key, Bytes value) {
  ++writes_;
  // It writes leaves now and then: not in a child that the closure has forked.
  absl::Status status = transaction_->core().CheckUsable();
  if (status.ok()) status = appender_->Add(key, value);
  if (status.ok() && appender_->unlinked_bytes() >= kPendingBytesMax) {
    status = transaction_->attempt().StopStagingIfLarge();
    if (status.ok()) status = appender_->Link(root_);
  }
  transaction_->status_.Update(status);
  return status;
}

absl::Status MapEditor::Append(Bytes key, Bytes value) {
  EVE_RETURN_IF_ERROR(CheckSizes(collection_kind(), key, value));
  transaction_->NoteAdds();
  Scratch kept_key;
  Scratch kept_value;
  if (appender_ == nullptr) {
    has_read_ = true;
    if (!pending_.empty()) {
      key = Keep(key, kept_key);
      value = Keep(value, kept_value);
    }
    EVE_RETURN_IF_ERROR(Flush());
    EVE_RETURN_IF_ERROR(StartAppending());
  }
  if (!appender_->IsAbove(key)) {
    return absl::InvalidArgumentError(
        "the key to append is not above the last key of the collection");
  }
  return AddBehind(key, value);
}

absl::Status MapEditor::Put(Bytes key, Bytes value) {
  EVE_RETURN_IF_ERROR(CheckSizes(collection_kind(), key, value));
  transaction_->NoteAdds();
  if (appender_ != nullptr) {
    if (appender_->IsAbove(key)) return AddBehind(key, value);
    EVE_RETURN_IF_ERROR(Flush());
  }
  if (value.size() > kCopiedValueMax) {
    return Apply(MapOpKind::kPut, key, value).status();
  }
  ++writes_;
  MapOp op{};
  op.kind = MapOpKind::kPut;
  op.key = bytes_.Copy(key);
  op.value = bytes_.Copy(value);
  pending_.push_back(op);
  if (pending_.size() >= kPendingOpsMax || bytes_.used() >= kPendingBytesMax) {
    return FlushBulk();
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> MapEditor::Apply(MapOpKind kind, Bytes key, Bytes value) {
  // Of a put, the outcome tells nothing.
  (kind == MapOpKind::kPut ? has_dropped_puts_ : has_read_) = true;
  EVE_RETURN_IF_ERROR(CheckSizes(collection_kind(), key, value));
  if (kind != MapOpKind::kErase) transaction_->NoteAdds();
  Scratch kept_key;
  Scratch kept_value;
  if (!pending_.empty()) {
    key = Keep(key, kept_key);
    value = Keep(value, kept_value);
  }
  EVE_RETURN_IF_ERROR(Flush());
  ++writes_;
  MapOp op{};
  op.kind = kind;
  op.key = key;
  op.value = value;
  absl::Status status =
      ApplyTo(structure(), Context(), absl::MakeSpan(&op, 1), root_);
  if (!status.ok()) {
    transaction_->status_.Update(status);
    return status;
  }
  return op.existed;
}

absl::StatusOr<uint64_t> MapEditor::EraseRange(const KeyRange& range) {
  has_read_ = true;
  EVE_RETURN_IF_ERROR(Flush());
  if (range.to.has_value() && !(range.from < *range.to)) return 0;
  ++writes_;
  uint64_t erased = 0;
  absl::Status status =
      TreeEraseRange(Context(), range, root_, &erased, buried_);
  if (!status.ok()) {
    transaction_->status_.Update(status);
    return status;
  }
  return erased;
}

absl::Status MapEditor::Clear() {
  has_read_ = true;
  // What has been appended must be found to be buried.
  if (appender_ != nullptr) EVE_RETURN_IF_ERROR(Flush());
  ++writes_;
  DropUnapplied();
  if (!root_.slot.is_empty()) buried_.push_back(root_.slot);
  root_ = MapRoot{};
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> MapEditor::Size() {
  has_read_ = true;
  EVE_RETURN_IF_ERROR(Flush());
  return root_.count;
}

absl::StatusOr<MapView> MapEditor::View() {
  has_read_ = true;
  EVE_RETURN_IF_ERROR(Flush());
  const Core& core = transaction_->core();
  MapView view;
  view.base = transaction_->attempt().view().base;
  view.limit_units = core.FileView().limit_units;
  view.seed = core.hasher.seed;
  view.mask = core.hasher.mask;
  view.root = root_.slot.word;
  view.count = root_.count;
  view.ordered = structure() == Structure::kTree;
  view.editor = this;
  return view;
}

MapEditor* EditMap(TransactionImpl& transaction, const CollectionRef& ref) {
  return transaction.Edit(ref.name, ref.id);
}

// A null editor stands for an error that the transaction holds; the closure's
// status does not matter then, Swap returns the transaction's.
namespace {
absl::Status Unusable() {
  return absl::FailedPreconditionError(
      "the collection cannot be used in this transaction; what Swap returns "
      "says why");
}
}  // namespace

absl::StatusOr<std::optional<Bytes>> FindInEditor(MapEditor* editor,
                                                  Bytes key) {
  if (editor == nullptr) return Unusable();
  return editor->Find(key);
}

absl::Status PutInMap(MapEditor* editor, Bytes key, Bytes value) {
  if (editor == nullptr) return Unusable();
  return editor->Put(key, value);
}

absl::Status AppendInMap(MapEditor* editor, Bytes key, Bytes value) {
  if (editor == nullptr) return Unusable();
  return editor->Append(key, value);
}

absl::StatusOr<bool> InsertInMap(MapEditor* editor, Bytes key, Bytes value) {
  if (editor == nullptr) return Unusable();
  EVE_ASSIGN_OR_RETURN(const bool existed,
                       editor->Apply(MapOpKind::kInsert, key, value));
  return !existed;
}

absl::StatusOr<bool> EraseInMap(MapEditor* editor, Bytes key) {
  if (editor == nullptr) return Unusable();
  return editor->Apply(MapOpKind::kErase, key, Bytes());
}

absl::Status ClearMap(MapEditor* editor) {
  if (editor == nullptr) return Unusable();
  return editor->Clear();
}

absl::StatusOr<uint64_t> SizeOfMap(MapEditor* editor) {
  if (editor == nullptr) return Unusable();
  return editor->Size();
}

absl::StatusOr<uint64_t> EraseRangeInMap(MapEditor* editor, Bytes from,
                                         std::optional<Bytes> to) {
  if (editor == nullptr) return Unusable();
  return editor->EraseRange(KeyRange{from, to});
}

absl::StatusOr<MapView> ViewOfMap(MapEditor* editor) {
  if (editor == nullptr) return Unusable();
  return editor->View();
}

absl::Status StatusOfReads(MapEditor* editor) {
  return editor == nullptr ? Unusable() : editor->status();
}

}  // namespace eve::internal
