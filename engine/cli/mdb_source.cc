// Reads the text that mdb_dump, db_dump and eve dump write.
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/cli/mdb_text.h"
#include "engine/cli/output.h"
#include "engine/cli/record_source.h"
#include "engine/format/constants.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

constexpr size_t kHeaderLineMax = 4096;
constexpr uint64_t kVersionMax = 3;

class MdbSource final : public RecordSource {
 public:
  explicit MdbSource(LineReader* lines) : lines_(lines) {}

  absl::StatusOr<std::optional<Section>> NextSection() override;
  absl::StatusOr<bool> NextKey(Bytes* key) override;
  absl::Status NextValue(Bytes* value) override;

 private:
  absl::Status TakeHeaderLine(std::string_view line, Section* section);
  absl::Status TakeKeyword(std::string_view name, std::string_view value,
                           Section* section);
  absl::Status TakeEveKeyword(std::string_view name, std::string_view value,
                              Section* section);
  absl::Status TakeNumber(std::string_view name, std::string_view value,
                          uint64_t* number) const;
  absl::Status Decode(LineReader::Line line, Bytes* bytes) const;
  absl::Status CutOff(std::string_view what) const;

  LineReader* lines_;
  bool is_printable_ = false;
};

absl::Status MdbSource::CutOff(std::string_view what) const {
  return lines_->ErrorHere(
      absl::StrCat("the input ends here, ", Absl(what), ": it was cut off"));
}

absl::StatusOr<std::optional<Section>> MdbSource::NextSection() {
  EVE_ASSIGN_OR_RETURN(const int first, lines_->Peek());
  if (first < 0 && lines_->line_number() > 0) return std::nullopt;
  if (first < 0) {
    return lines_->ErrorAt(1, "the input is empty: not even a header");
  }
  if (first == 0) {
    return lines_->ErrorAt(
        1,
        "a zero byte where a header should be. If this is a data.mdb, load "
        "what mdb_dump makes of it");
  }
  Section section;
  is_printable_ = false;
  LineReader::Line line;
  while (true) {
    EVE_ASSIGN_OR_RETURN(const bool found, lines_->Next(kHeaderLineMax, &line));
    if (!found || !line.has_newline) return CutOff("inside a header");
    if (line.text().ends_with('\r')) return lines_->ErrorHere(kCarriageReturn);
    if (line.text() == "HEADER=END") return section;
    EVE_RETURN_IF_ERROR(TakeHeaderLine(line.text(), &section));
  }
}

absl::Status MdbSource::TakeHeaderLine(std::string_view line,
                                       Section* section) {
  if (line.starts_with(' ')) {
    return lines_->ErrorHere(
        "a record where a header should be (VERSION=3 to HEADER=END); lines of "
        "text in pairs are loaded with -T");
  }
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) {
    return lines_->ErrorHere(absl::StrCat(
        "'", Escaped(line.substr(0, 60)),
        "' where a line KEYWORD=VALUE of a header should be (lines of text in "
        "pairs are loaded with -T)"));
  }
  return TakeKeyword(line.substr(0, equals), line.substr(equals + 1), section);
}

absl::Status MdbSource::TakeNumber(std::string_view name,
                                   std::string_view value,
                                   uint64_t* number) const {
  if (absl::SimpleAtoi(Absl(value), number)) return absl::OkStatus();
  return lines_->ErrorHere(
      absl::StrCat(Absl(name), "=", Escaped(value), " is no number"));
}

absl::Status MdbSource::TakeKeyword(std::string_view name,
                                    std::string_view value, Section* section) {
  const auto is_set = [value] { return value != "0"; };
  if (name == "VERSION") {
    uint64_t version = 0;
    EVE_RETURN_IF_ERROR(TakeNumber(name, value, &version));
    if (version >= 1 && version <= kVersionMax) return absl::OkStatus();
    return lines_->ErrorHere(
        absl::StrCat("VERSION=", version, ": versions 1 to 3 are known here"));
  }
  if (name == "format") {
    is_printable_ = value == "print";
    if (is_printable_ || value == "bytevalue") return absl::OkStatus();
    return lines_->ErrorHere(absl::StrCat(
        "format=", Escaped(value), ": bytevalue and print are known here"));
  }
  if (name == "type") {
    if (value == "btree" || value == "hash") return absl::OkStatus();
    return lines_->ErrorHere(absl::StrCat("type=", Escaped(value),
                                          " has no keys; btree and hash have"));
  }
  if (name == "database") {
    // eve_name, if it comes, says it exactly.
    if (section->name.empty()) section->name = std::string(value);
    return absl::OkStatus();
  }
  if (name.starts_with("eve_")) return TakeEveKeyword(name, value, section);
  // Berkeley DB says duplicates, LMDB says both.
  if (name == "duplicates" || name == "dupsort") {
    section->has_duplicates |= is_set();
  } else if (name == "reversekey") {
    section->has_reverse_keys = is_set();
  } else if (name == "integerkey") {
    section->has_integer_keys = is_set();
  } else if (name == "reversedup") {
    section->has_reverse_values = is_set();
  } else if (name == "integerdup") {
    section->has_integer_values = is_set();
  } else if (name == "dupfixed") {
    section->has_fixed_values = is_set();
  }
  // The rest is about sizes of what the records came from.
  return absl::OkStatus();
}

