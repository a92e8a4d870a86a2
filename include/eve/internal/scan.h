// Scan: a range of an ordered collection, for range-for.
//
// Threads:    one thread per scan and iterator.
// Processes:  none.
// Owns:       a scan its bounds; an iterator its position and its last bound.
// Lifetime:   of the reader's snapshot or the writer's transaction.
// Errors:     an iterator that meets damaged bytes is at the end; status() is
//             kDataLoss then.
// Cost:       to begin, a look-up and an allocation; a step is one call into
//             the engine and allocates nothing, but for keys that are copied
//             out (strings in tuples and of a MultiMap).
#ifndef EVE_INTERNAL_SCAN_H_
#define EVE_INTERNAL_SCAN_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
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
  void From(Bytes bytes) { from_.Copy(bytes); }
  void To(Bytes bytes) {
    to_.Copy(bytes);
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

}  // namespace eve::internal

#endif  // EVE_INTERNAL_SCAN_H_
