// LMDB behind the interface of db_bench: the unnamed database of one
// environment, reads through one read transaction per thread.

#include <lmdb.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/periodic_sync.h"

namespace eve::bench {
namespace {

// Address space and sparse file, not disk. The file is extended to this size
// when it is mapped for writing, so only its disk bytes say how large it is.
constexpr size_t kMapBytes = size_t{64} << 30;
// Of collections that workers have of their own.
constexpr MDB_dbi kOwnMax = 1024;

absl::Status LmdbError(const char* call, int code) {
  if (code == MDB_SUCCESS) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(call, ": ", mdb_strerror(code)));
}

MDB_val ToVal(std::string_view bytes) {
  return MDB_val{bytes.size(), const_cast<char*>(bytes.data())};
}

// A key as LMDB takes it and gives it back. With MDB_INTEGERKEY it is a number
// as it lies in memory.
class LmdbKey {
 public:
  explicit LmdbKey(KeyType type) : is_integer_(type == KeyType::kInt64) {}

  // Valid until the next call.
  MDB_val ToLmdb(std::string_view key) {
    if (!is_integer_) return ToVal(key);
    number_ = IntegerOfKey(key);
    return MDB_val{sizeof(number_), &number_};
  }
  std::string_view FromLmdb(const MDB_val& key) {
    const auto* bytes = static_cast<const char*>(key.mv_data);
    if (!is_integer_) return {bytes, key.mv_size};
    uint64_t number;
    std::memcpy(&number, bytes, sizeof(number));
    KeyOfInteger(number, bytes_);
    return {bytes_, kInt64KeyBytes};
  }

 private:
  const bool is_integer_;
  uint64_t number_ = 0;
  char bytes_[kInt64KeyBytes];
};

class LmdbCursor final : public Cursor {
 public:
  LmdbCursor(MDB_txn* txn, MDB_dbi dbi, KeyType type) : shown_(type) {
    const int code = mdb_cursor_open(txn, dbi, &cursor_);
    if (code != MDB_SUCCESS) {
      Fatal(LmdbError("mdb_cursor_open", code).ToString());
    }
  }
  ~LmdbCursor() override { mdb_cursor_close(cursor_); }

  bool First(Entry* entry) override { return Move(MDB_FIRST, entry); }
  bool Last(Entry* entry) override { return Move(MDB_LAST, entry); }
  bool Seek(std::string_view wanted, Entry* entry) override {
    key_ = shown_.ToLmdb(wanted);
    return Move(MDB_SET_RANGE, entry);
  }
  bool Next(Entry* entry) override { return Move(MDB_NEXT, entry); }
  bool Prev(Entry* entry) override { return Move(MDB_PREV, entry); }

 private:
  bool Move(MDB_cursor_op op, Entry* entry) {
    MDB_val value;
    const int code = mdb_cursor_get(cursor_, &key_, &value, op);
    if (code == MDB_NOTFOUND) return false;
    if (code != MDB_SUCCESS) {
      Fatal(LmdbError("mdb_cursor_get", code).ToString());
    }
    entry->key = shown_.FromLmdb(key_);
    entry->value = {static_cast<const char*>(value.mv_data), value.mv_size};
    return true;
  }

  MDB_cursor* cursor_ = nullptr;
  MDB_val key_;
  LmdbKey shown_;
};

class LmdbSession final : public Session {
 public:
  LmdbSession(MDB_env* env, MDB_dbi dbi, KeyType key_type)
      : env_(env), dbi_(dbi), key_type_(key_type), key_(key_type) {}
  ~LmdbSession() override {
    if (read_txn_ != nullptr) mdb_txn_abort(read_txn_);
    if (old_txn_ != nullptr) mdb_txn_abort(old_txn_);
  }

  absl::Status WriteBatch(absl::Span<const WriteOp> ops) override {
    return Write(ops, /*append=*/false);
  }
  absl::Status AppendBatch(absl::Span<const WriteOp> ops) override {
    return Write(ops, /*append=*/true);
  }

