// RescueDomain: every record of a damaged domain that is provably whole.
//
// Believes nothing but checksums. From the best root that is left it walks down
// all that verifies, and goes on beside what does not: what it hands out so is
// what that version had. Where a walk ended early, blocks of the collection
// that verify are searched for in the whole file. Those may be older than the
// root, or of a commit that never was: they are handed out apart, as found,
// oldest first as far as that can be told.
//
// Threads:    one call at a time on a sink.
// Processes:  reads the file only. If others write, they free nothing while the
//             caller holds the unpinned readers' byte, but what is found may be
//             half new.
// Owns:       nothing beyond the call.
// Lifetime:   file and sink outlive the call.
// Errors:     kDataLoss: nothing tells which domain this was, or no block of it
//             verifies. Else what is lost is in the report, and told to the
//             sink. Errors of the sink end the call.
// Cost:       reads all live blocks twice; if something is lost, the file too.
//             The largest value lies in memory. Without superblock, slots and
//             lock file, the search of salt_search.h before that.
#ifndef EVE_ENGINE_VERIFY_RESCUE_H_
#define EVE_ENGINE_VERIFY_RESCUE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/file/file.h"

namespace eve {

struct RescueSection {
  std::string name;
  std::string kind;  // as CollectionInfo has it
  std::string key_type;
  std::string value_type;
  uint32_t id = 0;
  bool is_found = false;  // by searching: perhaps old
  uint64_t records = 0;   // that follow
};

class RescueSink {
 public:
  virtual ~RescueSink() = default;
  // Something takes long, or is to be known meanwhile.
  virtual void Note(std::string_view what) { (void)what; }
  // Before the first record of any section: how many sections follow.
  virtual absl::Status Start(const std::vector<RescueSection>& sections) = 0;
  virtual absl::Status Begin(const RescueSection& section) = 0;
  virtual absl::Status Record(std::string_view key, std::string_view value) = 0;
  virtual absl::Status End() = 0;
};

struct RescueLoss {
  uint64_t offset = 0;  // byte in the file
  std::string what;     // "trie leaf of collection 3: checksum failed"
};

struct RescueReport {
  static constexpr size_t kLossesKept = 100;

  std::string identity;            // what tells which checksums are right
  std::string root;                // where the root is from
  uint64_t version = 0;            // 0: there was none
  bool is_newest = false;          // the root of the newest slot that is whole
  uint64_t records = 0;            // of that version
  uint64_t found = 0;              // by searching
  uint64_t lost_blocks = 0;        // that a walk came to and could not believe
  std::vector<RescueLoss> losses;  // the first of them

  bool is_whole() const { return lost_blocks == 0 && version != 0; }
};

struct RescueOptions {
  std::vector<std::string> names;  // of collections; empty: all
};

absl::StatusOr<RescueReport> RescueDomain(const File& file,
                                          const RescueOptions& options,
                                          RescueSink& sink);

}  // namespace eve

#endif  // EVE_ENGINE_VERIFY_RESCUE_H_
