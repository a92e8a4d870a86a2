// deleteall: what is left of a database of which most was deleted.

#include "db_bench/space_parts.h"

namespace eve::bench {

absl::Status RunDeleteAll(const WorkerTask& /*task*/) {
  return absl::UnimplementedError("deleteall");
}

}  // namespace eve::bench
