#include "engine/cli/loader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/cli/new_domain.h"
#include "engine/cli/output.h"
#include "engine/cli/stop_signal.h"
#include "engine/format/constants.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

// A batch ends with the record that takes it over this. Keys in no order meet
// more often in a leaf the more of them there are; those that ascend fill one
// leaf after the other, and what they fill should be in the processor's cache.
constexpr size_t kBatchBytes = size_t{16} << 20;
constexpr size_t kAscendingBatchBytes = size_t{1} << 20;
constexpr uint64_t kRecordsBetweenLooks = 4096;
constexpr double kMiB = 1048576.0;

constexpr std::string_view kMultiMap = "multi_map";
constexpr std::string_view kSortedSet = "sorted_set";
constexpr std::string_view kString = "string";

// LMDB's integers are as they lie in the memory of a little-endian machine; of
// Eve's uint32 and uint64 the highest byte comes first.
Bytes Turned(Bytes bytes, bool turns, std::string* room) {
  if (!turns) return bytes;
  room->assign(bytes.data(), bytes.size());
  std::reverse(room->begin(), room->end());
  return Bytes(*room);
}

}  // namespace

absl::Status Loader::OpenDomain(const std::string& path, bool create) {
  DomainOptions options;
  options.create = create;
  options.durability = options_.durability;
  // Flushing goes on beside reading, and Close() waits for the rest of it:
  // nothing is said to be done before.
  if (options_.durability == Durability::kSync) {
    options.durability = Durability::kCheckpoint;
  }
  options.background = options.durability != Durability::kNone;
  EVE_ASSIGN_OR_RETURN(domain_, cli::OpenDomain(path, options));
  return absl::OkStatus();
}

absl::Status Loader::Close() {
  if (!domain_.has_value()) return absl::OkStatus();
  collection_.reset();
  return domain_->Close();
}

absl::Status Loader::Run() {
  // A file that cannot be used is told of before anything is read. One that is
  // missing is made with the first batch.
  const absl::Status present = OpenDomain(options_.path, /*create=*/false);
  if (!present.ok() && !absl::IsNotFound(present)) return present;
  uint64_t next = 1;
  uint64_t total = 1;
  while (true) {
    EVE_ASSIGN_OR_RETURN(const std::optional<Section> section,
                         source_->NextSection());
    if (section.has_value() && section->index == next &&
        section->index <= section->total) {
      total = section->total;
      next = section->index < total ? next + 1 : 1;
      EVE_RETURN_IF_ERROR(RunSection(*section));
      continue;
    }
    if (!section.has_value() && next == 1) return absl::OkStatus();
    const std::string found =
        section.has_value()
            ? absl::StrCat("number ", section->index, " of ", section->total)
            : "the end of the input";
    return lines_->ErrorHere(absl::StrCat(
        "collection number ", next, " of ", std::max(total, next),
        " of the dump should be here, not ", found, ": it was cut off"));
  }
}

absl::Status Loader::RunSection(const Section& section) {
  collection_.reset();
  section_records_ = 0;
  EVE_ASSIGN_OR_RETURN(Plan plan, MakePlan(section));
  // Several sections may go to one collection.
  loading_ = 0;
  while (loading_ < loaded_.size() &&
         loaded_[loading_].info.name != plan.info.name) {
    ++loading_;
  }
  if (loading_ == loaded_.size()) {
    loaded_.push_back(LoadedCollection{plan.info});
  }
  absl::StatusOr<bool> more = true;
  while (true) {
    more = TakeRecord(&plan);
    if (!more.ok() || !*more) break;
    const size_t bytes_max =
        batch_.is_ascending() ? kAscendingBatchBytes : kBatchBytes;
    if (batch_.size() < options_.batch_records && batch_.bytes() < bytes_max) {
      continue;
    }
    EVE_RETURN_IF_ERROR(Commit(plan));
  }
  // Interrupted, it keeps what it has; a section without anything is not made.
  const bool keeps = absl::IsCancelled(more.status()) && batch_.size() > 0;
  if (!more.ok() && !keeps) return more.status();
  if (more.ok() &&
      section.records.value_or(section_records_) != section_records_) {
    return lines_->ErrorHere(absl::StrCat("the header says ", *section.records,
                                          " records, and ", section_records_,
                                          " came: some are missing"));
  }
  EVE_RETURN_IF_ERROR(Commit(plan));
  return more.status();
}

