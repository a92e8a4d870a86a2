// The version of Eve that a program is compiled against. Semantic versioning:
// before 1.0 a minor version may change the interface. The format of the files
// has a number of its own (docs/format.md).
//
// Threads:    constants.
// Processes:  constants.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_VERSION_H_
#define EVE_VERSION_H_

#define EVE_VERSION_MAJOR 0
#define EVE_VERSION_MINOR 1
#define EVE_VERSION_PATCH 0
#define EVE_VERSION "0.1.0"

#endif  // EVE_VERSION_H_
