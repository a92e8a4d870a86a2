// Waiting for commits of any process: Domain::WaitPast() and OnChange().
//
// Threads:    any; a watch has one of its own.
// Processes:  see RootWatch. Nothing is pinned while one waits.
// Owns:       nothing.
// Lifetime:   a watch keeps the instance.
// Errors:     as Domain.
// Cost:       a wait is a few loads, a pin and a system call.
#ifndef EVE_ENGINE_DOMAIN_WATCH_H_
#define EVE_ENGINE_DOMAIN_WATCH_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/domain/domain_impl.h"
#include "eve/watch.h"

namespace eve::internal {

absl::StatusOr<uint64_t> WaitPast(DomainImpl& domain, uint64_t version,
                                  absl::Duration timeout);

absl::StatusOr<Watch> StartWatch(std::shared_ptr<DomainImpl> domain,
                                 std::function<void(uint64_t version)> fn);

}  // namespace eve::internal

#endif  // EVE_ENGINE_DOMAIN_WATCH_H_
