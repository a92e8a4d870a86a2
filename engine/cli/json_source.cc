// Reads JSON lines: what eve dump --format=jsonl writes, and records alone, as
// eve scan --json prints them.
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/cli/output.h"
#include "engine/cli/record_source.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

using Json = nlohmann::json;

class JsonSource final : public RecordSource {
 public:
  explicit JsonSource(LineReader* lines) : lines_(lines) {}

  absl::StatusOr<std::optional<Section>> NextSection() override;
  absl::StatusOr<bool> NextKey(Bytes* key) override;
  absl::Status NextValue(Bytes* value) override;

 private:
  // Reads a line into object_. False at the end of the input.
  absl::StatusOr<bool> NextObject();
  // The member `name`, or that of name_b64 or name_hex. False: there is none.
  absl::StatusOr<bool> TakeBytes(const char* name, std::string* bytes) const;
  absl::Status TakeText(const char* name, std::string* text) const;
  absl::Status TakeNumber(const char* name, uint64_t* number) const;
  absl::StatusOr<Section> TakeHeader() const;

  LineReader* lines_;
  Json object_;
  bool has_object_ = false;  // that nobody has looked at
  bool has_header_ = false;  // of the present section
  bool is_begun_ = false;
  std::string key_;
  std::string value_;
};

absl::StatusOr<bool> JsonSource::NextObject() {
  if (std::exchange(has_object_, false)) return true;
  LineReader::Line line;
  EVE_ASSIGN_OR_RETURN(const bool found, lines_->Next(ValueLineMax(), &line));
  if (!found) return false;
  object_ = Json::parse(line.data, line.data + line.size, nullptr,
                        /*allow_exceptions=*/false);
  if (object_.is_object()) return true;
  return lines_->ErrorHere(
      line.has_newline
          ? "not a JSON object; one a line is expected"
          : "the input ends here, inside a JSON object: it was cut off");
}

absl::StatusOr<bool> JsonSource::TakeBytes(const char* name,
                                           std::string* bytes) const {
  for (const char* suffix : {"", "_b64", "_hex"}) {
    const std::string member = absl::StrCat(name, suffix);
    const auto found = object_.find(member);
    if (found == object_.end()) continue;
    const auto* const text = found->get_ptr<const std::string*>();
    if (text == nullptr) {
      return lines_->ErrorHere(absl::StrCat("'", member, "' is no string"));
    }
    if (*suffix == '\0') {
      *bytes = *text;
      return true;
    }
    if (std::string_view(suffix) == "_hex") {
      absl::StatusOr<std::string> decoded = FromHex(*text);
      if (!decoded.ok()) {
        return lines_->ErrorHere(
            absl::StrCat("'", member, "': ", decoded.status().message()));
      }
      *bytes = *std::move(decoded);
      return true;
    }
    if (absl::Base64Unescape(*text, bytes)) return true;
    return lines_->ErrorHere(absl::StrCat("'", member, "' is no base 64"));
  }
  return false;
}

absl::Status JsonSource::TakeText(const char* name, std::string* text) const {
  return TakeBytes(name, text).status();
}

absl::Status JsonSource::TakeNumber(const char* name, uint64_t* number) const {
  const auto found = object_.find(name);
  if (found == object_.end()) return absl::OkStatus();
  const auto* const value = found->get_ptr<const Json::number_unsigned_t*>();
  if (value == nullptr) {
    return lines_->ErrorHere(
        absl::StrCat("'", name, "' is no number from 0 on"));
  }
  *number = *value;
  return absl::OkStatus();
}

absl::StatusOr<Section> JsonSource::TakeHeader() const {
  Section section;
  EVE_RETURN_IF_ERROR(TakeText("collection", &section.name));
  EVE_RETURN_IF_ERROR(TakeText("kind", &section.kind));
  EVE_RETURN_IF_ERROR(TakeText("key_type", &section.key_type));
  EVE_RETURN_IF_ERROR(TakeText("value_type", &section.value_type));
  EVE_RETURN_IF_ERROR(TakeNumber("section", &section.index));
  EVE_RETURN_IF_ERROR(TakeNumber("sections", &section.total));
  section.is_joined = object_.value("joined", Json(false)) == Json(true);
  if (object_.contains("records")) {
    uint64_t records = 0;
    EVE_RETURN_IF_ERROR(TakeNumber("records", &records));
    section.records = records;
  }
  return section;
}

absl::StatusOr<std::optional<Section>> JsonSource::NextSection() {
  const bool is_first = !std::exchange(is_begun_, true);
  EVE_ASSIGN_OR_RETURN(const bool found, NextObject());
  if (!found && is_first) return lines_->ErrorAt(1, "the input is empty");
  if (!found) return std::nullopt;
  has_header_ =
      object_.contains("collection") || object_.contains("collection_b64");
  if (has_header_) {
    EVE_ASSIGN_OR_RETURN(Section section, TakeHeader());
    return section;
  }
  has_object_ = true;  // a record already
  return Section();
}

absl::StatusOr<bool> JsonSource::NextKey(Bytes* key) {
  EVE_ASSIGN_OR_RETURN(const bool found, NextObject());
  if (!found && !has_header_) return false;
  if (!found) {
    return lines_->ErrorHere(
        "the input ends here, without an object with \"end\": it was cut off");
  }
  if (has_header_ && (object_.contains("end") || object_.contains("end_b64"))) {
    return false;
  }
  EVE_ASSIGN_OR_RETURN(const bool has_key, TakeBytes("key", &key_));
  if (!has_key) {
    return lines_->ErrorHere(
        "a record has a \"key\", \"key_b64\" or \"key_hex\"");
  }
  *key = Bytes(key_);
  return true;
}

absl::Status JsonSource::NextValue(Bytes* value) {
  EVE_ASSIGN_OR_RETURN(const bool has_value, TakeBytes("value", &value_));
  if (!has_value) {
    return lines_->ErrorHere(
        "a record has a \"value\", \"value_b64\" or \"value_hex\"");
  }
  *value = Bytes(value_);
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<RecordSource> NewJsonSource(LineReader* lines) {
  return std::make_unique<JsonSource>(lines);
}

}  // namespace eve::cli
