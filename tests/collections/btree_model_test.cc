// Random edits of a tree beside an ordered map, over kinds of keys that strain
// one part of the layout each; after each batch every rule is checked.

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/collections/btree_fixture.h"

namespace eve {
namespace {

using MakeKey = std::function<std::string(Random&)>;
using MakeValue = std::function<std::string(Random&)>;

struct Shape {
  const char* name;
  MakeKey key;
  MakeValue value;
  int rounds;
  int batch_max;
  bool align;
};

std::string RandomBytes(Random& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Uniform(256));
  return bytes;
}

std::string Number(Random& random) {
  return absl::StrFormat("%016d", random.Uniform(20'000));
}
std::string Hundred(Random& random) { return RandomBytes(random, 100); }

std::vector<Shape> Shapes() {
  return {
      {"decimal numbers", Number, Hundred, 250, 300, false},
      {"random 16 bytes",
       [](Random& random) {
         Random few(random.Uniform(5'000));
         return RandomBytes(few, 16);
       },
       Hundred, 200, 200, false},
      {"any length, few letters, zeroes inside",
       [](Random& random) {
         std::string key(random.Uniform(12), '\0');
         for (char& byte : key) byte = static_cast<char>(random.Uniform(3));
         return key;
       },
       [](Random& random) { return RandomBytes(random, random.Uniform(40)); },
       250, 300, true},
      {"long common prefixes, equal heads",
       [](Random& random) {
         return std::string(300 * random.Uniform(3), 'p') +
                absl::StrCat(random.Uniform(3'000)) +
                std::string(random.Uniform(20), 's');
       },
       [](Random& random) { return RandomBytes(random, random.Uniform(700)); },
       150, 150, false},
      {"8-byte numbers, 8-byte aligned values",
       [](Random& random) {
         std::string key(8, '\0');
         const uint64_t number = random.Uniform(40'000);
         for (int i = 0; i < 8; ++i) {
           key[i] = static_cast<char>(number >> (56 - 8 * i));
         }
         return key;
       },
       [](Random& random) { return RandomBytes(random, 8); }, 150, 1000, true},
      {"values of a few sizes, aligned", Number,
       [](Random& random) {
         return RandomBytes(random, random.Uniform(4) * 5);
       },
       150, 300, true},
      {"sets", Number, [](Random&) { return std::string(); }, 200, 400, false},
      {"values of a kilobyte", Number,
       [](Random& random) { return RandomBytes(random, 1024); }, 60, 200,
       false},
      {"huge keys",
       [](Random& random) {
         return std::string(random.Uniform(4) * 21'000, 'k') +
                absl::StrCat(random.Uniform(60)) +
                std::string(random.OneIn(4) ? 2'000 : 0, 'x');
       },
       Hundred, 60, 12, false},
  };
}

class TreeModelTest : public ::testing::TestWithParam<size_t> {};

// Copying it there in one go would overlap, which ASan finds.
TEST(TreeOverwriteTest, AValueMayLieAcrossWhatItIsWrittenOver) {
  TreeFixture tree;
  for (const bool sealed : {false, true}) {
    const std::string text = "0123456789abcdefghijklmnopqrstuvwxyz";
    ASSERT_NO_FATAL_FAILURE(tree.Put("k", text));
    if (sealed) tree.store().Seal();
    const Bytes old = tree.Find("k").value;
    MapOp op{};
    op.kind = MapOpKind::kPut;
    op.key = "k";
    op.value = Bytes(old.data() - 1, old.size());
    const std::string expected = op.value.ToString();
    ASSERT_EQ(TreeApply(tree.context(), absl::MakeSpan(&op, 1), tree.root()),
              absl::OkStatus());
    EXPECT_EQ(tree.Find("k").value, Bytes(expected));
  }
}

TEST_P(TreeModelTest, StaysEqualToAnOrderedMap) {
  const Shape shape = Shapes()[GetParam()];
  const uint64_t seed = ::testing::UnitTest::GetInstance()->random_seed() + 1;
  SCOPED_TRACE(absl::StrCat(shape.name, ", --gtest_random_seed=", seed - 1));
  Random random(seed);
  TreeFixture tree(shape.align);
  for (int round = 0; round < shape.rounds; ++round) {
    // Growing and shrinking phases, so that leaves split and merge.
    const bool grows = round % 50 < 30;
    std::vector<TreeTestOp> ops;
    const uint64_t count =
        random.OneIn(3) ? 1 : 1 + random.Uniform(shape.batch_max);
    for (uint64_t i = 0; i < count; ++i) {
      const bool erases = random.Uniform(10) < (grows ? 2u : 8u);
      const MapOpKind kind = erases            ? MapOpKind::kErase
                             : random.OneIn(4) ? MapOpKind::kInsert
                                               : MapOpKind::kPut;
      ops.push_back({kind, shape.key(random),
                     erases ? std::string() : shape.value(random)});
    }
    ASSERT_NO_FATAL_FAILURE(tree.Apply(ops));
    if (random.OneIn(10)) {
      std::string from = shape.key(random), to = shape.key(random);
      if (random.OneIn(8)) {
        ASSERT_NO_FATAL_FAILURE(tree.EraseRange(from, std::nullopt));
      } else if (random.OneIn(2)) {
        ASSERT_NO_FATAL_FAILURE(tree.EraseRange(from, to));
      }
    }
    if (round % 3 == 0) {
      ASSERT_NO_FATAL_FAILURE(tree.Check());
    }
    for (int i = 0; i < 10; ++i) {
      ASSERT_NO_FATAL_FAILURE(tree.CheckAround(shape.key(random)));
    }
    if (round % 10 == 0) {
      ASSERT_NO_FATAL_FAILURE(tree.CheckScans());
    }
    if (random.OneIn(4)) tree.store().Seal();
  }
  ASSERT_NO_FATAL_FAILURE(tree.Check());
  ASSERT_NO_FATAL_FAILURE(tree.EraseRange("", std::nullopt));
  ASSERT_NO_FATAL_FAILURE(tree.Check());
  EXPECT_TRUE(tree.root().slot.is_empty());
}

INSTANTIATE_TEST_SUITE_P(Shapes, TreeModelTest,
                         ::testing::Range(size_t{0}, Shapes().size()));

}  // namespace
}  // namespace eve
