#include "engine/txn/snapshot_impl.h"

#include <algorithm>
#include <utility>

#include "engine/collections/hamt_map.h"
#include "engine/collections/hamt_verify.h"
#include "engine/root/accounting.h"
#include "engine/txn/catalog.h"
#include "engine/txn/structure.h"
#include "eve/snapshot.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {

SnapshotImpl::~SnapshotImpl() {
  if (core_->fork_guard.IsForkedChild()) {
    pin_.Abandon();
  } else if (is_of_frozen_) {
    core_->frozen.EndUse();
  }
}

absl::Status SnapshotImpl::Take() {
  if (core_->is_frozen()) {
    core_->frozen.lookout->Look(/*also_idle=*/false);
    EVE_STEP("snapshot.looked");
    if (core_->frozen.Use()) {
      is_of_frozen_ = true;
      return ReadAt(core_->frozen.record());
    }
  }
  // An unpinned reader: nobody frees anything while it is attached (P25).
  if (core_->cells == nullptr) return ReadAt(core_->root->Load());
  EVE_ASSIGN_OR_RETURN(
      pin_,
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view));
  record_offset_ = pin_.offset();
  record_ = &pin_.record();
  return absl::OkStatus();
}

absl::Status SnapshotImpl::ReadAt(Offset record) {
  record_offset_ = record;
  EVE_ASSIGN_OR_RETURN(
      const ChainRecord read,
      ReadRecord(core_->FileView(), record_offset_, core_->salt));
  record_ = read.record;
  if (uint64_t{record_->segment_count} * kSegmentUnits >
      core_->view.limit_units) {
    return absl::UnavailableError(
        core_->path + ": beyond the address space this process could reserve");
  }
  return absl::OkStatus();
}

absl::Status SnapshotImpl::status() const {
  EVE_RETURN_IF_ERROR(core_->CheckUsable());
  if (!damaged_) return absl::OkStatus();
  return absl::DataLossError(
      core_->path +
      ": a read through this snapshot met damaged bytes; run eve check");
}

namespace {

// Of no collection yet.
MapView ViewOfVersion(const Core& core, const CommitRecord& record,
                      const SnapshotImpl* snapshot) {
  MapView view;
  view.base = core.view.base;
  view.limit_units =
      std::min<uint64_t>(record.segment_count, core.FileSegments()) *
      kSegmentUnits;
  view.seed = core.hasher.seed;
  view.mask = core.hasher.mask;
  view.snapshot = snapshot;
  if (core.verify_reads) view.verify_salt = core.salt;
  return view;
}

void SetEntry(const CatalogEntry& entry, MapView& view) {
  view.root = entry.root.word;
  view.count = entry.count;
  view.ordered = StructureOf(entry.kind) == Structure::kTree;
}

}  // namespace

absl::StatusOr<std::vector<CollectionView>> ListCollections(
    const SnapshotImpl& snapshot) {
  EVE_ASSIGN_OR_RETURN(
      const std::vector<CatalogRecord> records,
      ListCatalog(snapshot.core().FileView(), snapshot.record().catalog_root));
  std::vector<CollectionView> collections;
  for (const CatalogRecord& record : records) {
    if (record.IsGraveyard()) continue;
    CollectionView one;
    one.info =
        CollectionInfo{record.name, std::string(KindName(record.entry.kind)),
                       record.key_type, record.value_type, record.entry.count};
    one.id = record.entry.id;
    one.map = ViewOfVersion(snapshot.core(), snapshot.record(), &snapshot);
    SetEntry(record.entry, one.map);
    collections.push_back(std::move(one));
  }
  std::sort(
      collections.begin(), collections.end(),
      [](const auto& a, const auto& b) { return a.info.name < b.info.name; });
  return collections;
}

MapView ViewAt(const Core& core, const CommitRecord& record,
               const CollectionRef& ref, const SnapshotImpl* snapshot) {
  MapView view = ViewOfVersion(core, record, snapshot);
  const absl::StatusOr<std::optional<Bytes>> bytes = FindCatalogBytes(
      core.FileView(), core.hasher, record.catalog_root, ref.name);
  const bool is_verified =
      !core.verify_reads ||
      HamtVerifyPath(core.FileView(), core.hasher, record.catalog_root,
                     ref.name, core.salt);
  if (!bytes.ok() || !is_verified) {
    if (snapshot != nullptr) snapshot->MarkDamaged();
    return view;
  }
  if (!bytes->has_value() || (*bytes)->size() < sizeof(CatalogEntry)) {
    return view;
  }
  CatalogEntry entry;
  std::memcpy(static_cast<void*>(&entry), (*bytes)->data(), sizeof(entry));
  if (entry.id != ref.id) return view;  // dropped and created anew
  SetEntry(entry, view);
  return view;
}

}  // namespace eve::internal

namespace eve {

uint64_t Snapshot::version() const { return impl_->record().version; }

absl::Status Snapshot::status() const { return impl_->status(); }

uint64_t Snapshot::internal_record_offset() const {
  return impl_->record_offset().bytes();
}

}  // namespace eve
