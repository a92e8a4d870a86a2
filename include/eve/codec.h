// Codec<T>: how a typed key or value becomes bytes, and back.
//
// Threads:    pure functions; a Scratch belongs to one call at a time.
// Processes:  the bytes and the type names are PERSISTED: they never change.
// Owns:       a Scratch owns what Encode() puts into it.
// Lifetime:   encoded bytes point into the argument or the Scratch and live as
//             long as both. A View of bytes lives as long as these.
// Errors:     IsValid() tells whether stored bytes can be decoded.
// Cost:       no allocation, but for tuples of more than 64 bytes and for the
//             strings of decoded tuples.
//
//   std::string             the bytes as they are                  "string"
//   integers of 8..64 bits  big-endian, the sign bit flipped       "int64" ...
//   enums                   as their underlying integer; char and its like as
//                           the one of their size and sign
//   float, double           IEEE 754 total order, big-endian       "float64"
//   bool                    one byte, 0 or 1                       "bool"
//   std::tuple              members one after the other            "tuple(...)"
//   trivially copyable      the bytes in memory, not ordered       "struct:24"
// and, of eve/in_place.h, to be read without a copy
//   InPlace<T>              likewise                       "aligned:struct:24"
//   InPlace<T[]>            of each, one after the other   "aligned:array:8"
//
// Where kOrdered holds, encoded bytes compare as the values do: by size for
// numbers, false before true, -0.0 before 0.0, lexicographically for strings
// and tuples.
#ifndef EVE_CODEC_H_
#define EVE_CODEC_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/types/span.h"
#include "eve/bytes.h"

namespace eve {

// Room for the bytes of one encoded value; reusable.
class Scratch {
 public:
  static constexpr size_t kInlineBytes = 64;

  void Clear() {
    size_ = 0;
    spilled_.clear();
  }
  void Append(const char* data, size_t size) {
    if (spilled_.empty() && size <= kInlineBytes - size_) {
      if (size != 0) std::memcpy(inline_ + size_, data, size);
      size_ += size;
      return;
    }
    if (spilled_.empty()) spilled_.assign(inline_, size_);
    spilled_.append(data, size);
  }
  // Of what need not live any longer.
  Bytes Copy(Bytes bytes) {
    Clear();
    Append(bytes.data(), bytes.size());
    return this->bytes();
  }
  Bytes bytes() const {
    return spilled_.empty() ? Bytes(inline_, size_) : Bytes(spilled_);
  }

