// MultiMap<K, V>: for each key any number of values, sorted, each once.
//
// Stored as a set of pairs, in the order of keys and then of values. A key and
// a value take up to 64 KiB together (a string key counts for two bytes more,
// and for one more for each zero byte in it); there is no limit on the number
// of values of a key.
//
// Threads:    as OrderedMap.
// Processes:  as OrderedMap.
// Owns:       as OrderedMap.
// Lifetime:   keys and values out of a scan die with its next step.
// Errors:     as OrderedMap. kInvalidArgument: key and value above 64 KiB.
// Cost:       as OrderedMap, for the number of pairs: counting the values of a
//             key is O(log n), however many there are.
#ifndef EVE_MULTI_MAP_H_
#define EVE_MULTI_MAP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/codec.h"
#include "eve/internal/diff_access.h"
#include "eve/internal/key_value.h"
#include "eve/internal/ordered.h"

namespace eve {

namespace internal {

// A stored pair is the key as the member of a tuple, so that no key is the
// beginning of another, and the bytes of the value.
template <class K>
void JoinKey(Arg<K> key, Scratch& pair) {
  pair.Clear();
  codec_internal::AppendMember(key, pair);
}

template <class K, class V>
Bytes JoinPair(Arg<K> key, Arg<V> value, Scratch& pair) {
  JoinKey<K>(key, pair);
  Scratch scratch;
  const Bytes bytes = Codec<V>::Encode(value, scratch);
  pair.Append(bytes.data(), bytes.size());
  return pair.bytes();
}

template <class K, class V>
struct MultiMapDecoder {
  struct Entry {
    K key;  // decoded, and so a copy
    View<V> value;
  };
  Entry Decode(const CursorHead& cursor) const {
    Entry entry{K(), View<V>()};
    Bytes rest = cursor.key;
    if (codec_internal::TakeMember(rest, &entry.key)) {
      entry.value = DecodeUnder<V>(cursor, rest);
    } else if (cursor.valid) {
      NoteUndecodable(cursor);
    }
    return entry;
  }
};

// Of the pairs of one key, whose bytes are as many in each.
template <class V>
struct ValueDecoder {
  using Entry = View<V>;
  size_t key_bytes = 0;
  Entry Decode(const CursorHead& cursor) const {
    if (cursor.key.size() < key_bytes) return Entry();
    return DecodeUnder<V>(cursor, Bytes(cursor.key.data() + key_bytes,
                                        cursor.key.size() - key_bytes));
  }
};

// What readers and writers have in common.
template <class K, class V, class Source>
class MultiMapView {
 public:
  using Entry = typename MultiMapDecoder<K, V>::Entry;
  using Scan = internal::Scan<Source, MultiMapDecoder<K, V>>;
  using ValueScan = internal::Scan<Source, ValueDecoder<V>>;

  explicit MultiMapView(const Source& source) : source_(source) {}

  // All pairs, and those of keys >= from and < to.
  Scan All() const { return Scan(source_, Bounds()); }
  Scan Keys(Arg<K> from, Arg<K> to) const {
    Scratch scratch;
    Bounds bounds;
    JoinKey<K>(from, scratch);
    bounds.From(scratch.bytes());
    JoinKey<K>(to, scratch);
    bounds.To(scratch.bytes());
    return Scan(source_, std::move(bounds));
  }
  // The values of a key, and those >= from and < to.
  ValueScan Values(Arg<K> key) const {
    Scratch scratch;
    JoinKey<K>(key, scratch);
    Bounds bounds;
    bounds.Prefix(scratch.bytes());
    return ValueScan(source_, std::move(bounds), {scratch.bytes().size()});
  }
  ValueScan Range(Arg<K> key, Arg<V> from, Arg<V> to) const {
    Scratch scratch;
    Bounds bounds;
    bounds.From(JoinPair<K, V>(key, from, scratch));
    bounds.To(JoinPair<K, V>(key, to, scratch));
    JoinKey<K>(key, scratch);
    return ValueScan(source_, std::move(bounds), {scratch.bytes().size()});
  }
  // How many values a key has.
  absl::StatusOr<uint64_t> Count(Arg<K> key) const {
    return Values(key).Count();
  }

 protected:
  const Source& source() const { return source_; }

 private:
  Source source_;
};

template <class K, class V>
class MultiMapReader : public MultiMapView<K, V, MapView> {
 public:
  using Base = MultiMapView<K, V, MapView>;
  using Iterator = typename Base::Scan::Iterator;
  using Base::Base;

