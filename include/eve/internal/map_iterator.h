// MapIterator: steps through a hash collection.
//
// Threads:    one at a time.
// Processes:  none.
// Owns:       a place in the collection.
// Lifetime:   shorter than that of the reader whose collection it is.
// Errors:     at damaged bytes it is at the end, and Snapshot::status() is
//             kDataLoss. An entry without the form of its type gives zeros, and
//             the same status.
// Cost:       a step is one call into the engine.
#ifndef EVE_INTERNAL_MAP_ITERATOR_H_
#define EVE_INTERNAL_MAP_ITERATOR_H_

#include <cstddef>
#include <iterator>
#include <utility>

#include "eve/bytes.h"
#include "eve/codec.h"
#include "eve/internal/map_access.h"

namespace eve::internal {

// The key or value that stands where `cursor` is.
template <class T>
View<T> DecodeAt(const MapCursor& cursor, Bytes bytes) {
  if (Codec<T>::IsValid(bytes)) return Codec<T>::Decode(bytes);
  if (!cursor.AtEnd()) cursor.NoteUndecodable();
  return View<T>();
}

// Decoder::Decode(cursor) is the Decoder::Entry that `cursor` stands at.
template <class Decoder>
class MapIterator {
 public:
  using Entry = typename Decoder::Entry;
  using iterator_category = std::input_iterator_tag;
  using value_type = Entry;
  using difference_type = std::ptrdiff_t;
  using pointer = const Entry*;
  using reference = Entry;

  MapIterator() = default;
  explicit MapIterator(MapCursor cursor) : cursor_(std::move(cursor)) {}
  Entry operator*() const { return Decoder::Decode(cursor_); }
  MapIterator& operator++() {
    cursor_.Next();
    return *this;
  }
  void operator++(int) { cursor_.Next(); }
  friend bool operator==(const MapIterator& a, const MapIterator& b) {
    return a.cursor_.AtEnd() == b.cursor_.AtEnd();
  }

 private:
  MapCursor cursor_;
};

}  // namespace eve::internal

#endif  // EVE_INTERNAL_MAP_ITERATOR_H_
