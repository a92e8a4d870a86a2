// Registry: one instance per file and process, however often it is opened.
//
// Threads:    any. One opens a file at a time, others of this process that want
//             the same wait for it, however long that takes, and get its
//             instance, or its error if it has waited for another process in
//             vain. Those of other files do not wait for it, nor does a fork.
// Processes:  emptied in a forked child, which opens anew.
// Owns:       weak references.
// Lifetime:   the process's.
// Errors:     as Domain::Open.
// Cost:       a stat per open. A file that two threads create at once under
//             two names is opened twice, and one of the two instances closed
//             again.
#ifndef EVE_ENGINE_DOMAIN_REGISTRY_H_
#define EVE_ENGINE_DOMAIN_REGISTRY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/domain/domain_impl.h"
#include "engine/file/file.h"
#include "eve/options.h"

namespace eve::internal {

absl::StatusOr<std::shared_ptr<DomainImpl>> OpenInstance(
    const std::string& path, const DomainOptions& options);
// An instance in a domain file that nobody else opens, which gets no lock file.
absl::StatusOr<std::shared_ptr<DomainImpl>> OpenPrivate(
    const File& file, const DomainOptions& options);

}  // namespace eve::internal

#endif  // EVE_ENGINE_DOMAIN_REGISTRY_H_
