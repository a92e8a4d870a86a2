#include "engine/cli/stored_type.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "engine/format/constants.h"
#include "eve/codec.h"

namespace eve::cli {
namespace {

bool TakeWord(std::string_view& name, std::string_view word) {
  if (!name.starts_with(word)) return false;
  name.remove_prefix(word.size());
  return true;
}

std::optional<uint32_t> TakeNumber(std::string_view& name) {
  const size_t digits = name.find_first_not_of("0123456789");
  const std::string_view text = name.substr(0, digits);
  uint32_t number = 0;
  if (!absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &number)) {
    return std::nullopt;
  }
  name.remove_prefix(text.size());
  return number;
}

}  // namespace

// A name has at most 255 bytes, and a tuple in a tuple costs six of them: the
// recursion is shallow.
std::optional<StoredType> StoredType::Take(std::string_view& name) {
  StoredType type;
  if (TakeWord(name, "string")) return type;
  if (TakeWord(name, "bool")) {
    type.form_ = Form::kBool;
    type.size_ = 1;
    return type;
  }
  if (TakeWord(name, "tuple(")) {
    type.form_ = Form::kTuple;
    while (!TakeWord(name, ")")) {
      if (!type.members_.empty() && !TakeWord(name, ",")) return std::nullopt;
      std::optional<StoredType> member = Take(name);
      if (!member.has_value()) return std::nullopt;
      type.members_.push_back(*std::move(member));
    }
    return type;
  }
  type.form_ = Form::kFixed;
  const bool is_struct = TakeWord(name, "struct:");
  const bool is_float = !is_struct && TakeWord(name, "float");
  if (!is_struct && !is_float && !TakeWord(name, "uint") &&
      !TakeWord(name, "int")) {
    return std::nullopt;
  }
  const std::optional<uint32_t> size = TakeNumber(name);
  if (!size.has_value()) return std::nullopt;
  type.size_ = is_struct ? *size : *size / 8;
  const bool is_width =
      *size == 32 || *size == 64 || (!is_float && (*size == 8 || *size == 16));
  if (!is_struct && !is_width) return std::nullopt;
  return type;
}

std::optional<StoredType> StoredType::Parse(std::string_view name) {
  // Where bytes lie does not change them.
  (void)TakeWord(name, kAlignedTypePrefix);
  if (TakeWord(name, "array:")) {
    const std::optional<uint32_t> size = TakeNumber(name);
    if (!size.has_value() || *size == 0 || !name.empty()) return std::nullopt;
    StoredType type;
    type.form_ = Form::kArray;
    type.size_ = *size;
    return type;
  }
  std::optional<StoredType> type = Take(name);
  if (!name.empty()) return std::nullopt;
  return type;
}

std::string StoredType::NameForBytes(size_t size) {
  constexpr std::pair<size_t, std::string_view> kMembers[] = {
      {8, "uint64"}, {4, "uint32"}, {2, "uint16"}, {1, "uint8"}};
  std::string name = "tuple(";
  for (const auto& [bytes, member] : kMembers) {
    for (; size >= bytes; size -= bytes) {
      name += member;
      name += ',';
      if (name.size() > kTypeNameBytesMax) return "";
    }
  }
  if (name.back() != ',') return "";
  name.back() = ')';
  return name;
}

bool StoredType::IsFixedSize() const {
  if (form_ == Form::kArray) return false;
  if (form_ != Form::kTuple) return form_ != Form::kString;
  return std::all_of(members_.begin(), members_.end(),
                     [](const StoredType& one) { return one.IsFixedSize(); });
}

bool StoredType::IsValid(Bytes bytes) const {
  if (form_ == Form::kString) return true;
  if (form_ == Form::kFixed) return bytes.size() == size_;
  if (form_ == Form::kArray) return bytes.size() % size_ == 0;
  return TakeMember(bytes) && bytes.empty();
}

bool StoredType::TakeMember(Bytes& bytes) const {
  switch (form_) {
    case Form::kString:
      return codec_internal::TakeMember(bytes,
                                        static_cast<std::string*>(nullptr));
    case Form::kTuple:
      for (const StoredType& member : members_) {
        if (!member.TakeMember(bytes)) return false;
      }
      return true;
    case Form::kBool:
    case Form::kFixed:
    case Form::kArray:  // of values alone
      break;
  }
  if (bytes.size() < size_) return false;
  if (form_ == Form::kBool && static_cast<uint8_t>(bytes.data()[0]) > 1) {
    return false;
  }
  bytes = Bytes(bytes.data() + size_, bytes.size() - size_);
  return true;
}

void StoredType::Join(Bytes key, Bytes value, std::string* pair) const {
  if (is_string()) {
    Scratch scratch;
    codec_internal::AppendMember(key, scratch);
    pair->assign(scratch.bytes().data(), scratch.bytes().size());
  } else {
    pair->assign(key.data(), key.size());
  }
  pair->append(value.data(), value.size());
}

bool StoredType::Split(Bytes pair, std::string* room, Bytes* key,
                       Bytes* value) const {
  Bytes rest = pair;
  if (is_string()) {
    room->clear();
    if (!codec_internal::TakeMember(rest, room)) return false;
    *key = Bytes(*room);
  } else {
    if (!TakeMember(rest)) return false;
    *key = Bytes(pair.data(), pair.size() - rest.size());
  }
  *value = rest;
  return true;
}

}  // namespace eve::cli
