// SectionEmitter: a collection's records as a section of a dump.
//
// Threads:    one.
// Processes:  none.
// Owns:       room for records that are taken apart.
// Lifetime:   the writer outlives it.
// Errors:     of writing; kDataLoss for a record that is none of its type.
// Cost:       a pass over the bytes.
#ifndef EVE_ENGINE_CLI_SECTION_EMITTER_H_
#define EVE_ENGINE_CLI_SECTION_EMITTER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/cli/dump_writer.h"
#include "engine/cli/stored_type.h"
#include "eve/bytes.h"

namespace eve::cli {

// Keys, and the values of databases with several for a key.
inline constexpr size_t kLmdbKeyBytesMax = 511;

class SectionEmitter {
 public:
  // `section` says which collection, and where it stands in the dump.
  SectionEmitter(DumpSection section, bool has_native_integers,
                 DumpWriter* writer);

  absl::Status Begin() { return writer_->Begin(section_); }
  absl::Status Put(Bytes key, Bytes value);
  absl::Status End() { return writer_->End(section_); }

  // Whether Put() takes it: it has the form of its type.
  bool IsSound(Bytes key, Bytes value);

  const DumpSection& section() const { return section_; }
  uint64_t records() const { return records_; }
  // That LMDB does not take.
  uint64_t not_for_lmdb() const { return not_for_lmdb_; }

 private:
  // Takes pairs apart and turns integers round.
  absl::Status Convert(Bytes* key, Bytes* value);

  DumpSection section_;
  DumpWriter* writer_;
  std::optional<StoredType> pair_key_;
  uint64_t records_ = 0;
  uint64_t not_for_lmdb_ = 0;
  std::string room_;
  std::string key_room_;
  std::string value_room_;
};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_SECTION_EMITTER_H_
