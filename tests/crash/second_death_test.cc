// Who cleans up after a dead process may die of it as well: nobody else is
// harmed by the two (P7, P17, P20, P22).
//
// Method: a first child dies at a step and leaves something to others; a second
// one meets that and dies while, or after, it takes it over. Of all pairs of
// such steps, with nobody else attached or beside a survivor. Who comes then
// must find what was published last, and go on without waiting, until nothing
// is left of either. A pair in which the second does not die proves nothing, so
// it fails.

#include <signal.h>

#include <atomic>
#include <bit>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/checkpoint/durable_state.h"
#include "engine/domain/registry.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::SharedValue;
using testing::Synchronous;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;
using Ordered = OrderedMap<std::string, int64_t>;

// What a process does until it dies.
enum class Act { kCommit, kCheckpoint, kReclaim, kTakeTurn, kClose };

// What the first leaves, and the second must find to come by its step.
enum Remains : unsigned {
  kNothing = 0,
  kClaim = 1 << 0,   // segments
  kTicket = 1 << 1,  // of a flusher
  kSlot = 1 << 2,    // a commit slot that is announced
  kPage = 1 << 3,    // and written
  kTurn = 1 << 4,    // of the writers
};
// The first opener makes these words anew.
constexpr unsigned kGoneAfterRecovery = kClaim | kTicket | kSlot | kPage;

struct Death {
  Act act;
  const char* step;
  unsigned remains;
};

constexpr Death kFirst[] = {
    {Act::kCommit, "commit.before_cas", kClaim},
    {Act::kCommit, "commit.after_cas", kClaim},
    {Act::kCommit, "flusher.taken", kClaim | kTicket},
    {Act::kCommit, "checkpoint.slot_taken", kClaim | kTicket},
    {Act::kCommit, "one_flush.announced", kClaim | kTicket | kSlot},
    {Act::kCommit, "one_flush.slot_written", kClaim | kTicket | kSlot | kPage},
    {Act::kCommit, "checkpoint.durable", kClaim | kTicket | kSlot | kPage},
    {Act::kCommit, "flusher.before_release", kClaim | kTicket},
    {Act::kCheckpoint, "checkpoint.announced", kClaim | kSlot},
    {Act::kCheckpoint, "checkpoint.slot_written", kClaim | kSlot | kPage},
    {Act::kTakeTurn, "turn.taken", kClaim | kTurn},
    {Act::kTakeTurn, "turn.before_release", kClaim | kTurn},
    {Act::kClose, "settle.found", kClaim},
    {Act::kClose, "copy_slot.announced", kClaim | kSlot},
    {Act::kClose, "copy_slot.written", kClaim | kSlot | kPage},
    {Act::kClose, "settle.flushed", kClaim | kSlot | kPage},
};

constexpr Death kSecond[] = {
    {Act::kCommit, "flusher.dead", kTicket},
    {Act::kCommit, "flusher.taken_over", kTicket},
    {Act::kCommit, "flush_death.compared", kSlot},
    {Act::kCommit, "checkpoint.device_checked", kSlot},
    {Act::kCommit, "checkpoint.finished_dead", kPage},
    {Act::kCheckpoint, "flush_death.compared", kSlot},
    {Act::kCheckpoint, "checkpoint.device_checked", kSlot},
    {Act::kCheckpoint, "checkpoint.finished_dead", kPage},
    {Act::kReclaim, "segment.take_over", kClaim},
    {Act::kReclaim, "collect.taken_over", kClaim},
    {Act::kCommit, "turn.holder_dead", kTurn},
    {Act::kTakeTurn, "turn.before_release", kNothing},
    {Act::kClose, "settle.found", kNothing},
    {Act::kClose, "settle.copied", kNothing},
    {Act::kClose, "settle.flushed", kNothing},
};

// What all know of the values of "n". They only grow, and each is put once.
struct Progress {
  std::atomic<int64_t> tried{0};
  std::atomic<int64_t> acknowledged{0};  // as durable
  std::atomic<uint64_t> published{0};    // a bit for each value
  std::atomic<int64_t> in_swap{0};       // what the next commit publishes

  int64_t newest() const { return std::bit_width(published.load()) - 1; }
  bool IsPublished(int64_t n) const {
    return n >= 0 && n < 64 && (published >> n & 1) != 0;
  }
};

// A domain with "n" in a map and a tree, which always say the same.
class Session {
 public:
  explicit Session(Progress* progress) : progress_(progress) {}

  absl::Status Open(const std::string& path) {
    absl::StatusOr<Domain> domain = Domain::Open(path, Synchronous());
    if (!domain.ok()) return domain.status();
    domain_ = *std::move(domain);
    absl::StatusOr<Numbers> map = domain_.Collection<Numbers>("map");
    if (!map.ok()) return map.status();
    map_ = *std::move(map);
    absl::StatusOr<Ordered> tree = domain_.Collection<Ordered>("tree");
    if (!tree.ok()) return tree.status();
    tree_ = *std::move(tree);
    return absl::OkStatus();
  }

