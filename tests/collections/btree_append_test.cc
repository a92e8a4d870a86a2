// The bulk way into a tree: what is appended reads as what is put one by one,
// whatever tree it is appended to and whatever is done in between.
#include "engine/collections/btree_append.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/collections/btree_fixture.h"

namespace eve {
namespace {

std::string KeyOf(uint64_t i) { return absl::StrFormat("%08d", i); }

// Appends to the tree and the model.
class Appending {
 public:
  explicit Appending(TreeFixture& tree)
      : tree_(tree), appender_(tree.context()) {}

  void Start() { ASSERT_EQ(appender_.Start(tree_.root()), absl::OkStatus()); }
  void Add(const std::string& key, const std::string& value) {
    ASSERT_TRUE(appender_.IsAbove(key)) << key;
    ASSERT_EQ(appender_.Add(key, value), absl::OkStatus());
    ASSERT_FALSE(appender_.IsAbove(key));
    tree_.model()[key] = value;
  }
  void Link() { ASSERT_EQ(appender_.Link(tree_.root()), absl::OkStatus()); }
  void Finish() {
    ASSERT_EQ(appender_.Finish(tree_.root()), absl::OkStatus());
    ASSERT_EQ(tree_.root().count, tree_.model().size());
  }
  TreeAppender& appender() { return appender_; }