absl::StatusOr<Loader::Plan> Loader::MakePlan(const Section& section) {
  Plan plan;
  plan.info.name = section.name.empty() ? options_.collection : section.name;
  plan.info.kind = section.kind;
  if (section.kind.empty()) plan.info.kind = options_.kind;
  plan.info.key_type = section.key_type;
  plan.info.value_type = section.value_type;
  if (section.has_duplicates)
    EVE_RETURN_IF_ERROR(TakeDuplicates(section, &plan));
  if (plan.info.kind.empty() && domain_.has_value()) {
    // Nobody says what it is, so it stays what it is.
    EVE_ASSIGN_OR_RETURN(const std::optional<AnyCollection> present,
                         FindCollection(*domain_, plan.info.name));
    if (present.has_value()) plan.info = present->info;
  }
  plan.info.count = 0;
  if (plan.info.kind.empty()) plan.info.kind = OrderedStrings::kKind;
  const auto& kinds = CollectionKinds();
  if (std::find(kinds.begin(), kinds.end(), plan.info.kind) == kinds.end()) {
    return lines_->ErrorHere(absl::StrCat(
        "eve_kind=", Escaped(plan.info.kind),
        " is unknown here: it may come from a later version of Eve"));
  }
  EVE_RETURN_IF_ERROR(CheckOrder(section, plan));
  EVE_RETURN_IF_ERROR(PlanTypes(section, &plan));
  plan.key_type = StoredType::Parse(plan.info.key_type);
  plan.value_type = StoredType::Parse(plan.info.value_type);
  plan.joins_pairs = plan.info.kind == kMultiMap && !section.is_joined;
  if (plan.joins_pairs && !plan.turns_keys && !plan.key_type.has_value()) {
    return lines_->ErrorHere(absl::StrCat(
        "keys of type '", Escaped(plan.info.key_type),
        "' cannot be put together with their values, as in a multi_map"));
  }
  return plan;
}

absl::Status Loader::PlanTypes(const Section& section, Plan* plan) {
  CollectionInfo& info = plan->info;
  plan->turns_keys = section.has_integer_keys;
  // Without several values for a key LMDB does not look at these.
  plan->turns_values = section.has_duplicates && section.has_integer_values;
  plan->fixes_values = section.has_duplicates && section.has_fixed_values &&
                       !plan->turns_values && info.value_type.empty();
  if (plan->fixes_values && domain_.has_value()) {
    // Somebody has decided before that they are strings, which is as good.
    EVE_ASSIGN_OR_RETURN(const std::optional<AnyCollection> present,
                         FindCollection(*domain_, info.name));
    plan->fixes_values =
        !present.has_value() || present->info.value_type != kString;
  }
  if (info.key_type.empty() && !plan->turns_keys) info.key_type = kString;
  if (info.value_type.empty() && !plan->turns_values && !plan->fixes_values &&
      info.kind != kSortedSet) {
    info.value_type = kString;
  }
  return absl::OkStatus();
}

absl::Status Loader::TakeDuplicates(const Section& section, Plan* plan) const {
  if (plan->info.kind.empty()) plan->info.kind = kMultiMap;
  if (plan->info.kind == kMultiMap) return absl::OkStatus();
  return lines_->ErrorHere(absl::StrCat(
      "database '", Escaped(section.name),
      "' has several values for a key (dupsort=1), which only a multi_map can "
      "have, not a ",
      plan->info.kind));
}

absl::Status Loader::CheckOrder(const Section& section,
                                const Plan& plan) const {
  const char* what = nullptr;
  if (section.has_reverse_keys && plan.info.kind != Strings::kKind) {
    what = "reversekey";
  }
  if (section.has_reverse_values) what = "reversedup";
  if (what == nullptr || options_.any_order) return absl::OkStatus();
  return lines_->ErrorHere(absl::StrCat(
      "database '", Escaped(section.name),
      "' is ordered by the last byte first (", what,
      "=1), as no collection of Eve is; --any-order loads it in the order "
      "of its bytes from the first",
      section.has_duplicates ? "" : ", --kind=hash without an order"));
}

absl::Status Loader::FixIntegerType(const char* what, size_t size,
                                    std::string* name,
                                    std::optional<StoredType>* type) const {
  if (name->empty() && (size == 4 || size == 8)) {
    *name = size == 4 ? "uint32" : "uint64";
    *type = StoredType::Parse(*name);
  }
  if (type->has_value() && size == (*name == "uint32" ? 4u : 8u) &&
      (*name == "uint32" || *name == "uint64")) {
    return absl::OkStatus();
  }
  return lines_->ErrorHere(absl::StrCat(
      "a ", what, " of ", size, " bytes where the header says integers",
      name->empty() ? ", which have 4 or 8" : absl::StrCat(", here ", *name)));
}

