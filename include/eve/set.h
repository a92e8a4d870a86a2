// Set<K>: a persistent hash set in a domain.
//
// A Map without values, and stored as one whose values are empty tuples: tools
// that know maps know sets.
//
// Threads:    as Map.
// Processes:  as Map.
// Owns:       as Map.
// Lifetime:   as Map.
// Errors:     as Map.
// Cost:       as Map.
#ifndef EVE_SET_H_
#define EVE_SET_H_

#include <string>
#include <string_view>
#include <tuple>

#include "absl/status/statusor.h"
#include "eve/codec.h"
#include "eve/internal/keys.h"
#include "eve/internal/map_access.h"
#include "eve/internal/map_iterator.h"

namespace eve {

namespace internal {

template <class K>
class HashSetReader : public KeyReader<K> {
 public:
  struct Decoder {
    using Entry = View<K>;
    static Entry Decode(const MapCursor& cursor) {
      return DecodeAt<K>(cursor, cursor.key());
    }
  };
  // Keys in no particular, but per version fixed, order.
  using Iterator = MapIterator<Decoder>;

  using KeyReader<K>::KeyReader;
  Iterator begin() const { return Iterator(MapCursor(this->source())); }
  Iterator end() const { return Iterator(); }
};

template <class K>
class HashSetWriter : public KeyWriter<K> {
 public:
  using KeyWriter<K>::KeyWriter;
  // A reader of the state as it is now, for iteration and MultiContains. Dies
  // with the next write.
  absl::StatusOr<HashSetReader<K>> Read() {
    absl::StatusOr<MapView> view = ViewOfMap(this->source());
    if (!view.ok()) return view.status();
    return HashSetReader<K>(*view);
  }
};

template <class K>
using HashSetHandle = KeyHandle<K, HashSetReader<K>, HashSetWriter<K>>;

}  // namespace internal

// Contains, MultiContains, Add, Insert, Remove, Clear and Diff are explained in
// internal/keys.h; a Reader is also a range of its keys.
template <class K>
class Set : public internal::HashSetHandle<K> {
 public:
  static_assert(Codec<K>::kKey,
                "equal keys need equal bytes: this type cannot be a key");
  static constexpr std::string_view kKind = "map";
  static std::string ValueTypeName() {
    return std::string(Codec<std::tuple<>>::TypeName());
  }
  using internal::HashSetHandle<K>::KeyHandle;
};

}  // namespace eve

#endif  // EVE_SET_H_
