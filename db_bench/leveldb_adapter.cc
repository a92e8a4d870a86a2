// LevelDB behind the interface of db_bench: block cache larger than the data,
// Bloom filter; what it cannot do is said in `settings`.

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/options.h>
#include <leveldb/write_batch.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/periodic_sync.h"

namespace eve::bench {
namespace {

// The same as those of RocksDB.
constexpr size_t kBlockCacheBytes = size_t{8} << 30;
constexpr size_t kWriteBufferBytes = size_t{64} << 20;
constexpr int kBloomBitsPerKey = 10;
constexpr int kOpenFilesMax = 10000;
// How long the set of table files has to stay as it is.
constexpr absl::Duration kRest = absl::Seconds(1);

absl::Status ToStatus(const leveldb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(status.ToString());
}

leveldb::Slice ToSlice(std::string_view bytes) {
  return leveldb::Slice(bytes.data(), bytes.size());
}

std::string_view ToView(const leveldb::Slice& slice) {
  return {slice.data(), slice.size()};
}

class LeveldbCursor final : public Cursor {
 public:
  explicit LeveldbCursor(leveldb::Iterator* iterator) : iterator_(iterator) {}

  bool First(Entry* entry) override {
    iterator_->SeekToFirst();
    return Show(entry);
  }
  bool Last(Entry* entry) override {
    iterator_->SeekToLast();
    return Show(entry);
  }
  bool Seek(std::string_view key, Entry* entry) override {
    iterator_->Seek(ToSlice(key));
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
    entry->key = ToView(iterator_->key());
    entry->value = ToView(iterator_->value());
    return true;
  }
  const std::unique_ptr<leveldb::Iterator> iterator_;
};

class LeveldbSession final : public Session {
 public:
  LeveldbSession(leveldb::DB* db, const leveldb::WriteOptions& write_options,
                 absl::Mutex* counter_mutex)
      : db_(db),
        write_options_(write_options),
        counter_mutex_(counter_mutex),
        found_(kMultiGetMax) {}
  ~LeveldbSession() override {
    DropSnapshot();
    ReleaseOld();
  }

  absl::Status WriteBatch(absl::Span<const WriteOp> ops) override {
    batch_.Clear();
    for (const WriteOp& op : ops) {
      if (op.erase) {
        batch_.Delete(ToSlice(op.key));
      } else {
        batch_.Put(ToSlice(op.key), ToSlice(op.value));
      }
    }
    return ToStatus(db_->Write(write_options_, &batch_));
  }

  absl::Status BulkLoad(
      absl::FunctionRef<absl::Span<const WriteOp>()> /*next*/) override {
    return absl::UnimplementedError("LevelDB takes no table files in");
  }

  // A mutex of the process makes get + put one step: it has no transactions
  // that read, and only one process can open a database.
  absl::Status Increment(std::string_view key) override {
    absl::MutexLock lock(counter_mutex_);
    const leveldb::Status status =
        db_->Get(leveldb::ReadOptions(), ToSlice(key), &found_[0]);
    if (!status.ok()) return ToStatus(status);
    uint64_t count = 0;
    if (found_[0].size() != sizeof(count)) {
      return absl::InternalError("increment: not a counter");
    }
    std::memcpy(&count, found_[0].data(), sizeof(count));
    ++count;
    std::memcpy(found_[0].data(), &count, sizeof(count));
    return ToStatus(db_->Put(write_options_, ToSlice(key), found_[0]));
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
    if (read_options_.snapshot == nullptr) return;
    db_->ReleaseSnapshot(read_options_.snapshot);
    read_options_.snapshot = nullptr;
  }

  // LevelDB copies what it finds; there is no other way to get it.
  bool Get(std::string_view key, std::string_view* value) override {
    return GetInto(key, found_[0], value);
  }
  // It has no call for many keys either, so its users loop.
  void MultiGet(absl::Span<const std::string_view> keys,
                absl::Span<std::string_view> values) override {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!GetInto(keys[i], found_[i], &values[i])) values[i] = {};
    }
  }

  std::unique_ptr<Cursor> NewCursor() override {
    return std::make_unique<LeveldbCursor>(db_->NewIterator(read_options_));
  }
  void KeepOldSnapshot() override {
    ReleaseOld();
    old_ = std::exchange(read_options_.snapshot, nullptr);
  }
  uint64_t CountDiff() override {
    leveldb::ReadOptions old_options;
    old_options.snapshot = old_;
    LeveldbCursor before(db_->NewIterator(old_options));
    LeveldbCursor after(db_->NewIterator(read_options_));
    return CountDifferences(before, after);
  }

