// Two writers that reclaim and a reader, in all orders of their steps with one
// preemption, many with two, and random ones. Planted bugs must be found.

#include "tests/interleaving/explorer.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace eve {
namespace {

using testing::Explorer;
using testing::Scheduler;
using Strings = Map<std::string, std::string>;
using Numbers = Map<std::string, int64_t>;

// A run of segments for each, so that an overwritten one is free at the next
// pass of a collector.
constexpr size_t kBigBytes = 600 << 10;

struct Process {
  std::shared_ptr<internal::DomainImpl> impl;
  std::optional<Numbers> counts;
  std::optional<Strings> texts;
};

class ExplorerTest : public Explorer {
 protected:
  void SetUp() override {
    Explorer::SetUp();
    ASSERT_OK_AND_ASSIGN(Numbers counts, domain_.Collection<Numbers>("n"));
    ASSERT_OK_AND_ASSIGN(Strings texts, domain_.Collection<Strings>("t"));
    ASSERT_OK(counts.Put("n", 0));
    ASSERT_OK(texts.Put("big", std::string(kBigBytes, 'a')));
    for (Process& process : processes_) {
      process.impl = Attach();
      process.counts.emplace(Ref<Numbers>(process.impl, "n"));
      process.texts.emplace(Ref<Strings>(process.impl, "t"));
    }
  }

  std::vector<Scheduler::Body> Bodies() override {
    return {[this] { Read(processes_[0]); },
            [this] {
              Write(processes_[1], "one");
              Reclaim(processes_[1]);
            },
            [this] {
              Write(processes_[2], "two");
              Reclaim(processes_[2]);
            }};
  }
  void Judge() override {
    const Numbers& counts = *processes_[0].counts;
    if (counts.Get("n").value_or(0) != 2 * round_) Note("an increment is lost");
    for (const char* name : {"one", "two"}) {
      if (counts.Get(name).value_or(0) != round_) Note("a put is lost");
    }
  }

  // Puts a big value, adds to the counter, puts what only it puts.
  void Write(Process& process, const std::string& name) {
    const char fill = static_cast<char>('a' + round_ % 26);
    EXPECT_OK(process.texts->Put("big", std::string(kBigBytes, fill)));
    EXPECT_OK(process.counts->Update(
        "n", [](std::optional<int64_t> old) { return old.value_or(0) + 1; }));
    EXPECT_OK(process.counts->Put(name, round_));
  }
  // Holds a snapshot while others go on; all of it stays what it was.
  void Read(Process& process) {
    const auto now = process.impl->Now();
    if (!now.ok()) return Note("a snapshot fails");
    const Snapshot snapshot(*now);
    const auto check = [&] {
      const auto big = process.texts->At(snapshot).Find("big");
      if (!big.has_value() || big->size() != kBigBytes) {
        return Note("the value is gone");
      }
      if (std::string_view(*big).find_first_not_of(big->data()[0]) !=
          std::string_view::npos) {
        Note("the value has changed");
      }
      if (!snapshot.status().ok()) Note("damage");
    };
    check();
    Pass("reader.holds");
    check();
  }
  void Reclaim(Process& process) {
    NoteUnless(process.impl->Reclaim(), "a fold fails");
  }

  Process processes_[3];
};

TEST_F(ExplorerTest, OneAndTwoPreemptions) {
  ExpectNothingWrong(Explore(/*pairs=*/600));
}

TEST_F(ExplorerTest, RandomSchedulesBySeed) {
  ExpectNothingWrong(ExploreRandomly(/*seeds=*/150));
}

// The same schedule gives the same steps: what is found can be repeated.
TEST_F(ExplorerTest, ASchedulePassesTheSameSteps) {
  std::vector<std::string> steps;
  scheduler_.before = [&](int body, std::string_view step) {
    steps.push_back(absl::StrCat(body, std::string(step)));
  };
  std::vector<std::vector<std::string>> passed;
  for (int i = 0; i < 4; ++i) {
    steps.clear();
    RunOnce(Schedule{{5, 1}, {20, 0}});
    passed.push_back(steps);
  }
  // The first runs still grow the file.
  EXPECT_EQ(passed[2], passed[3]);
  EXPECT_GT(passed[3].size(), 30u);
}

// A planted bug: others see the reader's range pin only after it has loaded the
// root, as they would without the barrier of I3. One preemption, there, shows
// it.
TEST_F(ExplorerTest, FindsAPinThatComesLate) {
  std::optional<uint64_t> hidden;
  const auto cell = [&]() -> SharedWord* {
    const Core& core = processes_[0].impl->core();
    const ProcessSlot& own = core.slots->own();
    for (uint32_t i = 0; i < own.cells_used; ++i) {
      SharedWord& word = core.region.cell(core.slots->index(), i).word;
      if ((word & kRangePinBit) != 0 || hidden.has_value()) return &word;
    }
    return nullptr;
  };
  SharedWord* at = nullptr;
  scheduler_.before = [&](int body, std::string_view step) {
    if (body != 0 || step != "pin.range") return;
    at = cell();
    if (at != nullptr) hidden = at->exchange(0);
  };
  scheduler_.after = [&](int body, std::string_view step) {
    if (body != 0 || step != "pin.loaded" || !hidden.has_value()) return;
    *at = *hidden;
    hidden.reset();
  };
  ExpectFound(Explore(/*pairs=*/0), kFreedTooEarly);
}

// Another: the compare-and-swap of the root is made to win whatever was there,
// by putting the loser's base back. Increments are lost.
TEST_F(ExplorerTest, FindsACommitThatOverwritesAnother) {
  RegionWords& words = processes_[0].impl->core().region.words();
  std::map<int, uint64_t> bases;
  scheduler_.before = [&](int body, std::string_view step) {
    if (step == "pin.loaded") bases[body] = words.root;
  };
  scheduler_.after = [&](int body, std::string_view step) {
    if (step == "commit.before_cas" && bases.contains(body)) {
      words.root = bases[body];
    }
  };
  ExpectFound(Explore(/*pairs=*/0), {"an increment is lost"});
}

// Another: what a commit retires counts as dead at its base already (P8).
TEST_F(ExplorerTest, FindsADeathThatIsOneTooEarly) {
  ChangeRowsOfFolds(processes_[0].impl,
                    [](AccountingRow& row, uint64_t) { --row.death; });
  ExpectFound(Explore(/*pairs=*/0), kFreedTooEarly);
}

}  // namespace
}  // namespace eve
