// Explorer: instances of one domain, driven through many schedules of the same
// functions.
//
// Instances of a domain in this process are to each other as processes are, and
// a Scheduler lets one thread go on at a time. Without a choice a thread runs
// to its end. What a scenario calls wrong is reported with the run and the
// points of preemption, and happens again in that run. Freed segments are
// written over (I8), so that who reads one notices.
//
// Threads:    one owner; the bodies of a scenario run on threads of their own.
// Processes:  none.
// Owns:       a domain in memory, where there is a file system for that.
// Lifetime:   one test.
// Errors:     Note(); expectations that fail.
// Cost:       a run takes about a millisecond for each MiB that it writes.
#ifndef EVE_TESTS_INTERLEAVING_EXPLORER_H_
#define EVE_TESTS_INTERLEAVING_EXPLORER_H_

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/domain/domain_impl.h"
#include "engine/format/accounting_row.h"
#include "engine/format/checksum.h"
#include "engine/reclaim/poison.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/scheduler.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve::testing {

class Explorer : public ::testing::Test {
 protected:
  using Instance = std::shared_ptr<internal::DomainImpl>;
  // At which points who is preempted, and for which of the others.
  using Schedule = std::map<uint64_t, int>;
  using ChangeRow = std::function<void(AccountingRow& row, uint64_t folded)>;

  void SetUp() override {
    SetPoisonFreedSegments(true);
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    scheduler_.before = [this](int, std::string_view step) {
      if (passed_.find(step) == passed_.end()) passed_.emplace(step);
    };
  }
  void TearDown() override { SetPoisonFreedSegments(false); }

  // What is run, anew each time; the first goes first.
  virtual std::vector<Scheduler::Body> Bodies() = 0;
  // Before and after each run, with nobody else at work.
  virtual void Prepare() {}
  virtual void Judge() {}
  // Asked after the run without preemption: at which of its points one is
  // tried.
  virtual std::function<bool(uint64_t point)> WhereToPreempt() {
    return [](uint64_t) { return true; };
  }

  Instance Attach() {
    auto instance = std::make_shared<internal::DomainImpl>(Quiet());
    EXPECT_OK(instance->Start(path_));
    return instance;
  }
  template <class C>
  static internal::CollectionRef Ref(const Instance& instance,
                                     const char* name) {
    const absl::StatusOr<internal::CollectionRef> ref =
        instance->OpenCollection(name, C::kKind, C::KeyTypeName(),
                                 C::ValueTypeName());
    EXPECT_OK(ref);
    return ref.value();
  }

  // The first is what is told.
  void Note(const std::string& wrong) {
    if (wrong_.empty()) wrong_ = wrong;
  }
  bool NoteUnless(const absl::Status& status, const char* what) {
    if (!status.ok()) {
      Note(absl::StrCat(what, ": ", std::string(status.message())));
    }
    return status.ok();
  }
  // A point of a body's own.
  void Pass(std::string_view step) { scheduler_.Pass(step); }

  // Returns how many points there were.
  uint64_t RunOnce(const Scheduler::Choose& choose) {
    ++round_;
    Prepare();
    const std::vector<Scheduler::Body> bodies = Bodies();
    bodies_ = bodies.size();
    const uint64_t points = scheduler_.Run(bodies, choose);
    Judge();
    return points;
  }
  uint64_t RunOnce(const Schedule& schedule) {
    return RunOnce([&schedule](uint64_t point) {
      const auto found = schedule.find(point);
      return found == schedule.end() ? Scheduler::kStay : found->second;
    });
  }