 private:
  char inline_[kInlineBytes];
  size_t size_ = 0;
  std::string spilled_;
};

// Every codec has
//   Arg         the type that writers give
//   View        the type that readers get
//   kOrdered    whether the bytes compare as the values do
//   kKey        whether equal values have equal bytes, as keys need
//   TypeName()  stored with a collection and compared when it is opened
//   Encode(Arg, Scratch&), Decode(Bytes), IsValid(Bytes)
// Decode() REQUIRES IsValid(). A codec of values may have
//   kAlignment  at multiples of which its bytes begin in an OrderedMap: 1 to 8
// which is stored with the collection, in front of the type's name. Those that
// may be members of tuples say `Member`: the library's own.
template <class T>
struct Codec;

inline constexpr size_t kAlignmentMax = 8;
inline constexpr std::string_view kAlignedTypePrefix = "aligned:";

template <class T>
using Arg = typename Codec<T>::Arg;
template <class T>
using View = typename Codec<T>::View;
// What a span of arguments is made of.
template <class T>
using PlainArg = std::remove_cvref_t<Arg<T>>;

namespace codec_internal {

template <class T>
concept Integer = std::is_integral_v<T> && !std::is_same_v<T, bool> &&
                  !std::is_same_v<T, char> && !std::is_same_v<T, wchar_t> &&
                  !std::is_same_v<T, char8_t> && !std::is_same_v<T, char16_t> &&
                  !std::is_same_v<T, char32_t> && sizeof(T) <= 8;

// Of the type that T is stored as, if it may underlie an enum: character types
// as the integer of their size and sign.
template <class T>
constexpr auto AsInteger() {
  if constexpr (Integer<T> || std::is_same_v<T, bool>) {
    return T();
  } else if constexpr (std::is_signed_v<T>) {
    return std::make_signed_t<T>();
  } else {
    return std::make_unsigned_t<T>();
  }
}

template <class T>
concept Float = std::is_same_v<T, float> || std::is_same_v<T, double>;

template <class T>
constexpr size_t AlignmentOf() {
  if constexpr (requires { Codec<T>::kAlignment; }) {
    constexpr size_t kAlignment = Codec<T>::kAlignment;
    static_assert(std::has_single_bit(kAlignment) &&
                  kAlignment <= kAlignmentMax);
    return kAlignment;
  } else {
    return 1;
  }
}

// As a collection stores it.
template <class T>
std::string ValueTypeName() {
  return std::string(AlignmentOf<T>() > 1 ? kAlignedTypePrefix : "") +
         std::string(Codec<T>::TypeName());
}

// The bytes of a value as they lie in memory, in `value` itself, and their
// type.
template <class T>
Bytes PlainBytes(const T& value) {
  const void* address = &value;
  return Bytes(static_cast<const char*>(address), sizeof(T));
}
template <class T>
std::string PlainTypeName() {
  return "struct:" + std::to_string(sizeof(T));
}

// A view would be stored as an address, which means nothing tomorrow.
template <class T>
inline constexpr bool kIsView =
    std::is_same_v<T, Bytes> || std::is_same_v<T, std::string_view> ||
    std::is_same_v<T, absl::string_view>;
template <class T, size_t kExtent>
inline constexpr bool kIsView<std::span<T, kExtent>> = true;
template <class T>
inline constexpr bool kIsView<absl::Span<T>> = true;

template <class T>
inline constexpr bool kIsTuple = false;
template <class... Ts>
inline constexpr bool kIsTuple<std::tuple<Ts...>> = true;

template <class T>
concept Struct = std::is_class_v<T> && std::is_trivially_copyable_v<T> &&
                 std::is_default_constructible_v<T> && !kIsView<T> &&
                 !kIsTuple<T>;

// Highest byte first, so that memcmp compares the numbers.
template <class U>
void StoreBigEndian(U bits, char* out) {
  for (size_t i = 0; i < sizeof(U); ++i) {
    out[i] = static_cast<char>(bits >> 8 * (sizeof(U) - 1 - i));
  }
}

template <class U>
U LoadBigEndian(const char* in) {
  uint64_t bits = 0;
  for (size_t i = 0; i < sizeof(U); ++i) {
    bits = bits << 8 | static_cast<uint8_t>(in[i]);
  }
  return static_cast<U>(bits);
}

template <class U>
Bytes EncodeBits(U bits, Scratch& scratch) {
  char bytes[sizeof(U)];
  StoreBigEndian(bits, bytes);
  scratch.Clear();
  scratch.Append(bytes, sizeof(U));
  return scratch.bytes();
}

// What a tuple may have for a member, and a MultiMap for a key or a value: the
// bytes of codecs of one's own have no known end, also those of an enum.
template <class T>
concept Member = std::is_same_v<typename Codec<T>::Member, T>;

// Inside a tuple, strings must end before the next member begins and must not
// upset the order: a zero byte becomes 00 FF, the end is 00 00.
inline void AppendMember(Bytes bytes, Scratch& scratch) {
  const std::string_view text = bytes;
  size_t begin = 0;
  for (size_t zero = text.find('\0'); zero != std::string::npos;
       zero = text.find('\0', begin)) {
    scratch.Append(text.data() + begin, zero - begin);
    scratch.Append("\0\xFF", 2);
    begin = zero + 1;
  }
  scratch.Append(text.data() + begin, text.size() - begin);
  scratch.Append("\0\0", 2);
}
inline void AppendMember(const std::string& text, Scratch& scratch) {
  AppendMember(Bytes(text), scratch);
}

template <class T>
void AppendMember(const T& value, Scratch& scratch) {
  if constexpr (kIsTuple<T>) {
    std::apply([&](const auto&... each) { (AppendMember(each, scratch), ...); },
               value);
  } else {
    Scratch member;
    const Bytes bytes = Codec<T>::Encode(value, member);
    scratch.Append(bytes.data(), bytes.size());
  }
}

// Takes a member off the front of `in`; false if it is not whole.
inline bool TakeMember(Bytes& in, std::string* out) {
  const char* data = in.data();
  size_t at = 0;
  while (at + 1 < in.size()) {
    if (data[at] != '\0') {
      if (out != nullptr) out->push_back(data[at]);
      ++at;
      continue;
    }
    const char next = data[at + 1];
    at += 2;
    if (next == '\0') {
      in = Bytes(data + at, in.size() - at);
      return true;
    }
    if (next != '\xFF') return false;
    if (out != nullptr) out->push_back('\0');
  }
  return false;
}

template <class T>
bool TakeMember(Bytes& in, T* out) {
  if constexpr (kIsTuple<T>) {
    return [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
      return (
          TakeMember(in, out == nullptr ? nullptr : &std::get<kIndex>(*out)) &&
          ...);
    }
    (std::make_index_sequence<std::tuple_size_v<T>>());
  } else {
    if (in.size() < sizeof(T)) return false;
    const Bytes bytes(in.data(), sizeof(T));
    if (!Codec<T>::IsValid(bytes)) return false;
    if (out != nullptr) *out = Codec<T>::Decode(bytes);
    in = Bytes(in.data() + sizeof(T), in.size() - sizeof(T));
    return true;
  }
}

}  // namespace codec_internal

template <>
struct Codec<std::string> {
  using Arg = Bytes;
  using View = Bytes;
  static constexpr bool kOrdered = true;
  static constexpr bool kKey = true;
  using Member = std::string;
  static std::string TypeName() { return "string"; }
  static Bytes Encode(Arg text, Scratch&) { return text; }
  static View Decode(Bytes bytes) { return bytes; }
  static bool IsValid(Bytes) { return true; }
};

template <codec_internal::Integer T>
struct Codec<T> {
  using Arg = T;
  using View = T;
  static constexpr bool kOrdered = true;
  static constexpr bool kKey = true;
  using Member = T;
  static std::string TypeName() {
    return (std::is_signed_v<T> ? "int" : "uint") +
           std::to_string(8 * sizeof(T));
  }
  static Bytes Encode(Arg value, Scratch& scratch) {
    return codec_internal::EncodeBits(
        static_cast<Unsigned>(static_cast<Unsigned>(value) ^ kFlip), scratch);
  }
  static View Decode(Bytes bytes) {
    return static_cast<T>(
        codec_internal::LoadBigEndian<Unsigned>(bytes.data()) ^ kFlip);
  }
  static bool IsValid(Bytes bytes) { return bytes.size() == sizeof(T); }

