// VerifyReport: what a verification found, and what it counted on the way.
//
// Threads:    value types.
// Processes:  none.
// Owns:       its strings.
// Lifetime:   none.
// Errors:     are the content: see VerifyError.
// Cost:       at most VerifyOptions::errors_kept errors are kept; all count.
#ifndef EVE_ENGINE_VERIFY_REPORT_H_
#define EVE_ENGINE_VERIFY_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace eve {

// One thing that is not as it must be.
struct VerifyError {
  uint64_t offset = 0;  // byte in the file
  std::string what;     // a sentence: "leaf: checksum failed"
  std::string expected;
  std::string found;
};

enum class SlotState : uint8_t { kNeverWritten, kInvalid, kValid };

struct SlotReport {
  uint32_t index = 0;
  SlotState state = SlotState::kNeverWritten;
  uint64_t incarnation = 0;  // this and what follows: kValid only
  uint64_t version = 0;
  uint64_t record_offset = 0;  // in bytes
};

// Blocks and bytes of one owner: a collection, the catalog, a graveyard.
struct TreeReport {
  std::string name;
  std::string kind;  // "map", "ordered map", ..., "graveyard", "catalog"
  uint32_t id = 0;
  std::string key_type;
  std::string value_type;
  uint64_t records = 0;
  uint64_t nodes = 0;
  uint64_t leaves = 0;
  uint64_t collision_leaves = 0;
  uint64_t external_records = 0;  // or values, of a tree
  uint64_t bytes = 0;             // of all its blocks
  uint32_t max_depth = 0;         // nodes on the longest path
};

// A count for every segment that the root can reach.
struct SegmentCounts {
  uint64_t total = 0;
  uint64_t unwritten = 0;  // no row: no commit wrote there
  uint64_t dead = 0;       // written, nothing live: may be reused
  uint64_t live = 0;       // ordinary segments with live blocks
  uint64_t run = 0;        // head or continuation of a live large value
};

struct VerifyReport {
  std::string path;
  uint64_t file_bytes = 0;
  std::vector<SlotReport> slots;

  // The root that was verified; version 0: there was none to verify.
  uint64_t root_offset = 0;
  uint64_t version = 0;
  uint64_t incarnation = 0;
  uint64_t folded_version = 0;
  uint64_t chain_records = 0;

  std::vector<TreeReport> trees;  // catalog first
  SegmentCounts segments;
  uint64_t blocks = 0;   // reachable
  uint64_t records = 0;  // in users' collections
  uint64_t live_bytes = 0;
  uint64_t fill_bytes = 0;     // written in segments that hold anything live
  uint64_t summed_blocks = 0;  // walked front to back, live or not
  double seconds = 0;

  std::vector<VerifyError> errors;
  uint64_t error_count = 0;
  // Of the first read that failed, if one did: what it was to read may be
  // whole. That the file ends too early is an error and not this.
  absl::Status unreadable;
  // Not damage of the verified root: torn slots, older roots that are gone.
  std::vector<VerifyError> warnings;

  bool ok() const { return error_count == 0; }
};

}  // namespace eve

#endif  // EVE_ENGINE_VERIFY_REPORT_H_
