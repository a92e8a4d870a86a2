// OrderedMap<K, V>: a persistent map in the order of its keys.
//
// What most programs want. Used as Map is, and it also has cursors, half-open
// ranges, prefixes, counts and the erasure of ranges:
//
//   for (auto [name, count] : reader.Range("a", "c").Reverse().Limit(10)) ...
//
// Ascending puts fill its leaves to the brim, and a long run of them beyond the
// last key in one transaction writes each leaf once: a load in order needs no
// special call. Append() is one that insists on the order.
//
// Threads:    handles are copyable and thread-safe; a Writer is its closure's.
// Processes:  any number read and write the same map at once. The order is that
//             of the encoded bytes (eve/codec.h), the same everywhere.
// Owns:       a reference that keeps the domain open.
// Lifetime:   values die with their Snapshot; those that a Writer gives, with
//             the next write to the map, see eve/transaction.h. A key out of a
//             scan or cursor dies with its next step.
// Errors:     as Map. After a scan, its status() tells whether it was whole.
// Cost:       a read is a handful of cache misses and no copy; a step of a scan
//             20 to 40 ns; a write copies a path of O(log n) nodes; size() is
//             O(1), Count(), Rank() and Nth() are O(log n).
#ifndef EVE_ORDERED_MAP_H_
#define EVE_ORDERED_MAP_H_

#include <optional>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "eve/codec.h"
#include "eve/internal/diff_access.h"
#include "eve/internal/key_value.h"
#include "eve/internal/ordered.h"

namespace eve {

namespace internal {

template <class K, class V>
struct EntryDecoder {
  struct Entry {
    View<K> key;
    View<V> value;
  };
  struct Owned {
    K key;
    View<V> value;
  };
  using Cursor = EntryCursor<K, V>;
  Entry Decode(const CursorHead& cursor) const {
    return Entry{DecodeUnder<K>(cursor, cursor.key),
                 DecodeUnder<V>(cursor, cursor.value)};
  }
  static Owned Own(const Entry& entry) {
    return Owned{K(entry.key), entry.value};
  }
};

template <class K, class V>
using OrderedMapReader =
    OrderedReader<KeyValueReader<K, V>, K, EntryDecoder<K, V>>;
template <class K, class V>
class OrderedMapWriter
    : public OrderedWriter<KeyValueWriter<K, V, OrderedMapReader<K, V>>, K,
                           EntryDecoder<K, V>> {
 public:
  using OrderedWriter<KeyValueWriter<K, V, OrderedMapReader<K, V>>, K,
                      EntryDecoder<K, V>>::OrderedWriter;

  // Puts a key that is above all others: kInvalidArgument, and no change, if
  // it is not. The bulk loader: a run of them writes each leaf once, full, and
  // takes hardly any memory, however long it is. A read in between costs a
  // copy of a leaf and a few nodes.
  absl::Status Append(Arg<K> key, Arg<V> value) {
    Scratch key_scratch;
    Scratch value_scratch;
    return AppendInMap(this->source(), Codec<K>::Encode(key, key_scratch),
                       Codec<V>::Encode(value, value_scratch));
  }
};
template <class K, class V>
using OrderedMapHandle =
    KeyValueHandle<K, V, OrderedMapReader<K, V>, OrderedMapWriter<K, V>>;

}  // namespace internal

// Find, Get, MultiGet, Put, Insert, Erase, Update and Clear are explained in
// internal/key_value.h; ranges, cursors, Count, Rank, Nth and EraseRange in
// internal/ordered.h. A Reader is also the range of all its entries.
template <class K, class V>
class OrderedMap : public internal::OrderedMapHandle<K, V> {
 public:
  static_assert(Codec<K>::kKey && Codec<K>::kOrdered,
                "the bytes of this type do not order as its values do");
  static constexpr std::string_view kKind = "ordered_map";
  using Entry = typename internal::EntryDecoder<K, V>::Entry;
  using Cursor = internal::EntryCursor<K, V>;
  using internal::OrderedMapHandle<K, V>::KeyValueHandle;

  // Calls `fn` for each key that the two snapshots do not agree on, in order,
  // with its values in `before` and `after`, nothing where it is absent, until
  // it returns false. O(changes * log n): what both share is passed over.
  // What was moved in between, by compaction or beside writes, is not shared,
  // and its records are compared.
  // Either snapshot may be the older one; one without the collection has no
  // keys.
  absl::Status Diff(const Snapshot& before, const Snapshot& after,
                    absl::FunctionRef<bool(View<K>, std::optional<View<V>>,
                                           std::optional<View<V>>)>
                        fn) const {
    return internal::DiffRecords<K, V>(this->ref(), before, after, fn);
  }
};

}  // namespace eve

#endif  // EVE_ORDERED_MAP_H_
