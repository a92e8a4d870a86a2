// What all ordered collections share: ranges, cursors, counts, erased ranges.
//
// Threads:    one thread per cursor.
// Processes:  none.
// Owns:       a cursor owns its position.
// Lifetime:   of the reader's snapshot or the writer's transaction.
// Errors:     a cursor that meets damaged bytes stands nowhere; its status() is
//             kDataLoss then.
// Cost:       a seek as a look-up; a step is one call into the engine and
//             allocates nothing, but for keys that are copied out (strings in
//             tuples).
#ifndef EVE_INTERNAL_ORDERED_H_
#define EVE_INTERNAL_ORDERED_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/bytes.h"
#include "eve/codec.h"
#include "eve/internal/ordered_access.h"
#include "eve/internal/scan.h"

namespace eve::internal {

// A position among the keys. docs/getting-started.md has the whole rule; in
// short: at first, and after it left either end or found nothing, it stands
// nowhere and only a seek moves it. In a transaction it survives writes: it
// stands on the same key with the newest value, or, if that was erased, in its
// gap: not Valid(), and Next() and Prev() go to the neighbours.
template <class K>
class KeyCursor {
 public:
  explicit KeyCursor(CursorPtr head) : head_(std::move(head)) {}

  void Seek(Arg<K> key) { To(SeekTo::kAtLeast, key); }       // first >= key
  void SeekAbove(Arg<K> key) { To(SeekTo::kAbove, key); }    // first > key
  void SeekAtMost(Arg<K> key) { To(SeekTo::kAtMost, key); }  // last <= key
  void SeekBelow(Arg<K> key) { To(SeekTo::kBelow, key); }    // last < key
  void First() { SeekCursor(*head_, SeekTo::kFirst, Bytes()); }
  void Last() { SeekCursor(*head_, SeekTo::kLast, Bytes()); }
  // Before which there are `index` others.
  void Nth(uint64_t index) { SeekCursorToRank(*head_, index); }
  void Next() { StepForward(*head_); }
  void Prev() { StepBack(*head_); }

  bool Valid() const { return Fresh().valid; }
  // Valid until the cursor moves. In a gap, the key that was there.
  View<K> key() const {
    const CursorHead& head = Fresh();
    return DecodeUnder<K>(head, head.key);
  }
  // Why it stands nowhere: OK if there is no such key.
  absl::Status status() const { return StatusOfCursor(*head_); }

 protected:
  const CursorHead& Fresh() const {
    if (head_->IsStale()) RefreshCursor(*head_);
    return *head_;
  }

 private:
  void To(SeekTo where, Arg<K> key) {
    Scratch scratch;
    Bytes bytes = Codec<K>::Encode(key, scratch);
    // The seek applies what is pending, perhaps over what `key` is a view of.
    Scratch own;
    if (head_->IsStale()) bytes = own.Copy(bytes);
    SeekCursor(*head_, where, bytes);
  }
  CursorPtr head_;
};

// With the value of the key.
template <class K, class V>
class EntryCursor : public KeyCursor<K> {
 public:
  using KeyCursor<K>::KeyCursor;
  // In a gap, and nowhere, V's zero.
  View<V> value() const {
    const CursorHead& head = this->Fresh();
    return DecodeUnder<V>(head, head.value);
  }
};

// Adds ranges and cursors to the reader or writer Base, whose source() is a
// Source. Decoder has Entry, Owned, Cursor, Decode() and Own().
template <class Base, class Source, class K, class Decoder>
class Ordered : public Base {
 public:
  using Base::Base;
  using Entry = typename Decoder::Entry;
  using Cursor = typename Decoder::Cursor;
  using Scan = internal::Scan<Source, Decoder>;

