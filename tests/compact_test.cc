// Space: bounded while keys are overwritten, packed on request, and never at
// the cost of what a snapshot sees.

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/compact_fixture.h"
#include "tests/testing/status_matchers.h"
#include "util/random.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using testing::CompactTest;
using testing::Hashed;
using testing::KeyOf;
using testing::kMiB;
using testing::Model;
using testing::Sorted;

// Four segments of two writers and one prepared, and what is not worth moving.
constexpr uint64_t kOpenBytes = 18 * kMiB + 16 * kMiB;

// What is left when nothing can be packed further: whole segments that writers
// had open, and the nodes that moving the last blocks made garbage.
void ExpectPacked(const DomainStats& stats) {
  const uint64_t used = (stats.segments - stats.segments_free) * 2 * kMiB;
  const uint64_t bound = stats.live_bytes + stats.live_bytes / 8 + 12 * kMiB;
  EXPECT_LE(used, bound) << stats.live_bytes << " live";
  // The rest is back with the file system, but for the first four segments.
  EXPECT_LE(stats.disk_bytes, bound + 8 * kMiB) << stats.live_bytes << " live";
}

// What rides along is never a reason to run a closure again that says no.
TEST_F(CompactTest, AClosureThatFailsRunsOnce) {
  constexpr uint64_t kKeys = 100000;
  ASSERT_NO_FATAL_FAILURE(Open(/*background=*/false));
  ASSERT_OK_AND_ASSIGN(auto map, domain_.Collection<Hashed>("hashed"));
  Model model;
  while (Stats().bytes_moved == 0) {
    ASSERT_NO_FATAL_FAILURE(Overwrite(map, model, kKeys, 5000, 200));
    ASSERT_OK(domain_.Reclaim());
  }
  for (int i = 0; i < 5000; ++i) {
    int runs = 0;
    const auto done = domain_.Swap([&](Transaction& txn) -> absl::Status {
      ++runs;
      // Applied at once, with what it takes along.
      auto view = map.In(txn);
      for (int n = 0; n < 20; ++n) {
        EXPECT_OK(view.Erase(KeyOf(random_.Uniform(kKeys))).status());
      }
      return absl::AbortedError("the closure says no");
    });
    ASSERT_EQ(done.status(), absl::AbortedError("the closure says no"));
    ASSERT_EQ(runs, 1);
    ASSERT_NO_FATAL_FAILURE(Overwrite(map, model, kKeys, 1, 200));
  }
  ASSERT_NO_FATAL_FAILURE(ExpectHolds(map, model));
  ExpectClean();
}

// Roots that move on are no reason to leave what they keep alone.
TEST_F(CompactTest, WritersThatSyncNowAndThenKeepTheFileSmall) {
  constexpr uint64_t kKeys = 200'000;
  DomainOptions options;
  options.background = true;
  options.durability = Durability::kNone;
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
  ASSERT_OK_AND_ASSIGN(auto map, domain_.Collection<Hashed>("hashed"));
  for (int n = 0; n < 200; ++n) {
    ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
      auto view = map.In(txn);
      for (int i = 0; i < 5000; ++i) {
        const absl::Status put =
            view.Put(KeyOf(random_.Uniform(kKeys)), std::string(200, 'v'));
        if (!put.ok()) return put;
      }
      return absl::OkStatus();
    }));
    ASSERT_OK(domain_.Sync());
  }
  // Some 70. Left alone until the last block in each dies, there were 320.
  EXPECT_LT(Stats().segments, 180u);
  ASSERT_NO_FATAL_FAILURE(ExpectClean());
}