  // In one transaction.
  absl::Status BulkLoad(
      absl::FunctionRef<absl::Span<const WriteOp>()> next) override {
    MDB_txn* txn = nullptr;
    int code = mdb_txn_begin(env_, nullptr, 0, &txn);
    if (code != MDB_SUCCESS) return LmdbError("mdb_txn_begin", code);
    for (auto ops = next(); !ops.empty(); ops = next()) {
      absl::Status status = Append(txn, ops);
      if (status.ok()) continue;
      mdb_txn_abort(txn);
      return status;
    }
    return LmdbError("mdb_txn_commit", mdb_txn_commit(txn));
  }

  std::unique_ptr<Cursor> NewCursor() override {
    return std::make_unique<LmdbCursor>(read_txn_, dbi_, key_type_);
  }

  void KeepOldSnapshot() override {
    if (old_txn_ != nullptr) mdb_txn_abort(old_txn_);
    old_txn_ = std::exchange(read_txn_, nullptr);
    is_reading_ = false;
  }
  uint64_t CountDiff() override {
    LmdbCursor before(old_txn_, dbi_, key_type_);
    LmdbCursor after(read_txn_, dbi_, key_type_);
    return CountDifferences(before, after);
  }

  absl::Status Write(absl::Span<const WriteOp> ops, bool append) {
    MDB_txn* txn = nullptr;
    int code = mdb_txn_begin(env_, nullptr, 0, &txn);
    if (code != MDB_SUCCESS) return LmdbError("mdb_txn_begin", code);
    absl::Status status = append ? Append(txn, ops) : Put(txn, ops);
    if (!status.ok()) {
      mdb_txn_abort(txn);
      return status;
    }
    return LmdbError("mdb_txn_commit", mdb_txn_commit(txn));
  }

  // By a cursor, as mdb_load does it: a put looks for the end each time.
  absl::Status Append(MDB_txn* txn, absl::Span<const WriteOp> ops) {
    MDB_cursor* cursor = nullptr;
    int code = mdb_cursor_open(txn, dbi_, &cursor);
    if (code != MDB_SUCCESS) return LmdbError("mdb_cursor_open", code);
    for (size_t i = 0; i < ops.size() && code == MDB_SUCCESS; ++i) {
      MDB_val key = key_.ToLmdb(ops[i].key);
      MDB_val value = ToVal(ops[i].value);
      code = mdb_cursor_put(cursor, &key, &value, MDB_APPEND);
    }
    mdb_cursor_close(cursor);
    return LmdbError("mdb_cursor_put", code);
  }

