#include "tests/simdisk/content.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "engine/verify/verifier.h"

namespace eve::simdisk {
namespace {

bool IsValue(std::string_view bytes, const ValueModel& value) {
  if (bytes.size() != value.size) return false;
  const size_t head = std::min(bytes.size(), sizeof(value.token));
  if (std::memcmp(bytes.data(), &value.token, head) != 0) return false;
  // Each byte equals the one a token before it.
  return bytes.size() <= head || std::memcmp(bytes.data(), bytes.data() + head,
                                             bytes.size() - head) == 0;
}

template <class C>
std::string CompareCollection(const C& collection, const Snapshot& snapshot,
                              const CollectionModel& model) {
  const auto reader = collection.At(snapshot);
  if (reader.size() != model.records.size()) {
    return absl::StrCat(reader.size(), " records, expected ",
                        model.records.size());
  }
  size_t met = 0;
  for (const auto& [key, value] : reader) {
    const auto found = model.records.find(std::string(key));
    if (found == model.records.end()) {
      return absl::StrCat("a key that was never committed there: ",
                          std::string(key));
    }
    if (!IsValue(value, found->second)) {
      return absl::StrCat("another value of key ", std::string(key));
    }
    ++met;
  }
  if (met != model.records.size()) {
    return absl::StrCat("the iterator met ", met, " of ", model.records.size(),
                        " records");
  }
  for (const auto& [key, value] : model.records) {
    const auto found = reader.Find(key);
    if (!found.has_value()) return absl::StrCat("no key ", key);
    if (!IsValue(*found, value)) {
      return absl::StrCat("Find gives another value of key ", key);
    }
  }
  return "";
}

template <class C>
std::string CompareNamed(Domain& domain, const Snapshot& snapshot,
                         const std::string& name,
                         const CollectionModel& model) {
  absl::StatusOr<C> collection = domain.Collection<C>(name);
  if (!collection.ok()) return collection.status().ToString();
  return CompareCollection(*collection, snapshot, model);
}

}  // namespace

std::string ValueBytes(const ValueModel& value) {
  std::string bytes(value.size, '\0');
  for (size_t at = 0; at < bytes.size(); at += sizeof(value.token)) {
    std::memcpy(bytes.data() + at, &value.token,
                std::min(bytes.size() - at, sizeof(value.token)));
  }
  return bytes;
}

std::string CompareContent(Domain& domain, const Snapshot& snapshot,
                           const Content& content) {
  const auto listed = domain.Collections();
  if (!listed.ok()) return listed.status().ToString();
  std::string names;
  for (const CollectionInfo& info : *listed) {
    absl::StrAppend(&names, info.name, " ");
  }
  if (listed->size() != content.size()) {
    return absl::StrCat("collections ", names, ", expected ", content.size());
  }
  for (const auto& [name, model] : content) {
    if (names.find(name + " ") == std::string::npos) {
      return absl::StrCat("no collection ", name, " among ", names);
    }
    const std::string wrong =
        model->is_ordered
            ? CompareNamed<OrderedCollection>(domain, snapshot, name, *model)
            : CompareNamed<HashCollection>(domain, snapshot, name, *model);
    if (!wrong.empty()) return absl::StrCat("collection ", name, ": ", wrong);
  }
  return snapshot.status().ok() ? "" : snapshot.status().ToString();
}

std::string CheckSnapshot(const std::string& path, const Snapshot& snapshot) {
  absl::StatusOr<File> file = File::Open(path, O_RDONLY);
  if (!file.ok()) return file.status().ToString();
  VerifyOptions options;
  options.record_offset = snapshot.internal_record_offset();
  absl::StatusOr<VerifyReport> report = VerifyDomain(*file, options);
  if (!report.ok()) return report.status().ToString();
  if (report->ok()) return "";
  const VerifyError& first = report->errors.front();
  return absl::StrCat(report->error_count, " errors, the first at offset ",
                      first.offset, ": ", first.what, ", expected ",
                      first.expected, ", found ", first.found);
}

}  // namespace eve::simdisk
