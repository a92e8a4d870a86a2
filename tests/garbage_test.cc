// Garbage that is found beside what nothing can be done about: large values
// that keep their segments, commits that are not folded yet.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/compact_fixture.h"
#include "tests/testing/child_process.h"
#include "tests/testing/status_matchers.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Hashed;
using testing::KeyOf;
using testing::kMiB;
using testing::Model;
using testing::Sorted;

class GarbageTest : public testing::CompactTest {};

// Values above a quarter of a segment have one of their own, wherever they are:
// to move them would gain nothing, and never end.
TEST_F(GarbageTest, ValuesThatFillASegmentStayWhereTheyAre) {
  ASSERT_NO_FATAL_FAILURE(Open(/*background=*/false));
  ASSERT_OK_AND_ASSIGN(
      auto map, (domain_.Collection<Map<std::string, std::string>>("m")));
  Model model;
  ASSERT_NO_FATAL_FAILURE(Overwrite(map, model, 1'000, 1'000, 100));
  for (int i = 0; i < 12; ++i) {
    const std::string key = "big" + std::to_string(i);
    model[key] = std::string(600'000, 'b');
    ASSERT_OK(map.Put(key, model[key]));
  }
  ASSERT_OK(domain_.Compact());
  const DomainStats first = Stats();
  EXPECT_LT(first.bytes_moved, 600'000u);
  ASSERT_OK(domain_.Compact());
  const DomainStats second = Stats();
  EXPECT_LT(second.bytes_moved, first.bytes_moved + 300'000);
  EXPECT_LE(second.file_bytes, first.file_bytes);
  ExpectHolds(map, model);
  ExpectClean();
}

// Nor do they keep what is dead elsewhere from being found.
TEST_F(GarbageTest, OverwritingBesideSuchValuesKeepsTheFileSmall) {
  constexpr uint64_t kValues = 100;
  constexpr uint64_t kKeys = 60'000;
  ASSERT_NO_FATAL_FAILURE(Open(/*background=*/false));
  ASSERT_OK_AND_ASSIGN(auto map, domain_.Collection<Hashed>("m"));
  Model model;
  ASSERT_NO_FATAL_FAILURE(Overwrite(map, model, kKeys, kKeys, 500));
  const uint64_t small = Stats().live_bytes;
  for (uint64_t i = 0; i < kValues; ++i) {
    const std::string key = "big" + std::to_string(i);
    model[key] = std::string(600'000, 'b');
    ASSERT_OK(map.Put(key, model[key]));
  }
  for (int round = 0; round < 10; ++round) {
    ASSERT_NO_FATAL_FAILURE(Overwrite(map, model, kKeys, kKeys, 500));
  }
  const DomainStats stats = Stats();
  const uint64_t used = (stats.segments - stats.segments_free) * 2 * kMiB;
  EXPECT_LT(used, kValues * 2 * kMiB + small * 22 / 10 + 40 * kMiB);
  ExpectHolds(map, model);
  ExpectClean();
}

// Nor what nothing can be done about: commits that are not folded yet.
TEST_F(GarbageTest, OverwritingInBatchesKeepsTheFileSmall) {
  constexpr uint64_t kKeys = 300'000;
  for (const uint64_t batch : {100, 1'000, 20'000}) {
    SCOPED_TRACE(batch);
    ASSERT_NO_FATAL_FAILURE(Open(/*background=*/false));
    ASSERT_OK_AND_ASSIGN(auto map, domain_.Collection<Hashed>("m"));
    const std::string value(100, 'v');
    std::string key;
    uint64_t largest = 0;
    for (int round = 0; round < 6; ++round) {
      for (uint64_t done = 0; done < kKeys; done += batch) {
        ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
          auto writer = map.In(txn);
          for (uint64_t i = 0; i < batch; ++i) {
            const uint64_t k = round == 0 ? done + i : random_.Uniform(kKeys);
            if (absl::Status put = writer.Put(std::to_string(k), value);
                !put.ok()) {
              return put;
            }
          }
          return absl::OkStatus();
        }));
      }
      const DomainStats stats = Stats();
      const uint64_t used = (stats.segments - stats.segments_free) * 2 * kMiB;
      largest = std::max(largest, used);
    }
    EXPECT_LT(largest, Stats().live_bytes * 3 + 32 * kMiB);
    ExpectClean();
  }
}

// Large values that lived in front of smaller ones do not keep their segments
// once they are dead.
TEST_F(GarbageTest, DeadLargeValuesKeepNothing) {
  ASSERT_NO_FATAL_FAILURE(Open(/*background=*/false));
  std::optional<Hashed> map;
  ASSERT_OK_AND_ASSIGN(map, domain_.Collection<Hashed>("m"));
  Model model;
  const auto put = [&](const std::string& key, size_t size) {
    model[key] = std::string(size, key.back());
    ASSERT_OK(map->Put(key, model[key]));
  };
  for (int i = 0; i < 60; ++i) put("big" + std::to_string(i), 530'000);
  ASSERT_OK(domain_.Compact());  // what is free behind them is offered
  for (int i = 0; i < 900; ++i) put("small" + std::to_string(i), 100'000);
  const auto erase = [&](const std::string& key) {
    model.erase(key);
    ASSERT_OK(map->Erase(key));
  };
  for (int i = 0; i < 60; ++i) erase("big" + std::to_string(i));
  for (int i = 0; i < 900; i += 2) erase("small" + std::to_string(i));
  ASSERT_OK(domain_.Compact());
  const DomainStats stats = Stats();
  const uint64_t used = (stats.segments - stats.segments_free) * 2 * kMiB;
  EXPECT_LT(used, stats.live_bytes * 13 / 10);
  ExpectHolds(*map, model);
  ExpectClean();
}

// Values that nearly fill a segment and lie at the end of the file, more than
// are looked at in one go, do not end the packing of others.
TEST_F(GarbageTest, ManyFullSegmentsAtTheEndDoNotEndIt) {
  ASSERT_NO_FATAL_FAILURE(Open(/*background=*/false));
  ASSERT_OK_AND_ASSIGN(auto map, domain_.Collection<Hashed>("m"));
  const std::string small(100'000, 's');
  const std::string large(2'000'000, 'l');
  for (int i = 0; i < 6'000; ++i) {
    ASSERT_OK(map.Put("small" + std::to_string(i), small));
  }
  for (int i = 0; i < 400; ++i) {
    ASSERT_OK(map.Put("large" + std::to_string(i), large));
  }
  for (int i = 0; i < 6'000; ++i) {
    if (i % 20 != 0) ASSERT_OK(map.Erase("small" + std::to_string(i)));
  }
  ASSERT_OK(domain_.Compact());
  const DomainStats stats = Stats();
  const uint64_t used = (stats.segments - stats.segments_free) * 2 * kMiB;
  EXPECT_LT(used, 400 * 2 * kMiB + 60 * kMiB);
  ExpectClean();
}

class SharedGarbageTest : public GarbageTest {
 protected:
  // So many batches of random keys by each of several processes at once.
  void WriteAtOnce(int processes, int batches, uint64_t keys) {
    constexpr int kBatch = 1'000;
    std::vector<ChildProcess> writers;
    for (int seed = 1; seed <= processes; ++seed) {
      writers.emplace_back([=, this] {
        WriteBatches(seed_ + static_cast<uint64_t>(seed), batches, kBatch,
                     keys);
        return HasFailure() ? 1 : 0;
      });
    }
    for (ChildProcess& writer : writers) EXPECT_EQ(writer.Wait(), 0);
  }

 private:
  void WriteBatches(uint64_t seed, int batches, int batch, uint64_t keys) {
    ASSERT_NO_FATAL_FAILURE(Open(/*background=*/false));
    ASSERT_OK_AND_ASSIGN(auto map, domain_.Collection<Sorted>("m"));
    Random random(seed);
    const std::string value(100, 'v');
    for (int i = 0; i < batches; ++i) {
      ASSERT_OK(domain_.Swap([&](Transaction& txn) {
        auto writer = map.In(txn);
        for (int k = 0; k < batch; ++k) {
          EXPECT_OK(writer.Put(KeyOf(random.Uniform(keys)), value));
        }
        return absl::OkStatus();
      }));
    }
    ASSERT_OK(domain_.Close());
  }
};

// However the garbage of several writers lies, one call packs, and the close
// after it cuts.
TEST_F(SharedGarbageTest, WhatSeveralProcessesLeaveIsPackedByOneCall) {
  ASSERT_NO_FATAL_FAILURE(WriteAtOnce(3, 150, 60'000));
  ASSERT_NO_FATAL_FAILURE(Open(/*background=*/false));
  const uint64_t before = Stats().file_bytes;
  ASSERT_OK(domain_.Compact());
  const uint64_t live = Stats().live_bytes;
  ExpectClean();
  ASSERT_OK(domain_.Close());
  const uint64_t after = std::filesystem::file_size(path_);
  EXPECT_LT(after, live + 12 * kMiB) << before << " bytes before";
}

}  // namespace
}  // namespace eve
