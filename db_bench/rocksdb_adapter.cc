// RocksDB behind the interface of db_bench: one column family, block cache
// larger than the data, Bloom filter.

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/leveldb_like.h"
#include "db_bench/periodic_sync.h"

namespace eve::bench {
namespace {

constexpr size_t kBlockCacheBytes = size_t{8} << 30;
constexpr double kBloomBitsPerKey = 10;

rocksdb::Slice ToSlice(std::string_view bytes) {
  return rocksdb::Slice(bytes.data(), bytes.size());
}

rocksdb::Options MakeOptions(bool compress) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = size_t{64} << 20;
  options.compression =
      compress ? rocksdb::kSnappyCompression : rocksdb::kNoCompression;
  options.max_background_jobs = 2;
  options.max_open_files = -1;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

struct Api {
  using Db = rocksdb::DB;
  using Iterator = rocksdb::Iterator;
  using ReadOptions = rocksdb::ReadOptions;
  using Slice = rocksdb::Slice;
  using Snapshot = rocksdb::Snapshot;
};

class RocksdbSession final : public LeveldbLikeSession<Api> {
 public:
  RocksdbSession(rocksdb::DB* db, const rocksdb::WriteOptions& write_options,
                 absl::Mutex* counter_mutex)
      : LeveldbLikeSession(db),
        write_options_(write_options),
        counter_mutex_(counter_mutex) {}

  // Builds one table file beside the database and takes it in.
  absl::Status BulkLoad(
      absl::FunctionRef<absl::Span<const WriteOp>()> next) override {
    const std::string path = db()->GetName() + "/bulkload.sst";
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), db()->GetOptions());
    rocksdb::Status status = writer.Open(path);
    for (auto ops = next(); status.ok() && !ops.empty(); ops = next()) {
      for (const WriteOp& op : ops) {
        status = writer.Put(ToSlice(op.key), ToSlice(op.value));
        if (!status.ok()) break;
      }
    }
    if (status.ok()) status = writer.Finish();
    rocksdb::IngestExternalFileOptions options;
    options.move_files = true;
    if (status.ok()) status = db()->IngestExternalFile({path}, options);
    return ToStatus(status);
  }

  absl::Status WriteBatch(absl::Span<const WriteOp> ops) override {
    batch_.Clear();
    for (const WriteOp& op : ops) {
      const rocksdb::Status status =
          op.erase ? batch_.Delete(ToSlice(op.key))
                   : batch_.Put(ToSlice(op.key), ToSlice(op.value));
      if (!status.ok()) return ToStatus(status);
    }
    return ToStatus(db()->Write(write_options_, &batch_));
  }

  // A mutex of the process makes get + put one step: cheaper than RocksDB's
  // own transactions, and enough since only one process can open a database.
  absl::Status Increment(std::string_view key) override {
    absl::MutexLock lock(counter_mutex_);
    pinned_[0].Reset();
    const rocksdb::Status status =
        db()->Get(rocksdb::ReadOptions(), db()->DefaultColumnFamily(),
                  ToSlice(key), &pinned_[0]);
    uint64_t count = 0;
    if (!status.ok()) return ToStatus(status);
    if (pinned_[0].size() != sizeof(count)) {
      return absl::InternalError("increment: not a counter");
    }
    std::memcpy(&count, pinned_[0].data(), sizeof(count));
    pinned_[0].Reset();
    ++count;
    batch_.Clear();
    const rocksdb::Slice value(static_cast<char*>(static_cast<void*>(&count)),
                               sizeof(count));
    const rocksdb::Status put = batch_.Put(ToSlice(key), value);
    if (!put.ok()) return ToStatus(put);
    return ToStatus(db()->Write(write_options_, &batch_));
  }

  void DropSnapshot() override {
    for (rocksdb::PinnableSlice& slice : pinned_) slice.Reset();
    LeveldbLikeSession::DropSnapshot();
  }

  bool Get(std::string_view key, std::string_view* value) override {
    pinned_[0].Reset();
    const rocksdb::Status status = db()->Get(
        read_options(), db()->DefaultColumnFamily(), ToSlice(key), &pinned_[0]);
    if (status.IsNotFound()) return false;
    if (!status.ok()) Fatal(status.ToString());
    *value = {pinned_[0].data(), pinned_[0].size()};
    return true;
  }

