#ifndef EVE_DB_BENCH_ENGINE_ADAPTER_H_
#define EVE_DB_BENCH_ENGINE_ADAPTER_H_

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db_bench/directory_size.h"

namespace eve::bench {

// What a commit has survived when it returns.
enum class Durability {
  kNone,        // nothing is ever forced to the device
  kCheckpoint,  // the state of at most 100 ms ago survives a power cut
  kSync,        // every commit survives a power cut
};

// As --durability takes it.
inline const char* NameOf(Durability durability) {
  constexpr const char* kNames[] = {"none", "checkpoint", "sync"};
  return kNames[static_cast<size_t>(durability)];
}

inline constexpr int kCheckpointIntervalMs = 100;

// What keys are. Adapters get bytes that compare as the keys do; an engine that
// has a type of its own for integers gets that.
enum class KeyType {
  kString,
  kInt64,  // unsigned, 8 bytes, the highest first
};
// As --key_type takes it.
inline const char* NameOfType(KeyType type) {
  return type == KeyType::kInt64 ? "int64" : "string";
}
inline constexpr size_t kInt64KeyBytes = 8;

// REQUIRES: kInt64KeyBytes bytes.
inline uint64_t IntegerOfKey(std::string_view key) {
  uint64_t big_endian;
  std::memcpy(&big_endian, key.data(), kInt64KeyBytes);
  return __builtin_bswap64(big_endian);
}
inline void KeyOfInteger(uint64_t integer, char* key) {
  const uint64_t big_endian = __builtin_bswap64(integer);
  std::memcpy(key, &big_endian, kInt64KeyBytes);
}

// One put, or one delete if `erase`. The bytes are the caller's.
struct WriteOp {
  std::string_view key;
  std::string_view value;
  bool erase = false;
};

struct Entry {
  std::string_view key;
  std::string_view value;
};

// A position in the order of the keys. Each member moves, tells whether it
// stands on an entry then, and shows that in `*entry`, valid until the next
// move.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual bool First(Entry* entry) = 0;
  virtual bool Last(Entry* entry) = 0;
  // To the first key that is not less.
  virtual bool Seek(std::string_view key, Entry* entry) = 0;
  // REQUIRES: stands on an entry.
  virtual bool Next(Entry* entry) = 0;
  virtual bool Prev(Entry* entry) = 0;
};

// How many keys differ in presence or value.
uint64_t CountDifferences(Cursor& before, Cursor& after);

// What one benchmark thread does with an open engine. All engines pay for the
// same virtual calls and none sees the keys of a workload in advance.
//
// Threads:    used by the thread that created it, and by no other.
// Processes:  never crosses fork().
// Owns:       one snapshot (read transaction), from TakeSnapshot on.
// Lifetime:   ends before its Engine.
// Errors:     writes return a Status; a failing read ends the process, since a
//             benchmark has nothing to continue with.
// Cost:       one virtual call for each member.
class Session {
 public:
  virtual ~Session() = default;

  // Applies all `ops` in one transaction. A delete of an absent key is OK.
  // REQUIRES: no snapshot is held.
  virtual absl::Status WriteBatch(absl::Span<const WriteOp> ops) = 0;

  // The same for puts of keys above all that are there, in ascending order.
  virtual absl::Status AppendBatch(absl::Span<const WriteOp> ops) {
    return WriteBatch(ops);
  }
  // Puts what `next` returns until that is empty, in the engine's own way of
  // loading sorted entries into an empty database.
  virtual absl::Status BulkLoad(
      absl::FunctionRef<absl::Span<const WriteOp>()> next) = 0;

  // Adds 1 to the little-endian 8-byte counter under `key`, in one transaction
  // that reads and writes. REQUIRES: the key exists; no snapshot is held.
  virtual absl::Status Increment(std::string_view key) = 0;

  // From now on, works on a collection of this number, made if it is missing.
  virtual absl::Status UseOwnCollection(int /*number*/) {
    return absl::UnimplementedError("collections of one's own");
  }
  // Waits for a commit that the snapshot held does not show, and takes the
  // newest. REQUIRES: a snapshot is held.
  virtual absl::Status AwaitCommit() {
    return absl::UnimplementedError("waiting for a commit");
  }

  // Makes the newest state the one that Get and MultiGet see, in place of the
  // snapshot held so far. A session starts with none.
  virtual absl::Status TakeSnapshot() = 0;
  virtual void DropSnapshot() = 0;

  // As TakeSnapshot, but for a single Get, which an engine can do without.
  virtual absl::Status SeeNewest() { return TakeSnapshot(); }

  // Looks `key` up in the snapshot. `*value` stays valid until the next call.
  // REQUIRES: a snapshot is held.
  virtual bool Get(std::string_view key, std::string_view* value) = 0;

