// Eve behind the interface of db_bench: one Map of strings in one domain.

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "db_bench/engine_adapter.h"
#include "eve/eve.h"

namespace eve::bench {
namespace {

using BenchMap = eve::Map<std::string, std::string>;
using BytesView = eve::View<std::string>;
using BenchReader = decltype(std::declval<const BenchMap&>().At(
    std::declval<const eve::Snapshot&>()));

constexpr char kCollectionName[] = "bench";

eve::Bytes ToBytes(std::string_view bytes) {
  return eve::Bytes(bytes.data(), bytes.size());
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

class EveSession final : public Session {
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
                op.erase ? writer.Erase(ToBytes(op.key)).status()
                         : writer.Put(ToBytes(op.key), ToBytes(op.value));
            if (!status.ok()) return status;
          }
          return absl::OkStatus();
        })
        .status();
  }

  absl::Status Increment(std::string_view key) override {
    bool damaged = false;
    const absl::Status status =
        map_.Update(ToBytes(key),
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
    const std::optional<BytesView> found = reader_->Find(ToBytes(key));
    if (!found) return false;
    *value = FromBytes(*found);
    return true;
  }

  void MultiGet(absl::Span<const std::string_view> keys,
                absl::Span<std::string_view> values) override {
    const size_t count = keys.size();
    for (size_t i = 0; i < count; ++i) keys_[i] = ToBytes(keys[i]);
    reader_->MultiGet(absl::MakeConstSpan(keys_.data(), count),
                      absl::MakeSpan(found_.data(), count));
    for (size_t i = 0; i < count; ++i) {
      values[i] = found_[i] ? FromBytes(*found_[i]) : std::string_view();
    }
  }

 private:
  absl::Status WriteOne(const WriteOp& op) {
    if (op.erase) return map_.Erase(ToBytes(op.key)).status();
    return map_.Put(ToBytes(op.key), ToBytes(op.value));
  }

  eve::Domain domain_;
  BenchMap map_;
  std::optional<eve::Snapshot> snapshot_;
  std::optional<BenchReader> reader_;  // after what it is bound to
  std::array<eve::Arg<std::string>, kMultiGetMax> keys_;
  std::array<std::optional<BytesView>, kMultiGetMax> found_;
};

class EveEngine final : public Engine {
 public:
  ~EveEngine() override {
    map_.reset();
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
    absl::StatusOr<BenchMap> map =
        domain_->Collection<BenchMap>(kCollectionName);
    if (!map.ok()) return map.status();
    map_.emplace(*std::move(map));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    return std::make_unique<EveSession>(*domain_, *map_);
  }

 private:
  std::optional<eve::Domain> domain_;
  std::optional<BenchMap> map_;
};

const EngineRegistration registration({
    .name = "eve",
    .version = "Eve",
    .settings = "defaults; single puts and deletes through Map::Put and Erase",
    .durability = {"Durability::kNone", "Durability::kCheckpoint every 100 ms",
                   "Durability::kSync"},
    .many_processes = true,
    .create = [] { return std::make_unique<EveEngine>(); },
});

}  // namespace
}  // namespace eve::bench
