// readwhilecompacting: latencies while another thread compacts.

#include "db_bench/space_parts.h"

namespace eve::bench {

absl::Status RunReadWhileCompacting(const WorkerTask& /*task*/) {
  return absl::UnimplementedError("readwhilecompacting");
}

}  // namespace eve::bench
