#include "engine/cli/dump_writer.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cli/mdb_text.h"
#include "engine/cli/output.h"

namespace eve::cli {
namespace {

constexpr std::string_view kMultiMap = "multi_map";
constexpr size_t kBufferBytes = size_t{1} << 20;

// A line of a header cannot hold it.
bool HasControls(std::string_view name) {
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < ' ') return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DumpWriter>> DumpWriter::Open(
    const std::string& path, DumpFormat format) {
  if (path == "-") {
    return std::unique_ptr<DumpWriter>(
        new DumpWriter(stdout, "stdout", format));
  }
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  }
  return std::unique_ptr<DumpWriter>(new DumpWriter(file, path, format));
}

DumpWriter::DumpWriter(std::FILE* file, std::string name, DumpFormat format)
    : file_(file), name_(std::move(name)), format_(format) {
  std::setvbuf(file_, nullptr, _IOFBF, kBufferBytes);
}

DumpWriter::~DumpWriter() {
  if (file_ != stdout && file_ != nullptr) std::fclose(file_);
}

absl::Status DumpWriter::Put() {
  if (std::fwrite(line_.data(), 1, line_.size(), file_) == line_.size()) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, absl::StrCat("write ", name_));
}

absl::Status DumpWriter::Close() {
  std::FILE* const file = std::exchange(file_, nullptr);
  const int code = file == stdout ? std::fflush(file) : std::fclose(file);
  if (code == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("write ", name_));
}

absl::Status DumpWriter::Begin(const DumpSection& section) {
  line_.clear();
  if (format_ == DumpFormat::kJsonLines) {
    BeginJson(section);
  } else {
    BeginText(section);
  }
  return Put();
}

void DumpWriter::BeginJson(const DumpSection& section) {
  JsonObject header;
  header.Add("schema", uint64_t{1})
      .Add("collection", std::string_view(section.info.name))
      .Add("kind", std::string_view(section.info.kind))
      .Add("key_type", std::string_view(section.info.key_type))
      .Add("value_type", std::string_view(section.info.value_type))
      .Add("records", section.info.count)
      .Add("section", section.index)
      .Add("sections", section.total);
  if (section.is_joined) header.Add("joined", true);
  line_ = header.ToString() + "\n";
}

void DumpWriter::BeginText(const DumpSection& section) {
  const CollectionInfo& info = section.info;
  absl::StrAppend(&line_, "VERSION=3\nformat=",
                  format_ == DumpFormat::kPrint ? "print" : "bytevalue", "\n");
  if (!section.is_unnamed) {
    absl::StrAppend(&line_, "database=",
                    HasControls(info.name) ? Escaped(info.name) : info.name,
                    "\n");
  }
  absl::StrAppend(&line_, "type=btree\nmapsize=", section.map_bytes, "\n");
  if (info.kind == kMultiMap && !section.is_joined) {
    absl::StrAppend(&line_, "duplicates=1\ndupsort=1\n");
  }
  if (section.has_native_keys) absl::StrAppend(&line_, "integerkey=1\n");
  if (section.has_fixed_values) absl::StrAppend(&line_, "dupfixed=1\n");
  if (section.has_native_values) absl::StrAppend(&line_, "integerdup=1\n");
  if (!section.is_unnamed && HasControls(info.name)) {
    absl::StrAppend(&line_, "eve_name=", ToHex(info.name), "\n");
  }
  absl::StrAppend(&line_, "eve_kind=", info.kind,
                  "\neve_key_type=", info.key_type,
                  "\neve_value_type=", info.value_type, "\n");
  if (section.is_joined) absl::StrAppend(&line_, "eve_joined=1\n");
  absl::StrAppend(&line_, "eve_records=", info.count,
                  "\neve_section=", section.index, "/", section.total,
                  "\nHEADER=END\n");
}

absl::Status DumpWriter::Write(Bytes key, Bytes value) {
  line_.clear();
  switch (format_) {
    case DumpFormat::kJsonLines: {
      JsonObject record;
      record.Add("key", std::string_view(key))
          .Add("value", std::string_view(value));
      line_ = record.ToString();
      break;
    }
    case DumpFormat::kByteValue:
      line_ += ' ';
      AppendHex(key, line_);
      line_ += "\n ";
      AppendHex(value, line_);
      break;
    case DumpFormat::kPrint:
      line_ += ' ';
      AppendPrintable(key, line_);
      line_ += "\n ";
      AppendPrintable(value, line_);
      break;
  }
  line_ += '\n';
  return Put();
}

absl::Status DumpWriter::End(const DumpSection& section) {
  if (format_ == DumpFormat::kJsonLines) {
    JsonObject end;
    end.Add("end", std::string_view(section.info.name))
        .Add("records", section.info.count);
    line_ = end.ToString() + "\n";
  } else {
    line_ = "DATA=END\n";
  }
  return Put();
}

}  // namespace eve::cli
