// How attached processes and their pins are printed.
//
// Threads:    one.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_CLI_READER_TABLE_H_
#define EVE_ENGINE_CLI_READER_TABLE_H_

#include <string>
#include <vector>

#include "eve/eve.h"

namespace eve::cli {

// Who asks has nothing to tell about itself.
void RemoveThisProcess(std::vector<ReaderInfo>& readers);

void PrintReaderHeading();
// One line, without the pins.
void PrintReader(const ReaderInfo& reader);

// An array with an object a process.
std::string ReadersToJson(const std::vector<ReaderInfo>& readers);

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_READER_TABLE_H_