void Loader::FixValueType(size_t size, Plan* plan) {
  plan->info.value_type = StoredType::NameForBytes(size);
  if (plan->info.value_type.empty()) {
    plan->info.value_type = kString;
    loading().forgets_size = true;
  }
  plan->value_type = StoredType::Parse(plan->info.value_type);
}

absl::StatusOr<bool> Loader::TakeRecord(Plan* plan) {
  Bytes key;
  EVE_ASSIGN_OR_RETURN(const bool found, source_->NextKey(&key));
  if (!found) return false;
  if (batch_.size() == 0) batch_first_line_ = lines_->line_number();
  if (key.size() > kKeyBytesMax) {
    return lines_->ErrorHere(absl::StrCat("a key of ", key.size(),
                                          " bytes; at most ", kKeyBytesMax,
                                          " are allowed"));
  }
  if (plan->turns_keys) {
    EVE_RETURN_IF_ERROR(FixIntegerType("key", key.size(), &plan->info.key_type,
                                       &plan->key_type));
  }
  // The value's line takes the place of the key's.
  key_room_.assign(key.data(), key.size());
  if (plan->turns_keys) std::reverse(key_room_.begin(), key_room_.end());
  EVE_RETURN_IF_ERROR(TakeValue(plan, Bytes(key_room_)));
  ++section_records_;
  if (++records_read_ % kRecordsBetweenLooks == 0) ShowProgress();
  return true;
}

absl::Status Loader::TakeValue(Plan* plan, Bytes key) {
  Bytes value;
  EVE_RETURN_IF_ERROR(source_->NextValue(&value));
  if (plan->turns_values) {
    EVE_RETURN_IF_ERROR(FixIntegerType(
        "value", value.size(), &plan->info.value_type, &plan->value_type));
  }
  if (plan->fixes_values && plan->info.value_type.empty()) {
    FixValueType(value.size(), plan);
  }
  value = Turned(value, plan->turns_values, &value_room_);
  EVE_RETURN_IF_ERROR(CheckRecord(*plan, key, value));
  if (records_read_ < options_.skip) {
    ++records_done_;
    return absl::OkStatus();
  }
  if (!plan->joins_pairs) {
    batch_.Add(key, value);
    return absl::OkStatus();
  }
  plan->key_type->Join(key, value, &pair_room_);
  if (pair_room_.size() > kKeyBytesMax) {
    return lines_->ErrorHere(
        absl::StrCat("a key and a value of ", pair_room_.size(),
                     " bytes as they are stored; at "
                     "most ",
                     kKeyBytesMax, " are allowed in a multi_map"));
  }
  batch_.Add(Bytes(pair_room_), Bytes());
  return absl::OkStatus();
}

absl::Status Loader::CheckRecord(const Plan& plan, Bytes key,
                                 Bytes value) const {
  if (value.size() > kValueBytesMax) {
    return lines_->ErrorHere(absl::StrCat("a value of ", value.size(),
                                          " bytes; at most ", kValueBytesMax,
                                          " are allowed"));
  }
  const bool is_set = plan.info.kind == kSortedSet;
  const bool is_joined = plan.info.kind == kMultiMap && !plan.joins_pairs;
  if ((is_set || is_joined) && !value.empty()) {
    return lines_->ErrorHere(
        absl::StrCat("a value of ", value.size(), " bytes in a set"));
  }
  const auto check = [&](const char* what, Bytes bytes,
                         const std::optional<StoredType>& type,
                         const std::string& name) {
    if (!type.has_value() || type->IsValid(bytes)) return absl::OkStatus();
    return lines_->ErrorHere(absl::StrCat("a ", what, " of ", bytes.size(),
                                          " bytes that is no ", name,
                                          ", as Eve stores it"));
  };
  if (is_joined) return absl::OkStatus();
  EVE_RETURN_IF_ERROR(check("key", key, plan.key_type, plan.info.key_type));
  if (is_set) return absl::OkStatus();
  return check("value", value, plan.value_type, plan.info.value_type);
}

absl::Status Loader::Commit(const Plan& plan) {
  uint64_t existing = 0;
  if (!domain_.has_value()) EVE_RETURN_IF_ERROR(CommitNew(plan));
  // Unless it was made with the batch in it.
  if (!collection_.has_value() || batch_.size() > 0) {
    EVE_RETURN_IF_ERROR(WriteBatch(plan, &existing));
  }
  LoadedCollection& loaded = loading();
  loaded.existing += existing;
  TakeAsDone();
  return absl::OkStatus();
}

