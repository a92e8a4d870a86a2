// AttachedProcess: a process as far as locks tell, with a descriptor of its own
// for the lock file and a slot. Its end drops the lock, as a death does.
//
// Threads:    one.
// Processes:  several of them stand for several.
// Owns:       the mapping and the slot.
// Lifetime:   the file's.
// Errors:     are test failures.
// Cost:       a mapping.
#ifndef EVE_TESTS_EPOCH_ATTACHED_PROCESS_H_
#define EVE_TESTS_EPOCH_ATTACHED_PROCESS_H_

#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/epoch/process_slots.h"
#include "engine/file/shared_region.h"
#include "tests/testing/status_matchers.h"

namespace eve::testing {

struct AttachedProcess {
  SharedRegion region;
  std::unique_ptr<ProcessSlots> slots;

  explicit AttachedProcess(const std::string& path) {
    absl::StatusOr<File> file = File::Open(path, O_RDWR | O_CREAT);
    EXPECT_OK(file.status());
    absl::StatusOr<SharedRegion> mapped =
        SharedRegion::Map(*std::move(file), true);
    EXPECT_OK(mapped.status());
    region = *std::move(mapped);
    slots = std::make_unique<ProcessSlots>(&region);
    EXPECT_OK(slots->Claim());
  }
};

}  // namespace eve::testing

#endif  // EVE_TESTS_EPOCH_ATTACHED_PROCESS_H_
