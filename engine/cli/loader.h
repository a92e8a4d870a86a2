// Loader: writes the records of a source into a domain, batch by batch.
//
// Threads:    one.
// Processes:  others read and write meanwhile; a batch is one transaction.
// Owns:       the batch and, once there is something to write, the domain.
// Lifetime:   of the source and its LineReader.
// Errors:     of the source; of the domain, with the lines that the batch came
//             from. What earlier batches have written stays, of the one that
//             fails nothing does. kCancelled: a signal; what was read is in.
// Cost:       a transaction a batch; ascending keys fill leaves to the brim.
#ifndef EVE_ENGINE_CLI_LOADER_H_
#define EVE_ENGINE_CLI_LOADER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/cli/line_reader.h"
#include "engine/cli/open.h"
#include "engine/cli/progress.h"
#include "engine/cli/record_batch.h"
#include "engine/cli/record_source.h"
#include "engine/cli/stored_type.h"

namespace eve::cli {

inline constexpr uint64_t kBatchRecordsDefault = 1 << 16;

struct LoadOptions {
  std::string path;
  Durability durability = Durability::kSync;
  std::string collection = "main";  // of sections without a name
  std::string kind;                 // of sections that do not say; "": ordered
  bool keep_existing = false;       // -N
  bool any_order = false;           // take databases in LMDB's other orders
  uint64_t skip = 0;                // so many records are in already
  uint64_t batch_records = kBatchRecordsDefault;
};

struct LoadedCollection {
  CollectionInfo info;    // count: records of the input that were taken
  uint64_t existing = 0;  // that -N left as they were
  // Its values have one size, which no type with a name of its length says.
  bool forgets_size = false;
};

class Loader {
 public:
  Loader(const LoadOptions& options, LineReader* lines, RecordSource* source,
         ProgressLine* progress)
      : options_(options),
        lines_(lines),
        source_(source),
        progress_(progress) {}

  // Until the end of the input.
  absl::Status Run();
  // Closes the domain: what was loaded is on disk, if that was asked for.
  absl::Status Close();

  // Also after an error.
  const std::vector<LoadedCollection>& loaded() const { return loaded_; }
  // Records of the input that are dealt with: written, or skipped.
  uint64_t records_done() const { return records_done_; }

 private:
  // How the records of the present section become stored ones.
  struct Plan {
    CollectionInfo info;
    std::optional<StoredType> key_type;
    std::optional<StoredType> value_type;
    bool joins_pairs = false;
    // LMDB's native integers: 4 or 8 bytes, by the first record.
    bool turns_keys = false;
    bool turns_values = false;
    // LMDB's MDB_DUPFIXED: values of one size, by the first record.
    bool fixes_values = false;
  };

  absl::Status RunSection(const Section& section);
  absl::StatusOr<Plan> MakePlan(const Section& section);
  absl::Status TakeDuplicates(const Section& section, Plan* plan) const;
  absl::Status PlanTypes(const Section& section, Plan* plan);
  void FixValueType(size_t size, Plan* plan);
  absl::Status CheckOrder(const Section& section, const Plan& plan) const;
  absl::Status FixIntegerType(const char* what, size_t size, std::string* name,
                              std::optional<StoredType>* type) const;
  absl::StatusOr<bool> TakeRecord(Plan* plan);
  absl::Status CheckRecord(const Plan& plan, Bytes key, Bytes value) const;
  absl::Status TakeValue(Plan* plan, Bytes key);
  absl::Status Commit(const Plan& plan);
  // Makes the domain, with the first batch in it, or not at all.
  absl::Status CommitNew(const Plan& plan);
  // Writes the batch; of one that fails not even a new collection stays.
  absl::Status WriteBatch(const Plan& plan, uint64_t* existing);
  absl::Status OpenCollectionOf(const Plan& plan, bool* is_new);
  absl::Status Swap(uint64_t* existing);
  void TakeAsDone();  // the batch
  LoadedCollection& loading() { return loaded_[loading_]; }
  absl::Status OpenDomain(const std::string& path, bool create);
  void ShowProgress();

  const LoadOptions options_;
  LineReader* lines_;
  RecordSource* source_;
  ProgressLine* progress_;
  std::optional<Domain> domain_;
  std::optional<AnyCollection> collection_;  // of the present section
  std::vector<LoadedCollection> loaded_;
  size_t loading_ = 0;  // of the present section in loaded_
  RecordBatch batch_;
  uint64_t batch_first_line_ = 0;
  uint64_t records_read_ = 0;
  uint64_t records_done_ = 0;
  uint64_t section_records_ = 0;
  std::string key_room_;
  std::string value_room_;
  std::string pair_room_;
};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_LOADER_H_
