// What all ordered collections share: scans, cursors, counting, erasing ranges.
//
// Threads:    one thread per scan, iterator or cursor.
// Processes:  none.
// Owns:       a scan owns its bounds; an iterator or cursor its position.
// Lifetime:   of the reader's snapshot or the writer's transaction.
// Errors:     a scan or cursor that meets damaged bytes ends there, with
//             status() kDataLoss.
// Cost:       to begin, a look-up and an allocation; a step is one call into
//             the engine and allocates nothing.
#ifndef EVE_INTERNAL_ORDERED_H_
#define EVE_INTERNAL_ORDERED_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/bytes.h"
#include "eve/codec.h"
#include "eve/internal/ordered_access.h"

namespace eve::internal {

// Decodes what a cursor shows; a record without the form of its type, or none,
// gives T's zero.
template <class T>
View<T> DecodeUnder(const CursorHead& cursor, Bytes bytes) {
  if (Codec<T>::IsValid(bytes)) return Codec<T>::Decode(bytes);
  if (cursor.valid) NoteUndecodable(cursor);
  return View<T>();
}

// Half-open bounds in stored bytes.
class Bounds {
 public:
  void From(Bytes bytes) { Set(from_, bytes); }
  void To(Bytes bytes) {
    Set(to_, bytes);
    has_to_ = true;
  }
  // All keys that begin with `prefix`.
  void Prefix(Bytes prefix) {
    From(prefix);
    // The next prefix of that size, or shorter; none after FF FF FF.
    size_t size = prefix.size();
    while (size > 0 && prefix.data()[size - 1] == '\xFF') --size;
    if (size == 0) return;
    to_.Clear();
    to_.Append(prefix.data(), size - 1);
    const auto last = static_cast<uint8_t>(prefix.data()[size - 1]);
    const char next = static_cast<char>(last + 1);
    to_.Append(&next, 1);
    has_to_ = true;
  }

  Bytes from() const { return from_.bytes(); }
  std::optional<Bytes> to() const {
    if (!has_to_) return std::nullopt;
    return to_.bytes();
  }

 private:
  static void Set(Scratch& room, Bytes bytes) {
    room.Clear();
    room.Append(bytes.data(), bytes.size());
  }
  Scratch from_;
  Scratch to_;
  bool has_to_ = false;
};

inline absl::StatusOr<uint64_t> CountIn(const absl::StatusOr<MapView>& view,
                                        const Bounds& bounds) {
  if (!view.ok()) return view.status();
  absl::StatusOr<uint64_t> end = view->count;
  if (bounds.to().has_value()) end = RankInMap(*view, *bounds.to());
  if (!end.ok() || bounds.from().empty()) return end;
  absl::StatusOr<uint64_t> begin = RankInMap(*view, bounds.from());
  if (!begin.ok()) return begin;
  return *end > *begin ? *end - *begin : 0;
}

// A range for range-for, ascending unless Reverse(), without end unless
// Limit(). Source is MapView or MapEditor*; Decoder makes its Entry.
//
//   for (auto [key, value] : reader.Range("a", "b").Reverse().Limit(10))
template <class Source, class Decoder>
class Scan {
 public:
  using Entry = typename Decoder::Entry;

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Entry;
    using difference_type = std::ptrdiff_t;
    using pointer = const Entry*;
    using reference = Entry;

    Iterator() = default;
    Iterator(const Scan& scan, CursorPtr cursor)
        : cursor_(std::move(cursor)),
          left_(scan.limit_),
          reverse_(scan.reverse_),
          decoder_(scan.decoder_) {}

    // In a writer's scan, as a cursor: an entry that was erased has no value.
    Entry operator*() const {
      if (cursor_->IsStale()) RefreshCursor(*cursor_);
      return decoder_.Decode(*cursor_);
    }
    Iterator& operator++() {
      if (--left_ == 0) {
        cursor_.reset();
      } else if (reverse_) {
        StepBack(*cursor_);
      } else {
        StepForward(*cursor_);
      }
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.AtEnd() == b.AtEnd();
    }

   private:
    bool AtEnd() const { return cursor_ == nullptr || !cursor_->valid; }
    CursorPtr cursor_;
    uint64_t left_ = 0;
    bool reverse_ = false;
    [[no_unique_address]] Decoder decoder_;
  };

  Scan(const Source& source, Bounds bounds, Decoder decoder = {})
      : source_(source), bounds_(std::move(bounds)), decoder_(decoder) {}

  // From the last key to the first.
  Scan Reverse() const {
    Scan scan = *this;
    scan.reverse_ = !reverse_;
    return scan;
  }
  // Ends after `entries`.
  Scan Limit(uint64_t entries) const {
    Scan scan = *this;
    scan.limit_ = std::min(limit_, entries);
    return scan;
  }

  Iterator begin() const {
    if (limit_ == 0) return end();
    CursorPtr cursor = NewCursor(source_);
    const Bytes from = bounds_.from();
    const std::optional<Bytes> to = bounds_.to();
    if (reverse_) {
      if (!from.empty()) StopCursorAt(*cursor, from, /*forward=*/false);
      SeekCursor(*cursor, to ? SeekTo::kBelow : SeekTo::kLast, to.value_or(""));
    } else {
      if (to) StopCursorAt(*cursor, *to, /*forward=*/true);
      SeekCursor(*cursor, from.empty() ? SeekTo::kFirst : SeekTo::kAtLeast,
                 from);
    }
    return Iterator(*this, std::move(cursor));
  }
  Iterator end() const { return Iterator(); }

  // How many entries it has, without visiting them: O(log n).
  absl::StatusOr<uint64_t> Count() const {
    absl::StatusOr<uint64_t> count = CountIn(ViewOfMap(source_), bounds_);
    if (!count.ok()) return count;
    return std::min(*count, limit_);
  }
  // Whether all entries were seen: kDataLoss if reads through this snapshot or
  // transaction have met damaged bytes.
  absl::Status status() const { return StatusOfReads(source_); }

 private:
  Source source_;
  Bounds bounds_;
  Decoder decoder_;
  bool reverse_ = false;
  uint64_t limit_ = std::numeric_limits<uint64_t>::max();
};

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
    SeekCursor(*head_, where, Codec<K>::Encode(key, scratch));
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
    return CountIn(ViewOfMap(this->source()), Between(from, to));
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
