// InPlace<T>: values that are read where they lie, without a copy.
//
//   using Points = OrderedMap<std::string, InPlace<Point>>;
//   using Tracks = OrderedMap<uint64_t, InPlace<double[]>>;
//   const Point* point = *points.At(snapshot).Find("home");
//   absl::Span<const double> track = *tracks.At(snapshot).Find(7);
//
// The bytes of T as they lie in memory: no pointers inside, the same fields in
// every build that opens the file. Of OrderedMap only, which lets its values
// begin at multiples of 8 bytes for it; that is part of the collection's type:
// whoever opens it without InPlace is refused.
//
// Threads:    immutable bytes; any thread.
// Processes:  the bytes and type names are PERSISTED.
// Owns:       nothing: what Find() and scans give points into the file. An
//             InPlace object, as the one-op Get() returns it, owns a copy.
// Lifetime:   what is found lives as long as its snapshot, or until the next
//             write to the collection in a transaction.
// Errors:     as other codecs; a value at an address that T does not allow,
//             which only damage brings about, is not valid.
// Cost:       up to 7 bytes a value. Reading: none.
#ifndef EVE_IN_PLACE_H_
#define EVE_IN_PLACE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/types/span.h"
#include "eve/bytes.h"
#include "eve/codec.h"

namespace eve {

namespace codec_internal {

template <class T>
concept PlainInMemory =
    std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !kIsView<T> &&
    alignof(T) <= kAlignmentMax;

inline bool IsAligned(const void* address, size_t alignment) {
  return std::bit_cast<uintptr_t>(address) % alignment == 0;
}

}  // namespace codec_internal

// A value with an owner of its own.
template <class T>
class InPlace {
 public:
  static_assert(codec_internal::PlainInMemory<T>,
                "only what is copied as bytes can be read in place");
  InPlace(const T& value) : value_(value) {}  // NOLINT: as what it stands for
  explicit InPlace(const T* view) : value_(*view) {}
  operator const T&() const { return value_; }  // NOLINT
  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }

 private:
  T value_;
};

// Of any number of T, up to the size of a value.
template <class T>
class InPlace<T[]> {
 public:
  static_assert(codec_internal::PlainInMemory<T>,
                "only what is copied as bytes can be read in place");
  InPlace(absl::Span<const T> values)  // NOLINT
      : values_(values.begin(), values.end()) {}
  operator absl::Span<const T>() const { return values_; }  // NOLINT
  const std::vector<T>& operator*() const { return values_; }
  const std::vector<T>* operator->() const { return &values_; }

 private:
  std::vector<T> values_;
};

template <class T>
struct Codec<InPlace<T>> {
  using Arg = const T&;
  using View = const T*;
  static constexpr bool kOrdered = false;
  static constexpr bool kKey = false;
  static constexpr size_t kAlignment = kAlignmentMax;
  static std::string TypeName() { return codec_internal::PlainTypeName<T>(); }
  static Bytes Encode(Arg value, Scratch&) {
    return codec_internal::PlainBytes(value);
  }
  static View Decode(Bytes bytes) {
    const void* address = bytes.data();
    return static_cast<const T*>(address);
  }
  static bool IsValid(Bytes bytes) {
    return bytes.size() == sizeof(T) &&
           codec_internal::IsAligned(bytes.data(), alignof(T));
  }
};

template <class T>
struct Codec<InPlace<T[]>> {
  using Arg = absl::Span<const T>;
  using View = absl::Span<const T>;
  static constexpr bool kOrdered = false;
  static constexpr bool kKey = false;
  static constexpr size_t kAlignment = kAlignmentMax;
  static std::string TypeName() { return "array:" + std::to_string(sizeof(T)); }
  static Bytes Encode(Arg values, Scratch&) {
    if (values.empty()) return Bytes();
    const void* address = values.data();
    return Bytes(static_cast<const char*>(address), values.size() * sizeof(T));
  }
  static View Decode(Bytes bytes) {
    if (bytes.empty()) return View();
    const void* address = bytes.data();
    return View(static_cast<const T*>(address), bytes.size() / sizeof(T));
  }
  static bool IsValid(Bytes bytes) {
    return bytes.empty() ||
           (bytes.size() % sizeof(T) == 0 &&
            codec_internal::IsAligned(bytes.data(), alignof(T)));
  }
};

}  // namespace eve

#endif  // EVE_IN_PLACE_H_
