#include "engine/cli/reader_table.h"

#include <cstdio>

#include "engine/cli/output.h"

namespace eve::cli {
namespace {

using Wide = unsigned long long;  // what printf takes

std::string PinsToJson(const std::vector<PinInfo>& pins) {
  JsonArray array;
  for (const PinInfo& pin : pins) {
    JsonObject one;
    one.Add("cell", uint64_t{pin.cell})
        .Add("version", pin.version)
        .Add("lag", pin.lag)
        .Add("held_bytes", pin.held_bytes)
        .Add("alone_bytes", pin.alone_bytes)
        .Add("is_range", pin.is_range);
    array.Add(one.ToString());
  }
  return array.ToString();
}

}  // namespace

void RemoveThisProcess(std::vector<ReaderInfo>& readers) {
  std::erase_if(readers,
                [](const ReaderInfo& reader) { return reader.is_self; });
}

void PrintReaderHeading() {
  std::printf("%4s %10s %5s %10s %14s %12s %10s %14s\n", "slot", "pid", "pins",
              "lag", "alone_bytes", "commits", "conflicts", "bytes_committed");
}

void PrintReader(const ReaderInfo& reader) {
  if (reader.is_unpinned) {
    Print(
        "   - readers without a slot (they may not write the lock file, or "
        "came before all writers): nothing is reused\n");
    return;
  }
  std::printf("%4u %10u %5zu %10llu %14llu %12llu %10llu %14llu\n", reader.slot,
              reader.pid, reader.pins.size(), static_cast<Wide>(reader.lag),
              static_cast<Wide>(reader.alone_bytes),
              static_cast<Wide>(reader.commits),
              static_cast<Wide>(reader.conflicts),
              static_cast<Wide>(reader.bytes_committed));
}

std::string ReadersToJson(const std::vector<ReaderInfo>& readers) {
  JsonArray array;
  for (const ReaderInfo& reader : readers) {
    JsonObject one;
    if (reader.is_unpinned) {
      array.Add(one.Add("is_unpinned", true).ToString());
      continue;
    }
    one.Add("slot", uint64_t{reader.slot})
        .Add("pid", uint64_t{reader.pid})
        .Add("lag", reader.lag)
        .Add("alone_bytes", reader.alone_bytes)
        .Add("commits", reader.commits)
        .Add("conflicts", reader.conflicts)
        .Add("restamps", reader.restamps)
        .Add("bytes_committed", reader.bytes_committed)
        .Add("bytes_moved", reader.bytes_moved)
        .AddJson("pins", PinsToJson(reader.pins));
    array.Add(one.ToString());
  }
  return array.ToString();
}

}  // namespace eve::cli
