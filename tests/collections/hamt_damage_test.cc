// Damaged bytes: wrong answers are possible (checksums find those), a crash or
// an endless walk is not. Runs best under the address sanitizer.
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "engine/collections/diff.h"
#include "engine/collections/hamt_iterator.h"
#include "engine/collections/hamt_map.h"
#include "gtest/gtest.h"
#include "tests/collections/hamt_fixture.h"

namespace eve {
namespace {

// A map of all kinds of blocks, copied into a heap buffer of exactly its size,
// so that a read outside of it is seen.
class DamagedMap {
 public:
  explicit DamagedMap(uint64_t mask) : map_(mask) {
    Random random(mask | 1);
    std::vector<TestOp> ops;
    for (uint64_t i = 0; i < kKeys; ++i) {
      ops.push_back({MapOpKind::kPut, KeyOf(i),
                     RandomBytes(random, random.Uniform(280))});
    }
    map_.Apply(ops);
    old_root_ = map_.TakeSnapshot().root.slot;
    for (TestOp& op : ops) op.value += 'x';
    ops.resize(kKeys / 10);
    map_.Apply(ops);
    const BlockView& view = map_.store().view();
    image_.assign(view.base, view.base + view.limit_units * kUnitBytes);
    Restore();
  }

  static constexpr uint64_t kKeys = 400;

  void Restore() { bytes_ = image_; }
  // A bit, a word of another place, or zeroes.
  void Damage(Random& random) {
    const uint64_t first = kPageBytes;
    const uint64_t at = first + random.Uniform(bytes_.size() - first - 8);
    switch (random.Uniform(4)) {
      case 0: {
        // Slots and headers: the words that lead somewhere.
        const uint64_t from = first + random.Uniform(bytes_.size() - first - 8);
        std::memcpy(&bytes_[at / 8 * 8], &image_[from / 8 * 8], 8);
        break;
      }
      case 1:
        std::memset(&bytes_[at], 0, 8);
        break;
      case 2:
        std::memset(&bytes_[at], 0xFF, 4);
        break;
      default:
        bytes_[at] = static_cast<char>(bytes_[at] ^ 1 << random.Uniform(8));
    }
  }

  // Everything that reads.
  void ReadAll() {
    const BlockView view{bytes_.data(), bytes_.size() / kUnitBytes};
    const NodeSlot root = map_.root().slot;
    std::vector<std::string> keys;
    for (uint64_t i = 0; i < kKeys; ++i) keys.push_back(KeyOf(2 * i));
    const std::vector<Bytes> views(keys.begin(), keys.end());
    std::vector<FindResult> results(keys.size());
    HamtMultiFind(view, map_.hasher(), root, views, absl::MakeSpan(results));
    for (size_t i = 0; i < keys.size(); ++i) {
      const FindResult result = HamtFind(view, map_.hasher(), root, views[i]);
      ASSERT_EQ(result.outcome, results[i].outcome);
      if (result.outcome == FindOutcome::kFound) Touch(result.value);
    }
    uint64_t seen = 0;
    for (HamtIterator it(view, root); it.Valid(); it.Next()) {
      Touch(it.key());
      Touch(it.value());
      // Damaged counts may add a few; a circle would add all, again and again.
      ASSERT_LT(++seen, 100 * kKeys);
    }
    seen = 0;
    const auto count = [&seen](Bytes key, const std::optional<Bytes>& before,
                               const std::optional<Bytes>& after) {
      Touch(key);
      if (before.has_value()) Touch(*before);
      if (after.has_value()) Touch(*after);
      return ++seen < 100 * kKeys;
    };
    for (const NodeSlot before : {old_root_, NodeSlot{}}) {
      HamtDiff(view, map_.hasher(), before, root, count).IgnoreError();
      HamtDiff(view, map_.hasher(), root, before, count).IgnoreError();
    }
    ASSERT_LT(seen, 100 * kKeys);
  }

