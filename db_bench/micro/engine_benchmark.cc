// What a commit, a pin and a checksum cost, on a domain in memory.

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "engine/domain/registry.h"
#include "engine/format/checksum.h"
#include "eve/eve.h"
#include "util/check.h"

namespace eve {
namespace {

using Strings = Map<std::string, std::string>;

DomainOptions InMemory() {
  DomainOptions options;
  options.in_memory = true;
  options.durability = Durability::kNone;
  return options;
}

std::string Key(uint64_t i) {
  std::string key = std::to_string(i * 0x9E37'79B9'7F4A'7C15);
  key.resize(16, '0');
  return key;
}

// A domain with `entries` records of 16 and 100 bytes.
struct Filled {
  explicit Filled(int64_t entries)
      : domain(Domain::Open("bench" + std::to_string(entries), InMemory())
                   .value()),
        map(domain.Collection<Strings>("m").value()) {
    for (int64_t done = 0; done < entries; done += 1000) {
      const auto filled = domain.Swap([&](Transaction& txn) -> absl::Status {
        auto writer = map.In(txn);
        for (int64_t i = done; i < done + 1000; ++i) {
          auto put = writer.Put(Key(i), std::string(100, 'v'));
          if (!put.ok()) return put;
        }
        return absl::OkStatus();
      });
      EVE_CHECK(filled.ok(), "the domain fits in memory");
    }
  }
  Domain domain;
  Strings map;
};

void BM_Commit_PutOne(benchmark::State& state) {
  Filled filled(state.range(0));
  const std::string value(100, 'w');
  uint64_t i = 0;
  for (auto _ : state) {
    const absl::Status put =
        filled.map.Put(Key(i++ % static_cast<uint64_t>(state.range(0))), value);
    EVE_CHECK(put.ok(), "put");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Commit_PutOne)->Arg(1000)->Arg(100000)->Iterations(200000);

void BM_Commit_Counter(benchmark::State& state) {
  Domain domain = Domain::Open("counter", InMemory()).value();
  auto map = domain.Collection<Map<std::string, int64_t>>("n").value();
  for (auto _ : state) {
    const auto next = map.Update(
        "n", [](std::optional<int64_t> old) { return old.value_or(0) + 1; });
    EVE_CHECK(next.ok(), "update");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Commit_Counter)->Iterations(500000);

// A pin and an unpin, without the allocation of a Snapshot.
void BM_Pin_PinUnpin(benchmark::State& state) {
  Domain domain = Domain::Open("pins", InMemory()).value();
  auto impl = internal::OpenInstance("pins", InMemory()).value();
  Core& core = impl->core();
  for (auto _ : state) {
    auto pinned =
        PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view);
    benchmark::DoNotOptimize(pinned);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Pin_PinUnpin)->Threads(1)->Threads(2);

void BM_Pin_Now(benchmark::State& state) {
  Domain domain = Domain::Open("pins", InMemory()).value();
  for (auto _ : state) {
    auto now = domain.Now();
    benchmark::DoNotOptimize(now);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Pin_Now);

// The difference between the two is what a one-shot read pays for its pin and
// its look at the catalog.
void BM_Read_FindInSnapshot(benchmark::State& state) {
  Filled filled(100000);
  const Snapshot now = filled.domain.Now().value();
  const auto reader = filled.map.At(now);
  uint64_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(reader.Find(Key(i++ % 100000)));
  }
}
BENCHMARK(BM_Read_FindInSnapshot);

void BM_Read_OneShotGet(benchmark::State& state) {
  Filled filled(100000);
  uint64_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(filled.map.Get(Key(i++ % 100000)));
  }
}
BENCHMARK(BM_Read_OneShotGet);

void BM_Checksum_Block(benchmark::State& state) {
  const auto bytes = static_cast<uint64_t>(state.range(0));
  std::vector<uint64_t> block(bytes / 8);
  const BlockHeader header =
      MakeBlockHeader(BlockType::kTrieLeaf, 0, 1, bytes, 1);
  std::memcpy(block.data(), &header, sizeof(header));
  for (auto _ : state) {
    benchmark::DoNotOptimize(BlockHash(block.data(), Offset{12345}, 678));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Checksum_Block)->Arg(64)->Arg(288)->Arg(1024)->Arg(1 << 20);

}  // namespace
}  // namespace eve