 private:
  using Unsigned = std::make_unsigned_t<T>;
  // Negative numbers go below the others.
  static constexpr Unsigned kFlip =
      std::is_signed_v<T>
          ? static_cast<Unsigned>(Unsigned{1} << (8 * sizeof(T) - 1))
          : Unsigned{0};
};

template <class T>
requires std::is_enum_v<T>
struct Codec<T> {
  using Underlying =
      decltype(codec_internal::AsInteger<std::underlying_type_t<T>>());
  using Arg = T;
  using View = T;
  static constexpr bool kOrdered = true;
  static constexpr bool kKey = true;
  using Member = T;
  static std::string TypeName() { return Codec<Underlying>::TypeName(); }
  static Bytes Encode(Arg value, Scratch& scratch) {
    return Codec<Underlying>::Encode(static_cast<Underlying>(value), scratch);
  }
  static View Decode(Bytes bytes) {
    return static_cast<T>(Codec<Underlying>::Decode(bytes));
  }
  static bool IsValid(Bytes bytes) { return Codec<Underlying>::IsValid(bytes); }
};

template <codec_internal::Float T>
struct Codec<T> {
  using Arg = T;
  using View = T;
  static constexpr bool kOrdered = true;
  // -0.0 and 0.0 are different keys; NaNs are equal if their bits are.
  static constexpr bool kKey = true;
  using Member = T;
  static_assert(std::numeric_limits<T>::is_iec559);
  static std::string TypeName() {
    return "float" + std::to_string(8 * sizeof(T));
  }
  static Bytes Encode(Arg value, Scratch& scratch) {
    const Bits bits = std::bit_cast<Bits>(value);
    // Sign and magnitude: the more negative, the larger the bits.
    const Bits ordered = (bits & kSign) != 0 ? ~bits : bits | kSign;
    return codec_internal::EncodeBits(ordered, scratch);
  }
  static View Decode(Bytes bytes) {
    const Bits ordered = codec_internal::LoadBigEndian<Bits>(bytes.data());
    return std::bit_cast<T>((ordered & kSign) != 0 ? ordered ^ kSign
                                                   : ~ordered);
  }
  static bool IsValid(Bytes bytes) { return bytes.size() == sizeof(T); }

