#include "engine/cli/section_emitter.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cli/output.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

constexpr std::string_view kMultiMap = "multi_map";

bool FitsLmdb(Bytes bytes) {
  return !bytes.empty() && bytes.size() <= kLmdbKeyBytesMax;
}

absl::Status NotAnInteger(const std::string& name) {
  return absl::DataLossError(
      absl::StrCat("collection '", Escaped(name),
                   "': a stored integer has another size; run eve check"));
}

// As LMDB has integers of `type` on a machine like this one. False: it is none.
bool MakeNative(std::string_view type, Bytes* bytes, std::string* room) {
  if (bytes->size() != LmdbIntegerBytes(type)) return false;
  room->assign(bytes->data(), bytes->size());
  std::reverse(room->begin(), room->end());
  *bytes = Bytes(*room);
  return true;
}

absl::Status NotAPair(const std::string& name) {
  return absl::DataLossError(
      absl::StrCat("collection '", Escaped(name),
                   "': a stored pair has no key of its type; run eve check"));
}

}  // namespace

SectionEmitter::SectionEmitter(DumpSection section, bool has_native_integers,
                               DumpWriter* writer)
    : section_(std::move(section)), writer_(writer) {
  if (section_.info.kind == kMultiMap) {
    pair_key_ = StoredType::Parse(section_.info.key_type);
    section_.is_joined = !pair_key_.has_value();
  }
  if (!section_.is_joined) {
    section_.has_native_keys =
        has_native_integers && IsLmdbInteger(section_.info.key_type);
  }
  if (pair_key_.has_value()) {
    const std::optional<StoredType> value =
        StoredType::Parse(section_.info.value_type);
    section_.has_fixed_values = value.has_value() && value->IsFixedSize();
    section_.has_native_values =
        has_native_integers && IsLmdbInteger(section_.info.value_type);
  }
}

absl::Status SectionEmitter::Convert(Bytes* key, Bytes* value) {
  const Bytes stored = *key;
  if (pair_key_.has_value() && !pair_key_->Split(stored, &room_, key, value)) {
    return NotAPair(section_.info.name);
  }
  if (!FitsLmdb(*key) || (pair_key_.has_value() && !FitsLmdb(*value))) {
    ++not_for_lmdb_;
  }
  if (section_.has_native_keys &&
      !MakeNative(section_.info.key_type, key, &key_room_)) {
    return NotAnInteger(section_.info.name);
  }
  if (section_.has_native_values &&
      !MakeNative(section_.info.value_type, value, &value_room_)) {
    return NotAnInteger(section_.info.name);
  }
  return absl::OkStatus();
}

bool SectionEmitter::IsSound(Bytes key, Bytes value) {
  const uint64_t before = not_for_lmdb_;
  const bool is_sound = Convert(&key, &value).ok();
  not_for_lmdb_ = before;
  return is_sound;
}

absl::Status SectionEmitter::Put(Bytes key, Bytes value) {
  EVE_RETURN_IF_ERROR(Convert(&key, &value));
  ++records_;
  return writer_->Write(key, value);
}

}  // namespace eve::cli
