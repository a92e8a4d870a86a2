// The hash trie against a model: random edits of several kinds and sizes, in
// batches and alone, over many roots that must all stay readable.
#include "engine/collections/hamt_map.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/collections/hamt_fixture.h"

namespace eve {
namespace {

// What a random run draws from.
struct Mix {
  const char* name;
  uint64_t keys;         // different ones
  uint64_t key_bytes;    // up to
  uint64_t value_bytes;  // up to
  uint64_t ops;
};

TestOp RandomOp(Random& random, const Mix& mix) {
  TestOp op;
  const uint64_t dice = random.Uniform(10);
  op.kind = dice < 5   ? MapOpKind::kPut
            : dice < 7 ? MapOpKind::kInsert
                       : MapOpKind::kErase;
  const uint64_t number = random.Uniform(mix.keys);
  // The same number always gives the same key; number 0 the empty one.
  Random key_random(number);
  op.key = RandomBytes(key_random,
                       number == 0 ? 0 : 1 + key_random.Uniform(mix.key_bytes));
  if (op.kind != MapOpKind::kErase) {
    op.value = RandomBytes(random, random.Uniform(mix.value_bytes + 1));
  }
  return op;
}

void RunMix(const Mix& mix, uint64_t mask, uint64_t seed) {
  SCOPED_TRACE(testing::Message() << mix.name << " seed " << seed);
  HamtFixture map(mask);
  Random random(seed);
  std::vector<TestSnapshot> snapshots;
  uint64_t done = 0;
  while (done < mix.ops) {
    std::vector<TestOp> ops;
    const uint64_t batch =
        random.OneIn(3) ? 1 + random.Uniform(200) : 1 + random.Uniform(3);
    for (uint64_t i = 0; i < batch; ++i) ops.push_back(RandomOp(random, mix));
    if (random.OneIn(4)) {
      std::sort(ops.begin(), ops.end(),
                [](const TestOp& a, const TestOp& b) { return a.key < b.key; });
    }
    ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
    done += batch;
    if (random.OneIn(3)) map.store().Seal();
    if (random.OneIn(40)) snapshots.push_back(map.TakeSnapshot());
    if (random.OneIn(20)) {
      ASSERT_NO_FATAL_FAILURE(map.Check());
    }
  }
  ASSERT_NO_FATAL_FAILURE(map.Check());
  ASSERT_NO_FATAL_FAILURE(map.CheckFinds(map.root(), map.model()));
  for (const TestSnapshot& snapshot : snapshots) {
    TrieContent content;
    ASSERT_EQ(CheckTrie(map.store().view(), map.hasher(),
                        HamtFixture::kCollection, snapshot.root.slot, &content),
              absl::OkStatus());
    ASSERT_TRUE(content.records == snapshot.model);
    ASSERT_NO_FATAL_FAILURE(map.CheckFinds(snapshot.root, snapshot.model));
  }
}

TEST(HamtMapTest, EqualsAModelForManyMixesOfSizes) {
  const Mix mixes[] = {
      {"no values", 3000, 12, 0, 20000},
      {"one-byte keys", 200, 1, 20, 10000},
      {"usual", 5000, 20, 150, 30000},
      {"around the inline limit", 2000, 254, 255, 10000},
      {"1 KiB", 500, 16, 2048, 5000},
      {"100 KiB", 30, 16, 200 << 10, 600},
      {"keys to 64 KiB", 40, (64 << 10) - 1, 100, 600},
  };
  for (const Mix& mix : mixes) {
    for (uint64_t seed : {1, 2}) {
      ASSERT_NO_FATAL_FAILURE(RunMix(mix, ~uint64_t{0}, seed));
    }
  }
}

// Few hash bits: deep paths, leaves of equal hashes, collision leaves.
TEST(HamtMapTest, EqualsAModelWhenHashesCollide) {
  const uint64_t masks[] = {0,
                            0xF,
                            0x1F,
                            uint64_t{0x1F} << 59,
                            uint64_t{0xFF} << 28,
                            0xF000'0000'0000'000F};
  for (uint64_t mask : masks) {
    SCOPED_TRACE(testing::Message() << "mask " << mask);
    ASSERT_NO_FATAL_FAILURE(RunMix({"few", 60, 8, 40, 4000}, mask, 1));
    ASSERT_NO_FATAL_FAILURE(RunMix({"many", 600, 8, 300, 6000}, mask, 2));
  }
}

TEST(HamtMapTest, AnEmptyMapHasNothing) {
  HamtFixture map;
  EXPECT_EQ(map.Find(MapRoot{}, "a").outcome, FindOutcome::kAbsent);
  Bytes keys[2] = {"a", ""};
  FindResult results[2];
  HamtMultiFind(map.store().view(), map.hasher(), NodeSlot{}, keys,
                absl::MakeSpan(results));
  EXPECT_EQ(results[1].outcome, FindOutcome::kAbsent);
  map.Erase("a");
  EXPECT_TRUE(map.root().slot.is_empty());
  EXPECT_EQ(map.store().allocations(), 0u);
}

TEST(HamtMapTest, AMissIsAbsentOnEveryPath) {
  HamtFixture map;
  std::vector<TestOp> ops;
  for (uint64_t i = 0; i < 20000; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), "value"});
  }
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
  std::vector<std::string> missing;
  for (uint64_t i = 20000; i < 40000; ++i) missing.push_back(KeyOf(i));
  const std::vector<Bytes> keys(missing.begin(), missing.end());
  std::vector<FindResult> results(keys.size());
  HamtMultiFind(map.store().view(), map.hasher(), map.root().slot, keys,
                absl::MakeSpan(results));
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(results[i].outcome, FindOutcome::kAbsent);
    ASSERT_EQ(map.Find(map.root(), missing[i]).outcome, FindOutcome::kAbsent);
  }
}

