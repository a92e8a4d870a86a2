// NewDomainFile: a domain that gets its name when there is something in it.
//
// Threads:    one.
// Processes:  whoever opens the name finds nothing, or what has been written;
//             of several that make the same one, one succeeds.
// Owns:       the file and its lock file under a name of their own, until they
//             go with it.
// Lifetime:   closed domains only: an open one is bound to its name.
// Errors:     as link(2).
// Cost:       a flush of the directory.
#ifndef EVE_ENGINE_CLI_NEW_DOMAIN_H_
#define EVE_ENGINE_CLI_NEW_DOMAIN_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eve::cli {

class NewDomainFile {
 public:
  // Beside `path`, which it will be. Creates nothing.
  explicit NewDomainFile(const std::string& path);
  // Removes what has not got its name. A process that is killed leaves it.
  ~NewDomainFile();
  NewDomainFile(const NewDomainFile&) = delete;
  NewDomainFile& operator=(const NewDomainFile&) = delete;

  // Where to make it.
  const std::string& temporary_path() const { return temporary_; }
  // An error of the temporary path as one of the path.
  absl::Status Renamed(const absl::Status& error) const;
  // False: somebody else has made one of that name meanwhile.
  absl::StatusOr<bool> TakeName();

 private:
  std::string path_;
  std::string temporary_;
};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_NEW_DOMAIN_H_