  Scan All() const { return Over({}); }
  // Keys >= from and < to.
  Scan Range(Arg<K> from, Arg<K> to) const { return Over(Between(from, to)); }
  Scan From(Arg<K> from) const {
    Scratch scratch;
    Bounds bounds;
    bounds.From(Codec<K>::Encode(from, scratch));
    return Over(std::move(bounds));
  }
  Scan Until(Arg<K> to) const {
    Scratch scratch;
    Bounds bounds;
    bounds.To(Codec<K>::Encode(to, scratch));
    return Over(std::move(bounds));
  }
  // Keys that begin with the given bytes; of tuples, with the given members.
  template <class... Leading>
  Scan Prefix(const Leading&... leading) const {
    return Over(PrefixBounds(leading...));
  }

  // Stands nowhere.
  Cursor NewCursor() const {
    return Cursor(internal::NewCursor(this->source()));
  }

  // All in O(log n).
  absl::StatusOr<uint64_t> Count(Arg<K> from, Arg<K> to) const {
    return Range(from, to).Count();
  }
  // How many keys are below `key`, whether or not it is there.
  absl::StatusOr<uint64_t> Rank(Arg<K> key) const { return Until(key).Count(); }
  // The entry before which there are `index` others, with a key of its own.
  std::optional<typename Decoder::Owned> Nth(uint64_t index) const {
    CursorPtr cursor = internal::NewCursor(this->source());
    SeekCursorToRank(*cursor, index);
    if (!cursor->valid) return std::nullopt;
    return Decoder::Own(Decoder().Decode(*cursor));
  }

 protected:
  static Bounds Between(Arg<K> from, Arg<K> to) {
    Scratch scratch;
    Bounds bounds;
    bounds.From(Codec<K>::Encode(from, scratch));
    bounds.To(Codec<K>::Encode(to, scratch));
    return bounds;
  }
  template <class... Leading>
  static Bounds PrefixBounds(const Leading&... leading) {
    Scratch scratch;
    Bounds bounds;
    if constexpr (codec_internal::kIsTuple<K>) {
      static_assert(sizeof...(Leading) <= std::tuple_size_v<K>);
      [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
        using Front = std::tuple<std::tuple_element_t<kIndex, K>...>;
        bounds.Prefix(Codec<Front>::Encode(Front(leading...), scratch));
      }
      (std::index_sequence_for<Leading...>());
    } else {
      static_assert(std::is_same_v<Arg<K>, Bytes> && sizeof...(Leading) == 1,
                    "strings and tuples have prefixes");
      bounds.Prefix(Bytes(leading...));
    }
    return bounds;
  }
  Scan Over(Bounds bounds) const {
    return Scan(this->source(), std::move(bounds));
  }
};

// A snapshot's: the whole collection is a range too.
template <class Base, class K, class Decoder>
class OrderedReader : public Ordered<Base, MapView, K, Decoder> {
 public:
  using Ordered<Base, MapView, K, Decoder>::Ordered;
  using Iterator = typename Scan<MapView, Decoder>::Iterator;
  Iterator begin() const { return this->All().begin(); }
  Iterator end() const { return Iterator(); }
};

// A transaction's.
template <class Base, class K, class Decoder>
class OrderedWriter : public Ordered<Base, MapEditor*, K, Decoder> {
 public:
  using Ordered<Base, MapEditor*, K, Decoder>::Ordered;

  // Erases all keys >= from and < to, and says how many there were. Whole
  // subtrees go in O(1) each; their blocks are retired in the background.
  absl::StatusOr<uint64_t> EraseRange(Arg<K> from, Arg<K> to) {
    return EraseIn(this->Between(from, to));
  }
  // As the scan Prefix().
  template <class... Leading>
  absl::StatusOr<uint64_t> ErasePrefix(const Leading&... leading) {
    return EraseIn(this->PrefixBounds(leading...));
  }

 protected:
  absl::StatusOr<uint64_t> EraseIn(const Bounds& bounds) {
    return EraseRangeInMap(this->source(), bounds.from(), bounds.to());
  }
};

}  // namespace eve::internal

#endif  // EVE_INTERNAL_ORDERED_H_
