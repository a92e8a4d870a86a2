#include "tests/crash/storm_worker.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "engine/reclaim/punch.h"
#include "tests/testing/child_process.h"
#include "util/random.h"
#include "util/status_macros.h"

namespace eve::testing {
namespace {

using Texts = Map<std::string, std::string>;
using OrderedTexts = OrderedMap<std::string, std::string>;

// Snapshots that a reader holds while the others go on.
constexpr int kHeldSnapshots = 8;
constexpr uint64_t kHugeValueBytes = 3 << 20;
constexpr auto kWorks = static_cast<uint64_t>(StormWork::kCount);

struct Opened {
  Domain domain;
  StormNumbers a;
  StormOrdered b;
};

absl::StatusOr<Opened> OpenStorm(const StormSetup& setup, int index) {
  BeginWork(setup, index, StormWork::kOpen);
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(setup.path));
  EVE_ASSIGN_OR_RETURN(StormNumbers a, domain.Collection<StormNumbers>("a"));
  EVE_ASSIGN_OR_RETURN(StormOrdered b, domain.Collection<StormOrdered>("b"));
  return Opened{std::move(domain), std::move(a), std::move(b)};
}

// The commit in flight at the last death may be there: then it stays.
absl::StatusOr<int64_t> FindOwnCount(const StormSetup& setup, Opened& opened,
                                     int index) {
  BeginWork(setup, index, StormWork::kRead);
  const int64_t acknowledged = setup.ledger->acknowledged[index];
  EVE_ASSIGN_OR_RETURN(const Snapshot now, opened.domain.Now());
  const int64_t found = opened.a.At(now).Find(StormKey(index)).value_or(0);
  if (found < acknowledged || found > acknowledged + 1) {
    return absl::DataLossError(absl::StrCat("worker ", index, " was promised ",
                                            acknowledged, ", finds ", found));
  }
  setup.ledger->acknowledged[index] = found;
  const int64_t promised = setup.ledger->logged[index];
  EVE_ASSIGN_OR_RETURN(const int64_t logged,
                       CheckStormLog(now, opened.a, opened.b, index));
  if (logged < promised || logged > promised + 1) {
    return absl::DataLossError(absl::StrCat("worker ", index, " has logged ",
                                            promised, ", finds ", logged));
  }
  setup.ledger->logged[index] = logged;
  return found;
}

absl::Status CommitNext(const StormSetup& setup, Opened& opened, int index,
                        int64_t next, Durability durability) {
  BeginWork(setup, index, StormWork::kCommit);
  const std::string key = StormKey(index);
  SwapOptions options;
  options.durability = durability;
  EVE_ASSIGN_OR_RETURN(
      const Commit done,
      opened.domain.Swap(
          [&](Transaction& txn) -> absl::Status {
            auto in_a = opened.a.In(txn);
            auto in_b = opened.b.In(txn);
            if (in_a.Find(key).value_or(0) != next - 1) {
              return absl::DataLossError("a commit is lost or doubled");
            }
            const int64_t total = in_a.Find("total").value_or(0) + 1;
            EVE_RETURN_IF_ERROR(in_a.Put(key, next));
            EVE_RETURN_IF_ERROR(in_a.Put("total", total));
            EVE_RETURN_IF_ERROR(in_b.Put(key, next));
            return in_b.Put("total", total);
          },
          options));
  static_cast<void>(done);
  setup.ledger->acknowledged[index] = next;
  setup.ledger->commits.fetch_add(1);
  const char byte = 0;
  // A full pipe means that the parent knows of enough progress.
  if (::write(setup.progress_fd, &byte, 1) < 0) return absl::OkStatus();
  return absl::OkStatus();
}

// Not over a number that no check has seen: whether it was there would not be
// known any more.
bool MayCommitBlindly(const StormSetup& setup, int index) {
  const int64_t next = setup.ledger->logged[index] + 1;
  return next - kStormLogKeys <= setup.ledger->checked[index];
}

// Puts that read nothing are carried over to what they have lost to, in both
// kinds of map. They are logged like the others: what was promised is there,
// and at most one more.
absl::Status CommitBlindly(const StormSetup& setup, Opened& opened, int index) {
  BeginWork(setup, index, StormWork::kLog);
  const int64_t next = setup.ledger->logged[index] + 1;
  const std::string key = StormLogKey(index, next);
  EVE_RETURN_IF_ERROR(opened.domain
                          .Swap([&](Transaction& txn) -> absl::Status {
                            EVE_RETURN_IF_ERROR(
                                opened.a.In(txn).Put(key, next));
                            return opened.b.In(txn).Put(key, next);
                          })
                          .status());
  setup.ledger->logged[index] = next;
  return absl::OkStatus();
}

// Another worker may drop the collection in between.
absl::Status IgnoreDropped(absl::Status status) {
  if (absl::IsFailedPrecondition(status) || absl::IsNotFound(status)) {
    return absl::OkStatus();
  }
  return status;
}

// A few hundred keys, so that ranges have whole leaves; small values mostly.
absl::Status ChurnTree(Domain& domain, Random& random) {
  if (random.OneIn(40)) return IgnoreDropped(domain.Drop("ordered scratch"));
  const absl::StatusOr<OrderedTexts> tree =
      domain.Collection<OrderedTexts>("ordered scratch");
  if (!tree.ok()) return tree.status();
  const uint64_t first = random.Uniform(500);
  const uint64_t keys = 1 + random.Uniform(100);
  const auto key_of = [](uint64_t n) { return absl::StrCat(1000 + n); };
  absl::StatusOr<Commit> done =
      domain.Swap([&](Transaction& txn) -> absl::Status {
        auto writer = tree->In(txn);
        if (random.OneIn(3)) {
          return writer.EraseRange(key_of(first), key_of(first + 2 * keys))
              .status();
        }
        for (uint64_t i = first; i < first + keys; ++i) {
          // Those above 512 bytes get a block of their own.
          uint64_t bytes = random.Uniform(random.OneIn(8) ? 3'000 : 200);
          if (random.OneIn(10'000)) bytes = kHugeValueBytes;
          EVE_RETURN_IF_ERROR(writer.Put(key_of(i), std::string(bytes, 't')));
        }
        return absl::OkStatus();
      });
  return IgnoreDropped(done.status());
}

absl::Status PunchSome(const StormSetup& setup) {
  EVE_ASSIGN_OR_RETURN(auto impl, internal::OpenInstance(setup.path, {}));
  return PunchFree(impl->core(), /*keep_free=*/1, /*budget=*/2).status();
}

// Moves blocks of every collection, those that others are writing as well.
absl::Status CompactSome(Domain& domain, Random& random) {
  CompactOptions options;
  options.share = 1;
  options.progress = [looks =
                          random.Uniform(20)](const CompactProgress&) mutable {
    return looks-- > 0;
  };
  absl::Status status = domain.Compact(options);
  return absl::IsCancelled(status) ? absl::OkStatus() : status;
}

absl::Status Churn(const StormSetup& setup, Opened& opened, int index,
                   Random& random) {
  BeginWork(setup, index, StormWork::kChurn);
  Domain& domain = opened.domain;
  if (random.OneIn(3)) return ChurnTree(domain, random);
  const uint64_t kind = random.Uniform(20);
  if (kind == 0) return domain.Reclaim();
  if (kind == 1) return domain.Sync();
  // Far more often than the policy would.
  if (kind == 4) return PunchSome(setup);
  if (kind == 5) {
    BeginWork(setup, index, StormWork::kCompact);
    return CompactSome(domain, random);
  }
  if (kind == 2) return IgnoreDropped(domain.Drop("scratch"));
  EVE_ASSIGN_OR_RETURN(Texts scratch, domain.Collection<Texts>("scratch"));
  const uint64_t bytes =
      random.OneIn(200) ? kHugeValueBytes : random.Uniform(20'000);
  const std::string key = absl::StrCat(random.Uniform(40));
  if (kind == 3) return IgnoreDropped(scratch.Erase(key).status());
  return IgnoreDropped(
      scratch.Put(key, std::string(bytes, static_cast<char>(kind))));
}

// `count` commits with other work in between; 0: until something is wrong.
absl::Status Write(const StormSetup& setup, Opened& opened, int index,
                   uint64_t count, Random& random) {
  EVE_ASSIGN_OR_RETURN(int64_t last, FindOwnCount(setup, opened, index));
  for (uint64_t i = 0; count == 0 || i < count; ++i) {
    const Durability durability =
        random.OneIn(10) ? Durability::kSync : Durability::kCheckpoint;
    EVE_RETURN_IF_ERROR(CommitNext(setup, opened, index, ++last, durability));
    if (random.OneIn(3) && MayCommitBlindly(setup, index)) {
      EVE_RETURN_IF_ERROR(CommitBlindly(setup, opened, index));
    }
    if (random.OneIn(6))
      EVE_RETURN_IF_ERROR(Churn(setup, opened, index, random));
  }
  return absl::OkStatus();
}

// Somebody commits, so it ends; if it does not, the storm finds this worker
// where it was. That it was not woken, but has looked by itself after a second
// (RootWatch::kLookNanos), is no error here: who has published may be stopped
// or killed before it wakes anybody. That no wake-up is lost otherwise is for
// watch_test.
absl::Status AwaitCommit(const StormSetup& setup, Opened& opened, int index,
                         uint64_t version, Random& random) {
  BeginWork(setup, index, StormWork::kWait);
  while (setup.hangs && random.OneIn(100)) ::pause();
  EVE_ASSIGN_OR_RETURN(
      const uint64_t news,
      opened.domain.WaitPast(version, absl::InfiniteDuration()));
  if (news <= version) return absl::DataLossError("no news");
  return absl::OkStatus();
}

// Old snapshots stay what they were, new ones never go back.
absl::Status Read(const StormSetup& setup, Opened& opened, int index,
                  Random& random) {
  struct Held {
    Snapshot snapshot;
    int64_t sum;
  };
  std::vector<Held> held;
  uint64_t last_version = 0;
  while (true) {
    BeginWork(setup, index, StormWork::kRead);
    EVE_ASSIGN_OR_RETURN(Snapshot now, opened.domain.Now());
    if (now.version() < last_version) {
      return absl::DataLossError("versions went back");
    }
    last_version = now.version();
    int64_t sum = 0;
    EVE_RETURN_IF_ERROR(CheckStormSums(setup, now, opened.a, opened.b, &sum));
    if (held.size() < kHeldSnapshots) {
      held.push_back({std::move(now), sum});
    } else {
      Held& old = held[random.Uniform(held.size())];
      int64_t again = 0;
      EVE_RETURN_IF_ERROR(
          CheckStormSums(setup, old.snapshot, opened.a, opened.b, &again));
      if (again != old.sum) {
        return absl::DataLossError(
            absl::StrCat("version ", old.snapshot.version(), " had total ",
                         old.sum, ", now it has ", again));
      }
      if (random.OneIn(50)) old = {std::move(now), sum};
    }
    if (random.OneIn(2)) {
      ::sched_yield();
      continue;
    }
    EVE_RETURN_IF_ERROR(
        AwaitCommit(setup, opened, index, last_version, random));
  }
}

absl::Status OpenAndClose(const StormSetup& setup, int index, Random& random) {
  while (true) {
    EVE_ASSIGN_OR_RETURN(Opened opened, OpenStorm(setup, index));
    EVE_RETURN_IF_ERROR(
        Write(setup, opened, index, 1 + random.Uniform(4), random));
    BeginWork(setup, index, StormWork::kClose);
    if (random.OneIn(2)) EVE_RETURN_IF_ERROR(opened.domain.Close());
  }
}

}  // namespace

std::string_view NameOf(StormWork work) {
  switch (work) {
    case StormWork::kNone:
      return "nothing yet";
    case StormWork::kOpen:
      return "opening";
    case StormWork::kRead:
      return "reading";
    case StormWork::kWait:
      return "waiting for a commit";
    case StormWork::kCommit:
      return "committing";
    case StormWork::kLog:
      return "logging";
    case StormWork::kChurn:
      return "churning";
    case StormWork::kCompact:
      return "compacting";
    case StormWork::kClose:
      return "closing";
    case StormWork::kCount:
      break;
  }
  return "?";
}

void BeginWork(const StormSetup& setup, int index, StormWork work) {
  std::atomic<uint64_t>& word = setup.ledger->work[index];
  word = (word / kWorks + 1) * kWorks + static_cast<uint64_t>(work);
}

StormWork WorkOf(uint64_t word) {
  return StormWork{static_cast<int>(word % kWorks)};
}

std::string StormLogKey(int worker, int64_t number) {
  return absl::StrCat("log", worker, ".", number % kStormLogKeys);
}

std::string StormKey(int worker) { return absl::StrCat("worker", worker); }

absl::StatusOr<int64_t> CheckStormLog(const Snapshot& snapshot,
                                      const StormNumbers& a,
                                      const StormOrdered& b, int worker) {
  const auto in_a = a.At(snapshot);
  const auto in_b = b.At(snapshot);
  int64_t found[kStormLogKeys];
  int64_t newest = 0;
  for (int64_t i = 0; i < kStormLogKeys; ++i) {
    const std::string key = StormLogKey(worker, i);
    found[i] = in_a.Find(key).value_or(0);
    if (in_b.Find(key).value_or(0) != found[i]) {
      return absl::DataLossError(
          absl::StrCat("the two collections disagree on ", key));
    }
    newest = std::max(newest, found[i]);
  }
  for (int64_t number = newest; number > 0 && number > newest - kStormLogKeys;
       --number) {
    if (found[number % kStormLogKeys] != number) {
      return absl::DataLossError(absl::StrCat("worker ", worker, " has logged ",
                                              newest, ", but ", number,
                                              " is not there"));
    }
  }
  EVE_RETURN_IF_ERROR(snapshot.status());
  return newest;
}

absl::Status CheckStormSums(const StormSetup& setup, const Snapshot& snapshot,
                            const StormNumbers& a, const StormOrdered& b,
                            int64_t* sum) {
  const auto in_a = a.At(snapshot);
  const auto in_b = b.At(snapshot);
  int64_t added = 0;
  for (int worker = 0; worker < setup.workers; ++worker) {
    const int64_t own = in_a.Find(StormKey(worker)).value_or(0);
    if (in_b.Find(StormKey(worker)).value_or(0) != own) {
      return absl::DataLossError("the two collections disagree on a worker");
    }
    added += own;
  }
  *sum = in_a.Find("total").value_or(0);
  if (in_b.Find("total").value_or(0) != *sum) {
    return absl::DataLossError("the two collections disagree on the total");
  }
  if (added != *sum) {
    return absl::DataLossError(absl::StrCat("version ", snapshot.version(),
                                            ": total ", *sum,
                                            ", the workers add up to ", added));
  }
  return snapshot.status();
}

absl::Status RunStormWorker(const StormSetup& setup, StormRole role, int index,
                            uint64_t seed) {
  Random random(seed);
  // Half of them die at a step of their own, where a signal seldom hits.
  if (random.OneIn(2)) {
    SignalSelfAt(1 + random.Uniform(random.OneIn(2) ? 200 : 5000), SIGKILL);
  }
  if (role == StormRole::kOpener) return OpenAndClose(setup, index, random);
  EVE_ASSIGN_OR_RETURN(Opened opened, OpenStorm(setup, index));
  setup.ledger->is_inside[index] = true;
  if (role == StormRole::kReader) return Read(setup, opened, index, random);
  return Write(setup, opened, index, 0, random);
}

}  // namespace eve::testing
