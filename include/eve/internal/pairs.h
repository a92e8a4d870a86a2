// Pairs of a key and a value, as a MultiMap stores them, and cursors over them.
//
// Threads:    as OrderedMap.
// Processes:  the joined bytes are PERSISTED.
// Owns:       as OrderedMap.
// Lifetime:   as OrderedMap.
// Errors:     as OrderedMap.
// Cost:       as OrderedMap; keys are copied out.
#ifndef EVE_INTERNAL_PAIRS_H_
#define EVE_INTERNAL_PAIRS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "eve/bytes.h"
#include "eve/codec.h"
#include "eve/internal/ordered_access.h"
#include "eve/internal/scan.h"

namespace eve::internal {

// A stored pair is the key as the member of a tuple, so that no key is the
// beginning of another, and the bytes of the value.
template <class K>
Bytes JoinKey(Arg<K> key, Scratch& pair) {
  pair.Clear();
  codec_internal::AppendMember(key, pair);
  return pair.bytes();
}

template <class K, class V>
Bytes JoinPair(Arg<K> key, Arg<V> value, Scratch& pair) {
  JoinKey<K>(key, pair);
  Scratch scratch;
  const Bytes bytes = Codec<V>::Encode(value, scratch);
  pair.Append(bytes.data(), bytes.size());
  return pair.bytes();
}

// All pairs of a key; all whose keys begin so, see Ordered::Prefix().
template <class K>
Bounds KeyBounds(Arg<K> key) {
  Scratch scratch;
  Bounds bounds;
  bounds.Prefix(JoinKey<K>(key, scratch));
  return bounds;
}
template <class K, class... Leading>
Bounds KeyPrefixBounds(const Leading&... leading) {
  Scratch scratch;
  Bounds bounds;
  if constexpr (codec_internal::kIsTuple<K>) {
    static_assert(sizeof...(Leading) <= std::tuple_size_v<K>);
    [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
      using Front = std::tuple<std::tuple_element_t<kIndex, K>...>;
      bounds.Prefix(JoinKey<Front>(Front(leading...), scratch));
    }
    (std::index_sequence_for<Leading...>());
  } else {
    static_assert(std::is_same_v<Arg<K>, Bytes> && sizeof...(Leading) == 1,
                  "strings and tuples have prefixes");
    const Bytes joined = JoinKey<K>(Bytes(leading...), scratch);
    // Without the two bytes that end it.
    bounds.Prefix(Bytes(joined.data(), joined.size() - 2));
  }
  return bounds;
}

template <class K, class V>
struct PairDecoder {
  struct Entry {
    K key;  // decoded, and so a copy
    View<V> value;
  };
  struct Owned {
    K key;
    V value;
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
  static Owned Own(Entry entry) {
    return Owned{std::move(entry.key), V(entry.value)};
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

// A position among the pairs, in the order of keys and then of values. It moves
// and survives writes as a KeyCursor does.
template <class K, class V>
class PairCursor {
 public:
  explicit PairCursor(CursorPtr head) : head_(std::move(head)) {}

  // To the first pair of the first key >= `key`, or > it; to the last pair of
  // the last key <= `key`, or < it.
  void Seek(Arg<K> key) {
    Scratch scratch;
    SeekCursor(*head_, SeekTo::kAtLeast, JoinKey<K>(key, scratch));
  }
  void SeekAbove(Arg<K> key) { ToEndOf(KeyBounds<K>(key)); }
  void SeekAtMost(Arg<K> key) {
    const Bounds bounds = KeyBounds<K>(key);
    SeekCursor(*head_, bounds.to() ? SeekTo::kBelow : SeekTo::kLast,
               bounds.to().value_or(""));
  }
  void SeekBelow(Arg<K> key) {
    Scratch scratch;
    SeekCursor(*head_, SeekTo::kBelow, JoinKey<K>(key, scratch));
  }
  // The same of pairs.
  void Seek(Arg<K> key, Arg<V> value) { To(SeekTo::kAtLeast, key, value); }
  void SeekAbove(Arg<K> key, Arg<V> value) { To(SeekTo::kAbove, key, value); }
  void SeekAtMost(Arg<K> key, Arg<V> value) { To(SeekTo::kAtMost, key, value); }
  void SeekBelow(Arg<K> key, Arg<V> value) { To(SeekTo::kBelow, key, value); }

  void First() { SeekCursor(*head_, SeekTo::kFirst, Bytes()); }
  void Last() { SeekCursor(*head_, SeekTo::kLast, Bytes()); }
  // Before which there are `index` other pairs.
  void Nth(uint64_t index) { SeekCursorToRank(*head_, index); }
  void Next() { StepForward(*head_); }
  void Prev() { StepBack(*head_); }
  // To the first pair of the next key, or the last of the key before, in
  // O(log n), however many values are in between.
  void NextKey() {
    Bounds bounds;
    if (TakeKey(bounds)) ToEndOf(bounds);
  }
  void PrevKey() {
    Bounds bounds;
    if (TakeKey(bounds)) SeekCursor(*head_, SeekTo::kBelow, bounds.from());
  }

  bool Valid() const { return Fresh().valid; }
  // In a gap, those of the pair that was there. A value that is a view is valid
  // until the cursor moves.
  K key() const { return PairDecoder<K, V>().Decode(Fresh()).key; }
  View<V> value() const { return PairDecoder<K, V>().Decode(Fresh()).value; }
  // Why it stands nowhere: OK if there is no such pair.
  absl::Status status() const { return StatusOfCursor(*head_); }

 private:
  const CursorHead& Fresh() const {
    if (head_->IsStale()) RefreshCursor(*head_);
    return *head_;
  }
  void To(SeekTo where, Arg<K> key, Arg<V> value) {
    Scratch scratch;
    SeekCursor(*head_, where, JoinPair<K, V>(key, value, scratch));
  }
  // To what follows all in `bounds`; nowhere if nothing can.
  void ToEndOf(const Bounds& bounds) {
    SeekCursor(*head_, bounds.to() ? SeekTo::kAtLeast : SeekTo::kBelow,
               bounds.to().value_or(""));
  }
  // The pairs of the key that it stands on or stood on; false if that is none.
  bool TakeKey(Bounds& bounds) const {
    const Bytes pair = Fresh().key;
    Bytes rest = pair;
    if (!codec_internal::TakeMember(rest, static_cast<K*>(nullptr))) {
      return false;
    }
    bounds.Prefix(Bytes(pair.data(), pair.size() - rest.size()));
    return true;
  }
  CursorPtr head_;
};

}  // namespace eve::internal

#endif  // EVE_INTERNAL_PAIRS_H_
