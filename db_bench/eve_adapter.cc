// Eve behind the interface of db_bench: one OrderedMap or Map in one domain, of
// strings or integers to strings.

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "db_bench/engine_adapter.h"
#include "engine/format/checksum.h"
#include "engine/format/constants.h"
#include "eve/eve.h"

namespace eve::bench {
namespace {

template <class K>
using HashMap = eve::Map<K, std::string>;
template <class K>
using TreeMap = eve::OrderedMap<K, std::string>;
using BytesView = eve::View<std::string>;

constexpr char kCollectionName[] = "bench";

eve::Bytes ToBytes(std::string_view bytes) {
  return eve::Bytes(bytes.data(), bytes.size());
}

// As the collection takes it.
template <class K>
eve::Arg<K> ToKey(std::string_view key) {
  if constexpr (std::is_same_v<K, uint64_t>) {
    return IntegerOfKey(key);
  } else {
    return ToBytes(key);
  }
}

std::string_view FromBytes(const BytesView& bytes) {
  return {bytes.data(), bytes.size()};
}

eve::Durability ToEve(Durability durability) {
  switch (durability) {
    case Durability::kNone:
      return eve::Durability::kNone;
    case Durability::kCheckpoint:
      return eve::Durability::kCheckpoint;
    case Durability::kSync:
      return eve::Durability::kSync;
  }
  return eve::Durability::kSync;
}

template <class K>
class EveCursor final : public Cursor {
 public:
  explicit EveCursor(typename TreeMap<K>::Cursor cursor)
      : cursor_(std::move(cursor)) {}

  bool First(Entry* entry) override {
    cursor_.First();
    return Show(entry);
  }
  bool Last(Entry* entry) override {
    cursor_.Last();
    return Show(entry);
  }
  bool Seek(std::string_view key, Entry* entry) override {
    cursor_.Seek(ToKey<K>(key));
    return Show(entry);
  }
  bool Next(Entry* entry) override {
    cursor_.Next();
    return Show(entry);
  }
  bool Prev(Entry* entry) override {
    cursor_.Prev();
    return Show(entry);
  }

 private:
  bool Show(Entry* entry) {
    if (!cursor_.Valid()) {
      if (!cursor_.status().ok()) Fatal(cursor_.status().ToString());
      return false;
    }
    if constexpr (std::is_same_v<K, uint64_t>) {
      KeyOfInteger(cursor_.key(), key_);
      entry->key = {key_, kInt64KeyBytes};
    } else {
      entry->key = FromBytes(cursor_.key());
    }
    entry->value = FromBytes(cursor_.value());
    return true;
  }
  typename TreeMap<K>::Cursor cursor_;
  char key_[kInt64KeyBytes];
};

template <class BenchMap>
class EveSession final : public Session {
  using Key = typename BenchMap::Key;
  static constexpr bool kOrdered = std::is_same_v<BenchMap, TreeMap<Key>>;

 public:
  EveSession(eve::Domain domain, BenchMap map)
      : domain_(std::move(domain)), map_(std::move(map)) {}

  absl::Status WriteBatch(absl::Span<const WriteOp> ops) override {
    if (ops.size() == 1) return WriteOne(ops.front());
    return domain_
        .Swap([&](eve::Transaction& txn) {
          auto writer = map_.In(txn);
          for (const WriteOp& op : ops) {
            absl::Status status =
                op.erase ? writer.Erase(ToKey<Key>(op.key)).status()
                         : writer.Put(ToKey<Key>(op.key), ToBytes(op.value));
            if (!status.ok()) return status;
          }
          return absl::OkStatus();
        })
        .status();
  }

  absl::Status BulkLoad(
      absl::FunctionRef<absl::Span<const WriteOp>()> next) override {
    return domain_
        .Swap([&](eve::Transaction& txn) -> absl::Status {
          if (txn.attempt() > 1) {
            return absl::AbortedError("bulkload: somebody else wrote");
          }
          auto writer = map_.In(txn);
          for (auto ops = next(); !ops.empty(); ops = next()) {
            for (const WriteOp& op : ops) {
              absl::Status put =
                  writer.Put(ToKey<Key>(op.key), ToBytes(op.value));
              if (!put.ok()) return put;
            }
          }
          return absl::OkStatus();
        })
        .status();
  }

