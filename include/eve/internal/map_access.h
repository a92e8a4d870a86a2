// What the collection templates call: access to bytes, done by the engine.
//
// Threads:    as the collections.
// Processes:  as the collections.
// Owns:       a MapCursor owns its position; CollectionRef keeps the domain.
// Lifetime:   MapView is valid while its snapshot or transaction is.
// Errors:     as the collections.
// Cost:       as the collections.
#ifndef EVE_INTERNAL_MAP_ACCESS_H_
#define EVE_INTERNAL_MAP_ACCESS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "eve/bytes.h"
#include "eve/stats.h"

namespace eve {

class Transaction;

namespace internal {

class DomainImpl;
class MapEditor;
class SnapshotImpl;
class TransactionImpl;

struct CollectionRef {
  std::shared_ptr<DomainImpl> domain;
  std::string name;
  uint32_t id = 0;
};

// All that a lookup needs, in one place.
struct MapView {
  const char* base = nullptr;
  uint64_t limit_units = 0;
  uint64_t seed = 0;
  uint64_t mask = 0;
  uint64_t root = 0;
  uint64_t count = 0;
  const SnapshotImpl* snapshot = nullptr;  // told of damage; may be null
  MapEditor* editor = nullptr;             // likewise
  uint64_t verify_salt = 0;                // 0: do not verify leaves
  bool ordered = false;                    // a tree of keys, not of hashes
};

// Walks a hash map. One call a record; all else is inline.
class MapCursor {
 public:
  MapCursor();  // at the end
  explicit MapCursor(const MapView& view);
  MapCursor(MapCursor&&) noexcept;
  MapCursor& operator=(MapCursor&&) noexcept;
  ~MapCursor();
  bool AtEnd() const { return at_end_; }
  void Next();
  Bytes key() const { return key_; }
  Bytes value() const { return value_; }
  // REQUIRES: not at the end.
  void NoteUndecodable() const;

 private:
  struct State;
  void Show();
  Bytes key_;
  Bytes value_;
  bool at_end_ = true;
  std::unique_ptr<State> state_;
};

// A collection as a snapshot shows it, for who does not know its types.
struct CollectionView {
  CollectionInfo info;
  uint32_t id = 0;  // not that of one that was dropped and created anew
  MapView map;
};

// All of them, by name.
absl::StatusOr<std::vector<CollectionView>> ListCollections(
    const SnapshotImpl& snapshot);
MapView OpenMap(const SnapshotImpl& snapshot, const CollectionRef& ref);
std::optional<Bytes> FindInMap(const MapView& view, Bytes key);
absl::StatusOr<Bytes> GetInMap(const MapView& view, Bytes key);
void MultiFindInMap(const MapView& view, absl::Span<const Bytes> keys,
                    absl::Span<std::optional<Bytes>> out);
void NoteDamagedRead(const MapView& view);
absl::Status UndecodableValue();
absl::Status KeyNotFound();

MapEditor* EditMap(TransactionImpl& transaction, const CollectionRef& ref);
absl::StatusOr<std::optional<Bytes>> FindInEditor(MapEditor* editor, Bytes key);
absl::Status PutInMap(MapEditor* editor, Bytes key, Bytes value);
// REQUIRES: an ordered collection.
absl::Status AppendInMap(MapEditor* editor, Bytes key, Bytes value);
absl::StatusOr<bool> InsertInMap(MapEditor* editor, Bytes key, Bytes value);
absl::StatusOr<bool> EraseInMap(MapEditor* editor, Bytes key);
absl::Status ClearMap(MapEditor* editor);
absl::StatusOr<uint64_t> SizeOfMap(MapEditor* editor);
absl::StatusOr<MapView> ViewOfMap(MapEditor* editor);

absl::Status GetOne(const CollectionRef& ref, Bytes key,
                    absl::FunctionRef<void(Bytes)> take);
inline absl::StatusOr<bool> ContainsOne(const CollectionRef& ref, Bytes key) {
  const absl::Status found = GetOne(ref, key, [](Bytes) {});
  if (absl::IsNotFound(found)) return false;
  if (!found.ok()) return found;
  return true;
}
// Runs `fn` on the newest version. kDataLoss if it met damage.
absl::Status ReadOne(const CollectionRef& ref,
                     absl::FunctionRef<void(const MapView&)> fn);
absl::Status SwapOne(const CollectionRef& ref,
                     absl::FunctionRef<absl::Status(Transaction&)> fn);
absl::StatusOr<uint64_t> CountOne(const CollectionRef& ref);

}  // namespace internal
}  // namespace eve

#endif  // EVE_INTERNAL_MAP_ACCESS_H_