  absl::Status Put(Durability durability) {
    const int64_t value = progress_->tried++;
    progress_->in_swap = value;
    SwapOptions options;
    options.durability = durability;
    const absl::StatusOr<Commit> done = domain_.Swap(
        [&](Transaction& txn) { return PutBoth(txn, value); }, options);
    progress_->in_swap = -1;
    if (!done.ok()) return done.status();
    progress_->published |= uint64_t{1} << value;
    if (durability == Durability::kSync) progress_->acknowledged = value;
    return absl::OkStatus();
  }

  // Loses until it has the turn.
  absl::Status PutWithTurn(const std::atomic<bool>& has_turn) {
    const int64_t value = progress_->tried++;
    SwapOptions options;
    options.durability = Durability::kNone;
    const auto put_other = [&](Transaction& txn) {
      return map_->In(txn).Put("other", value);
    };
    return domain_
        .Swap(
            [&](Transaction& txn) -> absl::Status {
              // Or the puts would be repeated without this.
              static_cast<void>(map_->In(txn).Find("n"));
              absl::Status done = PutBoth(txn, value);
              if (has_turn) {
                progress_->in_swap = value;
                return done;
              }
              std::thread([&] {
                done.Update(domain_.Swap(put_other, options).status());
              }).join();
              return done;
            },
            options)
        .status();
  }

  absl::Status Sync() {
    const absl::Status done = domain_.Sync();
    if (done.ok()) progress_->acknowledged = progress_->newest();
    return done;
  }

  absl::Status Close() {
    map_.reset();
    tree_.reset();
    return domain_.Close();
  }

  absl::StatusOr<int64_t> Read() {
    absl::StatusOr<Snapshot> now = domain_.Now();
    if (!now.ok()) return now.status();
    const int64_t n = map_->At(*now).Find("n").value_or(-1);
    EXPECT_EQ(tree_->At(*now).Find("n").value_or(-1), n) << "a torn commit";
    return n;
  }

  Domain& domain() { return domain_; }

 private:
  absl::Status PutBoth(Transaction& txn, int64_t value) {
    absl::Status put = map_->In(txn).Put("n", value);
    put.Update(tree_->In(txn).Put("n", value));
    return put;
  }

  Progress* progress_;
  Domain domain_;
  std::optional<Numbers> map_;
  std::optional<Ordered> tree_;
};

absl::Status Do(Act act, Session& session, const std::atomic<bool>& has_turn) {
  absl::Status done;
  switch (act) {
    case Act::kCommit:
      return session.Put(Durability::kSync);
    case Act::kCheckpoint:
      done = session.Put(Durability::kNone);
      return done.ok() ? session.Sync() : done;
    case Act::kReclaim:
      return session.domain().Reclaim();
    case Act::kTakeTurn:
      return session.PutWithTurn(has_turn);
    case Act::kClose:
      done = session.Put(Durability::kSync);
      if (done.ok()) done = session.domain().Reclaim();
      if (done.ok()) done = session.Put(Durability::kSync);
      return done.ok() ? session.Close() : done;
  }
  return absl::InternalError("no such act");
}

// A child that opens, stops if it is to wait, and dies.
ChildProcess Start(const std::string& path, Progress* progress,
                   const Death& death, bool waits) {
  return ChildProcess([&] {
    Session session(progress);
    if (!session.Open(path).ok()) return 1;
    if (waits) ::raise(SIGSTOP);
    std::atomic<bool> has_turn{false};
    progress->in_swap = -1;
    SetStepHook([&](std::string_view step) {
      if (step == "commit.after_cas" && progress->in_swap >= 0) {
        progress->published |= uint64_t{1} << progress->in_swap;
      }
      if (step == "turn.taken") has_turn = true;
      if (step == death.step) ::kill(::getpid(), SIGKILL);
    });
    const absl::Status done = Do(death.act, session, has_turn);
    ClearStepHook();
    return done.ok() ? 0 : 2;
  });
}

// Who is there when the first dies.
enum class Company {
  kTheSecond,  // it has opened before
  kNobody,     // the second opens the domain anew
  kSurvivor,   // who goes on after both; the second joins it
};

// Each of the three claims one, or two where it races with itself.
constexpr uint64_t kSegmentsMax = 6;

class SecondDeathTest : public ::testing::TestWithParam<Company> {
 protected:
  static bool Meets(const Death& first, const Death& second) {
    unsigned found = first.remains;
    if (GetParam() == Company::kNobody) found &= ~kGoneAfterRecovery;
    return (second.remains & ~found) == 0;
  }

