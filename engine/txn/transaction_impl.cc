#include "engine/txn/transaction_impl.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// Editors kept with their buffers between transactions.
constexpr size_t kIdleEditorsMax = 8;

// By this process, for their seeds.
std::atomic<uint64_t> transactions_made{0};

}  // namespace

Bytes PendingBytes::Copy(Bytes bytes) {
  used_ += bytes.size();
  while (current_ < chunks_.size() &&
         chunks_[current_].size - at_ < bytes.size()) {
    ++current_;
    at_ = 0;
  }
  if (current_ == chunks_.size()) {
    const size_t size = std::max(kChunkBytes, bytes.size());
    chunks_.push_back(
        Chunk{std::make_unique_for_overwrite<char[]>(size), size});
  }
  char* to = chunks_[current_].data.get() + at_;
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  at_ += bytes.size();
  return Bytes(to, bytes.size());
}

void PendingBytes::Clear() {
  if (chunks_.size() > 1) chunks_.resize(1);
  current_ = 0;
  at_ = 0;
  used_ = 0;
}

TransactionImpl::TransactionImpl(Core* core, SegmentWriter* writer)
    : core_(core),
      seed_(core->slots->index() | transactions_made.fetch_add(1) << 16),
      attempt_(writer, core->view, core->salt) {}

void TransactionImpl::Begin(PinnedRoot base, int attempt) {
  base_ = std::move(base);
  attempt_.LookUpTo(core_->FileView().limit_units);
  attempt_number_ = attempt;
  status_ = absl::OkStatus();
  next_collection_ = base_.record().next_collection;
  side_moves_ = SideMoves{};
  attempt_.writer().SetPurpose(ClaimPurpose::kErase);
  // What was refused to a run before, perhaps to its rider, is not this one's.
  attempt_.writer().TakeRefused();
}

void TransactionImpl::RestrictToRoom(SegmentWriter& writer) {
  writer.SetPurpose(ClaimPurpose::kAdd);
  // In what its writer has open it would find room without asking.
  if (core_->source->is_broken()) {
    status_.Update(writer.Refuse(core_->path));
  }
}

std::unique_ptr<MapEditor> TransactionImpl::TakeEditor() {
  if (idle_editors_.empty()) return std::make_unique<MapEditor>(this);
  std::unique_ptr<MapEditor> editor = std::move(idle_editors_.back());
  idle_editors_.pop_back();
  return editor;
}

MapEditor* TransactionImpl::TakeEditorOf(const std::string& name, uint32_t id,
                                         Bytes entry) {
  for (auto& idle : idle_editors_) {
    if (idle->record_.entry.id != id || idle->record_.name != name ||
        !idle->Advance(entry)) {
      continue;
    }
    std::swap(idle, idle_editors_.back());
    editors_.push_back(std::move(idle_editors_.back()));
    idle_editors_.pop_back();
    return editors_.back().get();
  }
  return nullptr;
}

MapEditor* TransactionImpl::Edit(const std::string& name, uint32_t id) {
  for (const auto& editor : editors_) {
    if (editor->record_.entry.id == id && editor->record_.name == name) {
      return editor.get();
    }
  }
  status_.Update(core_->CheckUsable());  // the closure may have forked
  if (!status_.ok()) return nullptr;
  absl::StatusOr<std::optional<Bytes>> bytes = FindCatalogBytes(
      core_->FileView(), core_->hasher, base_.record().catalog_root, name);
  if (!bytes.ok()) {
    status_.Update(bytes.status());
    return nullptr;
  }
  CatalogRecord record;
  if (bytes->has_value()) {
    MapEditor* const used = TakeEditorOf(name, id, **bytes);
    if (used != nullptr) return used;
    absl::StatusOr<CatalogRecord> found = DecodeCatalogRecord(name, **bytes);
    if (!found.ok()) {
      status_.Update(found.status());
      return nullptr;
    }
    record = *std::move(found);
  }
  if (!bytes->has_value() || record.entry.id != id) {
    read_catalog_ = true;  // that it is gone is something this run read
    status_.Update(absl::FailedPreconditionError(
        absl::StrCat("collection '", name,
                     "' was dropped; get a new handle from the domain")));
    return nullptr;
  }
  std::unique_ptr<MapEditor> editor = TakeEditor();
  editor->SetBase(**bytes, std::move(record));
  editors_.push_back(std::move(editor));
  return editors_.back().get();
}

absl::StatusOr<Savepoint> TransactionImpl::Save() {
  Saved saved;
  for (const auto& editor : editors_) {
    EVE_RETURN_IF_ERROR(editor->Flush());
    saved.collections.push_back({editor->root_, editor->buried_.size()});
  }
  saved.serial = ++savepoint_serial_;
  saved.attempt = attempt_.Save();
  savepoints_.push_back(std::move(saved));
  return Savepoint(savepoints_.size() - 1, savepoint_serial_);
}