absl::Status MdbSource::TakeEveKeyword(std::string_view name,
                                       std::string_view value,
                                       Section* section) {
  if (name == "eve_kind") {
    section->kind = std::string(value);
  } else if (name == "eve_key_type") {
    section->key_type = std::string(value);
  } else if (name == "eve_value_type") {
    section->value_type = std::string(value);
  } else if (name == "eve_joined") {
    section->is_joined = value == "1";
  } else if (name == "eve_name") {
    const absl::StatusOr<std::string> bytes = FromHex(value);
    if (!bytes.ok()) return lines_->ErrorHere(bytes.status().message());
    section->name = *bytes;
  } else if (name == "eve_records") {
    uint64_t records = 0;
    EVE_RETURN_IF_ERROR(TakeNumber(name, value, &records));
    section->records = records;
  } else if (name == "eve_section") {
    const size_t slash = value.find('/');
    EVE_RETURN_IF_ERROR(
        TakeNumber(name, value.substr(0, slash), &section->index));
    EVE_RETURN_IF_ERROR(
        TakeNumber(name, slash == value.npos ? "" : value.substr(slash + 1),
                   &section->total));
  }
  return absl::OkStatus();
}

absl::Status MdbSource::Decode(LineReader::Line line, Bytes* bytes) const {
  if (!line.has_newline) return CutOff("inside a record");
  if (line.text().ends_with('\r')) return lines_->ErrorHere(kCarriageReturn);
  char* const data = line.data + 1;
  const absl::StatusOr<size_t> size = is_printable_
                                          ? DecodePrintable(data, line.size - 1)
                                          : DecodeHex(data, line.size - 1);
  if (size.ok()) {
    *bytes = Bytes(data, *size);
    return absl::OkStatus();
  }
  return lines_->ErrorHere(absl::StrCat(
      size.status().message(),
      is_printable_ ? "; mdb_dump -p does not escape backslashes, so dump "
                      "without -p"
                    : ""));
}

absl::StatusOr<bool> MdbSource::NextKey(Bytes* key) {
  LineReader::Line line;
  EVE_ASSIGN_OR_RETURN(const bool found, lines_->Next(KeyLineMax(), &line));
  if (!found) return CutOff("without DATA=END");
  if (line.text().starts_with(' ')) {
    EVE_RETURN_IF_ERROR(Decode(line, key));
    return true;
  }
  if (line.text() == "DATA=END") return false;
  if (!line.has_newline) return CutOff("without DATA=END");
  if (line.text().ends_with('\r')) return lines_->ErrorHere(kCarriageReturn);
  return lines_->ErrorHere(
      "neither a record (a line that begins with a blank) nor DATA=END");
}

absl::Status MdbSource::NextValue(Bytes* value) {
  LineReader::Line line;
  EVE_ASSIGN_OR_RETURN(const bool found, lines_->Next(ValueLineMax(), &line));
  if (!found) return CutOff("between a key and its value");
  if (line.text().starts_with(' ')) return Decode(line, value);
  if (!line.has_newline) return CutOff("between a key and its value");
  return lines_->ErrorHere(
      "a key without a value: after each line with a key comes one with its "
      "value, which begins with a blank as well");
}

class PairsSource final : public RecordSource {
 public:
  explicit PairsSource(LineReader* lines) : lines_(lines) {}

  absl::StatusOr<std::optional<Section>> NextSection() override {
    if (std::exchange(is_begun_, true)) return std::nullopt;
    return Section();
  }
  absl::StatusOr<bool> NextKey(Bytes* key) override {
    LineReader::Line line;
    EVE_ASSIGN_OR_RETURN(const bool found, lines_->Next(KeyLineMax(), &line));
    if (found) EVE_RETURN_IF_ERROR(Decode(line, key));
    return found;
  }
  absl::Status NextValue(Bytes* value) override {
    LineReader::Line line;
    EVE_ASSIGN_OR_RETURN(const bool found, lines_->Next(ValueLineMax(), &line));
    if (found) return Decode(line, value);
    return lines_->ErrorHere(
        "a key without a value: the number of lines is odd");
  }

 private:
  absl::Status Decode(LineReader::Line line, Bytes* bytes) const {
    // A text whose last line nobody ended is whole for an editor, but a stream
    // that was cut off looks the same.
    if (!line.has_newline) {
      return lines_->ErrorHere("the last line does not end with a newline");
    }
    if (line.text().ends_with('\r')) {
      return lines_->ErrorHere(
          absl::StrCat(kCarriageReturn, " (a CR that is meant is \\0d)"));
    }
    const absl::StatusOr<size_t> size = DecodePrintable(line.data, line.size);
    if (!size.ok()) return lines_->ErrorHere(size.status().message());
    *bytes = Bytes(line.data, *size);
    return absl::OkStatus();
  }

  LineReader* lines_;
  bool is_begun_ = false;
};

}  // namespace

size_t KeyLineMax() { return kTextBytesAByte * kKeyBytesMax + 1; }
size_t ValueLineMax() {
  return kTextBytesAByte * (kValueBytesMax + kKeyBytesMax);
}

std::unique_ptr<RecordSource> NewMdbSource(LineReader* lines) {
  return std::make_unique<MdbSource>(lines);
}

std::unique_ptr<RecordSource> NewPairsSource(LineReader* lines) {
  return std::make_unique<PairsSource>(lines);
}

}  // namespace eve::cli