  std::unique_ptr<Cursor> NewCursor() override {
    if constexpr (kOrdered) {
      return std::make_unique<EveCursor<Key>>(reader_->NewCursor());
    } else {
      Fatal("a hash map has no order");
    }
  }
  uint64_t CountRange(std::string_view from, std::string_view to) override {
    if constexpr (kOrdered) {
      const auto count = reader_->Count(ToKey<Key>(from), ToKey<Key>(to));
      if (!count.ok()) Fatal(count.status().ToString());
      return *count;
    } else {
      Fatal("a hash map has no order");
    }
  }
  void KeepOldSnapshot() override { old_ = snapshot_; }
  uint64_t CountDiff() override {
    uint64_t count = 0;
    const absl::Status status =
        map_.Diff(*old_, *snapshot_,
                  [&count](eve::View<Key>, std::optional<BytesView>,
                           std::optional<BytesView>) { return ++count != 0; });
    if (!status.ok()) Fatal(status.ToString());
    return count;
  }

  absl::Status Increment(std::string_view key) override {
    bool damaged = false;
    const absl::Status status =
        map_.Update(ToKey<Key>(key),
                    [&](std::optional<BytesView> old) {
                      uint64_t count = 0;
                      damaged = !old || old->size() != sizeof(count);
                      if (!damaged) {
                        std::memcpy(&count, old->data(), sizeof(count));
                      }
                      ++count;
                      return std::string(
                          static_cast<char*>(static_cast<void*>(&count)),
                          sizeof(count));
                    })
            .status();
    if (status.ok() && damaged) {
      return absl::InternalError("increment: not a counter");
    }
    return status;
  }

  absl::Status UseOwnCollection(int number) override {
    absl::StatusOr<BenchMap> map = domain_.Collection<BenchMap>(
        absl::StrCat(kCollectionName, " ", number));
    if (!map.ok()) return map.status();
    map_ = *std::move(map);
    return absl::OkStatus();
  }

  absl::Status AwaitCommit() override {
    const absl::StatusOr<uint64_t> news =
        domain_.WaitPast(snapshot_->version(), absl::InfiniteDuration());
    return news.ok() ? EveSession::TakeSnapshot() : news.status();
  }

  absl::Status TakeSnapshot() override {
    DropSnapshot();
    absl::StatusOr<eve::Snapshot> snapshot = domain_.Now();
    if (!snapshot.ok()) return snapshot.status();
    snapshot_.emplace(*std::move(snapshot));
    reader_.emplace(map_.At(*snapshot_));
    return absl::OkStatus();
  }

  void DropSnapshot() override {
    reader_.reset();
    snapshot_.reset();
  }

  bool Get(std::string_view key, std::string_view* value) override {
    const std::optional<BytesView> found = reader_->Find(ToKey<Key>(key));
    if (!found) return false;
    *value = FromBytes(*found);
    return true;
  }

  void MultiGet(absl::Span<const std::string_view> keys,
                absl::Span<std::string_view> values) override {
    const size_t count = keys.size();
    for (size_t i = 0; i < count; ++i) keys_[i] = ToKey<Key>(keys[i]);
    reader_->MultiGet(absl::MakeConstSpan(keys_.data(), count),
                      absl::MakeSpan(found_.data(), count));
    for (size_t i = 0; i < count; ++i) {
      values[i] = found_[i] ? FromBytes(*found_[i]) : std::string_view();
    }
  }

 private:
  absl::Status WriteOne(const WriteOp& op) {
    if (op.erase) return map_.Erase(ToKey<Key>(op.key)).status();
    return map_.Put(ToKey<Key>(op.key), ToBytes(op.value));
  }

  eve::Domain domain_;
  BenchMap map_;
  std::optional<eve::Snapshot> old_;
  std::optional<eve::Snapshot> snapshot_;
  std::optional<typename BenchMap::Reader>
      reader_;  // after what it is bound to
  std::array<eve::Arg<Key>, kMultiGetMax> keys_;
  std::array<std::optional<BytesView>, kMultiGetMax> found_;
};

class EveEngine final : public Engine {
 public:
  ~EveEngine() override {
    if (!domain_) return;
    const absl::Status status = domain_->Close();
    if (!status.ok()) Fatal(status.ToString());
  }