TEST_F(CompactTest, PacksMapsTreesLargeValuesAndTheCatalog) {
  for (const bool background : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(Open(background));
    ASSERT_OK_AND_ASSIGN(auto hashed, domain_.Collection<Hashed>("hashed"));
    ASSERT_OK_AND_ASSIGN(auto sorted, domain_.Collection<Sorted>("sorted"));
    ASSERT_OK_AND_ASSIGN(auto large, domain_.Collection<Sorted>("large"));
    ASSERT_OK_AND_ASSIGN(auto records, domain_.Collection<Hashed>("records"));
    for (int i = 0; i < 300; ++i) {
      ASSERT_OK_AND_ASSIGN(auto one, domain_.Collection<Hashed>(
                                         "one of many " + std::to_string(i)));
      ASSERT_OK(one.Put("key", "value"));
    }
    Model models[4];
    ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, models[0], 20000, 40000, 200));
    ASSERT_NO_FATAL_FAILURE(Overwrite(sorted, models[1], 20000, 40000, 200));
    ASSERT_NO_FATAL_FAILURE(Overwrite(large, models[2], 300, 900, 60000));
    ASSERT_NO_FATAL_FAILURE(Overwrite(records, models[3], 300, 900, 60000));
    // Most of it goes.
    ASSERT_OK(domain_
                  .Swap([&](Transaction& transaction) -> absl::Status {
                    auto view = sorted.In(transaction);
                    for (uint64_t i = 0; i < 20000; ++i) {
                      if (i % 10 == 0) continue;
                      models[1].erase(KeyOf(i));
                      const auto erased = view.Erase(KeyOf(i));
                      if (!erased.ok()) return erased.status();
                    }
                    return absl::OkStatus();
                  })
                  .status());
    ASSERT_OK(domain_.Compact());
    ExpectPacked(Stats());
    ExpectClean();
    ASSERT_NO_FATAL_FAILURE(ExpectHolds(hashed, models[0]));
    ASSERT_NO_FATAL_FAILURE(ExpectHolds(sorted, models[1]));
    ASSERT_NO_FATAL_FAILURE(ExpectHolds(large, models[2]));
    ASSERT_NO_FATAL_FAILURE(ExpectHolds(records, models[3]));
    // It can be written on, and packed again.
    ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, models[0], 20000, 20000, 200));
    ASSERT_OK(domain_.Compact());
    ASSERT_NO_FATAL_FAILURE(ExpectHolds(hashed, models[0]));
    ExpectClean();
    ASSERT_OK(domain_.Close());
    ASSERT_NO_FATAL_FAILURE(Open(background));
    ASSERT_OK_AND_ASSIGN(hashed, domain_.Collection<Hashed>("hashed"));
    ASSERT_NO_FATAL_FAILURE(ExpectHolds(hashed, models[0]));
    ASSERT_OK(domain_.Drop("hashed"));
    ASSERT_OK(domain_.Drop("sorted"));
    ASSERT_OK(domain_.Drop("large"));
    ASSERT_OK(domain_.Drop("records"));
    ASSERT_OK(domain_.Compact());
    EXPECT_LT(Stats().live_bytes, kMiB);
    ASSERT_OK(domain_.Close());
  }
}

