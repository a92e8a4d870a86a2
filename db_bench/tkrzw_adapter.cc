// Tkrzw's HashDBM behind the interface of db_bench: point work only. It has no
// transactions and no snapshots: a batch is put one by one, and a reader sees
// the newest state.

#include <tkrzw_dbm_hash.h>
#include <tkrzw_lib_common.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/periodic_sync.h"

namespace eve::bench {
namespace {

absl::Status ToStatus(const tkrzw::Status& status) {
  if (status.IsOK()) return absl::OkStatus();
  return absl::InternalError(std::string(tkrzw::ToString(status)));
}

// Adds 1 to a little-endian counter, under the lock of its record.
class Incrementer final : public tkrzw::DBM::RecordProcessor {
 public:
  std::string_view ProcessFull(std::string_view /*key*/,
                               std::string_view value) override {
    if (value.size() != sizeof(count_)) return NOOP;
    std::memcpy(&count_, value.data(), sizeof(count_));
    ++count_;
    is_done_ = true;
    return {static_cast<char*>(static_cast<void*>(&count_)), sizeof(count_)};
  }
  bool is_done() const { return is_done_; }

 private:
  uint64_t count_ = 0;
  bool is_done_ = false;
};

class TkrzwSession final : public Session {
 public:
  TkrzwSession(tkrzw::HashDBM* dbm, bool sync)
      : dbm_(dbm), sync_(sync), found_(kMultiGetMax) {}

  absl::Status WriteBatch(absl::Span<const WriteOp> ops) override {
    for (const WriteOp& op : ops) {
      tkrzw::Status status =
          op.erase ? dbm_->Remove(op.key) : dbm_->Set(op.key, op.value);
      if (op.erase && status == tkrzw::Status::NOT_FOUND_ERROR) continue;
      if (!status.IsOK()) return ToStatus(status);
    }
    return MaybeSync();
  }
  absl::Status BulkLoad(
      absl::FunctionRef<absl::Span<const WriteOp>()> /*next*/) override {
    return absl::UnimplementedError("HashDBM has no bulk load");
  }

  absl::Status Increment(std::string_view key) override {
    Incrementer incrementer;
    const tkrzw::Status status = dbm_->Process(key, &incrementer, true);
    if (!status.IsOK()) return ToStatus(status);
    if (!incrementer.is_done()) {
      return absl::InternalError("increment: not a counter");
    }
    return MaybeSync();
  }

  absl::Status TakeSnapshot() override { return absl::OkStatus(); }
  void DropSnapshot() override {}

  bool Get(std::string_view key, std::string_view* value) override {
    return GetInto(key, found_[0], value);
  }
  // Its GetMulti makes a map of strings, which is slower than this.
  void MultiGet(absl::Span<const std::string_view> keys,
                absl::Span<std::string_view> values) override {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!GetInto(keys[i], found_[i], &values[i])) values[i] = {};
    }
  }

  std::unique_ptr<Cursor> NewCursor() override {
    Fatal("a hash table has no order");
  }
  void KeepOldSnapshot() override { Fatal("tkrzw has no snapshots"); }
  uint64_t CountDiff() override { Fatal("tkrzw has no snapshots"); }

 private:
  bool GetInto(std::string_view key, std::string& into,
               std::string_view* value) {
    const tkrzw::Status status = dbm_->Get(key, &into);
    if (status == tkrzw::Status::NOT_FOUND_ERROR) return false;
    if (!status.IsOK()) Fatal(tkrzw::ToString(status));
    *value = into;
    return true;
  }
  absl::Status MaybeSync() {
    return sync_ ? ToStatus(dbm_->Synchronize(/*hard=*/true))
                 : absl::OkStatus();
  }

  tkrzw::HashDBM* const dbm_;
  const bool sync_;
  std::vector<std::string> found_;
};

class TkrzwEngine final : public Engine {
 public:
  ~TkrzwEngine() override {
    sync_.reset();
    if (!dbm_.IsOpen()) return;
    const tkrzw::Status status = dbm_.Close();
    if (!status.IsOK()) Fatal(tkrzw::ToString(status));
  }

  absl::Status Open(const std::string& dir,
                    const EngineOptions& options) override {
    dir_ = dir;
    durability_ = options.durability;
    tkrzw::HashDBM::TuningParameters tuning;
    // Its manual wants more buckets than records.
    tuning.num_buckets =
        std::max<int64_t>(tkrzw::HashDBM::DEFAULT_NUM_BUCKETS,
                          2 * static_cast<int64_t>(options.entries));
    const tkrzw::Status status =
        dbm_.OpenAdvanced(dir + "/bench.tkh", /*writable=*/true,
                          tkrzw::File::OPEN_DEFAULT, tuning);
    if (!status.IsOK()) return ToStatus(status);
    if (options.durability == Durability::kCheckpoint) {
      sync_.emplace(absl::Milliseconds(kCheckpointIntervalMs), [this] {
        const tkrzw::Status synced = dbm_.Synchronize(/*hard=*/true);
        if (!synced.IsOK()) Fatal(tkrzw::ToString(synced));
      });
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    return std::make_unique<TkrzwSession>(&dbm_,
                                          durability_ == Durability::kSync);
  }

  absl::StatusOr<std::string> Pack(const std::string& /*scratch*/) override {
    const tkrzw::Status status = dbm_.Rebuild();
    if (!status.IsOK()) return ToStatus(status);
    return dir_;
  }

  std::string DescribeStats() override {
    std::string text;
    for (const auto& [name, value] : dbm_.Inspect()) {
      absl::StrAppend(&text, name, ": ", value, "\n");
    }
    return text;
  }

 private:
  tkrzw::HashDBM dbm_;
  std::string dir_;
  Durability durability_ = Durability::kNone;
  std::optional<PeriodicSync> sync_;
};

const EngineRegistration registration({
    .name = "tkrzw",
    .product = "Tkrzw",
    .version = tkrzw::PACKAGE_VERSION,
    .settings = "HashDBM, two buckets a key, updates in place; no transactions "
                "(batches "
                "are put one by one) and no snapshots (readers see the newest)",
    .durability = {"no Synchronize", "Synchronize(hard) every 100 ms",
                   "Synchronize(hard) after each batch"},
    .can = {.many_processes = false,
            .order_keys = false,
            .snapshot = false,
            .bulk_load = false,
            .compress = false},
    .create = [] { return std::make_unique<TkrzwEngine>(); },
});

}  // namespace
}  // namespace eve::bench