  absl::Status Open(const std::string& dir,
                    const EngineOptions& options) override {
    eve::DomainOptions domain_options;
    domain_options.durability = ToEve(options.durability);
    domain_options.checkpoint_every = absl::Milliseconds(kCheckpointIntervalMs);
    absl::StatusOr<eve::Domain> domain =
        eve::Domain::Open(dir + "/bench.eve", domain_options);
    if (!domain.ok()) return domain.status();
    domain_.emplace(*std::move(domain));
    dir_ = dir;
    is_ordered_ = options.collection != "map";
    has_int_keys_ = options.key_type == KeyType::kInt64;
    // All sessions find it created.
    return NewSession().status();
  }

  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    return has_int_keys_ ? NewSessionOf<uint64_t>()
                         : NewSessionOf<std::string>();
  }

  absl::StatusOr<std::string> Pack(const std::string& /*scratch*/) override {
    const absl::Status status = domain_->Compact();
    if (!status.ok()) return status;
    return dir_;
  }

  SpaceCounters CountSpace() override {
    const absl::StatusOr<eve::DomainStats> stats = domain_->Stats();
    if (!stats.ok()) Fatal(stats.status().ToString());
    return {.known = true,
            .live_bytes = stats->live_bytes,
            .bytes_committed = stats->bytes_committed,
            .bytes_moved = stats->bytes_moved,
            .bytes_punched = stats->bytes_punched};
  }

  std::string DescribeStats() override {
    const absl::StatusOr<eve::DomainStats> stats = domain_->Stats();
    if (!stats.ok()) return stats.status().ToString();
    return absl::StrCat(
        "version: ", stats->version,
        "\ndurable version: ", stats->durable_version,
        "\ncommits: ", stats->commits, "\nconflicts: ", stats->conflicts,
        "\nrestamps: ", stats->restamps, "\nreplays: ", stats->replays,
        "\nturns: ", stats->turns, "\nwaits: ", stats->waits,
        "\ncheckpoints: ", stats->checkpoints,
        "\nfile bytes: ", stats->file_bytes,
        "\ndisk bytes: ", stats->disk_bytes,
        "\nlive bytes: ", stats->live_bytes,
        "\ndead bytes: ", stats->dead_bytes,
        "\nfree bytes: ", stats->free_bytes,
        "\npinned bytes: ", stats->pinned_bytes,
        "\nsegments: ", stats->segments, ", free: ", stats->segments_free,
        "\nbytes committed: ", stats->bytes_committed,
        "\nbytes moved: ", stats->bytes_moved,
        "\nwrite amplification: ", stats->write_amplification, "\n");
  }

  uint64_t Checksum(std::string_view bytes) override {
    return eve::HashBytes(bytes.data(), bytes.size(), /*seed=*/0);
  }

 private:
  template <class K>
  absl::StatusOr<std::unique_ptr<Session>> NewSessionOf() {
    return is_ordered_ ? NewSessionOn<TreeMap<K>>()
                       : NewSessionOn<HashMap<K>>();
  }
  template <class BenchMap>
  absl::StatusOr<std::unique_ptr<Session>> NewSessionOn() {
    absl::StatusOr<BenchMap> map =
        domain_->Collection<BenchMap>(kCollectionName);
    if (!map.ok()) return map.status();
    return std::make_unique<EveSession<BenchMap>>(*domain_, *std::move(map));
  }

  std::optional<eve::Domain> domain_;
  std::string dir_;
  bool is_ordered_ = true;
  bool has_int_keys_ = false;
};

const EngineRegistration registration({
    .name = "eve",
    .product = "Eve",
    .version = EVE_VERSION,
    .settings = absl::StrCat(
        "format ", eve::kFormatVersion,
        ", defaults; single puts and deletes through Put and Erase"),
    .durability = {"Durability::kNone", "Durability::kCheckpoint every 100 ms",
                   "Durability::kSync"},
    .can = {.compress = false, .own_collections = true, .watch = true},
    .checksum = "XXH3-64",
    .create = [] { return std::make_unique<EveEngine>(); },
});

}  // namespace
}  // namespace eve::bench
