#include "db_bench/engine_adapter.h"

#include <cstdio>
#include <cstdlib>

namespace eve::bench {
namespace {

constexpr KnownEngine kKnownEngines[] = {
    {"eve", "Eve itself"},         {"lmdb", "liblmdb-dev"},
    {"rocksdb", "librocksdb-dev"}, {"leveldb", "libleveldb-dev"},
    {"tkrzw", "libtkrzw-dev"},     {"bare", "db_bench itself"}};

}  // namespace

absl::Span<const KnownEngine> KnownEngines() { return kKnownEngines; }

std::vector<EngineInfo>& RegisteredEngines() {
  static auto& engines = *new std::vector<EngineInfo>;
  return engines;
}

const EngineInfo* FindEngine(std::string_view name) {
  for (const EngineInfo& engine : RegisteredEngines()) {
    if (engine.name == name) return &engine;
  }
  return nullptr;
}

uint64_t CountDifferences(Cursor& before, Cursor& after) {
  Entry a;
  Entry b;
  bool has_a = before.First(&a);
  bool has_b = after.First(&b);
  uint64_t differences = 0;
  while (has_a || has_b) {
    const int order = !has_b ? -1 : !has_a ? 1 : a.key.compare(b.key);
    if (order != 0 || a.value != b.value) ++differences;
    if (order <= 0) has_a = before.Next(&a);
    if (order >= 0) has_b = after.Next(&b);
  }
  return differences;
}

uint64_t Session::CountRange(std::string_view from, std::string_view to) {
  const std::unique_ptr<Cursor> cursor = NewCursor();
  Entry entry;
  uint64_t count = 0;
  for (bool on = cursor->Seek(from, &entry); on && entry.key < to;
       on = cursor->Next(&entry)) {
    ++count;
  }
  return count;
}

void Fatal(const std::string& message) {
  std::fprintf(stderr, "db_bench: %s\n", message.c_str());
  std::_Exit(1);
}

}  // namespace eve::bench
