// SortedSet<K>: a persistent set in the order of its keys.
//
// An OrderedMap without values: the same ranges, cursors and counts, of keys.
//
// Threads:    as OrderedMap.
// Processes:  as OrderedMap.
// Owns:       as OrderedMap.
// Lifetime:   as OrderedMap.
// Errors:     as OrderedMap.
// Cost:       as OrderedMap.
#ifndef EVE_SORTED_SET_H_
#define EVE_SORTED_SET_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "eve/codec.h"
#include "eve/internal/keys.h"
#include "eve/internal/map_access.h"
#include "eve/internal/ordered.h"

namespace eve {

namespace internal {

template <class K>
struct KeyDecoder {
  using Entry = View<K>;
  using Owned = K;
  using Cursor = KeyCursor<K>;
  Entry Decode(const CursorHead& cursor) const {
    return DecodeUnder<K>(cursor, cursor.key);
  }
  static Owned Own(const Entry& key) { return K(key); }
};

template <class K>
class SortedSetWriter : public OrderedWriter<KeyWriter<K>, K, KeyDecoder<K>> {
 public:
  using OrderedWriter<KeyWriter<K>, K, KeyDecoder<K>>::OrderedWriter;

  // As OrderedMap's: kInvalidArgument unless the key is above all others.
  absl::Status Append(Arg<K> key) {
    Scratch scratch;
    return AppendInMap(this->source(), Codec<K>::Encode(key, scratch), Bytes());
  }
};

template <class K>
using SortedSetHandle =
    KeyHandle<K, OrderedReader<KeyReader<K>, K, KeyDecoder<K>>,
              SortedSetWriter<K>>;

}  // namespace internal

// Contains, MultiContains, Add, Insert, Remove, Clear and Diff, which here is
// in order, are explained in internal/keys.h; ranges, cursors, Count, Rank, Nth
// and EraseRange in internal/ordered.h, where entries are keys.
template <class K>
class SortedSet : public internal::SortedSetHandle<K> {
 public:
  static_assert(Codec<K>::kKey && Codec<K>::kOrdered,
                "the bytes of this type do not order as its values do");
  static constexpr std::string_view kKind = "sorted_set";
  static std::string ValueTypeName() { return ""; }
  using internal::SortedSetHandle<K>::KeyHandle;
};

}  // namespace eve

#endif  // EVE_SORTED_SET_H_
