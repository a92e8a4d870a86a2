// The B+tree alone, in anonymous memory of 2-MiB pages: 16-byte decimal keys,
// 100-byte values, 1 M and 5 M records.
//
//   bazel run --config=opt //db_bench/micro:btree_benchmark
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "benchmark/benchmark.h"
#include "engine/collections/btree.h"
#include "engine/collections/btree_cursor.h"
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

Key KeyOf(uint64_t number) {
  Key key;
  for (size_t i = kKeyBytes; i-- > 0; number /= 10) {
    key.bytes[i] = static_cast<char>('0' + number % 10);
  }
  return key;
}

struct Bench {
  Bench(uint64_t records, bool shuffled)
      : records(records), shuffled(shuffled) {
    context.store = &store;
    context.collection = 1;
    order.resize(records);
    for (uint64_t i = 0; i < records; ++i) order[i] = i;
    if (shuffled) std::shuffle(order.begin(), order.end(), random);
  }
  void Fill(uint64_t batch) {
    for (uint64_t i = 0; i < records; i += batch) {
      Apply(absl::MakeConstSpan(order).subspan(i, batch));
    }
  }
  void Apply(absl::Span<const uint64_t> numbers) {
    keys.resize(numbers.size());
    ops.resize(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      keys[i] = KeyOf(numbers[i]);
      ops[i] = MapOp{.key = keys[i], .value = Bytes(value.data(), kValueBytes)};
    }
    EVE_CHECK(TreeApply(context, absl::MakeSpan(ops), root).ok());
    store.Seal();
  }

  const uint64_t records;
  const bool shuffled;
  const std::vector<char> value = std::vector<char>(kValueBytes, 'v');
  MemoryStore store{{.reserve_bytes = uint64_t{18} << 30,
                     .booking = false,
                     .huge_pages = true}};
  EditContext context;
  MapRoot root;
  Random random{1};
  std::vector<uint64_t> order;
  std::vector<Key> keys;
  std::vector<MapOp> ops;
};

// Filled once for the benchmarks that follow each other.
Bench& BenchOf(uint64_t records, bool shuffled) {
  static auto* const bench = new std::unique_ptr<Bench>;
  if (*bench == nullptr || (*bench)->records != records ||
      (*bench)->shuffled != shuffled) {
    bench->reset();
    *bench = std::make_unique<Bench>(records, shuffled);
    (*bench)->Fill(1000);
  }
  return **bench;
}

Bench& BenchOf(const benchmark::State& state) {
  return BenchOf(static_cast<uint64_t>(state.range(0)), state.range(1) != 0);
}

void BM_TreeMap_FindHit(benchmark::State& state) {
  Bench& bench = BenchOf(state);
  Random random(7);
  for (auto _ : state) {
    const Key key = KeyOf(random.Uniform(bench.records));
    const FindResult result =
        TreeFind(bench.store.view(), bench.root.slot, key);
    EVE_CHECK(result.outcome == FindOutcome::kFound);
    benchmark::DoNotOptimize(*result.value.data());
  }
  state.counters["bytes/record"] =
      static_cast<double>(bench.store.live_bytes()) /
      static_cast<double>(bench.records);
}

void BM_TreeMap_MultiFind(benchmark::State& state) {
  Bench& bench = BenchOf(state);
  Random random(7);
  Key keys[kMultiFindWidth];
  Bytes bytes[kMultiFindWidth];
  FindResult found[kMultiFindWidth];
  for (auto _ : state) {
    for (int i = 0; i < kMultiFindWidth; ++i) {
      keys[i] = KeyOf(random.Uniform(bench.records));
      bytes[i] = keys[i];
    }
    TreeMultiFind(bench.store.view(), bench.root.slot, bytes,
                  absl::MakeSpan(found));
    for (const FindResult& result : found) {
      EVE_CHECK(result.outcome == FindOutcome::kFound);
      benchmark::DoNotOptimize(*result.value.data());
    }
  }
  state.SetItemsProcessed(state.iterations() * kMultiFindWidth);
}

void ScanLoop(benchmark::State& state, bool forward) {
  Bench& bench = BenchOf(state);
  TreeCursor cursor(bench.store.view(), bench.root.slot);
  for (auto _ : state) {
    if (!cursor.Valid()) forward ? cursor.SeekToFirst() : cursor.SeekToLast();
    benchmark::DoNotOptimize(*cursor.key().data());
    benchmark::DoNotOptimize(*cursor.value().data());
    forward ? cursor.Next() : cursor.Prev();
  }
}
void BM_TreeMap_Next(benchmark::State& state) { ScanLoop(state, true); }
void BM_TreeMap_Prev(benchmark::State& state) { ScanLoop(state, false); }

void BM_TreeMap_SeekAndTen(benchmark::State& state) {
  Bench& bench = BenchOf(state);
  Random random(7);
  TreeCursor cursor(bench.store.view(), bench.root.slot);
  for (auto _ : state) {
    const Key key = KeyOf(random.Uniform(bench.records));
    cursor.SeekAtLeast(key);
    for (int i = 0; i < 10 && cursor.Valid(); ++i) {
      benchmark::DoNotOptimize(*cursor.key().data());
      benchmark::DoNotOptimize(*cursor.value().data());
      cursor.Next();
    }
  }
}

void BM_TreeMap_Overwrite(benchmark::State& state) {
  Bench& bench = BenchOf(state);
  Random random(7);
  for (auto _ : state) {
    const uint64_t number = random.Uniform(bench.records);
    bench.Apply(absl::MakeConstSpan(&number, 1));
  }
}

void BM_TreeMap_Fill(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    Bench bench(static_cast<uint64_t>(state.range(0)), state.range(1) != 0);
    bench.store.Prefault(uint64_t{5} << 30);
    state.ResumeTiming();
    bench.Fill(1000);
    state.counters["bytes/record"] =
        static_cast<double>(bench.store.live_bytes()) /
        static_cast<double>(bench.records);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// A load in order, in one transaction, that goes between two keys.
void BM_TreeMap_FillMiddle(benchmark::State& state) {
  const uint64_t records = static_cast<uint64_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    Bench bench(records + 2, /*shuffled=*/false);
    const uint64_t ends[] = {0, records + 1};
    bench.Apply(ends);
    bench.store.Prefault(uint64_t{1} << 28);
    state.ResumeTiming();
    bench.Apply(absl::MakeConstSpan(bench.order).subspan(1, records));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void Sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"records", "shuffled"});
  for (const int64_t records : {1'000'000, 5'000'000}) {
    bench->Args({records, 1});
  }
}

BENCHMARK(BM_TreeMap_FindHit)->Apply(Sizes);
BENCHMARK(BM_TreeMap_MultiFind)->Apply(Sizes);
BENCHMARK(BM_TreeMap_Next)->Apply(Sizes);
BENCHMARK(BM_TreeMap_Prev)->Apply(Sizes);
BENCHMARK(BM_TreeMap_SeekAndTen)->Apply(Sizes);
BENCHMARK(BM_TreeMap_Overwrite)->Apply(Sizes)->Iterations(300'000);
BENCHMARK(BM_TreeMap_Fill)
    ->ArgNames({"records", "shuffled"})
    ->Args({1'000'000, 1})
    ->Args({1'000'000, 0})
    ->Iterations(1);

BENCHMARK(BM_TreeMap_FillMiddle)->Arg(8'000)->Arg(64'000)->Iterations(3);

}  // namespace
}  // namespace eve

BENCHMARK_MAIN();
