// Compaction beside a writer and a held snapshot, in many orders of their steps
// (I15, P3, P5, P11). A planted bug must be found: births that a fold stamps
// anew.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/interleaving/explorer.h"

namespace eve {
namespace {

using testing::Explorer;
using testing::Scheduler;
using Strings = Map<std::string, std::string>;
using Sorted = OrderedMap<std::string, int64_t>;

constexpr int kKeys = 100;
constexpr size_t kValueBytes = 12 << 10;

class CompactionTest : public Explorer {
 protected:
  void SetUp() override {
    Explorer::SetUp();
    ASSERT_OK_AND_ASSIGN(Strings texts, domain_.Collection<Strings>("t"));
    ASSERT_OK_AND_ASSIGN(Sorted sorted, domain_.Collection<Sorted>("s"));
    for (size_t i = 0; i < processes_.size(); ++i) {
      processes_[i] = Attach();
      texts_[i].emplace(Ref<Strings>(processes_[i], "t"));
      sorted_[i].emplace(Ref<Sorted>(processes_[i], "s"));
    }
    Write(/*first=*/0, /*step=*/1);
  }

  std::vector<Scheduler::Body> Bodies() override {
    return {[this] { Read(); },
            [this] {
              const int first = static_cast<int>(round_ * 7);
              Write(first, /*step=*/3);
              NoteUnless(processes_[1]->Reclaim(), "a fold fails");
            },
            [this] { NoteUnless(processes_[2]->Compact({}), "compacting"); }};
  }
  void Judge() override {
    const auto now = processes_[0]->Now();
    if (!NoteUnless(now.status(), "a snapshot")) return;
    const Snapshot snapshot(*now);
    for (int key = 0; key < kKeys; ++key) ExpectValue(snapshot, key);
  }

  // Some of the keys, in both collections and in one transaction; each has the
  // number of the round that it was last written in.
  void Write(int first, int step) {
    const auto done = processes_[1]->Swap(
        [&](internal::TransactionImpl& run) -> absl::Status {
          Transaction txn(&run);
          auto texts = texts_[1]->In(txn);
          auto sorted = sorted_[1]->In(txn);
          for (int i = 0; i < kKeys / step; ++i) {
            const int key = (first + i * step) % kKeys;
            absl::Status put = texts.Put(Name(key), Value(key, round_));
            if (put.ok()) put = sorted.Put(Name(key), round_);
            if (!put.ok()) return put;
          }
          return absl::OkStatus();
        },
        {});
    NoteUnless(done.status(), "a write");
  }
  static std::string Name(int key) { return absl::StrCat("key", key); }
  static std::string Value(int key, int64_t round) {
    return std::string(kValueBytes,
                       static_cast<char>('a' + (key + round) % 26));
  }
  // Both collections are of one commit, and what is read is whole.
  void ExpectValue(const Snapshot& snapshot, int key) {
    const auto round = sorted_[0]->At(snapshot).Find(Name(key));
    const auto value = texts_[0]->At(snapshot).Find(Name(key));
    if (!snapshot.status().ok()) return Note("damage");
    if (!round.has_value() || !value.has_value()) return Note("a key is lost");
    if (*value != Bytes(Value(key, *round))) Note("the value has changed");
  }
  // Holds a snapshot while others go on; all of it stays what it was.
  void Read() {
    const auto now = processes_[0]->Now();
    if (!NoteUnless(now.status(), "a snapshot")) return;
    const Snapshot snapshot(*now);
    for (int key = 0; key < kKeys; key += 5) ExpectValue(snapshot, key);
    Pass("reader.holds");
    for (int key = 0; key < kKeys; ++key) ExpectValue(snapshot, key);
  }

  std::array<Instance, 3> processes_;
  std::array<std::optional<Strings>, 3> texts_;
  std::array<std::optional<Sorted>, 3> sorted_;
};

TEST_F(CompactionTest, OneAndTwoPreemptions) {
  ExpectNothingWrong(Explore(/*pairs=*/60));
  ExpectPassed({"evacuate.claimed", "evacuate.settled", "evacuate.released",
                "commit.lost", "poison.filled"});
  EXPECT_GT(ReadCounter(processes_[2]->core().slots->own().blocks_moved), 0u);
}

TEST_F(CompactionTest, RandomSchedulesBySeed) {
  ExpectNothingWrong(ExploreRandomly(/*seeds=*/60));
}

// What lived in a segment before the fold counts as born with it: a pin that is
// older keeps nothing there.
TEST_F(CompactionTest, FindsABirthThatIsStampedByTheFold) {
  ChangeRowsOfFolds(processes_[0], [](AccountingRow& row, uint64_t folded) {
    row.birth = folded;
  });
  ExpectFound(Explore(/*pairs=*/0), kFreedTooEarly);
}

}  // namespace
}  // namespace eve