  // Edits and retires on top of the damage; what they say does not matter.
  void EditAll(Random& random) {
    HamtFixture scratch;
    CopyStore store(bytes_);
    EditContext context = map_.context();
    context.store = &store;
    MapRoot root = map_.root();
    std::vector<TestOp> ops;
    for (uint64_t i = 0; i < 100; ++i) {
      const bool erase = random.OneIn(2);
      ops.push_back({erase ? MapOpKind::kErase : MapOpKind::kPut,
                     KeyOf(random.Uniform(kKeys)), "value"});
    }
    std::vector<MapOp> map_ops = HamtFixture::MapOps(ops);
    HamtApply(context, absl::MakeSpan(map_ops), root).IgnoreError();
    for (uint64_t i = 0; i < kKeys; i += 5) {
      const std::string key = KeyOf(i);
      MapOp op{.kind = MapOpKind::kErase, .key = key};
      HamtApply(context, absl::MakeSpan(&op, 1), root).IgnoreError();
    }
    bool done = false;
    for (int i = 0; i < 100 && !done; ++i) {
      if (!HamtRetireSome(context, 50, root.slot, &done).ok()) break;
    }
  }

 private:
  // Damaged blocks may be retired twice or with a wrong size: no books.
  class CopyStore : public NodeStore {
   public:
    explicit CopyStore(const std::vector<char>& bytes) : bytes_(bytes) {
      used_ = bytes_.size();
      bytes_.resize(used_ + (8 << 20));
      view_ = BlockView{bytes_.data(), used_ / kUnitBytes};
    }
    absl::StatusOr<NewBlock> Allocate(Stream, uint64_t bytes) override {
      const uint64_t rounded = UnitsForBytes(bytes) * kUnitBytes;
      if (rounded > bytes_.size() - used_) {
        return absl::ResourceExhaustedError("full");
      }
      const NewBlock block{Offset::FromBytes(used_), &bytes_[used_]};
      used_ += rounded;
      view_.limit_units = used_ / kUnitBytes;
      return block;
    }
    char* Edit(Offset) override { return nullptr; }
    void Retire(Offset, uint64_t) override {}

   private:
    std::vector<char> bytes_;
    uint64_t used_;
  };

  static void Touch(Bytes bytes) {
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      sum += static_cast<uint8_t>(bytes.data()[i]);
    }
    static uint64_t sink = 0;
    sink += sum;
  }

