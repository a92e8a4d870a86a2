// An instance that comes, reads, writes and goes beside a writer and a
// collector, in many orders of their steps (P7, P17, P21). A planted bug must
// be found: a process slot that is taken without its lock byte.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/file_lock.h"
#include "tests/interleaving/explorer.h"

namespace eve {
namespace {

using testing::Explorer;
using testing::Scheduler;
using Strings = Map<std::string, std::string>;
using Numbers = Map<std::string, int64_t>;

// A run of a segment's own, which is free when it has been overwritten.
constexpr size_t kBigBytes = 600 << 10;

class AttachTest : public Explorer {
 protected:
  void SetUp() override {
    Explorer::SetUp();
    ASSERT_OK_AND_ASSIGN(Numbers numbers, domain_.Collection<Numbers>("n"));
    ASSERT_OK_AND_ASSIGN(Strings texts, domain_.Collection<Strings>("t"));
    ASSERT_OK(texts.Put("big", std::string(kBigBytes, 'a')));
    for (size_t i = 0; i < processes_.size(); ++i) {
      processes_[i] = Attach();
      numbers_[i].emplace(Ref<Numbers>(processes_[i], "n"));
    }
    texts_.emplace(Ref<Strings>(processes_[0], "t"));
  }

  std::vector<Scheduler::Body> Bodies() override {
    return {[this] { ComeAndGo(); },
            [this] {
              const char fill = static_cast<char>('a' + round_ % 26);
              NoteUnless(texts_->Put("big", std::string(kBigBytes, fill)),
                         "a big put");
              NoteUnless(numbers_[0]->Put("writer", round_), "a put");
            },
            [this] {
              NoteUnless(processes_[1]->Reclaim(), "a fold");
              NoteUnless(processes_[1]->Sync(), "a checkpoint");
              NoteUnless(processes_[1]->Reclaim(), "a second fold");
            }};
  }
  void Judge() override {
    for (const char* name : {"writer", "comer"}) {
      if (numbers_[1]->Get(name).value_or(0) != round_) Note("a put is lost");
    }
    RegionWords& words = processes_[0]->core().region.words();
    if (words.processes_used != kSlots) Note("a slot is not used again");
    for (const SharedWord& pending : words.pending) {
      if (pending != 0) Note("a checkpoint is left behind");
    }
  }

  void ComeAndGo() {
    auto comer = std::make_shared<internal::DomainImpl>(testing::Quiet());
    comer_ = comer.get();
    if (!NoteUnless(comer->Start(path_), "opening")) return;
    Hold(comer);
    const Numbers numbers(Ref<Numbers>(comer, "n"));
    NoteUnless(numbers.Put("comer", round_), "a put");
  }
  // A snapshot, while others go on; all of it stays what it was.
  void Hold(const Instance& comer) {
    const Strings texts(Ref<Strings>(comer, "t"));
    const auto now = comer->Now();
    if (!NoteUnless(now.status(), "a snapshot")) return;
    const Snapshot snapshot(*now);
    for (const char* point : {"reader.begins", "reader.goes_on"}) {
      const auto big = texts.At(snapshot).Find("big");
      if (!big.has_value() || big->size() != kBigBytes) {
        return Note("the value is gone");
      }
      if (std::string_view(*big).find_first_not_of(big->data()[0]) !=
          std::string_view::npos) {
        Note("the value has changed");
      }
      Pass(point);
    }
  }

  static constexpr uint32_t kSlots = 4;  // with that of `domain_`

  std::array<Instance, 2> processes_;
  std::array<std::optional<Numbers>, 2> numbers_;
  std::optional<Strings> texts_;
  internal::DomainImpl* comer_ = nullptr;
};

TEST_F(AttachTest, OneAndTwoPreemptions) {
  ExpectNothingWrong(Explore(/*pairs=*/200));
  ExpectPassed({"open.joining", "process.swept", "close.checkpointed",
                "close.released", "poison.filled", "checkpoint.durable",
                "commit.lost"});
}

TEST_F(AttachTest, RandomSchedulesBySeed) {
  ExpectNothingWrong(ExploreRandomly(/*seeds=*/100));
}

// To the others its owner is dead, and its pins keep nothing.
TEST_F(AttachTest, FindsASlotThatIsTakenWithoutItsByte) {
  scheduler_.before = [&](int, std::string_view step) {
    if (step != "process.locked") return;
    for (uint32_t i = 0; i < kSlots; ++i) {
      UnlockByte(comer_->core().region.file(), kProcessLockBase + i);
    }
  };
  ExpectFound(Explore(/*pairs=*/0), kFreedTooEarly);
}

}  // namespace
}  // namespace eve
