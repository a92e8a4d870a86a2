// Reading maps through a snapshot: the bytes behind Map<K, V>::Reader.

#include "eve/internal/map_access.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/collections/hamt_iterator.h"
#include "engine/collections/hamt_map.h"
#include "engine/collections/hamt_verify.h"
#include "engine/txn/snapshot_impl.h"

namespace eve::internal {
namespace {

BlockView ViewOf(const MapView& map) {
  return BlockView{map.base, map.limit_units};
}

KeyHasher HasherOf(const MapView& map) { return KeyHasher{map.seed, map.mask}; }

void NoteDamage(const MapView& map) {
  if (map.snapshot != nullptr) map.snapshot->MarkDamaged();
}

absl::Status DamagedRead(const MapView& map) {
  NoteDamage(map);
  return absl::DataLossError(
      absl::StrCat("damaged bytes below the map root at offset ",
                   NodeSlot{map.root}.offset().bytes(), "; run eve check"));
}

}  // namespace

MapView OpenMap(const SnapshotImpl& snapshot, const CollectionRef& ref) {
  return ViewAt(snapshot.core(), snapshot.record(), ref, &snapshot);
}

std::optional<Bytes> FindInMap(const MapView& map, Bytes key) {
  const FindResult found =
      HamtFind(ViewOf(map), HasherOf(map), NodeSlot{map.root}, key);
  if (found.outcome == FindOutcome::kFound) return found.value;
  if (found.outcome == FindOutcome::kDamaged) NoteDamage(map);
  return std::nullopt;
}

absl::StatusOr<Bytes> GetInMap(const MapView& map, Bytes key) {
  if (map.verify_salt != 0 &&
      !HamtVerifyPath(ViewOf(map), HasherOf(map), NodeSlot{map.root}, key,
                      map.verify_salt)) {
    return DamagedRead(map);
  }
  const FindResult found =
      HamtFind(ViewOf(map), HasherOf(map), NodeSlot{map.root}, key);
  if (found.outcome == FindOutcome::kFound) return found.value;
  if (found.outcome == FindOutcome::kDamaged) return DamagedRead(map);
  return KeyNotFound();
}

void MultiFindInMap(const MapView& map, absl::Span<const Bytes> keys,
                    absl::Span<std::optional<Bytes>> out) {
  constexpr size_t kGroup = 64;
  FindResult found[kGroup];
  for (size_t done = 0; done < keys.size(); done += kGroup) {
    const size_t n = std::min(kGroup, keys.size() - done);
    HamtMultiFind(ViewOf(map), HasherOf(map), NodeSlot{map.root},
                  keys.subspan(done, n), absl::MakeSpan(found, n));
    for (size_t i = 0; i < n; ++i) {
      if (found[i].outcome == FindOutcome::kFound) {
        out[done + i] = found[i].value;
      } else {
        out[done + i] = std::nullopt;
        if (found[i].outcome == FindOutcome::kDamaged) NoteDamage(map);
      }
    }
  }
}

absl::Status UndecodableValue() {
  return absl::DataLossError(
      "a stored value does not have the form of its type; run eve check");
}

absl::Status KeyNotFound() {
  // No text: a miss must not allocate.
  return absl::Status(absl::StatusCode::kNotFound, "");
}

struct MapCursor::State {
  HamtIterator it;
  const SnapshotImpl* snapshot;
};

MapCursor::MapCursor() = default;
MapCursor::MapCursor(MapCursor&&) noexcept = default;
MapCursor& MapCursor::operator=(MapCursor&&) noexcept = default;
MapCursor::~MapCursor() = default;

MapCursor::MapCursor(const MapView& map)
    : state_(std::make_unique<State>(
          State{HamtIterator(ViewOf(map), NodeSlot{map.root}), map.snapshot})) {
  if (state_->it.damaged()) NoteDamage(map);
}

bool MapCursor::AtEnd() const {
  return state_ == nullptr || !state_->it.Valid();
}

void MapCursor::Next() {
  state_->it.Next();
  if (state_->it.damaged() && state_->snapshot != nullptr) {
    state_->snapshot->MarkDamaged();
  }
}

Bytes MapCursor::key() const { return state_->it.key(); }
Bytes MapCursor::value() const { return state_->it.value(); }

}  // namespace eve::internal
