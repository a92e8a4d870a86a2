// Workload: random operations on a domain, with a model of what they leave.
//
// The same seed does the same. Whatever is promised (durable_version(), OK of
// Sync(), of a kSync Swap, of Close()) is told to the timeline at the event at
// which it was.
//
// Threads:    one.
// Processes:  Die() ends this process and goes on in a child of it.
// Owns:       its handle of the domain.
// Lifetime:   shorter than recorder and timeline.
// Errors:     what went wrong, in words; "" if nothing did.
// Cost:       none of its own.
#ifndef EVE_TESTS_SIMDISK_WORKLOAD_H_
#define EVE_TESTS_SIMDISK_WORKLOAD_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "engine/domain/registry.h"
#include "eve/eve.h"
#include "tests/simdisk/content.h"
#include "tests/simdisk/recorder.h"
#include "tests/simdisk/timeline.h"
#include "util/random.h"

namespace eve::simdisk {

struct WorkloadTraits {
  Durability durability = Durability::kNone;
  int operations = 40;
  uint32_t value_bytes_max = 200;  // of most values
  uint64_t keys = 80;
  uint64_t edits_max = 4;  // of most transactions
  uint64_t run_one_in = 20;
  bool has_runs = false;  // values of segments of their own, now and
                          // then
  bool changes_collections = true;
  bool reclaims = true;          // folds, frees, punches
  bool punches_at_once = false;  // what a reclaiming pass has freed
  bool compacts = false;
  bool reopens = true;
  bool dies = false;  // all processes at once, in the same boot
  bool flushes_fail = false;
  bool joins = false;         // others: what it opens at need not be durable
  bool ends_durably = false;  // with a commit that is acknowledged
};

// Segments die as soon as their key is written again, and are used again.
void MakeChurn(WorkloadTraits* traits);

// Chosen by a seed, so that a few histories meet everything.
WorkloadTraits RandomTraits(uint64_t seed);

class Workload {
 public:
  Workload(std::string path, Recorder* recorder, Timeline* timeline,
           uint64_t seed, const WorkloadTraits& traits);

  // Opens the domain, where recovery is part of the history.
  std::string Open();
  // All operations; the domain stays open.
  std::string Run();
  // Without further acknowledgements.
  void Abandon();

 private:
  using Edit = absl::FunctionRef<absl::Status(Transaction&, Content&)>;

  std::string Step();
  std::string Write();
  std::string Create();
  std::string Drop();
  std::string Sync();
  std::string Maintain();
  std::string Reopen();
  std::string Die();
  // Runs an operation that commits at most once and says what it should leave.
  std::string Commit(absl::FunctionRef<absl::Status()> operation,
                     const Content& after, bool is_synchronous);
  std::string Judge(const absl::Status& status, const char* what) const;
  absl::Status EditRecords(Transaction& transaction, const std::string& name,
                           uint64_t seed, CollectionModel* model);
  ValueModel NewValue(Random& random) const;
  uint64_t Newest() const;

  const std::string path_;
  Recorder* const recorder_;
  Timeline* const timeline_;
  Random random_;
  const WorkloadTraits traits_;
  DomainOptions options_;
  Domain domain_;
  std::shared_ptr<internal::DomainImpl> impl_;
  Content content_;  // as of the newest commit
  bool samples_ = false;
  bool poisoned_ = false;
  int created_ = 0;
};

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_WORKLOAD_H_
