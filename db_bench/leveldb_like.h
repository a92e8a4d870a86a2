// What the adapters of LevelDB and RocksDB share: RocksDB has kept LevelDB's
// interface for statuses, slices, iterators and snapshots.
//
// `Api` names the types: Db, Iterator, ReadOptions, Slice, Snapshot.
//
// Threads:    one per session.
// Processes:  only one can open such a database.
// Owns:       a session its snapshots.
// Lifetime:   shorter than the database's.
// Errors:     Fatal() where a read meets damage.
// Cost:       that of the engine.
#ifndef EVE_DB_BENCH_LEVELDB_LIKE_H_
#define EVE_DB_BENCH_LEVELDB_LIKE_H_

#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "db_bench/engine_adapter.h"

namespace eve::bench {

template <class Status>
absl::Status ToStatus(const Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(status.ToString());
}

template <class Api>
class LeveldbLikeCursor final : public Cursor {
 public:
  explicit LeveldbLikeCursor(typename Api::Iterator* iterator)
      : iterator_(iterator) {}

  bool First(Entry* entry) override {
    iterator_->SeekToFirst();
    return Show(entry);
  }
  bool Last(Entry* entry) override {
    iterator_->SeekToLast();
    return Show(entry);
  }
  bool Seek(std::string_view key, Entry* entry) override {
    iterator_->Seek(typename Api::Slice(key.data(), key.size()));
    return Show(entry);
  }
  bool Next(Entry* entry) override {
    iterator_->Next();
    return Show(entry);
  }
  bool Prev(Entry* entry) override {
    iterator_->Prev();
    return Show(entry);
  }

 private:
  bool Show(Entry* entry) {
    if (!iterator_->Valid()) {
      if (!iterator_->status().ok()) Fatal(iterator_->status().ToString());
      return false;
    }
    entry->key = {iterator_->key().data(), iterator_->key().size()};
    entry->value = {iterator_->value().data(), iterator_->value().size()};
    return true;
  }
  const std::unique_ptr<typename Api::Iterator> iterator_;
};

// Snapshots and cursors; the rest differs.
template <class Api>
class LeveldbLikeSession : public Session {
 public:
  using EngineCursor = LeveldbLikeCursor<Api>;

  explicit LeveldbLikeSession(typename Api::Db* db) : db_(db) {}
  ~LeveldbLikeSession() override {
    Release(read_options_.snapshot);
    Release(old_);
  }

  absl::Status TakeSnapshot() override {
    DropSnapshot();
    read_options_.snapshot = db_->GetSnapshot();
    return absl::OkStatus();
  }
  absl::Status SeeNewest() override {
    DropSnapshot();
    return absl::OkStatus();
  }
  void DropSnapshot() override {
    Release(std::exchange(read_options_.snapshot, nullptr));
  }

  std::unique_ptr<Cursor> NewCursor() override {
    return std::make_unique<EngineCursor>(db_->NewIterator(read_options_));
  }
  void KeepOldSnapshot() override {
    Release(old_);
    old_ = std::exchange(read_options_.snapshot, nullptr);
  }
  uint64_t CountDiff() override {
    typename Api::ReadOptions old_options;
    old_options.snapshot = old_;
    EngineCursor before(db_->NewIterator(old_options));
    EngineCursor after(db_->NewIterator(read_options_));
    return CountDifferences(before, after);
  }

 protected:
  typename Api::Db* db() const { return db_; }
  const typename Api::ReadOptions& read_options() const {
    return read_options_;
  }

 private:
  void Release(const typename Api::Snapshot* snapshot) {
    if (snapshot != nullptr) db_->ReleaseSnapshot(snapshot);
  }

  typename Api::Db* const db_;
  typename Api::ReadOptions read_options_;
  const typename Api::Snapshot* old_ = nullptr;
};

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_LEVELDB_LIKE_H_
