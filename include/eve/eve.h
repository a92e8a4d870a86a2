// Everything: #include "eve/eve.h".
//
// Threads:    see the headers.
// Processes:  see the headers.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     see the headers.
// Cost:       none.
#ifndef EVE_EVE_H_
#define EVE_EVE_H_

#include "eve/bytes.h"
#include "eve/codec.h"
#include "eve/domain.h"
#include "eve/in_place.h"
#include "eve/map.h"
#include "eve/multi_map.h"
#include "eve/options.h"
#include "eve/ordered_map.h"
#include "eve/set.h"
#include "eve/snapshot.h"
#include "eve/sorted_set.h"
#include "eve/stats.h"
#include "eve/transaction.h"
#include "eve/version.h"
#include "eve/watch.h"

#endif  // EVE_EVE_H_
