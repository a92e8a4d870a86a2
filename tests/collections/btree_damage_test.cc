// Damaged bytes: wrong answers are possible (checksums find those), a crash or
// an endless walk is not. Runs best under the address sanitizer.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/collections/btree.h"
#include "engine/collections/btree_cursor.h"
#include "engine/collections/btree_node.h"
#include "engine/collections/diff.h"
#include "gtest/gtest.h"
#include "tests/collections/btree_fixture.h"
#include "tests/collections/copy_store.h"

namespace eve {
namespace {

uint64_t g_sink = 0;

// Reads all of it, so that a sanitizer sees what lies elsewhere.
void Touch(Bytes bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    g_sink += static_cast<uint8_t>(bytes.data()[i]);
  }
}

// What trees are made of: keys and values of one size or many, long and short.
enum class Content : uint8_t { kUniform, kWords, kVaried, kLongKeys };

std::string KeyOf(Content content, uint64_t i) {
  switch (content) {
    case Content::kUniform:
      return absl::StrFormat("%08d", i * 7919 % 100'000'000);
    case Content::kWords:
      return absl::StrFormat("w%04x", i);
    case Content::kVaried:
      return absl::StrFormat("%0*d", 4 + i % 9, i);
    case Content::kLongKeys:
      return absl::StrFormat("%06d", i) + std::string(i % 70, 'x');
  }
  return "";
}

std::string ValueOf(Content content, Random& random) {
  const bool varies = content != Content::kUniform;
  const uint64_t large = random.OneIn(30) ? 600 + random.Uniform(900) : 0;
  return std::string(varies ? large + random.Uniform(30) : 20, 'v');
}

// A tree and an older root of it, copied into a heap buffer of exactly their
// size, so that a read outside of it is seen.
class DamagedTreeBytes {
 public:
  explicit DamagedTreeBytes(Content content, bool aligned)
      : content_(content), tree_(aligned) {
    Random random(static_cast<uint64_t>(content) + 1);
    std::vector<TreeTestOp> ops;
    for (uint64_t i = 0; i < kKeys; ++i) {
      ops.push_back(
          {MapOpKind::kPut, KeyOf(content, i), ValueOf(content, random)});
    }
    tree_.Apply(ops);
    tree_.store().Seal();
    before_ = tree_.root().slot;
    ops.clear();
    for (uint64_t i = 0; i < kKeys / 4; ++i) {
      const bool erases = random.OneIn(3);
      ops.push_back({erases ? MapOpKind::kErase : MapOpKind::kPut,
                     KeyOf(content, random.Uniform(2 * kKeys)),
                     ValueOf(content, random)});
    }
    tree_.Apply(ops);
    tree_.Check();
    for (const auto& [offset, bytes] : tree_.content().blocks) {
      blocks_.emplace_back(offset * kUnitBytes, bytes);
    }
    const BlockView& view = tree_.store().view();
    image_.assign(view.base, view.base + view.limit_units * kUnitBytes);
    Restore();
  }

  static constexpr uint64_t kKeys = 1500;

  void Restore() { bytes_ = image_; }

  // A bit, a word of another place, extreme words, another level or size; in
  // a block of the tree, and in its first bytes more often than not.
  void Damage(Random& random) {
    const auto [begin, bytes] = blocks_[random.Uniform(blocks_.size())];
    const uint64_t reach =
        random.OneIn(3) ? bytes : std::min<uint64_t>(bytes, 64);
    const uint64_t at = begin + random.Uniform(reach - 7);
    switch (random.Uniform(7)) {
      case 0: {
        const auto [from, from_bytes] = blocks_[random.Uniform(blocks_.size())];
        const uint64_t word = from + random.Uniform(from_bytes - 7);
        std::memcpy(&bytes_[at / 8 * 8], &image_[word / 8 * 8], 8);
        break;
      }
      case 1:
        std::memset(&bytes_[at], 0, 8);
        break;
      case 2:
        std::memset(&bytes_[at], 0xFF, 1 + random.Uniform(4));
        break;
      case 3:
        bytes_[begin + 1] = static_cast<char>(random.Uniform(5));
        break;
      case 4:
        bytes_[begin + 2 + random.Uniform(3)] ^=
            static_cast<char>(1 << random.Uniform(8));
        break;
      case 5: {
        // A slot to another block of the tree, perhaps to one above.
        const uint64_t units =
            blocks_[random.Uniform(blocks_.size())].first / kUnitBytes;
        std::memcpy(&bytes_[at / 8 * 8], &units, 6);
        break;
      }
      default:
        bytes_[at] = static_cast<char>(bytes_[at] ^ 1 << random.Uniform(8));
    }
  }

