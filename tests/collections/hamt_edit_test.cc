// Editing in place, errors in the middle, and whose bytes may be named.
#include <string>
#include <vector>

#include "engine/collections/hamt_map.h"
#include "gtest/gtest.h"
#include "tests/collections/hamt_fixture.h"

namespace eve {
namespace {

std::vector<TestOp> Puts(uint64_t first, uint64_t count, size_t value_bytes) {
  std::vector<TestOp> ops;
  for (uint64_t i = first; i < first + count; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), std::string(value_bytes, 'v')});
  }
  return ops;
}

// The store makes sealed pages read-only: an edit in place of anything that an
// older root can see would be a crash.
TEST(HamtEditTest, SealedBlocksAreNeverWritten) {
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(0, 5000, 50)));
  const TestSnapshot before = map.TakeSnapshot();
  for (uint64_t i = 0; i < 5000; i += 7) {
    ASSERT_NO_FATAL_FAILURE(map.Put(KeyOf(i), std::string(50, 'w')));
    map.store().Seal();
  }
  ASSERT_NO_FATAL_FAILURE(map.Check());
  ASSERT_NO_FATAL_FAILURE(map.CheckFinds(before.root, before.model));
}

// A counter that a transaction raises a million times must not fill the disk.
TEST(HamtEditTest, OverwritingWithTheSameSizeInOneTransactionAllocatesNothing) {
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(0, 5000, 8)));
  map.store().Seal();
  ASSERT_NO_FATAL_FAILURE(map.Put(KeyOf(9), "00000000"));
  const uint64_t before = map.store().allocations();
  const NodeSlot root = map.root().slot;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_NO_FATAL_FAILURE(map.Put(KeyOf(9), std::to_string(10000000 + i)));
  }
  EXPECT_EQ(map.store().allocations(), before);
  EXPECT_EQ(map.root().slot, root);
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

// Also in a leaf that is exactly full.
TEST(HamtEditTest, OverwritingInAFullLeafStaysInPlace) {
  HamtFixture map;
  // 16 bytes of header, 8 times 3 + 2 + 1 key byte, and values to 1,024.
  constexpr size_t kValues = kLeafBytesMax - 16 - 8 * 6;
  for (int i = 0; i < 8; ++i) {
    map.Put(std::to_string(i), std::string(kValues / 8, 'v'));
  }
  ASSERT_NO_FATAL_FAILURE(map.Check());
  ASSERT_EQ(map.content().bytes, uint64_t{kLeafBytesMax});
  const uint64_t before = map.store().allocations();
  map.Put("5", std::string(kValues / 8, 'w'));
  EXPECT_EQ(map.store().allocations(), before);
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

// Nodes of this transaction are edited, not copied again: after the first, an
// op costs a leaf, and at times a split.
TEST(HamtEditTest, ATransactionCopiesEachNodeOnce) {
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(0, 20000, 20)));
  map.store().Seal();
  for (uint64_t i = 0; i < 2000; ++i) {
    ASSERT_NO_FATAL_FAILURE(map.Put(KeyOf(50000 + i), std::string(20, 'v')));
  }
  const uint64_t before = map.store().allocations();
  for (uint64_t i = 0; i < 2000; ++i) {
    ASSERT_NO_FATAL_FAILURE(map.Put(KeyOf(50000 + i), std::string(21, 'v')));
  }
  EXPECT_LE(map.store().allocations() - before, 2200u);
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

TEST(HamtEditTest, AnOpThatChangesNothingWritesNothing) {
  HamtFixture map;
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(0, 5000, 20)));
  const TestSnapshot before = map.TakeSnapshot();
  const uint64_t allocations = map.store().allocations();
  ASSERT_NO_FATAL_FAILURE(map.Erase("absent"));
  ASSERT_NO_FATAL_FAILURE(map.Apply({{MapOpKind::kInsert, KeyOf(1), "x"},
                                     {MapOpKind::kErase, "absent", ""},
                                     {MapOpKind::kInsert, KeyOf(2), "x"}}));
  EXPECT_EQ(map.store().allocations(), allocations);
  EXPECT_EQ(map.root().slot, before.root.slot);
}

