// A process that holds a snapshot of garbage until its stdin ends; for
// cli_test.sh. Prints "VERSION" of its pin when all is set up.

#include <cstdio>
#include <string>

#include "eve/eve.h"

namespace eve {
namespace {

absl::Status Run(const char* path) {
  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  absl::StatusOr<Domain> domain = Domain::Open(path, options);
  if (!domain.ok()) return domain.status();
  using Strings = OrderedMap<std::string, std::string>;
  absl::StatusOr<Strings> map = domain->Collection<Strings>("held");
  if (!map.ok()) return map.status();
  absl::Status status = map->Put("k", std::string(5'000'000, 'x'));
  if (!status.ok()) return status;
  absl::StatusOr<Snapshot> held = domain->Now();
  if (!held.ok()) return held.status();
  if (status = map->Put("k", "v"); !status.ok()) return status;
  std::printf("%llu\n", static_cast<unsigned long long>(held->version()));
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  const absl::Status status = eve::Run(argc > 1 ? argv[1] : "");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
