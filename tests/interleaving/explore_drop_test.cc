// A collection that is dropped and made anew beside its writer and a reader, in
// many orders of their steps (P10, P13). After each run the whole domain is
// verified. A planted bug must be found: a drop that does not see a write.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/verify/verifier.h"
#include "tests/interleaving/explorer.h"

namespace eve {
namespace {

using testing::Explorer;
using testing::Scheduler;
using Strings = Map<std::string, std::string>;

constexpr int kKeys = 40;
constexpr size_t kValueBytes = 3000;

class DropTest : public Explorer {
 protected:
  void SetUp() override {
    Explorer::SetUp();
    for (Instance& process : processes_) process = Attach();
    kept_.emplace(Ref<Strings>(processes_[1], "kept"));
  }

  // Each round begins with a collection that has a value for each key. What is
  // kept lies where the writer writes: only what lives is verified.
  void Prepare() override {
    writers_.emplace(Ref<Strings>(processes_[1], "t"));
    Fill(/*first=*/0, /*step=*/1);
    NoteUnless(kept_->Put("kept", std::string(kValueBytes, 'k')), "a put");
  }
  std::vector<Scheduler::Body> Bodies() override {
    return {[this] { Read(); },
            [this] {
              NoteUnless(processes_[0]->Drop("t"), "dropping");
              NoteUnless(processes_[0]->Reclaim(), "a fold");
              const Strings anew(Ref<Strings>(processes_[0], "t"));
              NoteUnless(anew.Put("anew", std::string(kValueBytes, 'n')),
                         "a put");
              NoteUnless(processes_[0]->Reclaim(), "a second fold");
            },
            [this] {
              for (int first = 0; first < 3; ++first) Fill(first, /*step=*/3);
            }};
  }
  void Judge() override {
    const auto now = processes_[2]->Now();
    if (!NoteUnless(now.status(), "a snapshot")) return;
    const Snapshot snapshot(*now);
    const Strings texts(Ref<Strings>(processes_[2], "t"));
    if (texts.At(snapshot).size() != 1) Note("what was dropped is there");
    if (!texts.At(snapshot).Find("anew").has_value()) Note("a put is lost");
    const auto report =
        VerifyDomain(processes_[2]->core().file,
                     {.record_offset = snapshot.internal_record_offset()});
    if (NoteUnless(report.status(), "verifying") && !report->ok()) {
      Note(report->errors.front().what);
    }
  }

  static std::string Name(int key) { return absl::StrCat("key", key); }

  void Fill(int first, int step) {
    const char fill = static_cast<char>('a' + round_ % 26);
    const auto done = processes_[1]->Swap(
        [&](internal::TransactionImpl& run) -> absl::Status {
          Transaction txn(&run);
          auto writer = writers_->In(txn);
          for (int key = first; key < kKeys; key += step) {
            absl::Status put =
                writer.Put(Name(key), std::string(kValueBytes, fill));
            if (!put.ok()) return put;
          }
          return absl::OkStatus();
        },
        {});
    // Told that it was dropped, as every write after that.
    if (absl::IsFailedPrecondition(done.status())) return;
    NoteUnless(done.status(), "a write");
  }
  // The whole collection, or the new one, for as long as the snapshot is held.
  void Read() {
    const auto now = processes_[2]->Now();
    if (!NoteUnless(now.status(), "a snapshot")) return;
    const Snapshot snapshot(*now);
    const Strings texts(Ref<Strings>(processes_[2], "t"));
    const auto count = [&] {
      int found = 0;
      for (const auto& [key, value] : texts.At(snapshot)) {
        const std::string_view text(value);
        if (text.size() != kValueBytes ||
            text.find_first_not_of(text[0]) != text.npos) {
          Note("a value has changed");
        }
        ++found;
      }
      if (!snapshot.status().ok()) Note("damage");
      return found;
    };
    const int before = count();
    Pass("reader.holds");
    if (count() != before) Note("entries are gone");
  }

  std::array<Instance, 3> processes_;
  std::optional<Strings> writers_;
  std::optional<Strings> kept_;
};

TEST_F(DropTest, OneAndTwoPreemptions) {
  ExpectNothingWrong(Explore(/*pairs=*/200));
  ExpectPassed({"commit.lost", "fold.after_cas"});
}

TEST_F(DropTest, RandomSchedulesBySeed) {
  ExpectNothingWrong(ExploreRandomly(/*seeds=*/100));
}

// It buries the root that it has read, although another has been published
// since. What is written there is gone in any case, but not what it takes up.
TEST_F(DropTest, FindsADropThatDoesNotSeeAWrite) {
  RegionWords& words = processes_[0]->core().region.words();
  uint64_t base = 0;
  scheduler_.before = [&](int body, std::string_view step) {
    if (body == 1 && step == "pin.loaded") base = words.root;
  };
  scheduler_.after = [&](int body, std::string_view step) {
    if (body == 1 && step == "commit.before_cas") words.root = base;
  };
  ExpectFound(Explore(/*pairs=*/0),
              {"its blocks are not those that were committed"});
}

}  // namespace
}  // namespace eve
