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
#include "db_bench/leveldb_like.h"
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

leveldb::Slice ToSlice(std::string_view bytes) {
  return leveldb::Slice(bytes.data(), bytes.size());
}

struct Api {
  using Db = leveldb::DB;
  using Iterator = leveldb::Iterator;
  using ReadOptions = leveldb::ReadOptions;
  using Slice = leveldb::Slice;
  using Snapshot = leveldb::Snapshot;
};

class LeveldbSession final : public LeveldbLikeSession<Api> {
 public:
  LeveldbSession(leveldb::DB* db, const leveldb::WriteOptions& write_options,
                 absl::Mutex* counter_mutex)
      : LeveldbLikeSession(db),
        write_options_(write_options),
        counter_mutex_(counter_mutex),
        found_(kMultiGetMax) {}

  absl::Status WriteBatch(absl::Span<const WriteOp> ops) override {
    batch_.Clear();
    for (const WriteOp& op : ops) {
      if (op.erase) {
        batch_.Delete(ToSlice(op.key));
      } else {
        batch_.Put(ToSlice(op.key), ToSlice(op.value));
      }
    }
    return ToStatus(db()->Write(write_options_, &batch_));
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
        db()->Get(leveldb::ReadOptions(), ToSlice(key), &found_[0]);
    if (!status.ok()) return ToStatus(status);
    uint64_t count = 0;
    if (found_[0].size() != sizeof(count)) {
      return absl::InternalError("increment: not a counter");
    }
    std::memcpy(&count, found_[0].data(), sizeof(count));
    ++count;
    std::memcpy(found_[0].data(), &count, sizeof(count));
    return ToStatus(db()->Put(write_options_, ToSlice(key), found_[0]));
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

 private:
  bool GetInto(std::string_view key, std::string& into,
               std::string_view* value) {
    const leveldb::Status status =
        db()->Get(read_options(), ToSlice(key), &into);
    if (status.IsNotFound()) return false;
    if (!status.ok()) Fatal(status.ToString());
    *value = into;
    return true;
  }

  const leveldb::WriteOptions write_options_;
  absl::Mutex* const counter_mutex_;
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
    .product = "LevelDB",
    .version = absl::StrCat(leveldb::kMajorVersion, ".",
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
