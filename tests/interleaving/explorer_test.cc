// Two or three processes in all orders of their steps with few preemptions, and
// in random ones by seed. A planted bug must be found.
//
// Method: instances of one domain in this process are to each other as
// processes are, and a Scheduler lets one thread go on at a time. Without a
// choice a thread runs to its end. All schedules with one preemption are tried,
// many with two, and random ones. Freed segments are written over (I8), so that
// who reads one notices.

#include <unistd.h>

#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/domain/domain_impl.h"
#include "engine/reclaim/poison.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/scheduler.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using internal::DomainImpl;
using testing::Quiet;
using testing::Scheduler;
using testing::TempDir;
using Strings = Map<std::string, std::string>;
using Numbers = Map<std::string, int64_t>;

// A run of segments for each, so that an overwritten one is free at the next
// pass of a collector.
constexpr size_t kBigBytes = 600 << 10;

// At which points who is preempted, and for which of the others.
using Schedule = std::map<uint64_t, int>;

std::string ToString(const Schedule& schedule) {
  std::string text;
  for (const auto& [point, other] : schedule) {
    absl::StrAppend(&text, " ", point, ">", other);
  }
  return text.empty() ? " no preemption" : text;
}

struct Process {
  std::shared_ptr<DomainImpl> impl;
  std::optional<Numbers> counts;
  std::optional<Strings> texts;
};

class ExplorerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SetPoisonFreedSegments(true);
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Numbers counts, domain_.Collection<Numbers>("n"));
    ASSERT_OK_AND_ASSIGN(Strings texts, domain_.Collection<Strings>("t"));
    ASSERT_OK(counts.Put("n", 0));
    ASSERT_OK(texts.Put("big", std::string(kBigBytes, 'a')));
    for (Process& process : processes_) {
      process.impl = std::make_shared<DomainImpl>(Quiet());
      ASSERT_OK(process.impl->Start(path_));
      process.counts.emplace(Open<Numbers>(process, "n"));
      process.texts.emplace(Open<Strings>(process, "t"));
    }
  }
  void TearDown() override { SetPoisonFreedSegments(false); }

  template <class C>
  static internal::CollectionRef Open(const Process& process,
                                      const char* name) {
    const absl::StatusOr<internal::CollectionRef> ref =
        process.impl->OpenCollection(name, C::kKind, C::KeyTypeName(),
                                     C::ValueTypeName());
    EXPECT_OK(ref);
    return ref.value();
  }

  // Adds to the counter, puts what only it puts, and a big value.
  void Write(Process& process, const std::string& name) {
    EXPECT_OK(process.counts->Update(
        "n", [](std::optional<int64_t> old) { return old.value_or(0) + 1; }));
    EXPECT_OK(process.counts->Put(name, round_));
    const char fill = static_cast<char>('a' + round_ % 26);
    EXPECT_OK(process.texts->Put("big", std::string(kBigBytes, fill)));
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
    scheduler_.Pass("reader.holds");
    check();
  }
  void Reclaim(Process& process) {
    if (!process.impl->Reclaim().ok()) Note("a fold fails");
  }
  void Note(const std::string& wrong) { wrong_ = wrong; }

  // Returns how many points there were.
  uint64_t RunOnce(const Scheduler::Choose& choose) {
    ++round_;
    const uint64_t points = scheduler_.Run({[this] { Read(processes_[0]); },
                                            [this] {
                                              Write(processes_[1], "one");
                                              Reclaim(processes_[1]);
                                            },
                                            [this] {
                                              Write(processes_[2], "two");
                                              Reclaim(processes_[2]);
                                            }},
                                           choose);
    const Numbers& counts = *processes_[0].counts;
    if (counts.Get("n").value_or(0) != 2 * round_) Note("an increment is lost");
    for (const char* name : {"one", "two"}) {
      if (counts.Get(name).value_or(0) != round_) Note("a put is lost");
    }
    ++runs_;
    return points;
  }
  uint64_t RunOnce(const Schedule& schedule) {
    return RunOnce([&schedule](uint64_t point) {
      const auto found = schedule.find(point);
      return found == schedule.end() ? Scheduler::kStay : found->second;
    });
  }
  // False, and says how to repeat it, if something is wrong.
  bool Try(const Schedule& schedule) {
    RunOnce(schedule);
    if (wrong_.empty()) return true;
    found_ = ToString(schedule);
    return false;
  }

  // All schedules with one preemption, and `pairs` with two, until something is
  // wrong.
  bool Explore(uint64_t pairs) {
    const uint64_t points = RunOnce(Schedule{});
    EXPECT_GT(points, 30u);
    if (!wrong_.empty()) return false;
    for (uint64_t point = 0; point < points; ++point) {
      for (int other = 0; other < 2; ++other) {
        if (!Try({{point, other}})) return false;
      }
    }
    Random random(20261127);
    for (uint64_t i = 0; i < pairs; ++i) {
      const uint64_t first = random.Uniform(points);
      if (!Try({{first, static_cast<int>(random.Uniform(2))},
                {first + 1 + random.Uniform(points),
                 static_cast<int>(random.Uniform(2))}})) {
        return false;
      }
    }
    return true;
  }

  TempDir dir_{::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : nullptr};
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  Process processes_[3];
  Scheduler scheduler_;
  int64_t round_ = 0;
  int runs_ = 0;
  std::string wrong_;
  std::string found_;
};

TEST_F(ExplorerTest, OneAndTwoPreemptions) {
  EXPECT_TRUE(Explore(/*pairs=*/600))
      << wrong_ << " in run " << runs_ << ":" << found_;
  std::cout << runs_ << " schedules" << std::endl;
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(ExplorerTest, RandomSchedulesBySeed) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Random random(seed);
    RunOnce([&random](uint64_t) {
      return random.OneIn(4) ? static_cast<int>(random.Uniform(2))
                             : Scheduler::kStay;
    });
    ASSERT_EQ(wrong_, "") << "seed " << seed;
  }
  testing::ExpectCleanCheck(path_, domain_);
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
    RunOnce({{5, 1}, {20, 0}});
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
  EXPECT_FALSE(Explore(/*pairs=*/0));
  std::cout << wrong_ << " in run " << runs_ << ":" << found_ << std::endl;
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
  EXPECT_FALSE(Explore(/*pairs=*/0));
  std::cout << wrong_ << " in run " << runs_ << ":" << found_ << std::endl;
}

}  // namespace
}  // namespace eve
