// twin_writer FILE: puts the same number into two collections, in one
// transaction, again and again until its stdin ends; for dump_test.sh. Prints a
// line when the first number is there.

#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "eve/eve.h"
#include "util/status_macros.h"

namespace eve {
namespace {

bool HasInputEnded() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 0) > 0;
}

absl::Status Run(const char* path) {
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(path));
  using Numbers = OrderedMap<std::string, std::string>;
  EVE_ASSIGN_OR_RETURN(const Numbers left, domain.Collection<Numbers>("left"));
  EVE_ASSIGN_OR_RETURN(const Numbers right,
                       domain.Collection<Numbers>("right"));
  for (uint64_t i = 1; i == 1 || !HasInputEnded(); ++i) {
    const std::string number = std::to_string(i);
    EVE_RETURN_IF_ERROR(
        domain
            .Swap([&](Transaction& txn) {
              absl::Status put = left.In(txn).Put("number", number);
              return put.ok() ? right.In(txn).Put("number", number) : put;
            })
            .status());
    if (i == 1) {
      std::puts("ready");
      std::fflush(stdout);
    }
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