absl::Status Loader::CommitNew(const Plan& plan) {
  NewDomainFile file(options_.path);
  uint64_t existing = 0;
  absl::Status status = OpenDomain(file.temporary_path(), /*create=*/true);
  if (status.ok()) status = WriteBatch(plan, &existing);
  const absl::Status closed = Close();
  domain_.reset();
  if (status.ok()) status = closed;
  if (!status.ok()) return file.Renamed(status);
  EVE_ASSIGN_OR_RETURN(const bool is_made, file.TakeName());
  EVE_RETURN_IF_ERROR(OpenDomain(options_.path, /*create=*/true));
  if (!is_made) return absl::OkStatus();
  bool is_new = false;
  EVE_RETURN_IF_ERROR(OpenCollectionOf(plan, &is_new));
  loading().existing += existing;
  TakeAsDone();
  return absl::OkStatus();
}

void Loader::TakeAsDone() {
  loading().info.count += batch_.size();
  records_done_ += batch_.size();
  batch_.Clear();
}

absl::Status Loader::OpenCollectionOf(const Plan& plan, bool* is_new) {
  const uint64_t count = loading().info.count;
  CollectionInfo& info = loading().info;
  info = plan.info;
  info.count = count;
  if (plan.turns_keys && info.key_type.empty()) info.key_type = "uint64";
  if (plan.turns_values && info.value_type.empty()) info.value_type = "uint64";
  if (plan.fixes_values && info.value_type.empty()) {
    info.value_type = StoredType::NameForBytes(8);
  }
  EVE_ASSIGN_OR_RETURN(const std::optional<AnyCollection> present,
                       FindCollection(*domain_, info.name));
  *is_new = !present.has_value();
  EVE_ASSIGN_OR_RETURN(collection_, OpenCollection(*domain_, info));
  return absl::OkStatus();
}

absl::Status Loader::WriteBatch(const Plan& plan, uint64_t* existing) {
  bool is_new = false;
  if (!collection_.has_value()) {
    EVE_RETURN_IF_ERROR(OpenCollectionOf(plan, &is_new));
  }
  if (batch_.size() == 0) return absl::OkStatus();
  const absl::Status status = Swap(existing);
  if (status.ok()) return absl::OkStatus();
  std::string message =
      absl::StrCat("lines ", batch_first_line_, " to ", lines_->line_number(),
                   ": ", status.message());
  if (is_new) {
    const absl::Status dropped = DropIfEmpty(*domain_, *collection_);
    if (!dropped.ok()) {
      absl::StrAppend(&message, "; the new collection '",
                      Escaped(collection_->info.name),
                      "' stays, empty: ", dropped.message());
    }
  }
  return absl::Status(status.code(), message);
}

absl::Status Loader::Swap(uint64_t* existing) {
  const auto write = [&](Transaction& txn) -> absl::Status {
    auto writer = collection_->ordered().In(txn);
    *existing = 0;
    // Dumps are sorted: as long as a batch goes beyond what is there.
    bool appends = collection_->IsOrdered();
    for (size_t i = 0; i < batch_.size(); ++i) {
      if (!options_.keep_existing) {
        absl::Status put = absl::InvalidArgumentError("");
        if (appends) put = writer.Append(batch_.key(i), batch_.value(i));
        if (absl::IsInvalidArgument(put)) {
          appends = false;
          put = writer.Put(batch_.key(i), batch_.value(i));
        }
        EVE_RETURN_IF_ERROR(put);
        continue;
      }
      EVE_ASSIGN_OR_RETURN(const bool is_new,
                           writer.Insert(batch_.key(i), batch_.value(i)));
      *existing += is_new ? 0 : 1;
    }
    return absl::OkStatus();
  };
  return domain_->Swap(write).status();
}

void Loader::ShowProgress() {
  if (!progress_->IsDue()) return;
  const double seconds = progress_->seconds();
  const double read = static_cast<double>(lines_->bytes_read());
  std::string text;
  double share = 0;
  if (lines_->bytes_total() > 0) {
    share = std::min(1.0, read / static_cast<double>(lines_->bytes_total()));
    text = absl::StrFormat("%3.0f %%  ", share * 100);
  }
  absl::StrAppendFormat(&text, "%d records, %.1f MB/s", records_read_,
                        seconds > 0 ? read / kMiB / seconds : 0.0);
  progress_->Draw(text + TimeLeft(seconds, share));
}

}  // namespace eve::cli
