// RecordSource: what eve load reads, whichever way it is written.
//
// Threads:    one.
// Processes:  none.
// Owns:       as the reader that it reads from.
// Lifetime:   of the LineReader.
// Errors:     kInvalidArgument with file, line and what is wrong; kCancelled
//             after a signal; else those of reading. After an error it is done.
// Cost:       a pass over the text, without a copy.
#ifndef EVE_ENGINE_CLI_RECORD_SOURCE_H_
#define EVE_ENGINE_CLI_RECORD_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/cli/line_reader.h"
#include "eve/bytes.h"

namespace eve::cli {

// What is said about the records of one collection before they come. Where
// nothing is said, strings are empty.
struct Section {
  std::string name;
  std::string kind;
  std::string key_type;
  std::string value_type;
  bool is_joined = false;  // multimap pairs that could not be taken apart
  std::optional<uint64_t> records;
  // This is number `index` of `total` sections that belong together.
  uint64_t index = 1;
  uint64_t total = 1;

  // What LMDB says about the order of keys and of the values of a key.
  bool has_duplicates = false;
  bool has_reverse_keys = false;
  bool has_integer_keys = false;
  bool has_reverse_values = false;
  bool has_integer_values = false;
  bool has_fixed_values = false;  // the values of a key have one size
};

class RecordSource {
 public:
  virtual ~RecordSource() = default;

  // The next section; nothing at the end of the input.
  virtual absl::StatusOr<std::optional<Section>> NextSection() = 0;
  // The key of the next record; false at the end of the section. It is valid
  // until NextValue().
  virtual absl::StatusOr<bool> NextKey(Bytes* key) = 0;
  // Its value, valid until the next call. REQUIRES: NextKey() was true.
  virtual absl::Status NextValue(Bytes* value) = 0;
};

// The text format of mdb_dump, db_dump and eve dump.
std::unique_ptr<RecordSource> NewMdbSource(LineReader* lines);
// -T of mdb_load: a line with a key, a line with its value.
std::unique_ptr<RecordSource> NewPairsSource(LineReader* lines);
// JSON, an object a line: what eve dump --format=jsonl and eve scan --json
// write.
std::unique_ptr<RecordSource> NewJsonSource(LineReader* lines);

// No key and no value is longer as text.
inline constexpr size_t kTextBytesAByte = 6;  // JSON's \u0000
size_t KeyLineMax();
size_t ValueLineMax();

// What to say of a line that ends in CR.
inline constexpr char kCarriageReturn[] =
    "the line ends in CR LF, as on Windows; remove the CRs: tr -d '\\r'";

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_RECORD_SOURCE_H_