  // Everything that reads.
  void ReadAll() {
    const BlockView view{bytes_.data(), bytes_.size() / kUnitBytes};
    const NodeSlot root = tree_.root().slot;
    std::vector<std::string> keys;
    for (uint64_t i = 0; i < kKeys; i += 5) {
      keys.push_back(KeyOf(content_, 2 * i));
    }
    const std::vector<Bytes> views(keys.begin(), keys.end());
    std::vector<FindResult> results(keys.size());
    TreeMultiFind(view, root, views, absl::MakeSpan(results));
    for (size_t i = 0; i < keys.size(); ++i) {
      const FindResult result = TreeFind(view, root, views[i]);
      ASSERT_EQ(result.outcome, results[i].outcome);
      if (result.outcome == FindOutcome::kFound) Touch(result.value);
      g_sink += TreeRank(view, root, views[i]).value_or(0);
    }
    ReadWithCursors(view, root, views);
    uint64_t changes = 0;
    const auto visit = [&](Bytes key, const std::optional<Bytes>& a,
                           const std::optional<Bytes>& b) {
      Touch(key);
      if (a.has_value()) Touch(*a);
      if (b.has_value()) Touch(*b);
      return ++changes < kStepsMax;
    };
    TreeDiff(view, before_, root, visit).IgnoreError();
    TreeDiff(view, root, NodeSlot{}, visit).IgnoreError();
    ASSERT_LT(changes, kStepsMax);
  }

  // Edits and retires on top of the damage; what they say does not matter.
  void EditAll(Random& random) {
    CopyStore store(bytes_);
    EditContext context = tree_.context();
    context.store = &store;
    MapRoot root = tree_.root();
    std::vector<std::string> keys;
    std::vector<std::string> values;
    for (uint64_t i = 0; i < 60; ++i) {
      keys.push_back(KeyOf(content_, random.Uniform(2 * kKeys)));
      values.push_back(ValueOf(content_, random));
    }
    std::vector<MapOp> ops(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      ops[i].kind = static_cast<MapOpKind>(random.Uniform(3));
      ops[i].key = keys[i];
      ops[i].value = values[i];
      // Now alone, now as a batch: leaves are patched or rebuilt.
      TreeApply(context, absl::MakeSpan(&ops[i], 1), root).IgnoreError();
      if (random.OneIn(8)) store.Seal();
    }
    TreeApply(context, absl::MakeSpan(ops), root).IgnoreError();
    for (int i = 0; i < 6; ++i) {
      const std::string from = KeyOf(content_, random.Uniform(2 * kKeys));
      const std::string to = KeyOf(content_, random.Uniform(2 * kKeys));
      KeyRange range{from, std::nullopt};
      if (i < 5) range.to = to;
      uint64_t erased = 0;
      std::vector<NodeSlot> buried;
      TreeEraseRange(context, range, root, &erased, buried).IgnoreError();
      for (NodeSlot grave : buried) RetireAll(context, grave);
    }
    RetireAll(context, tree_.root().slot);
  }

 private:
  // Damaged counts may add a few records; a circle would add all, again and
  // again.
  static constexpr uint64_t kStepsMax = 1'000'000;