absl::Status TransactionImpl::RollBackTo(const Savepoint& savepoint) {
  EVE_RETURN_IF_ERROR(core_->CheckUsable());
  if (savepoint.index_ >= savepoints_.size() ||
      savepoints_[savepoint.index_].serial != savepoint.serial_) {
    return absl::InvalidArgumentError(
        "the savepoint belongs to another run of the closure, or was undone");
  }
  savepoints_.resize(savepoint.index_ + 1);
  const Saved& saved = savepoints_.back();
  for (size_t i = 0; i < editors_.size(); ++i) {
    MapEditor& editor = *editors_[i];
    ++editor.writes_;
    editor.DropUnapplied();
    if (i < saved.collections.size()) {
      editor.root_ = saved.collections[i].root;
      editor.buried_.resize(saved.collections[i].buried);
    } else {  // first touched after the savepoint
      editor.root_ =
          MapRoot{editor.record_.entry.root, editor.record_.entry.count};
      editor.buried_.clear();
    }
  }
  attempt_.RollBackTo(saved.attempt);
  // Blocks of before the savepoint stay immutable: it may be used again.
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> TransactionImpl::CreateCollection(
    CatalogRecord record) {
  NoteAdds();
  EVE_RETURN_IF_ERROR(status_);
  read_catalog_ = changed_names_ = true;
  // Of a dropped collection it is not used again.
  if (next_collection_ >= kSystemId) {
    return absl::ResourceExhaustedError(absl::StrCat(
        core_->path, ": has had ", kSystemId - kFirstCollectionId,
        " collections, and has no number for another one; copy it by dump and "
        "load"));
  }
  record.entry.id = next_collection_++;
  ++collection_delta_;
  name_changes_.push_back({record.name, record.Encode()});
  return record.entry.id;
}

absl::Status TransactionImpl::DropCollection(const std::string& name) {
  EVE_RETURN_IF_ERROR(core_->CheckUsable());
  read_catalog_ = true;
  EVE_ASSIGN_OR_RETURN(const std::optional<Bytes> bytes,
                       FindCatalogBytes(core_->FileView(), core_->hasher,
                                        base_.record().catalog_root, name));
  if (!bytes.has_value()) {
    return absl::NotFoundError(absl::StrCat("no collection '", name, "'"));
  }
  EVE_ASSIGN_OR_RETURN(CatalogRecord record, DecodeCatalogRecord(name, *bytes));
  // What is buried is the root that this run read: a commit to the collection
  // in between is a conflict.
  if (Edit(name, record.entry.id) == nullptr) return status_;
  changed_names_ = true;
  --collection_delta_;
  name_changes_.push_back({name, ""});
  if (!record.entry.root.is_empty()) {
    record.entry.kind = static_cast<uint8_t>(CollectionKind::kGraveyard);
    name_changes_.push_back(
        {GraveyardName(record.entry.root), record.Encode()});
  }
  return absl::OkStatus();
}

absl::Status TransactionImpl::RetireSlice(const CatalogRecord& graveyard,
                                          uint64_t budget) {
  read_catalog_ = true;
  CatalogRecord rest = graveyard;
  const EditContext context{&attempt_, core_->hasher, graveyard.entry.id};
  bool done = false;
  EVE_RETURN_IF_ERROR(RetireSomeOf(context, budget, rest.entry.root, &done));
  // The slice is renamed with its root, so that two collectors that take the
  // same graveyard meet in the catalog.
  changed_names_ = true;
  name_changes_.push_back({graveyard.name, ""});
  if (!done) {
    name_changes_.push_back({GraveyardName(rest.entry.root), rest.Encode()});
  }
  return absl::OkStatus();
}

TransactionImpl::CatalogChange& TransactionImpl::AddChange() {
  if (change_count_ == changes_.size()) changes_.emplace_back();
  return changes_[change_count_++];
}

void TransactionImpl::CollectEditorChanges(const MapEditor& editor) {
  for (const NodeSlot root : editor.buried_) {
    CatalogRecord grave;
    grave.entry = editor.record_.entry;
    grave.entry.kind = static_cast<uint8_t>(CollectionKind::kGraveyard);
    grave.entry.root = root;
    grave.entry.count = 0;
    AddChange() = {GraveyardName(root), grave.Encode()};
  }
  if (editor.root_.slot == editor.record_.entry.root) return;
  CatalogChange& change = AddChange();
  change.name = editor.record_.name;
  change.value = editor.base_bytes_;
  SetRootAndCount(editor.root_.slot, editor.root_.count, change.value.data());
}

void TransactionImpl::CollectCatalogChanges() {
  change_count_ = 0;
  for (const CatalogChange& change : name_changes_) AddChange() = change;
  for (const auto& editor : editors_) CollectEditorChanges(*editor);
}

absl::Status TransactionImpl::Flush() {
  for (const auto& editor : editors_) {
    EVE_RETURN_IF_ERROR(editor->ApplyPending());
  }
  return status_;
}

std::vector<uint32_t> TransactionImpl::WrittenCollections() const {
  std::vector<uint32_t> ids;
  for (const auto& editor : editors_) {
    if (editor->HasChanged()) ids.push_back(editor->record_.entry.id);
  }
  return ids;
}

absl::Status TransactionImpl::MoveWritten(uint32_t id,
                                          absl::Span<const MoveTarget> targets,
                                          MoveResult* moved) {
  for (const auto& editor : editors_) {
    if (editor->record_.entry.id == id) return editor->Move(targets, moved);
  }
  return absl::OkStatus();
}

absl::Status TransactionImpl::MoveIn(const std::string& name, uint32_t id,
                                     absl::Span<const MoveTarget> targets,
                                     MoveResult* moved) {
  EVE_ASSIGN_OR_RETURN(const std::optional<Bytes> bytes,
                       FindCatalogBytes(core_->FileView(), core_->hasher,
                                        base_.record().catalog_root, name));
  if (!bytes.has_value()) return absl::OkStatus();
  EVE_ASSIGN_OR_RETURN(const CatalogRecord record,
                       DecodeCatalogRecord(name, *bytes));
  if (record.entry.id != id || record.IsGraveyard()) return absl::OkStatus();
  MapEditor* editor = Edit(name, id);
  return editor == nullptr ? status_ : editor->Move(targets, moved);
}

absl::StatusOr<bool> TransactionImpl::Prepare() {
  EVE_RETURN_IF_ERROR(status_);
  CollectCatalogChanges();
  if (change_count_ == 0 && catalog_moves_.empty()) return false;
  EVE_RETURN_IF_ERROR(attempt_.FinishData());
  return true;
}

EditContext TransactionImpl::CatalogContext() {
  // Catalog leaves are rewritten by every commit: they die young.
  return EditContext{&attempt_, core_->hasher, kCatalogId, Stream::kNodes};
}

absl::StatusOr<Offset> TransactionImpl::Stamp(const PinnedRoot& newest) {
  const CommitRecord& before = newest.record();
  attempt_.LookUpTo(core_->FileView().limit_units);
  MapRoot catalog{before.catalog_root, 0};
  catalog_ops_.clear();
  for (const CatalogChange& change : changes()) {
    MapOp op{};
    op.kind = change.value.empty() ? MapOpKind::kErase : MapOpKind::kPut;
    op.key = change.name;
    op.value = change.value;
    catalog_ops_.push_back(op);
  }
  EVE_RETURN_IF_ERROR(
      HamtApply(CatalogContext(), absl::MakeSpan(catalog_ops_), catalog));
  if (!catalog_moves_.empty()) {
    MoveResult moved;
    EVE_RETURN_IF_ERROR(
        HamtMove(CatalogContext(), catalog_moves_, catalog.slot, &moved));
  }
  CommitRecord fields{};
  fields.version = before.version + 1;
  fields.incarnation = core_->incarnation;
  fields.previous = newest.offset();
  fields.catalog_root = catalog.slot;
  fields.accounting_root = before.accounting_root;
  fields.accounting_rows = before.accounting_rows;
  fields.folded_version = before.folded_version;
  fields.catalog_version =
      changed_names_ ? fields.version : before.catalog_version;
  fields.segment_count = before.segment_count;
  fields.next_collection = std::max(before.next_collection, next_collection_);
  fields.collection_count =
      static_cast<uint32_t>(before.collection_count + collection_delta_);
  fields.writer = core_->slots->index();
  return attempt_.Seal(fields);
}

absl::StatusOr<bool> TransactionImpl::ConflictsWith(
    const CommitRecord& newest) const {
  if (read_catalog_ &&
      newest.catalog_version != base_.record().catalog_version) {
    return true;
  }
  for (const auto& editor : editors_) {
    EVE_ASSIGN_OR_RETURN(
        const std::optional<Bytes> bytes,
        FindCatalogBytes(core_->FileView(), core_->hasher, newest.catalog_root,
                         editor->record_.name));
    // Whole entries, not roots (P3).
    if (!bytes.has_value() || *bytes != Bytes(editor->base_bytes_)) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<bool> TransactionImpl::CanReplayOn(
    const CommitRecord& newest) const {
  if (!SeesSameNames(newest)) return false;
  bool has_puts = false;
  for (const auto& editor : editors_) {
    EVE_ASSIGN_OR_RETURN(
        const std::optional<Bytes> bytes,
        FindCatalogBytes(core_->FileView(), core_->hasher, newest.catalog_root,
                         editor->record_.name));
    if (!bytes.has_value()) return false;
    if (!editor->HasOnlyPuts()) {
      if (!editor->IsUnchanged() || *bytes != Bytes(editor->base_bytes_)) {
        return false;
      }
      continue;
    }
    EVE_ASSIGN_OR_RETURN(const CatalogRecord record,
                         DecodeCatalogRecord(editor->record_.name, *bytes));
    // Dropped and created anew: the closure is to be told.
    if (record.entry.id != editor->record_.entry.id) return false;
    has_puts = true;
  }
  return has_puts;
}

bool TransactionImpl::MayRebase() const {
  bool has_writes = false;
  for (const auto& editor : editors_) {
    if (editor->IsUnchanged()) continue;
    if (!editor->IsBlind()) return false;
    has_writes = true;
  }
  return has_writes;
}

bool TransactionImpl::MayReplay() const {
  return std::any_of(editors_.begin(), editors_.end(),
                     [](const auto& editor) { return editor->HasOnlyPuts(); });
}

absl::StatusOr<bool> TransactionImpl::RebaseEditor(MapEditor& editor,
                                                   const CommitRecord& newest) {
  EVE_ASSIGN_OR_RETURN(
      const std::optional<Bytes> bytes,
      FindCatalogBytes(core_->FileView(), core_->hasher, newest.catalog_root,
                       editor.record_.name));
  if (!bytes.has_value()) return false;
  if (*bytes == Bytes(editor.base_bytes_)) return true;
  if (editor.IsUnchanged()) return false;  // it may have been read
  EVE_ASSIGN_OR_RETURN(CatalogRecord record,
                       DecodeCatalogRecord(editor.record_.name, *bytes));
  const CatalogEntry& base = editor.record_.entry;
  // Dropped and created anew: the closure is to be told.
  if (record.entry.id != base.id) return false;
  if (record.entry.root != base.root &&
      !RebaseIn(editor.structure(), attempt_, base.root, record.entry.root,
                editor.root_.slot)) {
    return false;
  }
  const MapRoot rebased{editor.root_.slot,
                        editor.root_.count - base.count + record.entry.count};
  editor.SetBase(*bytes, std::move(record));
  editor.root_ = rebased;
  return true;
}

absl::StatusOr<bool> TransactionImpl::RebaseOn(PinnedRoot& newest) {
  if (!SeesSameNames(newest.record())) return false;
  attempt_.BeginAmending();
  attempt_.LookUpTo(core_->FileView().limit_units);
  for (const auto& editor : editors_) {
    EVE_ASSIGN_OR_RETURN(const bool rebased,
                         RebaseEditor(*editor, newest.record()));
    if (!rebased) return false;
  }
  if (!attempt_.FinishAmending()) return false;
  std::swap(base_, newest);
  CollectCatalogChanges();
  return true;
}

absl::Status TransactionImpl::ReplayOn(PinnedRoot newest) {
  attempt_.RewindAll();
  attempt_.LookUpTo(core_->FileView().limit_units);
  std::swap(base_, newest);
  for (const auto& editor : editors_) {
    if (!editor->HasOnlyPuts()) continue;
    EVE_ASSIGN_OR_RETURN(
        const std::optional<Bytes> bytes,
        FindCatalogBytes(core_->FileView(), core_->hasher,
                         base_.record().catalog_root, editor->record_.name));
    EVE_CHECK(bytes.has_value(), "CanReplayOn() has found it");
    EVE_ASSIGN_OR_RETURN(CatalogRecord record,
                         DecodeCatalogRecord(editor->record_.name, *bytes));
    editor->SetBase(*bytes, std::move(record));
    EVE_RETURN_IF_ERROR(editor->ApplyPending());
  }
  return absl::OkStatus();
}

bool TransactionImpl::leaves_graveyard() const {
  for (const CatalogChange& change : changes()) {
    if (change.name.front() == '\0' && !change.value.empty()) return true;
  }
  return false;
}

void TransactionImpl::Finish(bool committed) {
  if (committed) {
    attempt_.Committed();
  } else {
    attempt_.RewindAll();
  }
  base_.Reset();
  for (auto& editor : editors_) {
    editor->Reset();
    if (idle_editors_.size() < kIdleEditorsMax) {
      idle_editors_.push_back(std::move(editor));
    }
  }
  editors_.clear();
  savepoints_.clear();
  name_changes_.clear();
  change_count_ = 0;
  if (changes_.size() > kIdleEditorsMax) changes_.clear();
  catalog_moves_.clear();
  read_catalog_ = changed_names_ = has_read_version_ = false;
  collection_delta_ = 0;
}

}  // namespace eve::internal
