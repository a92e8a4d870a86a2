// Everything of a domain that makes calls on files, once, in one process.
//
// Threads:    one.
// Processes:  one.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     as failures of the test.
// Cost:       some 10 MB of file.
#ifndef EVE_TESTS_CRASH_IO_FAILURE_SCRIPT_H_
#define EVE_TESTS_CRASH_IO_FAILURE_SCRIPT_H_

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "engine/reclaim/punch.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/crash/io_failure_fixture.h"
#include "tests/testing/quiet.h"

namespace eve::testing {

class IoFailureScriptTest : public IoFailureTest {
 protected:
  // Stops where it cannot go on.
  void Script() {
    absl::StatusOr<Domain> domain = Domain::Open(path_, Quiet());
    if (!Says(domain.status())) return;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    if (!Says(map.status())) return;
    Write(*domain, *map);
    if (Says(domain->Close())) history_.Acknowledge();
    map = absl::CancelledError();
    domain = absl::CancelledError();
    domain = Domain::Open(path_, Quiet());
    if (!Says(domain.status())) return;
    map = domain->Collection<Strings>("m");
    if (!Says(map.status())) return;
    // After a failed flush what was not acknowledged may be gone.
    history_.ExpectOneOf(*domain, *map);
    Says(Put(*domain, *map, "a", "4", Durability::kSync));
  }

  void Write(Domain& domain, const Strings& map) {
    Says(Put(domain, map, "a", "1", Durability::kNone));
    Says(Put(domain, map, "a", "2", Durability::kSync));
    Says(Put(domain, map, "large", std::string(700'000, 'l'),
             Durability::kNone));
    if (Says(domain.Sync())) history_.Acknowledge();
    Says(Put(domain, map, "large", "small", Durability::kSync));
    for (int i = 0; i < 40; ++i) {
      Says(Put(domain, map, absl::StrCat("k", i), std::string(60'000, 'k'),
               Durability::kNone));
    }
    Says(domain.Reclaim());
    {
      auto impl = internal::OpenInstance(path_, Quiet());
      if (impl.ok()) Says(PunchFree((*impl)->core(), 0, 100).status());
      if (impl.ok()) Says((*impl)->CutTail().status());
    }
    Says(domain.Stats().status());
    Says(domain.Compact());
    Says(Put(domain, map, "a", "3", Durability::kNone));
  }

  // The script with the N-th of the counted calls failing, for all N. Gives how
  // many there are.
  int FailEach(const Counts& counts, std::string_view refused = {}) {
    const auto run = [&](int nth) {
      FailingCall failing(nth, GetParam(), counts, refused);
      Script();
      failing.Stop();
      return failing.calls();
    };
    const int calls = ForEachCall({.run = run}) - 1;
    RecordProperty("calls", calls);
    return calls;
  }
};

}  // namespace eve::testing

#endif  // EVE_TESTS_CRASH_IO_FAILURE_SCRIPT_H_