  // Looks all `keys` up at once: values[i] belongs to keys[i], its data() is
  // null if the key is absent. The values stay valid until the next call.
  // REQUIRES: a snapshot is held; spans of the same size <= kMultiGetMax.
  virtual void MultiGet(absl::Span<const std::string_view> keys,
                        absl::Span<std::string_view> values) = 0;

  // On the snapshot, which it does not outlive.
  virtual std::unique_ptr<Cursor> NewCursor() = 0;
  // How many keys of the snapshot are in [from, to).
  virtual uint64_t CountRange(std::string_view from, std::string_view to);

  // Keeps the snapshot as the old one, for CountDiff, while writes go on and a
  // new one is taken.
  virtual void KeepOldSnapshot() = 0;
  // How many keys differ between the old and the present snapshot.
  virtual uint64_t CountDiff() = 0;
};

inline constexpr size_t kMultiGetMax = 64;

struct EngineOptions {
  Durability durability = Durability::kNone;
  std::string collection;  // "ordered", "map"; rivals have one kind only
  KeyType key_type = KeyType::kString;
  bool compress = false;      // with Snappy, if the engine can
  uint64_t entries = 0;       // how many there will be
  int sessions_max = 1;       // in all processes together
  bool first_process = true;  // this one runs what needs to run only once
};

// What an engine counts of its own moving of live data, from its opening on.
struct SpaceCounters {
  bool known = false;
  uint64_t live_bytes = 0;
  uint64_t bytes_committed = 0;
  uint64_t bytes_moved = 0;  // of bytes_committed
  uint64_t bytes_punched = 0;
};

// A storage engine with an open database.
//
// Threads:    NewSession may be called by several threads at once.
// Processes:  opened after fork(), never before.
// Owns:       the open database; the destructor closes it.
// Lifetime:   outlives its sessions.
// Errors:     absl::Status.
// Cost:       not measured.
class Engine {
 public:
  virtual ~Engine() = default;

  // Opens the database in the existing directory `dir`, creating it if absent.
  virtual absl::Status Open(const std::string& dir,
                            const EngineOptions& options) = 0;
  virtual absl::StatusOr<std::unique_ptr<Session>> NewSession() = 0;

  // Finishes what earlier writes left to background work, if anything.
  virtual absl::Status Settle() { return absl::OkStatus(); }

  // Makes the database as small as the engine can while it is in use, and tells
  // where the small one is: in the database's own directory or, if the engine
  // can only write a copy, in the existing empty directory `scratch`.
  virtual absl::StatusOr<std::string> Pack(const std::string& scratch) = 0;

  // As `dir` is that of the database: its file bytes without those that an
  // engine has only reserved.
  virtual DirectorySize MeasureSize(const std::string& dir) {
    return MeasureDirectory(dir);
  }

  virtual SpaceCounters CountSpace() { return {}; }

  // What the engine tells of itself, lines for people.
  virtual std::string DescribeStats() = 0;

  // What guards its bytes. REQUIRES: EngineInfo::checksum is not empty.
  virtual uint64_t Checksum(std::string_view /*bytes*/) { return 0; }
};

// What not every engine can do; workloads that need it are left out there.
struct Abilities {
  bool keep = true;            // what is written; else it only commits
  bool many_processes = true;  // open one database at once
  bool order_keys = true;
  bool snapshot = true;
  bool bulk_load = true;
  bool compact_in_place = true;
  bool compress = true;
  bool own_collections = false;  // several in one database
  bool watch = false;            // wait for the commits of others
};

// An engine as the driver knows it before anything is opened.
struct EngineInfo {
  std::string name;
  std::string product;  // the name as its makers write it
  std::string version;  // its number, without blanks
  std::string settings;
  std::string durability[3];  // what each Durability means; index is the enum
  Abilities can;
  std::string checksum;  // its name; empty if it cannot be called
  std::function<std::unique_ptr<Engine>()> create;

  const std::string& SettingsOf(Durability how) const {
    return durability[static_cast<size_t>(how)];
  }
};

// The engines linked into this binary, filled in before main().
std::vector<EngineInfo>& RegisteredEngines();

// Every engine that db_bench knows, linked in or not, in the order of reports.
struct KnownEngine {
  const char* name;
  const char* package;  // of Debian, that the adapter is built from
};
absl::Span<const KnownEngine> KnownEngines();

// nullptr if no such engine is linked in.
const EngineInfo* FindEngine(std::string_view name);

struct EngineRegistration {
  explicit EngineRegistration(EngineInfo info) {
    RegisteredEngines().push_back(std::move(info));
  }
};

// Prints the message and ends this process at once. The parent reports that.
[[noreturn]] void Fatal(const std::string& message);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_ENGINE_ADAPTER_H_
