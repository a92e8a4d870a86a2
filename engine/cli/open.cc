#include "engine/cli/open.h"

#include <fcntl.h>

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cli/output.h"
#include "engine/file/file.h"
#include "engine/format/commit_slot.h"
#include "engine/txn/transaction_impl.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

// Takes whatever collection Domain opens.
struct AnyHandle {
  static std::string KeyTypeName() { return wanted->key_type; }
  static std::string ValueTypeName() { return wanted->value_type; }
  explicit AnyHandle(internal::CollectionRef opened) : ref(std::move(opened)) {}

  internal::CollectionRef ref;
  // Domain asks for these by the type.
  static thread_local std::string_view kKind;
  static thread_local const CollectionInfo* wanted;
};
thread_local std::string_view AnyHandle::kKind;
thread_local const CollectionInfo* AnyHandle::wanted = nullptr;

// Whether a file names commits as a domain does, whatever it begins with.
bool HasCommitSlot(const std::string& path) {
  const absl::StatusOr<File> file = File::Open(path, O_RDONLY | O_NONBLOCK);
  if (!file.ok()) return false;
  auto slot = std::make_unique<CommitSlot>();
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    if (!file->ReadAt(CommitSlotPosition(i), slot.get(), sizeof(*slot)).ok()) {
      return false;
    }
    if (IsValidCommitSlot(*slot, i, slot->uuid)) return true;
  }
  return false;
}

}  // namespace

const std::vector<std::string_view>& CollectionKinds() {
  static const auto* const kKinds = new std::vector<std::string_view>{
      OrderedStrings::kKind, Strings::kKind, SortedSet<std::string>::kKind,
      MultiMap<std::string, std::string>::kKind};
  return *kKinds;
}

absl::StatusOr<Domain> OpenDomain(const std::string& path,
                                  const DomainOptions& options) {
  absl::StatusOr<Domain> domain = Domain::Open(path, options);
  // A lock file that is a directory, say, is no fault of the file.
  std::error_code error;
  const auto lock = std::filesystem::status(path + "-lock", error).type();
  const bool is_lock_fine = lock == std::filesystem::file_type::not_found ||
                            lock == std::filesystem::file_type::regular;
  if (!absl::IsInvalidArgument(domain.status()) || !HasCommitSlot(path) ||
      !is_lock_fine) {
    return domain;
  }
  return absl::DataLossError(absl::StrCat(
      domain.status().message(), "\neve: ", path,
      ": but the rest of it is one, so its first bytes were overwritten. They "
      "never change: those of any copy will do (dd if=COPY of=",
      path, " bs=", kPageBytes, " count=1 conv=notrunc)"));
}

absl::StatusOr<Domain> OpenToRead(const std::string& path) {
  DomainOptions options;
  options.create = false;
  // With the thread that joins who opens it later: a long dump holds back no
  // more than its snapshot shows.
  options.read_only = true;
  return OpenDomain(path, options);
}

absl::StatusOr<Domain> OpenToWrite(const std::string& path, bool create,
                                   Durability durability) {
  DomainOptions options;
  options.create = create;
  options.durability = durability;
  options.background = false;
  return OpenDomain(path, options);
}

absl::StatusOr<std::vector<internal::CollectionView>> CollectionsAt(
    const Snapshot& snapshot) {
  return internal::ListCollections(snapshot.impl());
}

absl::StatusOr<AnyCollection> OpenCollection(Domain& domain,
                                             const CollectionInfo& wanted) {
  AnyHandle::kKind = wanted.kind;
  AnyHandle::wanted = &wanted;
  EVE_ASSIGN_OR_RETURN(AnyHandle opened,
                       domain.Collection<AnyHandle>(wanted.name));
  return AnyCollection{wanted, std::move(opened.ref)};
}

absl::StatusOr<std::optional<AnyCollection>> FindCollection(
    Domain& domain, const std::string& name) {
  EVE_ASSIGN_OR_RETURN(const std::vector<CollectionInfo> infos,
                       domain.Collections());
  for (const CollectionInfo& info : infos) {
    if (info.name != name) continue;
    EVE_ASSIGN_OR_RETURN(AnyCollection opened, OpenCollection(domain, info));
    return std::optional<AnyCollection>(std::move(opened));
  }
  return std::optional<AnyCollection>();
}

absl::Status DropIfEmpty(Domain& domain, const AnyCollection& collection) {
  // Domain::Drop() would not look at what is in it in the same transaction.
  const auto drop = [&](Transaction& txn) -> absl::Status {
    EVE_ASSIGN_OR_RETURN(const uint64_t size,
                         collection.ordered().In(txn).size());
    if (size > 0) return absl::OkStatus();
    return txn.impl().DropCollection(collection.info.name);
  };
  return domain.Swap(drop).status();
}

absl::StatusOr<std::optional<OrderedStrings>> FindMap(Domain& domain,
                                                      const std::string& name) {
  EVE_ASSIGN_OR_RETURN(const std::optional<AnyCollection> found,
                       FindCollection(domain, name));
  if (!found.has_value()) return std::optional<OrderedStrings>();
  if (found->info.kind == MultiMap<std::string, std::string>::kKind) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", name, "' is a multi_map: scan and count work on these"));
  }
  return std::optional<OrderedStrings>(found->ordered());
}

absl::StatusOr<Durability> DurabilityOption(const CommandLine& line) {
  const std::string mode = line.Value(kDurabilityOption.name, "sync");
  if (mode == "none") return Durability::kNone;
  if (mode == "checkpoint") return Durability::kCheckpoint;
  if (mode == "sync") return Durability::kSync;
  return absl::InvalidArgumentError(absl::StrCat(
      "--durability is none, checkpoint or sync, not '", mode, "'"));
}

absl::StatusOr<std::string> BytesArgument(const CommandLine& line,
                                          const std::string& word) {
  if (line.Count(kHexOption.name) == 0) return word;
  return FromHex(word);
}

}  // namespace eve::cli
