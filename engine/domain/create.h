// Creating a domain file: whole or not at all.
//
// Threads:    any.
// Processes:  of several creators one wins; the others find the winner's file.
// Owns:       nothing after it returns.
// Lifetime:   a crash before the link leaves no name; after it a whole file.
// Errors:     kResourceExhausted, kPermissionDenied, kNotFound (directory).
// Cost:       writes and syncs 192 KiB and the directory.
#ifndef EVE_ENGINE_DOMAIN_CREATE_H_
#define EVE_ENGINE_DOMAIN_CREATE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/file/file.h"

namespace eve {

// `hash_mask` is all ones but in tests that force collisions. Without a seed of
// its hashes one is drawn.
absl::Status CreateDomainFile(const std::string& path, uint64_t hash_mask,
                              std::optional<uint64_t> hash_seed = {});
// The same into an empty file, which is synced.
absl::Status WriteNewDomain(const File& file, uint64_t hash_mask,
                            std::optional<uint64_t> hash_seed);
absl::StatusOr<File> CreateMemoryDomain(const std::string& name,
                                        uint64_t hash_mask);

}  // namespace eve

#endif  // EVE_ENGINE_DOMAIN_CREATE_H_