  void ReadWithCursors(const BlockView& view, NodeSlot root,
                       const std::vector<Bytes>& keys) {
    TreeCursor cursor(view, root);
    uint64_t steps = 0;
    const auto look = [&] {
      if (!cursor.Valid()) return;
      Touch(cursor.key());
      Touch(cursor.value());
    };
    for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
      look();
      ASSERT_LT(++steps, kStepsMax);
    }
    for (cursor.SeekToLast(); cursor.Valid(); cursor.Prev()) {
      look();
      ASSERT_LT(++steps, kStepsMax);
    }
    for (const Bytes key : keys) {
      cursor.SeekAtLeast(key);
      look();
      if (cursor.Valid()) cursor.Prev();
      look();
      cursor.SeekAbove(key);
      look();
      cursor.SeekAtMost(key);
      look();
      if (cursor.Valid()) cursor.Next();
      look();
      cursor.SeekBelow(key);
      look();
      cursor.SeekToRank(steps++ % (2 * kKeys));
      look();
    }
  }

  static void RetireAll(const EditContext& context, NodeSlot root) {
    bool done = root.is_empty();
    for (int i = 0; i < 200 && !done; ++i) {
      if (!TreeRetireSome(context, 20, root, &done).ok()) return;
    }
  }

  const Content content_;
  TreeFixture tree_;
  NodeSlot before_;
  std::vector<std::pair<uint64_t, uint64_t>> blocks_;  // position, size
  std::vector<char> image_;
  std::vector<char> bytes_;
};

TEST(TreeDamageTest, ReadingAndEditingDamagedBytesNeverCrashes) {
  for (Content content : {Content::kUniform, Content::kWords, Content::kVaried,
                          Content::kLongKeys}) {
    for (bool aligned : {false, true}) {
      DamagedTreeBytes tree(content, aligned);
      for (uint64_t seed = 0; seed < 150; ++seed) {
        SCOPED_TRACE(testing::Message()
                     << "content " << static_cast<int>(content) << " aligned "
                     << aligned << " seed " << seed);
        Random random(seed);
        tree.Restore();
        const uint64_t faults = 1 + random.Uniform(1 << random.Uniform(8));
        for (uint64_t i = 0; i < faults; ++i) tree.Damage(random);
        ASSERT_NO_FATAL_FAILURE(tree.ReadAll());
        tree.EditAll(random);
      }
    }
  }
}

