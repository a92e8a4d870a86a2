// What the ordered collections call: cursors and ranges of bytes.
//
// Threads:    one thread per cursor.
// Processes:  none.
// Owns:       a CursorPtr owns the position and the bytes of its key.
// Lifetime:   a cursor dies with its snapshot or transaction. A key is valid
//             until its cursor moves, a value as long as the snapshot, or until
//             the next write to the collection.
// Errors:     StatusOfReads() tells of damage; a cursor that met it stands
//             nowhere.
// Cost:       an allocation a cursor; a step is one call.
#ifndef EVE_INTERNAL_ORDERED_ACCESS_H_
#define EVE_INTERNAL_ORDERED_ACCESS_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/bytes.h"
#include "eve/internal/map_access.h"

namespace eve::internal {

// What a cursor shows. The engine keeps the position behind it.
struct CursorHead {
  Bytes key;
  Bytes value;
  bool valid = false;
  // How often the collection has been written, and how often when the cursor
  // looked last. Null in snapshots, which nothing changes.
  const uint64_t* writes = nullptr;
  uint64_t seen = 0;

  bool IsStale() const { return writes != nullptr && *writes != seen; }
};

struct CursorDeleter {
  void operator()(CursorHead* cursor) const;
};
using CursorPtr = std::unique_ptr<CursorHead, CursorDeleter>;

// They stand nowhere. A null editor has an error: its cursors stay there.
CursorPtr NewCursor(const MapView& view);
CursorPtr NewCursor(MapEditor* editor);

enum class SeekTo : uint8_t {
  kFirst,
  kLast,
  kAtLeast,  // the first key >= the given one
  kAbove,    // the first >
  kAtMost,   // the last <=
  kBelow,    // the last <
};
void SeekCursor(CursorHead& cursor, SeekTo where, Bytes key);
void SeekCursorToRank(CursorHead& cursor, uint64_t rank);
void StepForward(CursorHead& cursor);
void StepBack(CursorHead& cursor);
// From now on the cursor is not valid on keys >= `stop` (forward) or < `stop`.
void StopCursorAt(CursorHead& cursor, Bytes stop, bool forward);
// Looks anew where the cursor stands. REQUIRES: IsStale().
void RefreshCursor(CursorHead& cursor);
absl::Status StatusOfCursor(const CursorHead& cursor);
// The record under the cursor does not have the form of its type.
void NoteUndecodable(const CursorHead& cursor);

// How many keys are below `key`.
absl::StatusOr<uint64_t> RankInMap(const MapView& view, Bytes key);
absl::StatusOr<uint64_t> EraseRangeInMap(MapEditor* editor, Bytes from,
                                         std::optional<Bytes> to);

// Readers and writers as one: the present state, and what reads have met.
inline absl::StatusOr<MapView> ViewOfMap(const MapView& view) { return view; }
absl::Status StatusOfReads(const MapView& view);
absl::Status StatusOfReads(MapEditor* editor);

}  // namespace eve::internal

#endif  // EVE_INTERNAL_ORDERED_ACCESS_H_
