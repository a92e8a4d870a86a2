// A packed copy: every collection is written anew, in the order of its leaves,
// so that each batch is beside the one before.

#include <memory>
#include <optional>
#include <utility>

#include "engine/domain/backup.h"
#include "engine/domain/create.h"
#include "engine/domain/domain_impl.h"
#include "engine/domain/registry.h"
#include "engine/txn/any_cursor.h"
#include "eve/internal/ordered_access.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// Bounds the memory of a transaction, and what of it is dead with the next.
constexpr uint64_t kBatchRecords = 65'536;
constexpr uint64_t kBatchBytes = 16 << 20;

class Packer {
 public:
  Packer(const SnapshotImpl& snapshot, DomainImpl* to,
         const BackupOptions& options)
      : snapshot_(snapshot), to_(to), options_(options) {}

  absl::Status Run() {
    EVE_ASSIGN_OR_RETURN(const std::vector<CollectionView> collections,
                         ListCollections(snapshot_));
    for (const CollectionView& one : collections) {
      records_total_ += one.info.count;
    }
    for (const CollectionView& one : collections) {
      EVE_RETURN_IF_ERROR(CopyCollection(one));
    }
    EVE_RETURN_IF_ERROR(snapshot_.status());
    return CheckCounts(collections);
  }

 private:
  absl::Status CopyCollection(const CollectionView& from) {
    EVE_ASSIGN_OR_RETURN(
        const CollectionRef ref,
        to_->OpenCollection(from.info.name, from.info.kind, from.info.key_type,
                            from.info.value_type));
    const uint64_t first = records_;
    std::optional<AnyCursor> at(from.map);
    while (!at->AtEnd()) {
      // Nobody else writes there, but where room had to be made the closure
      // runs again: from where the batch began, and to get there takes a walk.
      const uint64_t begin = records_;
      bool has_run = false;
      absl::StatusOr<Commit> done = to_->Swap(
          [&](TransactionImpl& transaction) {
            if (std::exchange(has_run, true)) {
              at.emplace(from.map);
              for (records_ = first; records_ < begin; ++records_) at->Next();
            }
            return CopyBatch(*at, EditMap(transaction, ref));
          },
          {});
      if (!done.ok()) return done.status();
      EVE_RETURN_IF_ERROR(
          ReportProgress(snapshot_.core(), options_,
                         BackupProgress{false, records_, records_total_}));
    }
    return snapshot_.status();
  }

  // The copy is a domain of its own, which is verified as such: here it is
  // compared with what it is a copy of.
  absl::Status CheckCounts(const std::vector<CollectionView>& wanted) {
    EVE_ASSIGN_OR_RETURN(const std::shared_ptr<const SnapshotImpl> copied,
                         to_->Now());
    EVE_ASSIGN_OR_RETURN(const std::vector<CollectionView> found,
                         ListCollections(*copied));
    for (size_t i = 0; i < wanted.size(); ++i) {
      const CollectionInfo& info = wanted[i].info;
      const uint64_t count = i < found.size() ? found[i].info.count : 0;
      if (found.size() == wanted.size() && found[i].info.name == info.name &&
          count == info.count) {
        continue;
      }
      return absl::DataLossError(
          absl::StrCat("the copy of collection '", info.name, "' has ", count,
                       " records, expected ", info.count));
    }
    return absl::OkStatus();
  }

  absl::Status CopyBatch(AnyCursor& at, MapEditor* editor) {
    uint64_t bytes = 0;
    for (uint64_t n = 0;
         n < kBatchRecords && bytes < kBatchBytes && !at.AtEnd();
         ++n, at.Next()) {
      EVE_RETURN_IF_ERROR(PutInMap(editor, at.key(), at.value()));
      bytes += at.key().size() + at.value().size();
      ++records_;
    }
    return absl::OkStatus();
  }

  const SnapshotImpl& snapshot_;
  DomainImpl* to_;
  const BackupOptions& options_;
  uint64_t records_ = 0;
  uint64_t records_total_ = 0;
};

}  // namespace

absl::Status WritePacked(const SnapshotImpl& snapshot, const File& file,
                         const BackupOptions& options) {
  const Superblock& source = snapshot.core().superblock;
  // With the seed of the source its tries come in the order of the copy's.
  EVE_RETURN_IF_ERROR(WriteNewDomain(file, source.hash_mask, source.hash_seed));
  DomainOptions quiet;
  quiet.background = false;
  quiet.durability = Durability::kNone;
  EVE_ASSIGN_OR_RETURN(std::shared_ptr<DomainImpl> to,
                       OpenPrivate(file, quiet));
  EVE_RETURN_IF_ERROR(Packer(snapshot, to.get(), options).Run());
  CompactOptions compact;
  compact.progress = [&](const CompactProgress& now) {
    const BackupProgress same{false, now.live_bytes, now.used_bytes};
    return ReportProgress(snapshot.core(), options, same).ok();
  };
  EVE_RETURN_IF_ERROR(to->Compact(compact));
  EVE_RETURN_IF_ERROR(to->Sync());
  EVE_RETURN_IF_ERROR(to->CutTail().status());
  return absl::OkStatus();
}

}  // namespace eve::internal
