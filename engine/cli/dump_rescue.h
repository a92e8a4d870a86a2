// eve dump --rescue: what is intact of a damaged file, as text.
//
// Threads:    one.
// Processes:  reads the file; while others have it open, nothing is freed.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     an exit code: 3 if anything is lost.
// Cost:       see engine/verify/rescue.h.
#ifndef EVE_ENGINE_CLI_DUMP_RESCUE_H_
#define EVE_ENGINE_CLI_DUMP_RESCUE_H_

#include <string>
#include <vector>

#include "engine/cli/dump_writer.h"

namespace eve::cli {

struct RescueRequest {
  std::string path;
  std::vector<std::string> names;
  std::string output = "-";
  DumpFormat format = DumpFormat::kByteValue;
  bool has_native_integers = true;
  bool is_quiet = false;
};

int DumpRescue(const RescueRequest& request);

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_DUMP_RESCUE_H_
