// Bytes: borrowed bytes, the way keys and values enter and leave Eve.
//
// Threads:    value type.
// Processes:  none.
// Owns:       nothing: a Bytes read from a collection points into the mapped
//             file and is valid while its Snapshot (or Transaction) lives.
// Lifetime:   see Owns.
// Errors:     none.
// Cost:       two words; no copy. Converts to and from std::string_view and
//             absl::string_view, which are distinct types on Debian 12.
#ifndef EVE_BYTES_H_
#define EVE_BYTES_H_

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/string_view.h"

namespace eve {

class Bytes {
 public:
  constexpr Bytes() = default;
  constexpr Bytes(const char* data, size_t size) : data_(data), size_(size) {}
  Bytes(const char* text) : Bytes(std::string_view(text)) {}
  Bytes(const std::string& text) : data_(text.data()), size_(text.size()) {}
  constexpr Bytes(std::string_view text)
      : data_(text.data()), size_(text.size()) {}
  template <class S>
  requires(std::is_same_v<S, absl::string_view> &&
           !std::is_same_v<S, std::string_view>) Bytes(S text)
      : data_(text.data()), size_(text.size()) {}

  constexpr const char* data() const { return data_; }
  constexpr size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }

  constexpr operator std::string_view() const { return {data_, size_}; }
  template <class S>
  requires(std::is_same_v<S, absl::string_view> &&
           !std::is_same_v<S, std::string_view>)
  operator S() const {
    return S(data_, size_);
  }
  std::string ToString() const { return std::string(data_, size_); }

  friend bool operator==(Bytes a, Bytes b) {
    return std::string_view(a) == std::string_view(b);
  }
  friend auto operator<=>(Bytes a, Bytes b) {
    return std::string_view(a) <=> std::string_view(b);
  }
  friend std::ostream& operator<<(std::ostream& out, Bytes bytes) {
    return out << std::string_view(bytes);
  }

 private:
  const char* data_ = "";
  size_t size_ = 0;
};

}  // namespace eve

#endif  // EVE_BYTES_H_