// Uniform overwriting by single puts, twenty times over: the file, or what is
// in use of it, stays within 2.2 times what it holds, and a few segments that
// writers have open. Without a background thread writers do everything.
TEST_F(CompactTest, OverwritingKeepsTheFileSmall) {
  constexpr uint64_t kKeys = 60000;
  for (const bool background : {false, true}) {
    for (const bool ordered : {false, true}) {
      SCOPED_TRACE(::testing::Message()
                   << "background " << background << ", ordered " << ordered);
      ASSERT_NO_FATAL_FAILURE(Open(background));
      Model model;
      const std::string name = ordered ? "sorted" : "hashed";
      ASSERT_OK_AND_ASSIGN(auto hashed, domain_.Collection<Hashed>("hashed"));
      ASSERT_OK_AND_ASSIGN(auto sorted, domain_.Collection<Sorted>("sorted"));
      uint64_t largest = 0;
      for (int round = 0; round < 20; ++round) {
        if (ordered) {
          ASSERT_NO_FATAL_FAILURE(Overwrite(sorted, model, kKeys, kKeys, 500));
        } else {
          ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, model, kKeys, kKeys, 500));
        }
        const DomainStats stats = Stats();
        // How much is written while the background thread waits for the disk or
        // a processor, held by durable roots until it comes to a checkpoint, is
        // up to the machine; and the file stays as long as it was then.
        const uint64_t used = (stats.segments - stats.segments_free) * 2 * kMiB;
        const uint64_t size =
            background ? used - stats.durable_held_bytes : stats.file_bytes;
        if (round > 2) largest = std::max(largest, size);
      }
      const DomainStats stats = Stats();
      EXPECT_LE(largest, stats.live_bytes * 22 / 10 + kOpenBytes)
          << stats.live_bytes << " bytes live";
      // Without reuse it would have all that was ever written, 3 GB.
      EXPECT_LE(stats.file_bytes, 30 * stats.live_bytes);
      EXPECT_GT(stats.blocks_moved, 1000u);
      ExpectClean();
      if (ordered) {
        ASSERT_NO_FATAL_FAILURE(ExpectHolds(sorted, model));
      } else {
        ASSERT_NO_FATAL_FAILURE(ExpectHolds(hashed, model));
      }
      ASSERT_OK(domain_.Drop("hashed"));
      ASSERT_OK(domain_.Drop("sorted"));
      ASSERT_OK(domain_.Compact());
      ASSERT_OK(domain_.Close());
    }
  }
}

// A snapshot costs what it sees, reads the same to the end, and does not keep
// the rest from being compacted.
TEST_F(CompactTest, SnapshotsReadTheSameThroughCompaction) {
  constexpr uint64_t kKeys = 40000;
  ASSERT_NO_FATAL_FAILURE(Open(true));
  Model model;
  ASSERT_OK_AND_ASSIGN(auto hashed, domain_.Collection<Hashed>("hashed"));
  ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, model, kKeys, 2 * kKeys, 500));
  ASSERT_OK(domain_.Compact());
  const uint64_t own = Stats().file_bytes;
  ASSERT_OK_AND_ASSIGN(const Snapshot snapshot, domain_.Now());
  const Model before = model;
  for (int round = 0; round < 10; ++round) {
    ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, model, kKeys, kKeys, 500));
    if (round == 5) ASSERT_OK(domain_.Compact());
  }
  // The snapshot costs no more than its own data. When the background thread
  // frees what is dead, and what durable roots keep until it comes to a
  // checkpoint, depends on the machine's load: that is not judged here.
  ASSERT_OK(domain_.Reclaim());
  const DomainStats stats = Stats();
  const uint64_t used = (stats.segments - stats.segments_free) * 2 * kMiB;
  EXPECT_LE(stats.pinned_bytes, own);
  EXPECT_LE(used - stats.pinned_bytes - stats.durable_held_bytes,
            stats.live_bytes * 22 / 10 + kOpenBytes);
  testing::ExpectCleanCheckAt(path_, snapshot);
  auto then = hashed.At(snapshot);
  for (const auto& [key, value] : before) {
    const auto found = then.Find(key);
    ASSERT_TRUE(found.has_value());
    ASSERT_TRUE(*found == value);
  }
  ASSERT_NO_FATAL_FAILURE(ExpectHolds(hashed, model));
}

// To the background thread a long transaction looks like rest: it must not move
// blocks beside it again and again. What was in flight when it began may cost
// it one run.
TEST_F(CompactTest, RestDoesNotStarveALongTransaction) {
  constexpr uint64_t kKeys = 60000;
  constexpr int kLooks = 300;  // of some 100 us: many ticks
  ASSERT_NO_FATAL_FAILURE(Open(true));
  Model model;
  ASSERT_OK_AND_ASSIGN(auto hashed, domain_.Collection<Hashed>("hashed"));
  ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, model, kKeys, 3 * kKeys, 500));
  for (int i = 0; i < 5; ++i) {
    int runs = 0;
    ASSERT_OK(domain_
                  .Swap([&](Transaction& transaction) -> absl::Status {
                    ++runs;
                    auto view = hashed.In(transaction);
                    EVE_RETURN_IF_ERROR(view.Put(KeyOf(i), "long"));
                    for (int look = 0; look < kLooks && runs < 10; ++look) {
                      EVE_RETURN_IF_ERROR(domain_.Stats().status());
                    }
                    return absl::OkStatus();
                  })
                  .status());
    model[KeyOf(i)] = "long";
    EXPECT_LE(runs, 2);
  }
  ASSERT_NO_FATAL_FAILURE(ExpectHolds(hashed, model));
}