  // Schedules with one preemption at each `stride`-th point, and `pairs` with
  // two, until something is wrong.
  bool Explore(uint64_t pairs, uint64_t stride = 1) {
    points_ = RunOnce(Schedule{});
    EXPECT_GT(points_, 30u);
    if (!wrong_.empty()) return false;
    const std::function<bool(uint64_t)> may_preempt = WhereToPreempt();
    for (uint64_t point = 0; point < points_; point += stride) {
      if (!may_preempt(point)) continue;
      for (int other = 0; other + 1 < static_cast<int>(bodies_); ++other) {
        if (!Try({{point, other}})) return false;
      }
    }
    Random random(20261127);
    const auto draw = [&] {
      return static_cast<int>(random.Uniform(bodies_ - 1));
    };
    for (uint64_t i = 0; i < pairs; ++i) {
      const uint64_t first = random.Uniform(points_);
      const int to = draw();
      const uint64_t second = first + 1 + random.Uniform(points_);
      if (!Try({{first, to}, {second, draw()}})) return false;
    }
    return true;
  }
  // Random schedules by seed, the same.
  bool ExploreRandomly(uint64_t seeds) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      Random random(seed);
      RunOnce([&](uint64_t) {
        return random.OneIn(4) ? static_cast<int>(random.Uniform(bodies_ - 1))
                               : Scheduler::kStay;
      });
      if (!wrong_.empty()) {
        found_ = absl::StrCat(" seed ", seed);
        return false;
      }
    }
    return true;
  }
  std::string Found() const {
    return absl::StrCat(wrong_, " in run ", round_, ":", found_);
  }
  void ExpectNothingWrong(bool is_right) {
    EXPECT_TRUE(is_right) << Found();
    std::cout << round_ << " schedules of up to " << points_ << " steps"
              << std::endl;
    ExpectCleanCheck(path_, domain_);
  }
  // Of memory that is freed too early: which of them it is depends on where the
  // domain's seed has put what.
  static constexpr std::initializer_list<const char*> kFreedTooEarly = {
      "the value is gone", "the value has changed", "damage"};
  // That the planted bug is found, and by one of its own symptoms: a scenario
  // that fails for another reason says nothing of the bug.
  void ExpectFound(bool is_right, std::initializer_list<const char*> symptoms) {
    EXPECT_FALSE(is_right) << "the planted bug is not found in " << round_
                           << " schedules";
    const bool is_one_of_its_own = std::any_of(
        symptoms.begin(), symptoms.end(), [this](const char* symptom) {
          return wrong_.find(symptom) != std::string::npos;
        });
    EXPECT_TRUE(is_one_of_its_own) << "something else is wrong: " << Found();
    std::cout << Found() << std::endl;
  }
  // Or the schedules do not meet what the scenario is for.
  void ExpectPassed(std::initializer_list<const char*> steps) {
    for (const char* step : steps) {
      EXPECT_TRUE(passed_.contains(step)) << step;
    }
  }

  // Plants a bug of folds: changes each row that one has changed.
  void ChangeRowsOfFolds(const Instance& instance, const ChangeRow& change) {
    scheduler_.before = [this, instance, change](int, std::string_view step) {
      if (step != "fold.after_cas") return;
      Core& core = instance->core();
      const auto& record = *core.view.As<CommitRecord>(core.root->Load());
      const uint64_t former = std::exchange(folded_, record.folded_version);
      ForEachRow(core, record.accounting_root, [&](AccountingRow& row) {
        if (row.death > former) change(row, record.folded_version);
      });
    };
  }

  TempDir dir_{::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : nullptr};
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  Scheduler scheduler_;
  int64_t round_ = 0;
  uint64_t points_ = 0;
  std::string wrong_;

 private:
  // All rows of an accounting, which may be changed.
  static void ForEachRow(Core& core, Offset at,
                         const std::function<void(AccountingRow&)>& visit) {
    const auto* header = core.view.As<BlockHeader>(at);
    if (header->depth > 0) {
      const auto* node = core.view.As<AccountingNode>(at);
      for (const Offset child : node->children) {
        if (!child.is_null()) ForEachRow(core, child, visit);
      }
      return;
    }
    void* const block = core.write_mapping.data() + at.bytes();
    auto* const leaf = static_cast<AccountingLeaf*>(block);
    for (AccountingRow& row : leaf->rows) visit(row);
    leaf->header.checksum = ChecksumOf(BlockHash(leaf, at, core.salt));
  }
  bool Try(const Schedule& schedule) {
    RunOnce(schedule);
    if (wrong_.empty()) return true;
    found_.clear();
    for (const auto& [point, other] : schedule) {
      absl::StrAppend(&found_, " ", point, ">", other);
    }
    return false;
  }

  size_t bodies_ = 0;
  uint64_t folded_ = 0;
  std::string found_;
  std::set<std::string, std::less<>> passed_;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_INTERLEAVING_EXPLORER_H_