  void MultiGet(absl::Span<const std::string_view> keys,
                absl::Span<std::string_view> values) override {
    for (size_t i = 0; i < keys.size(); ++i) {
      slices_[i] = ToSlice(keys[i]);
      pinned_[i].Reset();
    }
    db()->MultiGet(read_options(), db()->DefaultColumnFamily(), keys.size(),
                   slices_.data(), pinned_.data(), statuses_.data());
    for (size_t i = 0; i < keys.size(); ++i) {
      values[i] = {};
      if (statuses_[i].IsNotFound()) continue;
      if (!statuses_[i].ok()) Fatal(statuses_[i].ToString());
      values[i] = {pinned_[i].data(), pinned_[i].size()};
    }
  }

 private:
  const rocksdb::WriteOptions write_options_;
  absl::Mutex* const counter_mutex_;
  rocksdb::WriteBatch batch_;
  std::array<rocksdb::Slice, kMultiGetMax> slices_;
  std::array<rocksdb::PinnableSlice, kMultiGetMax> pinned_;
  std::array<rocksdb::Status, kMultiGetMax> statuses_;
};

class RocksdbEngine final : public Engine {
 public:
  ~RocksdbEngine() override { sync_.reset(); }

  absl::Status Open(const std::string& dir,
                    const EngineOptions& options) override {
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status =
        rocksdb::DB::Open(MakeOptions(options.compress), dir, &db);
    if (!status.ok()) return ToStatus(status);
    db_.reset(db);
    write_options_.disableWAL = options.durability == Durability::kNone;
    write_options_.sync = options.durability == Durability::kSync;
    if (options.durability == Durability::kCheckpoint) {
      sync_.emplace(absl::Milliseconds(kCheckpointIntervalMs), [this] {
        const rocksdb::Status synced = db_->SyncWAL();
        if (!synced.ok()) Fatal(synced.ToString());
      });
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    return std::make_unique<RocksdbSession>(db_.get(), write_options_,
                                            &counter_mutex_);
  }

  // Reads of a full memtable and of many level-0 files cost about twice as
  // much as those of a tree at rest.
  absl::Status Settle() override {
    const rocksdb::Status flushed = db_->Flush(rocksdb::FlushOptions());
    if (!flushed.ok()) return ToStatus(flushed);
    uint64_t busy = 1;
    while (busy != 0) {
      uint64_t pending = 0;
      uint64_t running = 0;
      db_->GetIntProperty(rocksdb::DB::Properties::kCompactionPending,
                          &pending);
      db_->GetIntProperty(rocksdb::DB::Properties::kNumRunningCompactions,
                          &running);
      busy = pending + running;
      if (busy != 0) absl::SleepFor(absl::Milliseconds(10));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Pack(const std::string& /*scratch*/) override {
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction =
        rocksdb::BottommostLevelCompaction::kForce;
    const rocksdb::Status packed = db_->CompactRange(options, nullptr, nullptr);
    if (!packed.ok()) return ToStatus(packed);
    // What was compacted away is removed by the threads that did it.
    const absl::Status settled = Settle();
    if (!settled.ok()) return settled;
    return db_->GetName();
  }

  std::string DescribeStats() override {
    std::string text;
    if (!db_->GetProperty("rocksdb.stats", &text)) return "no rocksdb.stats";
    return text;
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_options_;
  absl::Mutex counter_mutex_;
  std::optional<PeriodicSync> sync_;
};

const EngineRegistration registration({
    .name = "rocksdb",
    .product = "RocksDB",
    .version = rocksdb::GetRocksVersionAsString(),
    .settings = "8 GiB block cache, Bloom filter of 10 bits, 64 MiB write "
                "buffer, level compaction; unless --settle, memtables stay "
                "unflushed, so disk bytes lag behind",
    .durability = {"no WAL", "WAL, SyncWAL every 100 ms",
                   "WAL, WriteOptions::sync"},
    .can = {.many_processes = false},
    .create = [] { return std::make_unique<RocksdbEngine>(); },
});

}  // namespace
}  // namespace eve::bench