 private:
  TreeFixture& tree_;
  TreeAppender appender_;
};

// `n` keys from `first` on, linked every `link_every`, with values of
// `value_bytes`.
void AppendRun(TreeFixture& tree, uint64_t first, uint64_t n,
               uint64_t link_every, size_t value_bytes) {
  Appending run(tree);
  ASSERT_NO_FATAL_FAILURE(run.Start());
  for (uint64_t i = first; i < first + n; ++i) {
    ASSERT_NO_FATAL_FAILURE(run.Add(KeyOf(i), std::string(value_bytes, 'v')));
    if (i % link_every == 0) {
      ASSERT_NO_FATAL_FAILURE(run.Link());
    }
  }
  ASSERT_NO_FATAL_FAILURE(run.Finish());
}

TEST(TreeAppendTest, AnAppendedTreeReadsAsOneOfPuts) {
  for (const uint64_t n : {1, 2, 17, 18, 19, 400, 20'000}) {
    for (const uint64_t link_every : {1, 50, 1'000'000}) {
      SCOPED_TRACE(absl::StrFormat("%d keys, linked each %d", n, link_every));
      TreeFixture tree;
      ASSERT_NO_FATAL_FAILURE(AppendRun(tree, 0, n, link_every, 100));
      ASSERT_NO_FATAL_FAILURE(tree.Check());
      ASSERT_NO_FATAL_FAILURE(tree.CheckScans());
      ASSERT_NO_FATAL_FAILURE(tree.CheckAround(KeyOf(n / 2)));
    }
  }
}

TEST(TreeAppendTest, ManyShortAppendsPackAsOneLongOne) {
  TreeFixture whole;
  ASSERT_NO_FATAL_FAILURE(AppendRun(whole, 0, 9'000, 1'000'000, 100));
  ASSERT_NO_FATAL_FAILURE(whole.Check());
  TreeFixture parts;
  for (uint64_t first = 0; first < 9'000; first += 90) {
    ASSERT_NO_FATAL_FAILURE(AppendRun(parts, first, 90, 1'000'000, 100));
    parts.store().Seal();
  }
  ASSERT_NO_FATAL_FAILURE(parts.Check());
  EXPECT_EQ(parts.content().blocks.size(), whole.content().blocks.size());
  EXPECT_EQ(parts.store().live_bytes(), whole.store().live_bytes());
}

TEST(TreeAppendTest, EachLeafOfABulkIsWrittenOnce) {
  TreeFixture tree;
  Appending run(tree);
  ASSERT_NO_FATAL_FAILURE(run.Start());
  for (uint64_t i = 0; i < 100'000; ++i) {
    ASSERT_NO_FATAL_FAILURE(run.Add(KeyOf(i), std::string(100, 'v')));
    // As the engine does.
    if (run.appender().unlinked_bytes() > 1 << 20) {
      ASSERT_NO_FATAL_FAILURE(run.Link());
    }
  }
  ASSERT_NO_FATAL_FAILURE(run.Finish());
  ASSERT_NO_FATAL_FAILURE(tree.Check());
  // All else is the right edge, once a link.
  EXPECT_LT(tree.store().used_bytes(),
            tree.store().live_bytes() + tree.store().live_bytes() / 100);
}

TEST(TreeAppendTest, NothingAddedLeavesTheTreeAsItIs) {
  TreeFixture tree;
  ASSERT_NO_FATAL_FAILURE(AppendRun(tree, 0, 1'000, 1'000'000, 20));
  tree.store().Seal();
  const NodeSlot before = tree.root().slot;
  const uint64_t allocations = tree.store().allocations();
  Appending run(tree);
  ASSERT_NO_FATAL_FAILURE(run.Start());
  EXPECT_FALSE(run.appender().IsAbove(KeyOf(999)));
  EXPECT_FALSE(run.appender().IsAbove(KeyOf(5)));
  EXPECT_FALSE(run.appender().IsAbove(""));
  EXPECT_TRUE(run.appender().IsAbove(KeyOf(999) + std::string(1, '\0')));
  ASSERT_NO_FATAL_FAILURE(run.Link());
  ASSERT_NO_FATAL_FAILURE(run.Finish());
  EXPECT_EQ(tree.root().slot, before);
  EXPECT_EQ(tree.store().allocations(), allocations);
  ASSERT_NO_FATAL_FAILURE(tree.Check());
}

TEST(TreeAppendTest, TheEmptyKeyIsTheFirst) {
  TreeFixture tree;
  Appending run(tree);
  ASSERT_NO_FATAL_FAILURE(run.Start());
  ASSERT_NO_FATAL_FAILURE(run.Add("", "empty"));
  ASSERT_NO_FATAL_FAILURE(run.Add(std::string(1, '\0'), "zero"));
  ASSERT_NO_FATAL_FAILURE(run.Add("\xFF", ""));
  ASSERT_NO_FATAL_FAILURE(run.Finish());
  ASSERT_NO_FATAL_FAILURE(tree.Check());
}

// Keys with long parts in common, of all lengths, with zeroes; values short,
// long and external; aligned or not; puts, erasures and seals in between.
class TreeAppendModelTest : public testing::TestWithParam<bool> {};

std::string NextKey(Random& random, const std::string& last) {
  std::string next = last;
  switch (random.Uniform(5)) {
    case 0:
      next += '\0';
      break;
    case 1:
      next += std::string(random.Uniform(random.OneIn(50) ? 30'000 : 40), 'k') +
              '\1';
      break;
    default:
      // The last byte that can grow does.
      if (next.size() > 20) next.resize(random.Uniform(next.size()) + 1);
      while (!next.empty() && next.back() == '\xFF') next.pop_back();
      if (next.empty()) return last + '\1';
      ++next.back();
  }
  return next;
}

TEST_P(TreeAppendModelTest, RandomAppendsAmongOtherEdits) {
  Random random(20);
  for (int round = 0; round < 20; ++round) {
    TreeFixture tree(GetParam());
    for (int part = 0; part < 6; ++part) {
      Appending run(tree);
      ASSERT_NO_FATAL_FAILURE(run.Start());
      std::string key;
      if (!tree.model().empty()) key = tree.model().rbegin()->first;
      for (uint64_t i = random.Uniform(400); i > 0; --i) {
        key = NextKey(random, key);
        const size_t size = random.Uniform(random.OneIn(30) ? 9'000 : 60);
        ASSERT_NO_FATAL_FAILURE(
            run.Add(key, std::string(size, static_cast<char>('a' + part))));
        if (random.OneIn(60)) {
          ASSERT_NO_FATAL_FAILURE(run.Link());
        }
      }
      ASSERT_NO_FATAL_FAILURE(run.Finish());
      ASSERT_NO_FATAL_FAILURE(tree.Check());
      if (random.OneIn(2)) tree.store().Seal();
      for (uint64_t i = random.Uniform(30); i > 0 && !tree.model().empty();
           --i) {
        auto at = tree.model().lower_bound(
            std::string(1, static_cast<char>(random.Uniform(256))));
        if (at == tree.model().end()) at = std::prev(at);
        const std::string other = at->first;
        if (random.OneIn(2)) {
          ASSERT_NO_FATAL_FAILURE(tree.Erase(other));
        } else {
          ASSERT_NO_FATAL_FAILURE(tree.Put(other + "x", "put"));
        }
      }
      ASSERT_NO_FATAL_FAILURE(tree.Check());
    }
    ASSERT_NO_FATAL_FAILURE(tree.CheckScans());
  }
}

INSTANTIATE_TEST_SUITE_P(Alignment, TreeAppendModelTest, testing::Bool());

TEST(TreeAppendTest, AFailedAllocationLeavesTheTreeAsItWas) {
  TreeFixture tree;
  ASSERT_NO_FATAL_FAILURE(AppendRun(tree, 0, 5'000, 1'000'000, 30));
  tree.store().Seal();
  const MapRoot before = tree.root();
  const OrderedModel model = tree.model();
  const MemoryStore::Mark mark = tree.store().TakeMark();
  uint64_t failures = 0;
  for (uint64_t n = 1;; ++n) {
    tree.store().FailAt(n);
    TreeAppender appender(tree.context());
    MapRoot root = before;
    absl::Status status = appender.Start(root);
    for (uint64_t i = 5'000; i < 6'000 && status.ok(); ++i) {
      status = appender.Add(KeyOf(i), std::string(i % 50 == 0 ? 800 : 30, 'w'));
      if (status.ok() && i % 300 == 0) status = appender.Link(root);
    }
    if (status.ok()) status = appender.Finish(root);
    tree.store().FailAt(0);
    if (status.ok()) break;
    ++failures;
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    tree.store().Rewind(mark);
    ASSERT_NO_FATAL_FAILURE(tree.Check());
  }
  EXPECT_GT(failures, 30u);
}

TEST(TreeAppendTest, DamagedEndsAreReportedBeforeAnythingIsWritten) {
  TreeFixture tree;
  ASSERT_NO_FATAL_FAILURE(AppendRun(tree, 0, 5'000, 1'000'000, 30));
  tree.store().Seal();
  const uint64_t allocations = tree.store().allocations();
  TreeSlot slot{tree.root().slot.word};
  for (;;) {
    char* const type = tree.store().MutableBase() + slot.offset().bytes() +
                       offsetof(BlockHeader, type);
    const char sound = *type;
    *type = static_cast<char>(BlockType::kTreeValue);
    TreeAppender appender(tree.context());
    EXPECT_EQ(appender.Start(tree.root()).code(), absl::StatusCode::kDataLoss);
    *type = sound;
    TreeNodeView node;
    if (!TreeNodeView::Open(tree.store().view(), slot.offset(),
                            TreeNodeView::kAnyLevel, &node)) {
      break;
    }
    slot = node.slot(node.count() - 1);
  }
  EXPECT_EQ(tree.store().allocations(), allocations);
}

}  // namespace
}  // namespace eve