  absl::Status Put(MDB_txn* txn, absl::Span<const WriteOp> ops) {
    for (const WriteOp& op : ops) {
      MDB_val key = key_.ToLmdb(op.key);
      MDB_val value = ToVal(op.value);
      int code = op.erase ? mdb_del(txn, dbi_, &key, nullptr)
                          : mdb_put(txn, dbi_, &key, &value, /*flags=*/0);
      if (op.erase && code == MDB_NOTFOUND) code = MDB_SUCCESS;
      if (code != MDB_SUCCESS) {
        return LmdbError(op.erase ? "mdb_del" : "mdb_put", code);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Increment(std::string_view counter) override {
    MDB_txn* txn = nullptr;
    int code = mdb_txn_begin(env_, nullptr, 0, &txn);
    if (code != MDB_SUCCESS) return LmdbError("mdb_txn_begin", code);
    MDB_val key = key_.ToLmdb(counter);
    MDB_val value;
    uint64_t count = 0;
    code = mdb_get(txn, dbi_, &key, &value);
    if (code == MDB_SUCCESS && value.mv_size == sizeof(count)) {
      std::memcpy(&count, value.mv_data, sizeof(count));
      ++count;
      value = MDB_val{sizeof(count), &count};
      code = mdb_put(txn, dbi_, &key, &value, 0);
    }
    if (code != MDB_SUCCESS) {
      mdb_txn_abort(txn);
      return LmdbError("increment", code);
    }
    return LmdbError("mdb_txn_commit", mdb_txn_commit(txn));
  }

  // Keys are strings: beside an unnamed database of integers LMDB opens none
  // that has a name (MDB_INCOMPATIBLE), so the flags refuse that.
  absl::Status UseOwnCollection(int number) override {
    MDB_txn* txn = nullptr;
    int code = mdb_txn_begin(env_, nullptr, 0, &txn);
    if (code != MDB_SUCCESS) return LmdbError("mdb_txn_begin", code);
    code = mdb_dbi_open(txn, absl::StrCat("~own ", number).c_str(), MDB_CREATE,
                        &dbi_);
    if (code == MDB_SUCCESS) {
      return LmdbError("mdb_txn_commit", mdb_txn_commit(txn));
    }
    mdb_txn_abort(txn);
    return LmdbError("mdb_dbi_open", code);
  }

  // The handle is kept between snapshots, as LMDB's manual advises.
  absl::Status TakeSnapshot() override {
    DropSnapshot();
    const int code = read_txn_ == nullptr
                         ? mdb_txn_begin(env_, nullptr, MDB_RDONLY, &read_txn_)
                         : mdb_txn_renew(read_txn_);
    is_reading_ = code == MDB_SUCCESS;
    return LmdbError("mdb_txn_begin or mdb_txn_renew", code);
  }

  void DropSnapshot() override {
    if (is_reading_) mdb_txn_reset(read_txn_);
    is_reading_ = false;
  }

  bool Get(std::string_view wanted, std::string_view* value) override {
    MDB_val key = key_.ToLmdb(wanted);
    MDB_val found;
    const int code = mdb_get(read_txn_, dbi_, &key, &found);
    if (code == MDB_NOTFOUND) return false;
    if (code != MDB_SUCCESS) Fatal(LmdbError("mdb_get", code).ToString());
    *value = {static_cast<const char*>(found.mv_data), found.mv_size};
    return true;
  }

  // LMDB has no call for many keys, so its users loop.
  void MultiGet(absl::Span<const std::string_view> keys,
                absl::Span<std::string_view> values) override {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!LmdbSession::Get(keys[i], &values[i])) values[i] = {};
    }
  }

 private:
  MDB_env* const env_;
  MDB_dbi dbi_;
  const KeyType key_type_;
  LmdbKey key_;
  MDB_txn* read_txn_ = nullptr;
  bool is_reading_ = false;  // it is not reset
  MDB_txn* old_txn_ = nullptr;
};

class LmdbEngine final : public Engine {
 public:
  ~LmdbEngine() override {
    sync_.reset();
    if (env_ != nullptr) mdb_env_close(env_);
  }

  absl::Status Open(const std::string& dir,
                    const EngineOptions& options) override {
    int code = mdb_env_create(&env_);
    if (code == MDB_SUCCESS) code = mdb_env_set_mapsize(env_, kMapBytes);
    if (code == MDB_SUCCESS) code = mdb_env_set_maxdbs(env_, kOwnMax);
    if (code == MDB_SUCCESS) {
      // One for each session and some for those that only verify.
      const int readers = std::max(126, options.sessions_max + 16);
      code = mdb_env_set_maxreaders(env_, static_cast<unsigned>(readers));
    }
    unsigned flags = MDB_NOTLS;
    if (options.durability != Durability::kSync) {
      flags |= MDB_NOSYNC | MDB_WRITEMAP;
    }
    if (code == MDB_SUCCESS) {
      code = mdb_env_open(env_, dir.c_str(), flags, 0644);
    }
    if (code != MDB_SUCCESS) return LmdbError("mdb_env_open", code);
    if (options.durability == Durability::kCheckpoint &&
        options.first_process) {
      sync_.emplace(absl::Milliseconds(kCheckpointIntervalMs), [this] {
        const int synced = mdb_env_sync(env_, /*force=*/1);
        if (synced != MDB_SUCCESS) {
          Fatal(LmdbError("mdb_env_sync", synced).ToString());
        }
      });
    }
    key_type_ = options.key_type;
    return OpenDatabase();
  }

  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    return std::make_unique<LmdbSession>(env_, dbi_, key_type_);
  }

