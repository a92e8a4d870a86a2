// The hash trie alone, in anonymous memory of 2-MiB pages: 16-byte keys,
// 100-byte values, 1 M and 5 M records.
//
//   bazel run --config=opt //db_bench/micro:hamt_benchmark
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "benchmark/benchmark.h"
#include "engine/collections/hamt_iterator.h"
#include "engine/collections/hamt_map.h"
#include "tests/testing/memory_store.h"
#include "util/check.h"
#include "util/random.h"

namespace eve {
namespace {

constexpr size_t kKeyBytes = 16;
constexpr size_t kValueBytes = 100;

struct Key {
  char bytes[kKeyBytes];
  operator Bytes() const { return Bytes(bytes, kKeyBytes); }
};

// Cheap to make: a decimal number would cost as much as the hash.
Key KeyOf(uint64_t number) {
  const uint64_t words[2] = {number * 0x9E37'79B9'7F4A'7C15, number};
  Key key;
  std::memcpy(key.bytes, words, kKeyBytes);
  return key;
}

struct Bench {
  Bench(uint64_t records, uint64_t batch) : records(records) {
    context.store = &store;
    context.hasher.seed = 42;
    context.collection = 1;
    const std::vector<char> value(kValueBytes, 'v');
    std::vector<uint64_t> order(records);
    for (uint64_t i = 0; i < records; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    for (uint64_t i = 0; i < records; i += batch) {
      Apply(absl::MakeConstSpan(order).subspan(i, batch), value.data());
    }
  }

  void Apply(absl::Span<const uint64_t> numbers, const char* value) {
    keys.resize(numbers.size());
    ops.resize(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      keys[i] = KeyOf(numbers[i]);
      ops[i] = MapOp{.key = keys[i], .value = Bytes(value, kValueBytes)};
    }
    EVE_CHECK(HamtApply(context, absl::MakeSpan(ops), root).ok());
    store.Seal();
  }

  uint64_t records;
  MemoryStore store{{.reserve_bytes = uint64_t{18} << 30,
                     .booking = false,
                     .huge_pages = true}};
  EditContext context;
  MapRoot root;
  Random random{1};
  std::vector<Key> keys;
  std::vector<MapOp> ops;
};

// Filled once for the benchmarks of a size that follow each other; the memory
// of the size before is given back.
Bench& BenchOf(uint64_t records) {
  static auto* const bench = new std::unique_ptr<Bench>;
  if (*bench == nullptr || (*bench)->records != records) {
    bench->reset();
    *bench = std::make_unique<Bench>(records, 10000);
  }
  return **bench;
}

void FindLoop(benchmark::State& state, bool hit) {
  const uint64_t records = static_cast<uint64_t>(state.range(0));
  Bench& bench = BenchOf(records);
  Random random(7);
  for (auto _ : state) {
    const Key key = KeyOf(random.Uniform(records) + (hit ? 0 : records));
    const FindResult result = HamtFind(bench.store.view(), bench.context.hasher,
                                       bench.root.slot, key);
    EVE_CHECK((result.outcome == FindOutcome::kFound) == hit);
    if (hit) benchmark::DoNotOptimize(*result.value.data());
  }
  state.counters["bytes/record"] =
      static_cast<double>(bench.store.live_bytes()) /
      static_cast<double>(records);
}

void BM_HamtMap_FindHit(benchmark::State& state) { FindLoop(state, true); }
void BM_HamtMap_FindMiss(benchmark::State& state) { FindLoop(state, false); }

// Each key depends on the value before it, so that two gets never overlap: the
// latency of one, where FindHit shows what a loop gets out of the processor.
void BM_HamtMap_FindChained(benchmark::State& state) {
  const uint64_t records = static_cast<uint64_t>(state.range(0));
  Bench& bench = BenchOf(records);
  Random random(7);
  uint64_t step = 0;
  for (auto _ : state) {
    const Key key = KeyOf(random.Uniform(records - 1) + step);
    const FindResult result = HamtFind(bench.store.view(), bench.context.hasher,
                                       bench.root.slot, key);
    // Always 0: values are letters.
    step = static_cast<uint8_t>(result.value.data()[kValueBytes - 1]) >> 7;
  }
}

void BM_HamtMap_MultiFind16(benchmark::State& state) {
  const uint64_t records = static_cast<uint64_t>(state.range(0));
  Bench& bench = BenchOf(records);
  Random random(8);
  for (auto _ : state) {
    Key keys[16];
    Bytes views[16];
    FindResult results[16];
    for (int i = 0; i < 16; ++i) {
      keys[i] = KeyOf(random.Uniform(records));
      views[i] = keys[i];
    }
    HamtMultiFind(bench.store.view(), bench.context.hasher, bench.root.slot,
                  views, absl::MakeSpan(results));
    for (const FindResult& result : results) {
      EVE_CHECK(result.outcome == FindOutcome::kFound);
      benchmark::DoNotOptimize(*result.value.data());
    }
  }
  state.SetItemsProcessed(16 * static_cast<int64_t>(state.iterations()));
}

void BM_HamtMap_Iterate(benchmark::State& state) {
  Bench& bench = BenchOf(static_cast<uint64_t>(state.range(0)));
  HamtIterator it(bench.store.view(), bench.root.slot);
  for (auto _ : state) {
    if (!it.Valid()) it = HamtIterator(bench.store.view(), bench.root.slot);
    benchmark::DoNotOptimize(*it.value().data());
    it.Next();
  }
}

void ApplyLoop(benchmark::State& state, uint64_t batch) {
  const uint64_t records = static_cast<uint64_t>(state.range(0));
  Bench& bench = BenchOf(records);
  Random random(9);
  std::vector<uint64_t> numbers(batch);
  const std::vector<char> value(kValueBytes, 'w');
  // About what the loop will write; nothing is reclaimed.
  bench.store.Prefault(state.max_iterations * batch *
                       (batch == 1 ? 3600 : 2400));
  for (auto _ : state) {
    for (uint64_t& number : numbers) number = random.Uniform(records);
    bench.Apply(numbers, value.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(batch) *
                          static_cast<int64_t>(state.iterations()));
}

void BM_HamtMap_ApplyPut1(benchmark::State& state) { ApplyLoop(state, 1); }
void BM_HamtMap_ApplyBatch1000(benchmark::State& state) {
  ApplyLoop(state, 1000);
}

// Records from nothing, in batches of 1,000.
void BM_HamtMap_Fill(benchmark::State& state) {
  for (auto _ : state) {
    Bench bench(static_cast<uint64_t>(state.range(0)), 1000);
    state.counters["used/live"] =
        static_cast<double>(bench.store.used_bytes()) /
        static_cast<double>(bench.store.live_bytes());
  }
  state.SetItemsProcessed(state.range(0) *
                          static_cast<int64_t>(state.iterations()));
}

// All of a size in a row: filling takes longer than measuring.
void RegisterFor(int64_t records) {
  const auto add = [&](const char* name, void (*run)(benchmark::State&)) {
    return benchmark::RegisterBenchmark(name, run)->Arg(records);
  };
  add("BM_HamtMap_FindHit", BM_HamtMap_FindHit);
  add("BM_HamtMap_FindChained", BM_HamtMap_FindChained);
  add("BM_HamtMap_FindMiss", BM_HamtMap_FindMiss);
  add("BM_HamtMap_MultiFind16", BM_HamtMap_MultiFind16);
  add("BM_HamtMap_Iterate", BM_HamtMap_Iterate);
  // Nothing is reclaimed here: so many that memory is enough.
  add("BM_HamtMap_ApplyPut1", BM_HamtMap_ApplyPut1)->Iterations(500000);
  add("BM_HamtMap_ApplyBatch1000", BM_HamtMap_ApplyBatch1000)->Iterations(500);
}

const bool kRegistered = [] {
  for (int64_t records : {1000000, 5000000}) RegisterFor(records);
  benchmark::RegisterBenchmark("BM_HamtMap_Fill", BM_HamtMap_Fill)
      ->Arg(1000000)
      ->Iterations(1);
  return true;
}();

}  // namespace
}  // namespace eve
