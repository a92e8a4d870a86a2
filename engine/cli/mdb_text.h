// How mdb_dump writes bytes as text, and how mdb_load reads them.
//
// Threads:    pure functions.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     kInvalidArgument with what is wrong, for people.
// Cost:       a table look-up a byte.
#ifndef EVE_ENGINE_CLI_MDB_TEXT_H_
#define EVE_ENGINE_CLI_MDB_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "eve/bytes.h"

namespace eve::cli {

// 00ff
void AppendHex(Bytes bytes, std::string& out);
// Printable ASCII as it is, all else and the backslash as \00. (mdb_dump leaves
// the backslash as it is, and mdb_load then reads something else.)
void AppendPrintable(Bytes bytes, std::string& out);

// Decode in place and return the number of bytes that remain.
absl::StatusOr<size_t> DecodeHex(char* text, size_t size);
absl::StatusOr<size_t> DecodePrintable(char* text, size_t size);

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_MDB_TEXT_H_