// A writer that never pauses neither holds Compact() up nor keeps it from
// packing what is being written.
TEST_F(CompactTest, CompactsBesideABusyWriter) {
  constexpr uint64_t kKeys = 60000;
  for (const bool background : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(Open(background));
    Model model;
    ASSERT_OK_AND_ASSIGN(auto hashed, domain_.Collection<Hashed>("hashed"));
    ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, model, kKeys, 3 * kKeys, 500));
    // Nine of ten go, here and there: nothing dies whole.
    ASSERT_OK(domain_
                  .Swap([&](Transaction& transaction) -> absl::Status {
                    auto view = hashed.In(transaction);
                    for (uint64_t i = 0; i < kKeys; ++i) {
                      if (i % 10 == 0) continue;
                      const auto erased = view.Erase(KeyOf(i));
                      if (!erased.ok()) return erased.status();
                    }
                    return absl::OkStatus();
                  })
                  .status());
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> written{0};
    std::thread writer([&] {
      while (!stop) {
        ASSERT_OK(hashed.Put(KeyOf(written % 100 * 10), "busy"));
        ++written;
      }
    });
    const uint64_t before = written;
    ASSERT_OK(domain_.Compact());
    EXPECT_GT(written, before);
    const DomainStats stats = Stats();
    stop = true;
    writer.join();
    // How much the writer has made meanwhile that checkpoints still hold is up
    // to the machine.
    const uint64_t used = (stats.segments - stats.segments_free) * 2 * kMiB;
    EXPECT_LE(used - stats.durable_held_bytes,
              2 * stats.live_bytes + kOpenBytes)
        << stats.live_bytes << " live";
    EXPECT_GT(stats.blocks_moved, 0u);
    ExpectClean();
    ASSERT_OK(domain_.Drop("hashed"));
    ASSERT_OK(domain_.Close());
  }
}

// Readers that come and go, always one of them there: no snapshot is old, so
// what they see must not keep space from being reclaimed.
TEST_F(CompactTest, RollingSnapshotsDoNotStopReclamation) {
  constexpr uint64_t kKeys = 40000;
  ASSERT_NO_FATAL_FAILURE(Open(true));
  Model model;
  ASSERT_OK_AND_ASSIGN(auto hashed, domain_.Collection<Hashed>("hashed"));
  ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, model, kKeys, 2 * kKeys, 500));
  ASSERT_OK_AND_ASSIGN(Snapshot older, domain_.Now());
  ASSERT_OK_AND_ASSIGN(Snapshot newer, domain_.Now());
  uint64_t largest = 0;
  for (int round = 0; round < 60; ++round) {
    ASSERT_NO_FATAL_FAILURE(Overwrite(hashed, model, kKeys, kKeys / 4, 500));
    older = std::move(newer);
    ASSERT_OK_AND_ASSIGN(newer, domain_.Now());
    const uint64_t now = Stats().file_bytes;
    largest = std::max(largest, now);
  }
  const DomainStats stats = Stats();
  // Each of the two may hold all that was in use when it was taken.
  EXPECT_LE(largest, 3 * (stats.live_bytes * 22 / 10 + kOpenBytes))
      << stats.live_bytes << " live";
  EXPECT_GT(stats.blocks_moved, 1000u);
}

}  // namespace
}  // namespace eve