// A batch means the same as its ops one by one, whatever their order: the last
// put wins, an insert after an erase inserts.
TEST(HamtMapTest, OpsOnOneKeyInABatchSeeEachOther) {
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(map.Apply({{MapOpKind::kInsert, "k", "1"},
                                     {MapOpKind::kInsert, "k", "2"},
                                     {MapOpKind::kErase, "other", ""},
                                     {MapOpKind::kPut, "k", "3"},
                                     {MapOpKind::kErase, "k", ""},
                                     {MapOpKind::kErase, "k", ""},
                                     {MapOpKind::kInsert, "k", "4"}}));
  EXPECT_EQ(map.Find(map.root(), "k").value, Bytes("4"));
  EXPECT_EQ(map.root().count, 1u);
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

TEST(HamtMapTest, KeysAndValuesHaveTheirLimits) {
  HamtFixture map;
  const std::string longest(kKeyBytesMax, 'k');
  ASSERT_NO_FATAL_FAILURE(map.Put(longest, "v"));
  EXPECT_EQ(map.Find(map.root(), longest).value, Bytes("v"));
  const NodeSlot before = map.root().slot;
  const std::string too_long = longest + "k";
  MapOp ops[2] = {{.key = "fine"}, {.key = too_long}};
  EXPECT_EQ(HamtApply(map.context(), absl::MakeSpan(ops), map.root()).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(map.root().slot, before);
  // Never read: the size alone is refused.
  MapOp value_op{.key = "k", .value = Bytes("", kValueBytesMax + 1)};
  EXPECT_EQ(
      HamtApply(map.context(), absl::MakeSpan(&value_op, 1), map.root()).code(),
      absl::StatusCode::kInvalidArgument);
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

// One op on a large map touches one path and one leaf.
TEST(HamtMapTest, OneOpCopiesOnePath) {
  HamtFixture map;
  std::vector<TestOp> ops;
  for (uint64_t i = 0; i < 200000; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), std::string(100, 'v')});
  }
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
  map.store().Seal();
  const uint64_t before = map.store().allocations();
  ASSERT_NO_FATAL_FAILURE(map.Put(KeyOf(77), std::string(100, 'w')));
  EXPECT_LE(map.store().allocations() - before, 5u);
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

}  // namespace
}  // namespace eve
