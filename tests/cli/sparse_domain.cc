// Makes a domain of which most is dead, one live entry here and there; for
// compact_test.sh.

#include <cstdio>
#include <string>

#include "eve/eve.h"

namespace eve {
namespace {

constexpr int kEntries = 40'000;
constexpr int kKeptOfEach = 20;

absl::Status Run(const char* path) {
  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  absl::StatusOr<Domain> domain = Domain::Open(path, options);
  if (!domain.ok()) return domain.status();
  using Strings = OrderedMap<std::string, std::string>;
  absl::StatusOr<Strings> map = domain->Collection<Strings>("sparse");
  if (!map.ok()) return map.status();
  absl::Status status =
      domain
          ->Swap([&](Transaction& txn) {
            auto writer = map->In(txn);
            absl::Status put;
            for (int i = 0; put.ok() && i < kEntries; ++i) {
              put = writer.Put(std::to_string(i), std::string(600, 'v'));
            }
            return put;
          })
          .status();
  if (!status.ok()) return status;
  status = domain
               ->Swap([&](Transaction& txn) {
                 auto writer = map->In(txn);
                 for (int i = 0; i < kEntries; ++i) {
                   if (i % kKeptOfEach == 0) continue;
                   const auto erased = writer.Erase(std::to_string(i));
                   if (!erased.ok()) return erased.status();
                 }
                 return absl::OkStatus();
               })
               .status();
  return status.ok() ? domain->Close() : status;
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  const absl::Status status = eve::Run(argc > 1 ? argv[1] : "");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
