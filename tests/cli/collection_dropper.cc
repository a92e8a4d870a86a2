// collection_dropper FILE NAME [anew]: puts a record into a collection of
// strings, then drops it, in two commits; `anew` creates it again, with another
// record. For watch_test.sh: eve itself drops nothing.

#include <cstdio>
#include <string>

#include "eve/eve.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using Strings = OrderedMap<std::string, std::string>;

absl::Status Run(const char* path, const char* name, bool anew) {
  DomainOptions options;
  options.create = false;
  options.background = false;
  options.durability = Durability::kNone;
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(path, options));
  EVE_ASSIGN_OR_RETURN(Strings dropped, domain.Collection<Strings>(name));
  EVE_RETURN_IF_ERROR(dropped.Put("last", "before the drop"));
  EVE_RETURN_IF_ERROR(domain.Drop(name));
  if (!anew) return domain.Close();
  EVE_ASSIGN_OR_RETURN(dropped, domain.Collection<Strings>(name));
  EVE_RETURN_IF_ERROR(dropped.Put("first", "after the drop"));
  return domain.Close();
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const absl::Status status = eve::Run(argv[1], argv[2], argc > 3);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
