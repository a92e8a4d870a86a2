// Reading through a snapshot: the bytes behind the readers of collections.

#include "eve/internal/map_access.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/collections/btree.h"
#include "engine/collections/btree_verify.h"
#include "engine/collections/hamt_iterator.h"
#include "engine/collections/hamt_verify.h"
#include "engine/txn/snapshot_impl.h"
#include "engine/txn/structure.h"
#include "engine/txn/transaction_impl.h"
#include "eve/internal/ordered_access.h"

namespace eve::internal {
namespace {

BlockView ViewOf(const MapView& map) {
  return BlockView{map.base, map.limit_units};
}

KeyHasher HasherOf(const MapView& map) { return KeyHasher{map.seed, map.mask}; }

Structure StructureOfView(const MapView& map) {
  return map.ordered ? Structure::kTree : Structure::kTrie;
}

FindResult FindInView(const MapView& map, Bytes key) {
  return FindIn(StructureOfView(map), ViewOf(map), HasherOf(map),
                NodeSlot{map.root}, key);
}

bool IsPathIntact(const MapView& map, Bytes key) {
  if (map.verify_salt == 0) return true;
  const NodeSlot root{map.root};
  if (map.ordered) {
    return TreeVerifyPath(ViewOf(map), root, key, map.verify_salt);
  }
  return HamtVerifyPath(ViewOf(map), HasherOf(map), root, key, map.verify_salt);
}

absl::Status DamagedRead(const MapView& map) {
  NoteDamagedRead(map);
  return absl::DataLossError(
      absl::StrCat("damaged bytes below the map root at offset ",
                   NodeSlot{map.root}.offset().bytes(), "; run eve check"));
}

}  // namespace

MapView OpenMap(const SnapshotImpl& snapshot, const CollectionRef& ref) {
  return ViewAt(snapshot.core(), snapshot.record(), ref, &snapshot);
}

std::optional<Bytes> FindInMap(const MapView& map, Bytes key) {
  const FindResult found = FindInView(map, key);
  if (found.outcome == FindOutcome::kFound) return found.value;
  if (found.outcome == FindOutcome::kDamaged) NoteDamagedRead(map);
  return std::nullopt;
}

absl::StatusOr<Bytes> GetInMap(const MapView& map, Bytes key) {
  if (!IsPathIntact(map, key)) return DamagedRead(map);
  const FindResult found = FindInView(map, key);
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
    MultiFindIn(StructureOfView(map), ViewOf(map), HasherOf(map),
                NodeSlot{map.root}, keys.subspan(done, n),
                absl::MakeSpan(found, n));
    for (size_t i = 0; i < n; ++i) {
      if (found[i].outcome == FindOutcome::kFound) {
        out[done + i] = found[i].value;
      } else {
        out[done + i] = std::nullopt;
        if (found[i].outcome == FindOutcome::kDamaged) NoteDamagedRead(map);
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

void NoteDamagedRead(const MapView& map) {
  if (map.snapshot != nullptr) map.snapshot->MarkDamaged();
  if (map.editor != nullptr) map.editor->MarkDamaged();
}

absl::StatusOr<uint64_t> RankInMap(const MapView& map, Bytes key) {
  const std::optional<uint64_t> rank =
      TreeRank(ViewOf(map), NodeSlot{map.root}, key);
  if (!rank.has_value()) return DamagedRead(map);
  return *rank;
}

absl::Status StatusOfReads(const MapView& map) {
  if (map.editor != nullptr) return map.editor->status();
  return map.snapshot == nullptr ? absl::OkStatus() : map.snapshot->status();
}

struct MapCursor::State {
  HamtIterator it;
  MapView map;
};

MapCursor::MapCursor() = default;
MapCursor::MapCursor(MapCursor&&) noexcept = default;
MapCursor& MapCursor::operator=(MapCursor&&) noexcept = default;
MapCursor::~MapCursor() = default;

MapCursor::MapCursor(const MapView& map)
    : state_(std::make_unique<State>(
          State{HamtIterator(ViewOf(map), NodeSlot{map.root}), map})) {
  Show();
}

void MapCursor::Show() {
  const HamtIterator& it = state_->it;
  at_end_ = !it.Valid();
  if (!at_end_) {
    key_ = it.key();
    value_ = it.value();
  } else if (it.damaged()) {
    NoteDamagedRead(state_->map);
  }
}

void MapCursor::NoteUndecodable() const { NoteDamagedRead(state_->map); }

void MapCursor::Next() {
  state_->it.Next();
  Show();
}

}  // namespace eve::internal