// The cheap checks do reach: what is surely wrong is called damage.
void ExpectDamage(TreeFixture& tree, const BlockView& view, NodeSlot root,
                  Bytes key) {
  EXPECT_EQ(TreeFind(view, root, key).outcome, FindOutcome::kDamaged);
  FindResult result;
  TreeMultiFind(view, root, absl::MakeConstSpan(&key, 1),
                absl::MakeSpan(&result, 1));
  EXPECT_EQ(result.outcome, FindOutcome::kDamaged);
  TreeCursor cursor(view, root);
  cursor.SeekAtLeast(key);
  if (cursor.Valid()) cursor.value();
  EXPECT_TRUE(cursor.damaged());
  const auto go_on = [](Bytes, const std::optional<Bytes>&,
                        const std::optional<Bytes>&) { return true; };
  EXPECT_EQ(TreeDiff(view, root, NodeSlot{}, go_on).code(),
            absl::StatusCode::kDataLoss);
  std::vector<char> bytes(view.base, view.base + view.limit_units * kUnitBytes);
  CopyStore store(bytes);
  EditContext context = tree.context();
  context.store = &store;
  MapRoot edited{root, 1};
  MapOp op;
  op.kind = MapOpKind::kErase;
  op.key = key;
  EXPECT_EQ(TreeApply(context, absl::MakeSpan(&op, 1), edited).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(edited.slot, root);
  uint64_t erased;
  std::vector<NodeSlot> buried;
  EXPECT_EQ(
      TreeEraseRange(context, {Bytes(), std::nullopt}, edited, &erased, buried)
          .code(),
      absl::StatusCode::kDataLoss);
  EXPECT_EQ(edited.slot, root);
  bool done = false;
  EXPECT_EQ(TreeRetireSome(context, 10, edited.slot, &done).code(),
            absl::StatusCode::kDataLoss);
}

TEST(TreeDamageTest, ARootOutsideTheViewIsDamage) {
  TreeFixture tree;
  tree.Put("k", "v");
  const BlockView& view = tree.store().view();
  const Offset end{view.limit_units};
  for (Offset offset :
       {end, Offset{end.units - 1}, Offset{(uint64_t{1} << kOffsetBits) - 1}}) {
    SCOPED_TRACE(offset.units);
    ExpectDamage(tree, view, NodeSlot{TreeSlot::Make(offset, 1).word}, "k");
  }
}

// Every field of a leaf or a large value that says how far to read, made to
// point past the block, which is the last one of the buffer.
TEST(TreeDamageTest, ALengthThatLeavesTheBlockIsDamage) {
  struct Fault {
    const char* what;
    size_t value_bytes;
    uint64_t at;  // in the block that is damaged
    std::string bytes;
  };
  const Fault faults[] = {
      {"count", 9, 2, "\xFF\xFF"},
      {"no records", 9, 2, std::string("\0\0", 2)},
      {"size", 9, 4, std::string("\x09\0\0\0", 4)},
      {"size below the head", 9, 4, std::string("\x01\0\0\0", 4)},
      {"type", 9, 0, "\x01"},
      {"prefix bytes", 9, 16, "\xFF\xFF"},
      {"key bytes", 9, 18, "\xFE\xFF"},
      {"ends of keys", 9, 18, "\xFF\xFF"},
      {"value bytes", 9, 20, "\xFE\xFF"},
      {"external, and no 8 bytes", 9, 22, "\x02"},
      {"size of a value", 1000, 4, "\xFF"},
      {"type of a value", 1000, 0, "\x09"},
      {"bytes of a value", 1000, 16, "\xFF\xFF"},
      {"more bytes of a value", 1000, 16, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.what);
    TreeFixture tree;
    tree.Put("k", std::string(fault.value_bytes, 'v'));
    const NodeSlot root = tree.root().slot;
    const BlockView& old = tree.store().view();
    const uint64_t leaf = root.offset().bytes();
    const uint64_t limit = leaf + old.As<BlockHeader>(root.offset())->bytes();
    uint64_t block = leaf;
    if (fault.value_bytes > kTreeInlineValueBytesMax) {
      Offset external;
      std::memcpy(&external, old.base + leaf + sizeof(TreeLeaf) + 1, 8);
      block = external.bytes();
    }
    std::vector<char> bytes(old.base, old.base + limit);
    std::memcpy(&bytes[block + fault.at], fault.bytes.data(),
                fault.bytes.size());
    const BlockView view{bytes.data(), limit / kUnitBytes};
    EXPECT_EQ(TreeFind(view, root, "k").outcome, FindOutcome::kDamaged);
    TreeCursor cursor(view, root);
    cursor.SeekToFirst();
    if (cursor.Valid()) cursor.value();
    EXPECT_TRUE(cursor.damaged());
  }
}

// A node that leads to itself is not of the level below its own.
TEST(TreeDamageTest, ACircleOfNodesIsDamage) {
  TreeFixture tree;
  std::vector<TreeTestOp> ops;
  for (int i = 0; i < 30'000; ++i) {
    ops.push_back({MapOpKind::kPut, absl::StrFormat("%08d", i), "value"});
  }
  ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
  const NodeSlot root = tree.root().slot;
  const BlockView& view = tree.store().view();
  const auto* header = view.As<BlockHeader>(root.offset());
  ASSERT_GE(header->depth, 2);
  char* node = tree.store().MutableBase() + root.offset().bytes();
  const uint32_t count = header->count;
  for (uint32_t i = 0; i < count; ++i) {
    std::memcpy(node + sizeof(TreeNode) + 8 * (count - 1 + i), &root, 8);
  }
  ExpectDamage(tree, view, root, "00000007");
}

// Edits a tree in a buffer of which some bytes are `damaged`.
absl::Status Edited(TreeFixture& tree, const std::vector<char>& damaged,
                    MapOpKind kind, Bytes key) {
  CopyStore store(damaged);
  EditContext context = tree.context();
  context.store = &store;
  MapRoot root = tree.root();
  MapOp op;
  op.kind = kind;
  op.key = key;
  return TreeApply(context, absl::MakeSpan(&op, 1), root);
}

// Where the offset of an external value should be there are fewer bytes, the
// last ones of the buffer, or more, which begin with one.
TEST(TreeDamageTest, AnExternalValueOfOtherThanEightBytesIsDamage) {
  for (const size_t value_bytes : {0, 3, 40}) {
    for (const int records : {1, 2, 20}) {
      SCOPED_TRACE(testing::Message() << value_bytes << " of " << records);
      TreeFixture tree;
      const Offset large{tree.store().view().limit_units};
      ASSERT_NO_FATAL_FAILURE(tree.Put("k", std::string(1000, 'v')));
      ASSERT_NO_FATAL_FAILURE(tree.Erase("k"));
      const BlockView& view = tree.store().view();
      ASSERT_EQ(view.As<BlockHeader>(large)->type,
                static_cast<uint8_t>(BlockType::kTreeValue));
      std::string value(40, '\0');
      std::memcpy(value.data(), &large, sizeof(large));
      value.resize(value_bytes);
      std::vector<TreeTestOp> ops;
      for (int i = 0; i < records; ++i) {
        ops.push_back({MapOpKind::kPut, absl::StrFormat("%08d", i), value});
      }
      ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
      std::vector<char> bytes(view.base,
                              view.base + view.limit_units * kUnitBytes);
      bytes[tree.root().slot.offset().bytes() + 22] |= kTreeLeafExternal;
      const std::string key = ops.back().key;
      EXPECT_EQ(Edited(tree, bytes, MapOpKind::kErase, key).code(),
                absl::StatusCode::kDataLoss);
      EXPECT_EQ(Edited(tree, bytes, MapOpKind::kPut, key).code(),
                absl::StatusCode::kDataLoss);
      CopyStore store(bytes);
      EditContext context = tree.context();
      context.store = &store;
      MapRoot root = tree.root();
      uint64_t erased;
      std::vector<NodeSlot> buried;
      EXPECT_EQ(
          TreeEraseRange(context, {key, std::nullopt}, root, &erased, buried)
              .code(),
          absl::StatusCode::kDataLoss);
      bool done = false;
      EXPECT_EQ(TreeRetireSome(context, 9, root.slot, &done).code(),
                absl::StatusCode::kDataLoss);
    }
  }
}

// What an only child leads to becomes the root, but not if it is the root.
// Method: of two nodes one is erased, and the other leads to itself.
TEST(TreeDamageTest, AnOnlyChildThatIsItsOwnChildIsNotFollowed) {
  TreeFixture tree;
  std::vector<TreeTestOp> ops;
  for (int i = 0; i < 8000; ++i) {
    ops.push_back(
        {MapOpKind::kPut, absl::StrFormat("%08d", i), std::string(20, 'v')});
  }
  ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
  const BlockView& view = tree.store().view();
  TreeNodeView node;
  ASSERT_TRUE(TreeNodeView::Open(view, tree.root().slot.offset(), 2, &node));
  ASSERT_EQ(node.count(), 2u);
  const std::string separator =
      node.prefix().ToString() + node.Separator(0).ToString();
  const std::string last =
      std::prev(tree.model().lower_bound(separator))->first;
  const TreeSlot other = node.slot(1);
  std::vector<char> bytes(view.base, view.base + view.limit_units * kUnitBytes);
  char* const block = &bytes[other.offset().bytes()];
  const uint16_t count = 1;
  std::memcpy(block + offsetof(BlockHeader, count), &count, sizeof(count));
  std::memcpy(block + sizeof(TreeNode), &other, sizeof(other));
  CopyStore store(bytes);
  EditContext context = tree.context();
  context.store = &store;
  MapRoot root = tree.root();
  uint64_t erased;
  std::vector<NodeSlot> buried;
  const std::string end = last + "x";
  TreeEraseRange(context, {"", end}, root, &erased, buried).IgnoreError();
}

}  // namespace
}  // namespace eve
