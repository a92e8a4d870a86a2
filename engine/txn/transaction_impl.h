// TransactionImpl: collections of one base root, edited by one attempt.
//
// Threads:    one at a time.
// Processes:  nothing is seen by others before the commit.
// Owns:       copies of pending keys and values until they are applied.
// Lifetime:   reused from transaction to transaction by its writer.
// Errors:     sticky: after a failed write the transaction cannot commit.
// Cost:       a put is buffered; the structure is touched once a batch. Of a
//             bulk of ascending keys each leaf is written once.
#ifndef EVE_ENGINE_TXN_TRANSACTION_IMPL_H_
#define EVE_ENGINE_TXN_TRANSACTION_IMPL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/collections/btree.h"
#include "engine/collections/hamt_map.h"
#include "engine/collections/move.h"
#include "engine/collections/side_moves.h"
#include "engine/root/pinned_root.h"
#include "engine/txn/attempt.h"
#include "engine/txn/catalog.h"
#include "engine/txn/core.h"
#include "engine/txn/structure.h"
#include "eve/internal/map_access.h"
#include "eve/transaction.h"

namespace eve {
class TreeAppender;
}  // namespace eve

namespace eve::internal {

// Copies of keys and values that wait to be applied, in chunks that stay
// where they are.
class PendingBytes {
 public:
  Bytes Copy(Bytes bytes);
  void Clear();
  size_t used() const { return used_; }

 private:
  static constexpr size_t kChunkBytes = 64 << 10;
  struct Chunk {
    std::unique_ptr<char[]> data;
    size_t size = 0;
  };
  std::vector<Chunk> chunks_;
  size_t current_ = 0;  // chunk being filled
  size_t at_ = 0;       // in it
  size_t used_ = 0;
};

// One collection inside a transaction, whatever its kind.
class MapEditor {
 public:
  explicit MapEditor(TransactionImpl* transaction);
  ~MapEditor();

  absl::StatusOr<std::optional<Bytes>> Find(Bytes key);
  absl::Status Put(Bytes key, Bytes value);
  // Puts a key that must be above all others. REQUIRES: a tree.
  absl::Status Append(Bytes key, Bytes value);
  absl::StatusOr<bool> Apply(MapOpKind kind, Bytes key, Bytes value);
  // REQUIRES: the collection is a tree.
  absl::StatusOr<uint64_t> EraseRange(const KeyRange& range);
  absl::Status Clear();
  absl::StatusOr<uint64_t> Size();
  absl::StatusOr<MapView> View();
  absl::Status Flush();
  // REQUIRES: nothing is pending.
  absl::Status Move(absl::Span<const MoveTarget> targets, MoveResult* moved);
  // REQUIRES: nothing is pending.
  bool HasChanged() const { return root_.slot != record_.entry.root; }

  // Grows with every write: who has seen another number looks anew.
  const uint64_t& writes() const { return writes_; }
  // A read met damaged bytes: the transaction will fail.
  void MarkDamaged();
  const absl::Status& status() const;

 private:
  friend class TransactionImpl;
  CollectionKind collection_kind() const {
    return static_cast<CollectionKind>(record_.entry.kind);
  }
  Structure structure() const { return StructureOf(record_.entry.kind); }
  EditContext Context() const;
  // What Flush() does at the end of a run, but the puts stay, to be applied
  // once more if the run is lost.
  absl::Status ApplyPending();
  // Whether all that this run did to the collection is puts that are still
  // here: they mean the same whatever was there before.
  bool HasOnlyPuts() const {
    return !has_read_ && !has_dropped_puts_ && !pending_.empty();
  }
  // The same but for puts that are gone, and with moves, all in the structure.
  bool IsBlind() const { return !has_read_ && HasChanged(); }
  // Whether it wrote nothing.
  bool IsUnchanged() const { return !HasChanged() && buried_.empty(); }
  // The collection as the base has it.
  void SetBase(Bytes entry, CatalogRecord record);
  // The same where nothing but root and count may differ from what it was
  // before. False: more does.
  bool Advance(Bytes entry);
  // Flush() of a batch that is full. If it has ended with the last key of a
  // tree, puts of keys above that go to the appender.
  absl::Status FlushBulk();
  absl::Status StartAppending();
  // REQUIRES: appender_, which takes the key.
  absl::Status AddBehind(Bytes key, Bytes value);
  // Forgets writes that have not reached the structure.
  void DropUnapplied();
  // Forgets a transaction; the buffers stay for the next.
  void Reset();

