#include "db_bench/engine_adapter.h"

#include <cstdio>
#include <cstdlib>

namespace eve::bench {

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

void Fatal(const std::string& message) {
  std::fprintf(stderr, "db_bench: %s\n", message.c_str());
  std::_Exit(1);
}

}  // namespace eve::bench