  // LMDB cannot shrink a file that is open, only write a small copy of it.
  absl::StatusOr<std::string> Pack(const std::string& scratch) override {
    const int code = mdb_env_copy2(env_, scratch.c_str(), MDB_CP_COMPACT);
    if (code != MDB_SUCCESS) return LmdbError("mdb_env_copy2", code);
    return scratch;
  }

  // With MDB_WRITEMAP the file is as long as the map: only the pages that were
  // ever used count.
  DirectorySize MeasureSize(const std::string& dir) override {
    DirectorySize size = MeasureDirectory(dir);
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(env_, &info) == MDB_SUCCESS &&
        mdb_env_stat(env_, &stat) == MDB_SUCCESS) {
      size.file_bytes = (info.me_last_pgno + 1) * stat.ms_psize;
    }
    return size;
  }

  std::string DescribeStats() override {
    MDB_envinfo info;
    MDB_stat stat;
    int code = mdb_env_info(env_, &info);
    if (code == MDB_SUCCESS) code = mdb_env_stat(env_, &stat);
    if (code != MDB_SUCCESS) return LmdbError("mdb_env_stat", code).ToString();
    return absl::StrCat(
        "page size: ", stat.ms_psize, "\ntree depth: ", stat.ms_depth,
        "\nbranch pages: ", stat.ms_branch_pages,
        "\nleaf pages: ", stat.ms_leaf_pages,
        "\noverflow pages: ", stat.ms_overflow_pages,
        "\nentries: ", stat.ms_entries, "\npages used: ", info.me_last_pgno + 1,
        "\nmap size: ", info.me_mapsize,
        "\nlast transaction: ", info.me_last_txnid,
        "\nreaders: ", info.me_numreaders, " of ", info.me_maxreaders, "\n");
  }

 private:
  absl::Status OpenDatabase() {
    MDB_txn* txn = nullptr;
    int code = mdb_txn_begin(env_, nullptr, 0, &txn);
    if (code != MDB_SUCCESS) return LmdbError("mdb_txn_begin", code);
    const unsigned flags = key_type_ == KeyType::kInt64 ? MDB_INTEGERKEY : 0;
    code = mdb_dbi_open(txn, nullptr, flags, &dbi_);
    if (code != MDB_SUCCESS) {
      mdb_txn_abort(txn);
      return LmdbError("mdb_dbi_open", code);
    }
    return LmdbError("mdb_txn_commit", mdb_txn_commit(txn));
  }

  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  KeyType key_type_ = KeyType::kString;
  std::optional<PeriodicSync> sync_;
};

// That of the library that runs, not of the header.
std::string LibraryVersion() {
  int major = 0;
  int minor = 0;
  int patch = 0;
  mdb_version(&major, &minor, &patch);
  return absl::StrCat(major, ".", minor, ".", patch);
}

const EngineRegistration registration({
    .name = "lmdb",
    .product = "LMDB",
    .version = LibraryVersion(),
    .settings = "MDB_NOTLS, 64 GiB map, read-ahead on; MDB_APPEND in bulkload "
                "and, with one worker, in fillseq, fillbatch, fillseqbatch and "
                "fillseqsync",
    .durability = {"MDB_NOSYNC | MDB_WRITEMAP",
                   "MDB_NOSYNC | MDB_WRITEMAP, mdb_env_sync every 100 ms",
                   "no flags: fdatasync in each commit"},
    .can = {.compact_in_place = false,
            .compress = false,
            .own_collections = true},
    .create = [] { return std::make_unique<LmdbEngine>(); },
});

}  // namespace
}  // namespace eve::bench