  TransactionImpl* transaction_;
  std::string base_bytes_;  // catalog entry as the base has it
  CatalogRecord record_;
  bool aligns_values_ = false;
  MapRoot root_;
  uint64_t writes_ = 0;
  std::vector<NodeSlot> buried_;  // roots that nothing leads to any more
  std::vector<MapOp> pending_;    // after ApplyPending() applied all the same
  PendingBytes bytes_;
  // While it is there, nothing is pending.
  std::unique_ptr<TreeAppender> appender_;
  bool has_read_ = false;          // or done what depends on what was there
  bool has_dropped_puts_ = false;  // which are applied, and no longer pending
};

class TransactionImpl {
 public:
  friend class MapEditor;
  TransactionImpl(Core* core, SegmentWriter* writer);

  // Starts a run of the closure on a pinned base.
  void Begin(PinnedRoot base, int attempt);
  const PinnedRoot& base() const { return base_; }
  int attempt_number() const { return attempt_number_; }

  // The collection's editor; null, with status() set, if it cannot be used.
  MapEditor* Edit(const std::string& name, uint32_t id);
  const absl::Status& status() const { return status_; }

  absl::StatusOr<Savepoint> Save();
  absl::Status RollBackTo(const Savepoint& savepoint);

  // Creates or removes a name. Reads the catalog (P10).
  absl::StatusOr<uint32_t> CreateCollection(CatalogRecord record);
  absl::Status DropCollection(const std::string& name);
  // Takes a slice off a graveyard; removes it when it is empty.
  absl::Status RetireSlice(const CatalogRecord& graveyard, uint64_t budget);

  // What this run may move beside its writes, from Begin() on.
  SideMoves& side_moves() { return side_moves_; }

  // Applies what is pending.
  absl::Status Flush();
  // Ids of the collections that this run has written. REQUIRES: Flush().
  std::vector<uint32_t> WrittenCollections() const;
  // Moves those of `targets`, of a collection that this run has written, that
  // are alive. REQUIRES: Flush(). After an error the run must not go on.
  absl::Status MoveWritten(uint32_t id, absl::Span<const MoveTarget> targets,
                           MoveResult* moved);
  // The same for a collection that the run need not have touched. Nothing if
  // there is no such collection any more.
  absl::Status MoveIn(const std::string& name, uint32_t id,
                      absl::Span<const MoveTarget> targets, MoveResult* moved);
  // The same for the catalog itself, when the run is stamped.
  void MoveCatalog(absl::Span<const MoveTarget> targets) {
    catalog_moves_.assign(targets.begin(), targets.end());
    KeepLiveInHamt(core_->FileView(), base_.record().catalog_root,
                   catalog_moves_);
  }
  // Completes the data. Returns whether there is anything to commit.
  // REQUIRES: Flush().
  absl::StatusOr<bool> Prepare();
  // Builds the catalog path and the record on top of `newest`, which is the
  // base or a winner that changed nothing this run read.
  absl::StatusOr<Offset> Stamp(const PinnedRoot& newest);
  // Whether `newest` changed a collection that this run read or wrote.
  absl::StatusOr<bool> ConflictsWith(const CommitRecord& newest) const;
  // Whether the run is as good on `newest`: it has put, and what it has read is
  // the same there. Of a bulk, whose puts are not kept, it is not known.
  absl::StatusOr<bool> CanReplayOn(const CommitRecord& newest) const;
  // Puts what the run has written on top of what `newest` has changed of the
  // same collections. The base is `newest` then. False: both have changed the
  // same leaf, or one changed what has no such rebase; the run can only be
  // replayed or run again. REQUIRES: Prepare() was true.
  absl::StatusOr<bool> RebaseOn(PinnedRoot& newest);
  // Whether RebaseOn() is worth trying after a conflict.
  bool MayRebase() const;
  // Whether CanReplayOn() is worth asking.
  bool MayReplay() const;
  // Applies the puts once more, there, instead of the closure; Prepare() is
  // next, as after that. REQUIRES: CanReplayOn() its record; nothing is moved
  // beside the former run any more.
  absl::Status ReplayOn(PinnedRoot newest);
  // The run makes more live from here on: it must leave the reserve alone. Of a
  // run that has not said so it is known that it only erases.
  void NoteAdds() {
    SegmentWriter& writer = attempt_.writer();
    if (writer.purpose() == ClaimPurpose::kErase) RestrictToRoom(writer);
  }
  // The closure has seen which version it runs on.
  void NoteVersionRead() { has_read_version_ = true; }