// The value of a single op may be the old value itself, which the op
// overwrites in place or retires.
TEST(HamtEditTest, AValueMayBeWrittenOverItself) {
  HamtFixture map;
  for (const size_t size : {size_t{40}, size_t{4000}}) {
    for (const bool sealed : {false, true}) {
      std::string text(size, 'a');
      text.back() = 'z';
      ASSERT_NO_FATAL_FAILURE(map.Put("k", text));
      if (sealed) map.store().Seal();
      const FindResult old = map.Find(map.root(), "k");
      MapOp op{.key = "k", .value = old.value};
      ASSERT_EQ(HamtApply(map.context(), absl::MakeSpan(&op, 1), map.root()),
                absl::OkStatus());
      ASSERT_NO_FATAL_FAILURE(map.Check());
      // As long, but from one byte before.
      const FindResult now = map.Find(map.root(), "k");
      const std::string moved =
          *(now.value.data() - 1) + text.substr(0, size - 1);
      MapOp shifted{.key = "k", .value = Bytes(now.value.data() - 1, size)};
      ASSERT_EQ(
          HamtApply(map.context(), absl::MakeSpan(&shifted, 1), map.root()),
          absl::OkStatus());
      ASSERT_EQ(map.Find(map.root(), "k").value, Bytes(moved));
      ASSERT_NO_FATAL_FAILURE(map.Put("k", text));
      if (sealed) map.store().Seal();
      // A neighbour of the same leaf, one byte shorter.
      MapOp other{.key = "k",
                  .value = Bytes(old.value.data() + 1, old.value.size() - 1)};
      ASSERT_EQ(HamtApply(map.context(), absl::MakeSpan(&other, 1), map.root()),
                absl::OkStatus());
      EXPECT_EQ(map.Find(map.root(), "k").value, Bytes(text.substr(1)));
      map.model()["k"] = text.substr(1);
      ASSERT_NO_FATAL_FAILURE(map.Check());
    }
  }
}

// An attempt that cannot get its n-th block leaves the root as it was, and
// after a rewind the same ops succeed.
TEST(HamtEditTest, AFailedAllocationLeavesTheRoot) {
  HamtFixture map;
  Random random(5);
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(0, 3000, 60)));
  ASSERT_NO_FATAL_FAILURE(map.Apply(Puts(5000, 20, 1000)));
  std::vector<TestOp> ops;
  for (uint64_t i = 0; i < 60; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(random.Uniform(6000)),
                   RandomBytes(random, random.Uniform(600))});
    ops.push_back({MapOpKind::kErase, KeyOf(random.Uniform(3000)), ""});
    ops.push_back({MapOpKind::kErase, KeyOf(5000 + i / 3), ""});
  }
  const TestSnapshot before = map.TakeSnapshot();
  const MemoryStore::Mark mark = map.store().TakeMark();
  uint64_t failures = 0;
  for (uint64_t n = 1;; ++n) {
    std::vector<MapOp> map_ops = HamtFixture::MapOps(ops);
    map.store().FailAt(n);
    const absl::Status status =
        HamtApply(map.context(), absl::MakeSpan(map_ops), map.root());
    map.store().FailAt(0);
    if (status.ok()) break;
    ++failures;
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    ASSERT_EQ(map.root().slot, before.root.slot);
    ASSERT_EQ(map.root().count, before.root.count);
    map.store().Rewind(mark);
    ASSERT_NO_FATAL_FAILURE(map.Check());
  }
  EXPECT_GT(failures, 100u);
  map.store().Rewind(mark);
  map.root() = before.root;
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
  ASSERT_NO_FATAL_FAILURE(map.Check());
}

// Blocks go where the space accounting expects them.
class StreamStore : public NodeStore {
 public:
  absl::StatusOr<NewBlock> Allocate(Stream stream, uint64_t bytes) override {
    absl::StatusOr<NewBlock> block = store_.Allocate(stream, bytes);
    view_ = store_.view();
    streams_.push_back({block->data, stream});
    return block;
  }
  char* Edit(Offset offset) override { return store_.Edit(offset); }
  void Retire(Offset offset, uint64_t bytes) override {
    store_.Retire(offset, bytes);
  }
  void Check(Stream leaf_stream) const {
    for (const auto& [data, stream] : streams_) {
      const bool node = data[0] == static_cast<char>(BlockType::kTrieNode);
      ASSERT_EQ(stream, node ? Stream::kNodes : leaf_stream);
    }
  }

 private:
  MemoryStore store_;
  std::vector<std::pair<const char*, Stream>> streams_;
};

TEST(HamtEditTest, NodesAndLeavesGoToTheirStreams) {
  for (Stream leaf_stream : {Stream::kLeaves, Stream::kNodes}) {
    StreamStore store;
    EditContext context;
    context.store = &store;
    context.leaf_stream = leaf_stream;
    MapRoot root;
    const std::vector<TestOp> ops = Puts(0, 500, 300);
    std::vector<MapOp> map_ops = HamtFixture::MapOps(ops);
    ASSERT_EQ(HamtApply(context, absl::MakeSpan(map_ops), root),
              absl::OkStatus());
    store.Check(leaf_stream);
  }
}

}  // namespace
}  // namespace eve