 private:
  bool GetInto(std::string_view key, std::string& into,
               std::string_view* value) {
    const leveldb::Status status = db_->Get(read_options_, ToSlice(key), &into);
    if (status.IsNotFound()) return false;
    if (!status.ok()) Fatal(status.ToString());
    *value = into;
    return true;
  }
  void ReleaseOld() {
    if (old_ != nullptr) db_->ReleaseSnapshot(old_);
    old_ = nullptr;
  }

  leveldb::DB* const db_;
  const leveldb::WriteOptions write_options_;
  absl::Mutex* const counter_mutex_;
  const leveldb::Snapshot* old_ = nullptr;
  leveldb::ReadOptions read_options_;
  leveldb::WriteBatch batch_;
  std::vector<std::string> found_;
};

class LeveldbEngine final : public Engine {
 public:
  ~LeveldbEngine() override { sync_.reset(); }

  absl::Status Open(const std::string& dir,
                    const EngineOptions& options) override {
    cache_.reset(leveldb::NewLRUCache(kBlockCacheBytes));
    filter_.reset(leveldb::NewBloomFilterPolicy(kBloomBitsPerKey));
    leveldb::Options how;
    how.create_if_missing = true;
    how.block_cache = cache_.get();
    how.filter_policy = filter_.get();
    how.write_buffer_size = kWriteBufferBytes;
    how.max_open_files = kOpenFilesMax;
    how.compression = options.compress ? leveldb::kSnappyCompression
                                       : leveldb::kNoCompression;
    leveldb::DB* db = nullptr;
    const leveldb::Status status = leveldb::DB::Open(how, dir, &db);
    if (!status.ok()) return ToStatus(status);
    db_.reset(db);
    dir_ = dir;
    write_options_.sync = options.durability == Durability::kSync;
    if (options.durability == Durability::kCheckpoint) {
      sync_.emplace(absl::Milliseconds(kCheckpointIntervalMs), [this] {
        // Nothing to write, but the log is synced with it.
        leveldb::WriteOptions synced;
        synced.sync = true;
        leveldb::WriteBatch empty;
        const leveldb::Status status = db_->Write(synced, &empty);
        if (!status.ok()) Fatal(status.ToString());
      });
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    return std::make_unique<LeveldbSession>(db_.get(), write_options_,
                                            &counter_mutex_);
  }

  // Compacting an empty range flushes the memtable. That the background thread
  // is done cannot be asked: it is when nothing changes any more.
  absl::Status Settle() override {
    const leveldb::Slice past_all("\xff\xff\xff\xff");
    db_->CompactRange(&past_all, &past_all);
    std::string tables = Property("leveldb.sstables");
    absl::Time changed = absl::Now();
    while (absl::Now() - changed < kRest) {
      absl::SleepFor(absl::Milliseconds(20));
      std::string now = Property("leveldb.sstables");
      if (now == tables) continue;
      tables = std::move(now);
      changed = absl::Now();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Pack(const std::string& /*scratch*/) override {
    db_->CompactRange(nullptr, nullptr);
    return dir_;
  }

  std::string DescribeStats() override { return Property("leveldb.stats"); }

 private:
  std::string Property(const char* name) {
    std::string text;
    if (!db_->GetProperty(name, &text)) return absl::StrCat("no ", name);
    return text;
  }

  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> db_;  // after what it uses
  std::string dir_;
  leveldb::WriteOptions write_options_;
  absl::Mutex counter_mutex_;
  std::optional<PeriodicSync> sync_;
};

const EngineRegistration registration({
    .name = "leveldb",
    .version = absl::StrCat("LevelDB ", leveldb::kMajorVersion, ".",
                            leveldb::kMinorVersion),
    .settings = "8 GiB block cache, Bloom filter of 10 bits, 64 MiB write "
                "buffer; copies what it reads; settled is when no table file "
                "has changed for a second",
    .durability = {"log without sync (it cannot be left out)",
                   "log, synced every 100 ms", "log, WriteOptions::sync"},
    .can = {.many_processes = false, .bulk_load = false},
    .create = [] { return std::make_unique<LeveldbEngine>(); },
});

}  // namespace
}  // namespace eve::bench