  // Whether the prepared run drops or clears anything.
  bool leaves_graveyard() const;

  // Another number for each swap, thread and process.
  uint64_t NextSeed() { return seed_ += uint64_t{1} << 48; }

  // The run is over, published or not.
  void Finish(bool committed);
  Attempt& attempt() { return attempt_; }
  Core& core() { return *core_; }

 private:
  struct SavedCollection {
    MapRoot root;
    size_t buried;
  };
  struct Saved {
    uint64_t serial;
    Attempt::Savepoint attempt;
    std::vector<SavedCollection> collections;
  };
  struct CatalogChange {
    std::string name;
    std::string value;  // empty: erase
  };
  void RestrictToRoom(SegmentWriter& writer);
  std::unique_ptr<MapEditor> TakeEditor();
  // An editor that was the collection's before, for what `entry` says now; null
  // if there is none.
  MapEditor* TakeEditorOf(const std::string& name, uint32_t id, Bytes entry);
  EditContext CatalogContext();
  // To be filled; it may have what it had in another run.
  CatalogChange& AddChange();
  absl::Span<const CatalogChange> changes() const {
    return absl::MakeConstSpan(changes_.data(), change_count_);
  }
  void CollectCatalogChanges();
  void CollectEditorChanges(const MapEditor& editor);
  // Whether what the run has seen of names and versions is the same there.
  bool SeesSameNames(const CommitRecord& newest) const {
    return !changed_names_ && !has_read_version_ && catalog_moves_.empty() &&
           (!read_catalog_ ||
            newest.catalog_version == base_.record().catalog_version);
  }
  absl::StatusOr<bool> RebaseEditor(MapEditor& editor,
                                    const CommitRecord& newest);

  Core* core_;
  uint64_t seed_;
  Attempt attempt_;
  PinnedRoot base_;
  int attempt_number_ = 0;
  absl::Status status_;
  std::vector<std::unique_ptr<MapEditor>> editors_;
  std::vector<std::unique_ptr<MapEditor>> idle_editors_;
  std::vector<Saved> savepoints_;
  uint64_t savepoint_serial_ = 0;
  // Creates and drops; by the API they come alone in a transaction.
  bool read_catalog_ = false;
  bool has_read_version_ = false;
  bool changed_names_ = false;
  uint32_t next_collection_ = 0;
  int64_t collection_delta_ = 0;
  std::vector<CatalogChange> name_changes_;
  // Those of this run come first; the rest keep their memory for the next.
  std::vector<CatalogChange> changes_;
  size_t change_count_ = 0;
  std::vector<MoveTarget> catalog_moves_;
  SideMoves side_moves_;
  std::vector<MapOp> catalog_ops_;
};

}  // namespace eve::internal

#endif  // EVE_ENGINE_TXN_TRANSACTION_IMPL_H_
