// DumpWriter: writes collections as text that eve load and mdb_load read.
//
// Threads:    one.
// Processes:  none.
// Owns:       the file, if it is not stdout.
// Lifetime:   stdout outlives it.
// Errors:     of writing, naming the file. What is incomplete has no DATA=END.
// Cost:       a pass over the bytes.
#ifndef EVE_ENGINE_CLI_DUMP_WRITER_H_
#define EVE_ENGINE_CLI_DUMP_WRITER_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/bytes.h"
#include "eve/stats.h"

namespace eve::cli {

enum class DumpFormat { kByteValue, kPrint, kJsonLines };

struct DumpSection {
  CollectionInfo info;
  uint64_t index = 1;  // of `total` collections in this dump
  uint64_t total = 1;
  uint64_t map_bytes = 0;  // what mdb_load should reserve
  bool is_unnamed = false;
  bool is_joined = false;  // a multimap whose pairs stay together
  // Of uint32 or uint64, written as LMDB's MDB_INTEGERKEY and MDB_INTEGERDUP
  // have them.
  bool has_native_keys = false;
  bool has_native_values = false;
  bool has_fixed_values = false;  // the values of a multimap have one size
};

class DumpWriter {
 public:
  // "-" is stdout.
  static absl::StatusOr<std::unique_ptr<DumpWriter>> Open(
      const std::string& path, DumpFormat format);
  ~DumpWriter();
  DumpWriter(const DumpWriter&) = delete;
  DumpWriter& operator=(const DumpWriter&) = delete;

  absl::Status Begin(const DumpSection& section);
  absl::Status Write(Bytes key, Bytes value);
  absl::Status End(const DumpSection& section);
  // All is handed to the kernel.
  absl::Status Close();

 private:
  DumpWriter(std::FILE* file, std::string name, DumpFormat format);
  absl::Status Put();  // line_
  void BeginJson(const DumpSection& section);
  void BeginText(const DumpSection& section);

  std::FILE* file_;
  std::string name_;
  DumpFormat format_;
  std::string line_;
};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_DUMP_WRITER_H_
