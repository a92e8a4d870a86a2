// Map<K, V>: a persistent hash map in a domain.
//
// A handle is got from Domain::Collection<Map<K, V>>(name). At(snapshot) reads
// one version, In(transaction) reads and writes inside a swap closure, and the
// one-op forms do a whole read or swap each.
//
// Threads:    handles are copyable and thread-safe; a Writer is its closure's.
// Processes:  any number read and write the same map at once.
// Owns:       a reference that keeps the domain open.
// Lifetime:   views die with their Snapshot; those that a Writer gives, with
//             the next write to the map, see eve/transaction.h.
// Errors:     kNotFound: no such key. kInvalidArgument: key above 64 KiB or
//             value above 4 GiB. kFailedPrecondition: the collection was
//             dropped, the domain is read-only, or this is a forked child.
//             kDataLoss: damaged bytes, with their offset.
// Cost:       a read is a handful of cache misses and no copy; a write copies a
//             path of O(log n) nodes; size() is O(1).
#ifndef EVE_MAP_H_
#define EVE_MAP_H_

#include <optional>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "eve/codec.h"
#include "eve/internal/diff_access.h"
#include "eve/internal/key_value.h"
#include "eve/internal/map_access.h"
#include "eve/internal/map_iterator.h"

namespace eve {

namespace internal {

template <class K, class V>
class MapReader : public KeyValueReader<K, V> {
 public:
  struct Entry {
    View<K> key;
    View<V> value;
  };
  struct Decoder {
    using Entry = MapReader::Entry;
    static Entry Decode(const MapCursor& cursor) {
      return {DecodeAt<K>(cursor, cursor.key()),
              DecodeAt<V>(cursor, cursor.value())};
    }
  };
  // Entries in no particular, but per version fixed, order.
  using Iterator = MapIterator<Decoder>;

  using KeyValueReader<K, V>::KeyValueReader;
  Iterator begin() const { return Iterator(MapCursor(this->source())); }
  Iterator end() const { return Iterator(); }
};

template <class K, class V>
using MapHandle = KeyValueHandle<K, V, MapReader<K, V>,
                                 KeyValueWriter<K, V, MapReader<K, V>>>;

}  // namespace internal

// Find, Get, MultiGet, Put, Insert, Erase, Update and Clear are explained in
// internal/key_value.h; a Reader is also a range of its entries.
template <class K, class V>
class Map : public internal::MapHandle<K, V> {
 public:
  static_assert(Codec<K>::kKey,
                "equal keys need equal bytes: this type cannot be a key");
  static_assert(codec_internal::AlignmentOf<V>() == 1,
                "only an OrderedMap aligns its values");
  static constexpr std::string_view kKind = "map";
  using Reader = typename internal::MapHandle<K, V>::Reader;
  using Writer = typename internal::MapHandle<K, V>::Writer;
  using Entry = typename Reader::Entry;
  using Iterator = typename Reader::Iterator;
  using internal::MapHandle<K, V>::KeyValueHandle;

  // Calls `fn` for each key that the two snapshots do not agree on, in no
  // particular order, with its values in `before` and `after`, nothing where it
  // is absent, until it returns false. O(changes * log n): what both share is
  // passed over. What was moved in between, by compaction or beside writes, is
  // not shared, and its records are compared. Either snapshot may be the older
  // one; one without the collection has no keys.
  absl::Status Diff(const Snapshot& before, const Snapshot& after,
                    absl::FunctionRef<bool(View<K>, std::optional<View<V>>,
                                           std::optional<View<V>>)>
                        fn) const {
    return internal::DiffRecords<K, V>(this->ref(), before, after, fn);
  }
};

}  // namespace eve

#endif  // EVE_MAP_H_