  void DieBoth(const std::string& path, Progress* progress, const Death& first,
               const Death& second) {
    const bool waits = GetParam() == Company::kTheSecond;
    std::optional<ChildProcess> two;
    if (waits) {
      two.emplace(Start(path, progress, second, waits));
      two->AwaitStopped();
    }
    ASSERT_EQ(Start(path, progress, first, /*waits=*/false).Wait(), -SIGKILL);
    if (waits) {
      two->Signal(SIGCONT);
    } else {
      two.emplace(Start(path, progress, second, waits));
    }
    ASSERT_EQ(two->Wait(), -SIGKILL) << "the second has not come by its step";
  }

  // What was acknowledged is there if the power fails now.
  void ExpectAcknowledged(const std::string& path, const std::string& copy,
                          const Progress& progress) {
    testing::CopyAfterPowerLoss(path, copy);
    Session session(nullptr);
    ASSERT_OK(session.Open(copy));
    ASSERT_OK_AND_ASSIGN(const int64_t n, session.Read());
    EXPECT_GE(n, progress.acknowledged);
    EXPECT_TRUE(progress.IsPublished(n)) << n;
    testing::ExpectCleanCheck(copy, session.domain());
  }

  // Neither words nor claims.
  void ExpectNothingLeft(const std::string& path, Session& session) {
    ASSERT_OK_AND_ASSIGN(const auto impl,
                         internal::OpenInstance(path, Synchronous()));
    const SharedRegion& region = impl->core().region;
    EXPECT_EQ(region.words().flusher, 0u);
    EXPECT_EQ(region.words().turn, 0u);
    EXPECT_TRUE(ReadDurableCandidates(region).pending.empty());
    ASSERT_OK_AND_ASSIGN(const DomainStats stats, session.domain().Stats());
    EXPECT_EQ(stats.processes, 1u);
    EXPECT_EQ(stats.pins, 0u);
    EXPECT_EQ(stats.flushes, 0u);
    // Compact() gives back what this process had claimed.
    EXPECT_EQ(stats.segments_claimed, 0u) << "a claim of the dead is left";
    EXPECT_LE(stats.segments_sealed, 2u);
    EXPECT_EQ(stats.segments_free + stats.segments_sealed, stats.segments);
    EXPECT_LE(stats.segments, kSegmentsMax) << "space of the dead is lost";
    testing::ExpectCleanCheck(path, session.domain());
  }

  void Run(const Death& first, const Death& second) {
    const TempDir dir;
    const std::string path = dir.File("d.eve");
    SharedValue<Progress> progress;
    Session session(&*progress);
    ASSERT_OK(session.Open(path));
    ASSERT_OK(session.Put(Durability::kSync));
    if (GetParam() != Company::kSurvivor) ASSERT_OK(session.Close());
    ASSERT_NO_FATAL_FAILURE(DieBoth(path, &*progress, first, second));
    ASSERT_NO_FATAL_FAILURE(
        ExpectAcknowledged(path, dir.File("copy.eve"), *progress));
    if (GetParam() != Company::kSurvivor) ASSERT_OK(session.Open(path));
    const uint64_t waits = testing::TimedWaits();
    ASSERT_OK_AND_ASSIGN(const int64_t found, session.Read());
    EXPECT_EQ(found, progress->newest());
    ASSERT_OK(session.Put(Durability::kSync));
    ASSERT_OK(session.domain().Reclaim());
    ASSERT_OK(session.domain().Compact({}));
    ASSERT_OK(session.Sync());
    EXPECT_EQ(testing::TimedWaits(), waits) << "it has waited";
    ASSERT_NO_FATAL_FAILURE(ExpectNothingLeft(path, session));
    ASSERT_OK(session.Close());
    ASSERT_OK(session.Open(path));
    ASSERT_OK_AND_ASSIGN(const int64_t last, session.Read());
    EXPECT_EQ(last, progress->newest());
  }
};

TEST_P(SecondDeathTest, HarmsNobody) {
  std::set<std::string_view> reached;
  for (const Death& first : kFirst) {
    for (const Death& second : kSecond) {
      if (!Meets(first, second)) continue;
      SCOPED_TRACE(
          absl::StrCat("killed at ", first.step, ", then at ", second.step));
      Run(first, second);
      if (HasFailure()) return;
      reached.insert(second.step);
    }
  }
  for (const Death& second : kSecond) {
    const bool can_be_met = GetParam() != Company::kNobody ||
                            (second.remains & kGoneAfterRecovery) == 0;
    EXPECT_EQ(reached.contains(second.step), can_be_met) << second.step;
  }
}

INSTANTIATE_TEST_SUITE_P(All, SecondDeathTest,
                         ::testing::Values(Company::kTheSecond,
                                           Company::kNobody,
                                           Company::kSurvivor),
                         [](const ::testing::TestParamInfo<Company>& info) {
                           switch (info.param) {
                             case Company::kTheSecond:
                               return "OfOneThatWasThere";
                             case Company::kNobody:
                               return "OfWhoOpensNext";
                             case Company::kSurvivor:
                               return "BesideASurvivor";
                           }
                           return "";
                         });

}  // namespace
}  // namespace eve
