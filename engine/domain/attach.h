// Attaching to a domain: who is first, who joins, who may only look.
//
// The first opener holds the init byte of the lock file exclusively while it
// recovers and rebuilds the region; joiners hold it shared, briefly. One region
// per file (P21): every attached process holds a shared lock on a byte of the
// data file that is derived from the region's nonce and the lock file's inode,
// and refuses to attach when such a lock lies elsewhere.
//
// Threads:    one.
// Processes:  any number at once.
// Owns:       fills a Core with what it opened.
// Lifetime:   death at any step drops the locks; an unfinished rebuild is
//             started over by the next opener.
// Errors:     see Domain::Open.
// Cost:       a join is some ten system calls.
#ifndef EVE_ENGINE_DOMAIN_ATTACH_H_
#define EVE_ENGINE_DOMAIN_ATTACH_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/recovery.h"
#include "engine/txn/core.h"
#include "eve/options.h"

namespace eve {

// Opens and checks the data file, and maps it. First half of attaching. Of a
// domain in memory the core may have the file already.
absl::Status OpenDataFile(const std::string& path, const DomainOptions& options,
                          Core& core);

// Opens the lock file, joins or rebuilds the region, claims a process slot.
absl::Status AttachRegion(const DomainOptions& options, Core& core);

// What recovery looks at, of a domain whose data file is open.
absl::StatusOr<RecoveryContext> MakeRecoveryContext(const Core& core);

}  // namespace eve

#endif  // EVE_ENGINE_DOMAIN_ATTACH_H_
