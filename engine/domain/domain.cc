// Domain and the one-op forms of collections: thin over DomainImpl.

#include "eve/domain.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/domain/backup.h"
#include "engine/domain/domain_impl.h"
#include "engine/domain/registry.h"
#include "engine/domain/watch.h"
#include "util/status_macros.h"

namespace eve {
namespace {

absl::Status NotOpen() {
  return absl::FailedPreconditionError("the domain handle is closed");
}

absl::Status CheckPath(std::string_view path) {
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("path: empty, or holds a zero byte");
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(std::string_view path, const DomainOptions& options) {
  EVE_RETURN_IF_ERROR(CheckPath(path));
  if (options.checkpoint_every < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(
        "DomainOptions::checkpoint_every: at least one millisecond");
  }
  if (options.max_bytes != 0 && options.max_bytes < kSegmentBytes) {
    return absl::InvalidArgumentError(
        "DomainOptions::max_bytes: 0, or at least one segment of 2 MiB");
  }
  if (options.read_only && options.in_memory) {
    return absl::InvalidArgumentError(
        "DomainOptions: a new in-memory domain cannot be read-only");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Domain> Domain::Open(std::string_view path,
                                    const DomainOptions& options) {
  EVE_RETURN_IF_ERROR(CheckOptions(path, options));
  EVE_ASSIGN_OR_RETURN(std::shared_ptr<internal::DomainImpl> impl,
                       internal::OpenInstance(std::string(path), options));
  return Domain(std::move(impl));
}

absl::StatusOr<internal::CollectionRef> Domain::OpenCollection(
    std::string_view name, std::string_view kind, std::string key_type,
    std::string value_type) {
  if (impl_ == nullptr) return NotOpen();
  return impl_->OpenCollection(name, kind, std::move(key_type),
                               std::move(value_type));
}

absl::Status Domain::Drop(std::string_view name) {
  if (impl_ == nullptr) return NotOpen();
  return impl_->Drop(name);
}

absl::StatusOr<std::vector<CollectionInfo>> Domain::Collections() const {
  if (impl_ == nullptr) return NotOpen();
  EVE_ASSIGN_OR_RETURN(const auto snapshot, impl_->Now());
  EVE_ASSIGN_OR_RETURN(std::vector<internal::CollectionView> collections,
                       internal::ListCollections(*snapshot));
  std::vector<CollectionInfo> infos;
  infos.reserve(collections.size());
  for (auto& collection : collections) {
    infos.push_back(std::move(collection.info));
  }
  return infos;
}

absl::StatusOr<Commit> Domain::Swap(
    absl::FunctionRef<absl::Status(Transaction&)> fn,
    const SwapOptions& options) {
  if (impl_ == nullptr) return NotOpen();
  return impl_->Swap(
      [&fn](internal::TransactionImpl& impl) {
        Transaction transaction(&impl);
        return fn(transaction);
      },
      options);
}

absl::StatusOr<Snapshot> Domain::Now() const {
  if (impl_ == nullptr) return NotOpen();
  EVE_ASSIGN_OR_RETURN(auto snapshot, impl_->Now());
  return Snapshot(std::move(snapshot));
}

absl::StatusOr<uint64_t> Domain::WaitPast(uint64_t version,
                                          absl::Duration timeout) const {
  if (impl_ == nullptr) return NotOpen();
  return internal::WaitPast(*impl_, version, timeout);
}

absl::StatusOr<Watch> Domain::OnChange(
    std::function<void(uint64_t version)> fn) const {
  if (impl_ == nullptr) return NotOpen();
  if (!fn) return absl::InvalidArgumentError("OnChange: no function");
  return internal::StartWatch(impl_, std::move(fn));
}

absl::Status Domain::Sync() {
  if (impl_ == nullptr) return NotOpen();
  return impl_->Sync();
}

absl::Status Domain::WaitDurable(uint64_t version,
                                 absl::Duration timeout) const {
  if (impl_ == nullptr) return NotOpen();
  return impl_->WaitDurable(version, timeout);
}

uint64_t Domain::durable_version() const {
  return impl_ == nullptr ? 0 : impl_->durable_version();
}

absl::Status Domain::Compact(const CompactOptions& options) {
  if (impl_ == nullptr) return NotOpen();
  return impl_->Compact(options);
}

absl::Status Domain::Reclaim() {
  if (impl_ == nullptr) return NotOpen();
  return impl_->Reclaim();
}

absl::StatusOr<BackupResult> Domain::Backup(
    std::string_view path, const BackupOptions& options) const {
  if (impl_ == nullptr) return NotOpen();
  EVE_RETURN_IF_ERROR(CheckPath(path));
  EVE_ASSIGN_OR_RETURN(const auto snapshot, impl_->Now());
  return internal::BackupToPath(*snapshot, std::string(path), options);
}

absl::StatusOr<BackupResult> Domain::BackupTo(
    int descriptor, const BackupOptions& options) const {
  if (impl_ == nullptr) return NotOpen();
  EVE_ASSIGN_OR_RETURN(const auto snapshot, impl_->Now());
  return internal::BackupToStream(*snapshot, descriptor, options);
}

absl::StatusOr<DomainStats> Domain::Stats() const {
  if (impl_ == nullptr) return NotOpen();
  return impl_->Stats();
}

absl::StatusOr<std::vector<ReaderInfo>> Domain::Readers() const {
  if (impl_ == nullptr) return NotOpen();
  return impl_->Readers();
}

absl::Status Domain::Close() {
  if (impl_ == nullptr) return NotOpen();
  absl::Status status;
  if (!impl_->core().read_only) status = impl_->Sync();
  impl_.reset();
  return status;
}

namespace internal {

absl::Status GetOne(const CollectionRef& ref, Bytes key,
                    absl::FunctionRef<void(Bytes)> take) {
  Core& core = ref.domain->core();
  EVE_RETURN_IF_ERROR(core.CheckUsable());
  SnapshotImpl snapshot(nullptr, &core);
  EVE_RETURN_IF_ERROR(snapshot.Take());
  const MapView view = ViewAt(core, snapshot.record(), ref, &snapshot);
  absl::StatusOr<Bytes> found = GetInMap(view, key);
  if (snapshot.damaged()) {
    return absl::DataLossError(
        absl::StrCat(core.path, ": damaged bytes on the way to a key of '",
                     ref.name, "'; run eve check"));
  }
  if (!found.ok()) return found.status();
  take(*found);
  return absl::OkStatus();
}

absl::Status ReadOne(const CollectionRef& ref,
                     absl::FunctionRef<void(const MapView&)> fn) {
  Core& core = ref.domain->core();
  EVE_RETURN_IF_ERROR(core.CheckUsable());
  SnapshotImpl snapshot(nullptr, &core);
  EVE_RETURN_IF_ERROR(snapshot.Take());
  fn(ViewAt(core, snapshot.record(), ref, &snapshot));
  return snapshot.status();
}

absl::Status SwapOne(const CollectionRef& ref,
                     absl::FunctionRef<absl::Status(Transaction&)> fn) {
  return ref.domain
      ->Swap(
          [&fn](TransactionImpl& impl) {
            Transaction transaction(&impl);
            return fn(transaction);
          },
          {})
      .status();
}

absl::StatusOr<uint64_t> CountOne(const CollectionRef& ref) {
  uint64_t count = 0;
  EVE_RETURN_IF_ERROR(
      ReadOne(ref, [&count](const MapView& view) { count = view.count; }));
  return count;
}

}  // namespace internal
}  // namespace eve