 private:
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  static constexpr Bits kSign = Bits{1} << (8 * sizeof(T) - 1);
};

template <>
struct Codec<bool> {
  using Arg = bool;
  using View = bool;
  static constexpr bool kOrdered = true;
  static constexpr bool kKey = true;
  using Member = bool;
  static std::string TypeName() { return "bool"; }
  static Bytes Encode(Arg value, Scratch& scratch) {
    return codec_internal::EncodeBits(static_cast<uint8_t>(value), scratch);
  }
  static View Decode(Bytes bytes) { return bytes.data()[0] != 0; }
  static bool IsValid(Bytes bytes) {
    return bytes.size() == 1 && static_cast<uint8_t>(bytes.data()[0]) <= 1;
  }
};

// Members are std::string, numbers, bools, enums and tuples of these.
template <class... Ts>
struct Codec<std::tuple<Ts...>> {
  static_assert((codec_internal::Member<Ts> && ...),
                "members are std::string, numbers, bools, enums and tuples");
  using Arg = const std::tuple<Ts...>&;
  using View = std::tuple<Ts...>;
  static constexpr bool kOrdered = true;
  static constexpr bool kKey = true;
  using Member = std::tuple<Ts...>;
  static std::string TypeName() {
    std::string name = "tuple(";
    ((name += Codec<Ts>::TypeName() + ","), ...);
    if (sizeof...(Ts) != 0) name.pop_back();
    return name + ")";
  }
  static Bytes Encode(Arg value, Scratch& scratch) {
    scratch.Clear();
    codec_internal::AppendMember(value, scratch);
    return scratch.bytes();
  }
  static View Decode(Bytes bytes) {
    View value;
    codec_internal::TakeMember(bytes, &value);
    return value;
  }
  static bool IsValid(Bytes bytes) {
    return codec_internal::TakeMember(bytes, static_cast<View*>(nullptr)) &&
           bytes.empty();
  }
};

// The bytes as they lie in memory: no pointers inside, the same fields in every
// build that opens the file. Only structs without padding are keys.
template <codec_internal::Struct T>
struct Codec<T> {
  using Arg = const T&;
  using View = T;
  static constexpr bool kOrdered = false;
  static constexpr bool kKey = std::has_unique_object_representations_v<T>;
  static std::string TypeName() { return codec_internal::PlainTypeName<T>(); }
  static Bytes Encode(Arg value, Scratch&) {
    return codec_internal::PlainBytes(value);
  }
  static View Decode(Bytes bytes) {
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  static bool IsValid(Bytes bytes) { return bytes.size() == sizeof(T); }
};

}  // namespace eve

#endif  // EVE_CODEC_H_