  HamtFixture map_;
  NodeSlot old_root_;  // shares most of its blocks with the map's
  std::vector<char> image_;
  std::vector<char> bytes_;
};

TEST(HamtDamageTest, ReadingAndEditingDamagedBytesNeverCrashes) {
  for (uint64_t mask : {~uint64_t{0}, uint64_t{0}, uint64_t{0xF}}) {
    DamagedMap map(mask);
    for (uint64_t seed = 0; seed < 300; ++seed) {
      SCOPED_TRACE(testing::Message() << "mask " << mask << " seed " << seed);
      Random random(seed);
      map.Restore();
      const uint64_t faults = 1 + random.Uniform(1 << random.Uniform(8));
      for (uint64_t i = 0; i < faults; ++i) map.Damage(random);
      ASSERT_NO_FATAL_FAILURE(map.ReadAll());
      map.EditAll(random);
    }
  }
}

// The cheap checks do reach: what is surely wrong is called damage.
TEST(HamtDamageTest, ANodeOrLeafOutsideTheViewIsDamage) {
  HamtFixture map;
  map.Put("k", "v");
  const BlockView& view = map.store().view();
  const Offset end{view.limit_units};
  for (SlotKind kind :
       {SlotKind::kNode, SlotKind::kLeaf, SlotKind::kCollisionLeaf}) {
    for (Offset offset : {kNullOffset, end, Offset{end.units - 1},
                          Offset{(uint64_t{1} << kOffsetBits) - 1}}) {
      const NodeSlot slot = NodeSlot::Make(kind, offset, 100);
      EXPECT_EQ(HamtFind(view, map.hasher(), slot, "k").outcome,
                FindOutcome::kDamaged);
      const HamtIterator it(view, slot);
      EXPECT_TRUE(it.damaged());
      MapRoot root{slot, 1};
      MapOp op{.key = "k"};
      EXPECT_EQ(HamtApply(map.context(), absl::MakeSpan(&op, 1), root).code(),
                absl::StatusCode::kDataLoss);
      bool done = false;
      EXPECT_EQ(HamtRetireSome(map.context(), 10, root.slot, &done).code(),
                absl::StatusCode::kDataLoss);
    }
  }
}

// Every field of a leaf or a large record that says how far to read, made to
// point past the block, which is the last one of the buffer.
TEST(HamtDamageTest, ALengthThatLeavesTheBlockIsDamage) {
  struct Fault {
    const char* what;
    size_t value_bytes;  // of the only record
    uint64_t at;         // in the block that is damaged
    std::string bytes;
  };
  // A leaf of one record: tag at 16, position at 17, record at 19.
  const Fault faults[] = {
      {"count", 9, 2, std::string("\x64\0", 2)},
      {"no records", 9, 2, std::string("\0\0", 2)},
      {"position", 9, 17, "\xFF\xFF"},
      {"position of the last byte", 9, 17, std::string("\x1F\0", 2)},
      {"value bytes", 9, 20, "\xFF"},
      {"size", 9, 4, std::string("\x03\0\0\0", 4)},
      {"type", 9, 0, "\x01"},
      {"external where there is no room", 9, 19, "\xFF"},
      {"record size", 1000, 4, std::string("\xFF\0\0\0", 4)},
      {"record key bytes", 1000, 24, "\xFF\xFF"},
      {"record value bytes", 1000, 32, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.what);
    HamtFixture map;
    map.Put("k", std::string(fault.value_bytes, 'v'));
    const NodeSlot root = map.root().slot;
    const bool large = fault.value_bytes > kInlineRecordBytesMax;
    const BlockView& old = map.store().view();
    // The damaged block goes to the end, whichever was written last.
    const char* leaf = old.At(root.offset());
    uint64_t block = root.offset().bytes();
    uint64_t limit = block + old.As<BlockHeader>(root.offset())->bytes();
    if (large) {
      ExternalRecord external;
      std::memcpy(&external, leaf + 19, sizeof(external));
      block = external.offset().bytes();
    }
    std::vector<char> bytes(old.base, old.base + limit);
    std::memcpy(&bytes[block + fault.at], fault.bytes.data(),
                fault.bytes.size());
    const BlockView view{bytes.data(), limit / kUnitBytes};
    EXPECT_EQ(HamtFind(view, map.hasher(), root, "k").outcome,
              FindOutcome::kDamaged);
    const Bytes key = "k";
    FindResult result;
    HamtMultiFind(view, map.hasher(), root, absl::MakeConstSpan(&key, 1),
                  absl::MakeSpan(&result, 1));
    EXPECT_EQ(result.outcome, FindOutcome::kDamaged);
    const HamtIterator it(view, root);
    EXPECT_FALSE(it.Valid());
    EXPECT_TRUE(it.damaged());
  }
}

// A node that leads to itself ends at the greatest depth.
TEST(HamtDamageTest, ACircleOfNodesIsDamage) {
  HamtFixture map;
  std::vector<TestOp> ops;
  for (uint64_t i = 0; i < 200; ++i) {
    ops.push_back({MapOpKind::kPut, KeyOf(i), "value"});
  }
  ASSERT_NO_FATAL_FAILURE(map.Apply(ops));
  ASSERT_EQ(map.root().slot.kind(), SlotKind::kNode);
  char* node = map.store().MutableBase() + map.root().slot.offset().bytes();
  for (uint32_t i = 0; i < kTrieFanout; ++i) {
    std::memcpy(node + 32 + 8 * i, &map.root().slot, 8);
  }
  const BlockView& view = map.store().view();
  EXPECT_EQ(HamtFind(view, map.hasher(), map.root().slot, "k").outcome,
            FindOutcome::kDamaged);
  const HamtIterator it(view, map.root().slot);
  EXPECT_TRUE(it.damaged());
  MapOp op{.key = "k"};
  EXPECT_EQ(HamtApply(map.context(), absl::MakeSpan(&op, 1), map.root()).code(),
            absl::StatusCode::kDataLoss);
  bool done = false;
  EXPECT_EQ(HamtRetireSome(map.context(), 10, map.root().slot, &done).code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace eve
