// Commits that lose, and are restamped, rebased or replayed, beside folds, in
// many orders of their steps (P8, P9, I21). After each run the whole domain is
// verified. A planted bug must be found: a record that keeps its version when
// it is stamped again, and with it the birth of what it wrote.

#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/verify/verifier.h"
#include "tests/interleaving/explorer.h"

namespace eve {
namespace {

using testing::Explorer;
using testing::Scheduler;
using Numbers = Map<std::string, int64_t>;
using Sorted = OrderedMap<std::string, int64_t>;

// Of several leaves, so that two writers seldom meet in one.
constexpr int kKeys = 600;

class RebaseTest : public Explorer {
 protected:
  void SetUp() override {
    Explorer::SetUp();
    ASSERT_OK(domain_.Collection<Numbers>("n").status());
    ASSERT_OK(domain_.Collection<Sorted>("s").status());
    for (size_t i = 0; i < processes_.size(); ++i) {
      processes_[i] = Attach();
      numbers_[i].emplace(Ref<Numbers>(processes_[i], "n"));
      sorted_[i].emplace(Ref<Sorted>(processes_[i], "s"));
    }
    const auto name = [](int i) { return absl::StrCat("key", 1000 + i); };
    PutAll(*numbers_[1], 1, name, kKeys);
    PutAll(*sorted_[1], 1, name, kKeys);
  }

  std::vector<Scheduler::Body> Bodies() override {
    return {[this] {
              NoteUnless(processes_[0]->Reclaim(), "a fold");
              NoteUnless(processes_[0]->Reclaim(), "a second fold");
            },
            [this] { Write(1); }, [this] { Write(2); }};
  }
  void Judge() override {
    const auto now = processes_[0]->Now();
    if (!NoteUnless(now.status(), "a snapshot")) return;
    const Snapshot snapshot(*now);
    const auto numbers = numbers_[0]->At(snapshot);
    const auto sorted = sorted_[0]->At(snapshot);
    for (size_t writer = 1; writer <= 2; ++writer) {
      for (int i = 0; i < 2; ++i) {
        const std::string key = Own(writer, i);
        if (numbers.Find(key).value_or(0) != round_) Note("a put is lost");
        if (sorted.Find(key).value_or(0) != round_) Note("a put is lost");
      }
    }
    if (numbers.Find("both").value_or(0) != round_) Note("a put is lost");
    if (numbers.Find("sum").value_or(0) != 2 * round_) Note("a sum is wrong");
    const auto report =
        VerifyDomain(processes_[0]->core().file,
                     {.record_offset = snapshot.internal_record_offset()});
    if (NoteUnless(report.status(), "verifying") && !report->ok()) {
      Note(report->errors.front().what);
    }
  }

  template <class C, class NameOf>
  void PutAll(const C& collection, size_t process, NameOf name, int count) {
    const auto done = processes_[process]->Swap(
        [&](internal::TransactionImpl& run) -> absl::Status {
          Transaction txn(&run);
          auto writer = collection.In(txn);
          for (int i = 0; i < count; ++i) {
            absl::Status put = writer.Put(name(i), round_);
            if (!put.ok()) return put;
          }
          return absl::OkStatus();
        },
        {});
    NoteUnless(done.status(), "a write");
  }
  // Those of one writer are in other leaves of the tree than the other's; of
  // the trie they may meet in one.
  static std::string Own(size_t writer, int i) {
    return absl::StrCat("key", (writer == 1 ? 1010 : 1540) + 50 * i);
  }
  // What can be rebased, what meets the other's in a leaf and is replayed, and
  // what has read and runs again.
  void Write(size_t process) {
    const Numbers& numbers = *numbers_[process];
    const auto own = [&](int i) { return Own(process, i); };
    PutAll(*sorted_[process], process, own, 2);
    PutAll(numbers, process, own, 2);
    NoteUnless(numbers.Put("both", round_), "a put");
    const auto sum = numbers.Update(
        "sum", [](std::optional<int64_t> old) { return old.value_or(0) + 1; });
    NoteUnless(sum.status(), "an update");
  }

  // The root's record, as if it had been stamped once less.
  void TakeVersionBack() {
    Core& core = processes_[0]->core();
    const Offset at = core.root->Load();
    void* const block = core.write_mapping.data() + at.bytes();
    auto* const record = static_cast<CommitRecord*>(block);
    --record->version;
    record->header.checksum = ChecksumOf(BlockHash(record, at, core.salt));
  }

  std::array<Instance, 3> processes_;
  std::array<std::optional<Numbers>, 3> numbers_;
  std::array<std::optional<Sorted>, 3> sorted_;
};

TEST_F(RebaseTest, OneAndTwoPreemptions) {
  ExpectNothingWrong(Explore(/*pairs=*/300));
  ExpectPassed({"commit.lost", "commit.rebased", "commit.replayed",
                "fold.before_cas", "fold.after_cas"});
}

TEST_F(RebaseTest, RandomSchedulesBySeed) {
  ExpectNothingWrong(ExploreRandomly(/*seeds=*/150));
}

TEST_F(RebaseTest, FindsARecordThatKeepsItsVersion) {
  std::set<int> losers;
  scheduler_.before = [&](int body, std::string_view step) {
    if (step == "commit.lost") losers.insert(body);
    if (step == "commit.after_cas" && losers.erase(body) == 1) {
      TakeVersionBack();
    }
  };
  ExpectFound(Explore(/*pairs=*/0), {"version of the predecessor"});
}

}  // namespace
}  // namespace eve