  bool Contains(Arg<K> key, Arg<V> value) const {
    Scratch scratch;
    return FindInMap(this->source(), JoinPair<K, V>(key, value, scratch))
        .has_value();
  }
  // Pairs.
  uint64_t size() const { return this->source().count; }
  bool empty() const { return size() == 0; }
  Iterator begin() const { return this->All().begin(); }
  Iterator end() const { return Iterator(); }
};

template <class K, class V>
class MultiMapWriter : public MultiMapView<K, V, MapEditor*> {
 public:
  using MultiMapView<K, V, MapEditor*>::MultiMapView;

  bool Contains(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    absl::StatusOr<std::optional<Bytes>> found =
        FindInEditor(this->source(), JoinPair<K, V>(key, value, scratch));
    return found.ok() && found->has_value();
  }
  // Whether or not the pair is there; faster than Insert().
  absl::Status Add(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    return PutInMap(this->source(), JoinPair<K, V>(key, value, scratch), "");
  }
  // As OrderedMap's: kInvalidArgument unless the pair is above all others.
  absl::Status Append(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    return AppendInMap(this->source(), JoinPair<K, V>(key, value, scratch), "");
  }
  // False if the pair was there.
  absl::StatusOr<bool> Insert(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    return InsertInMap(this->source(), JoinPair<K, V>(key, value, scratch), "");
  }
  // False if the pair was not there.
  absl::StatusOr<bool> Remove(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    return EraseInMap(this->source(), JoinPair<K, V>(key, value, scratch));
  }
  // Removes all values of a key, and says how many there were.
  absl::StatusOr<uint64_t> RemoveAll(Arg<K> key) {
    Scratch scratch;
    JoinKey<K>(key, scratch);
    Bounds bounds;
    bounds.Prefix(scratch.bytes());
    return EraseRangeInMap(this->source(), bounds.from(), bounds.to());
  }
  absl::Status Clear() { return ClearMap(this->source()); }
  absl::StatusOr<uint64_t> size() { return SizeOfMap(this->source()); }
};

template <class K, class V>
using MultiMapHandle = Handle<MultiMapReader<K, V>, MultiMapWriter<K, V>>;

}  // namespace internal

template <class K, class V>
class MultiMap : public internal::MultiMapHandle<K, V> {
 public:
  static_assert(Codec<K>::kOrdered && Codec<V>::kOrdered && Codec<K>::kKey &&
                    Codec<V>::kKey,
                "the bytes of this type do not order as its values do");
  static constexpr std::string_view kKind = "multi_map";
  using Key = K;
  using Value = V;
  static std::string KeyTypeName() { return std::string(Codec<K>::TypeName()); }
  static std::string ValueTypeName() {
    return std::string(Codec<V>::TypeName());
  }
  using internal::MultiMapHandle<K, V>::Handle;

  // Calls `fn` for each pair that is in one of the snapshots only, in order,
  // with whether that is `after`, until it returns false. As OrderedMap's.
  absl::Status Diff(
      const Snapshot& before, const Snapshot& after,
      absl::FunctionRef<bool(const K& key, View<V> value, bool added)> fn)
      const {
    bool valid = true;
    absl::Status status =
        internal::DiffMaps(internal::OpenMap(before.impl(), this->ref()),
                           internal::OpenMap(after.impl(), this->ref()),
                           [&](Bytes pair, const std::optional<Bytes>&,
                               const std::optional<Bytes>& new_bytes) {
                             K key;
                             valid = codec_internal::TakeMember(pair, &key) &&
                                     Codec<V>::IsValid(pair);
                             return valid && fn(key, Codec<V>::Decode(pair),
                                                new_bytes.has_value());
                           });
    if (!valid) return internal::UndecodableValue();
    return status;
  }

  // One-op forms: a swap of their own.
  absl::Status Add(Arg<K> key, Arg<V> value) const {
    return internal::SwapOne(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Add(key, value);
    });
  }
  absl::StatusOr<bool> Remove(Arg<K> key, Arg<V> value) const {
    return internal::SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Remove(key, value);
    });
  }
  absl::StatusOr<uint64_t> RemoveAll(Arg<K> key) const {
    return internal::SwapFor<uint64_t>(
        this->ref(), [&](Transaction& transaction) {
          return this->In(transaction).RemoveAll(key);
        });
  }
};

}  // namespace eve

#endif  // EVE_MULTI_MAP_H_
