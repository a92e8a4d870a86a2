// racing_writer FILE: swaps that lose, each in another way, and whose rivals
// are its own; for stat_test.sh. Then prints how many swaps committed and how
// many runs of closures were lost, and holds the domain open until its stdin
// ends.

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>

#include "eve/eve.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using Strings = Map<std::string, std::string>;

struct Counted {
  uint64_t commits = 0;
  uint64_t lost_runs = 0;
};

// One commit of another thread, which is over when this returns.
void Rival(const Strings& collection, const char* key, Counted& counted) {
  std::thread([&] {
    if (collection.Put(key, "rival").ok()) ++counted.commits;
  }).join();
}

absl::Status Race(Domain& domain, Counted& counted,
                  const std::function<absl::Status(Transaction&)>& closure) {
  EVE_ASSIGN_OR_RETURN(const Commit commit, domain.Swap(closure));
  ++counted.commits;
  counted.lost_runs += static_cast<uint64_t>(commit.attempts - 1);
  return absl::OkStatus();
}

absl::Status Run(const char* path) {
  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(path, options));
  EVE_ASSIGN_OR_RETURN(const Strings mine, domain.Collection<Strings>("mine"));
  EVE_ASSIGN_OR_RETURN(const Strings other,
                       domain.Collection<Strings>("other"));
  Counted counted{.commits = 2};
  // To a commit that is of no matter to it: restamped.
  EVE_RETURN_IF_ERROR(Race(domain, counted, [&](Transaction& txn) {
    if (txn.attempt() == 1) Rival(other, "key", counted);
    return mine.In(txn).Put("key", "v");
  }));
  // To a put of the same key, which it has not read: carried over.
  EVE_RETURN_IF_ERROR(Race(domain, counted, [&](Transaction& txn) {
    if (txn.attempt() == 1) Rival(mine, "key", counted);
    return mine.In(txn).Put("key", "v");
  }));
  // To changes of what it has read, until it has the turn. Then a rival waits,
  // in vain, and is of no matter: restamped.
  EVE_RETURN_IF_ERROR(Race(domain, counted, [&](Transaction& txn) {
    mine.In(txn).Find("key");
    const bool has_turn = domain.Stats()->turns > 0;
    Rival(has_turn ? other : mine, "key", counted);
    return mine.In(txn).Put("key", "v");
  }));
  std::printf("%llu %llu\n", static_cast<unsigned long long>(counted.commits),
              static_cast<unsigned long long>(counted.lost_runs));
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return domain.Close();
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  const absl::Status status = eve::Run(argc > 1 ? argv[1] : "");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
