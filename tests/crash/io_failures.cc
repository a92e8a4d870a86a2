// Failing calls under random workloads.
//
//   io_failures [--seconds=N | --workloads=N] [--seed=S] [--calls=N]
//               [--workload=W [--call=N]]
//
// As io_failure_test, but each workload is another one: it is made once without
// a failure to count its calls on files, then once for each of them, in random
// order, with that one failing, or all from that one on. Every operation says
// so or succeeds; what was acknowledged is there afterwards, also after a power
// failure, and the domain opens and is whole. --calls=N: so many of each
// workload. A seed and a workload give the same calls each time: --workload=W
// repeats one, --call=N one failure of it.

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/domain/registry.h"
#include "engine/reclaim/punch.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/crash/io_failure_fixture.h"
#include "tests/simdisk/fixed_random.h"
#include "tests/testing/quiet.h"
#include "util/clock.h"
#include "util/random.h"

namespace eve {
namespace {

using testing::FailingCall;
using testing::Quiet;
using testing::Says;

struct Flags {
  uint64_t seconds = 60;
  uint64_t workloads = 0;
  uint64_t seed = MonotonicNanos() % 1'000'000'007;
  uint64_t calls = UINT64_MAX;
  uint64_t workload = UINT64_MAX;
  uint64_t call = 0;
};

Flags& TheFlags() {
  static Flags flags;
  return flags;
}

class IoFailures : public testing::IoFailureTest {
 protected:
  // Stops where it cannot go on.
  void Script(uint64_t seed) {
    Random random(seed);
    serial_ = 0;
    for (uint64_t opening = 0; opening < 2; ++opening) {
      absl::StatusOr<Domain> domain = Domain::Open(path_, Quiet());
      if (!Says(domain.status())) return;
      absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
      if (!Says(map.status())) return;
      if (opening > 0) history_.ExpectOneOf(*domain, *map);
      for (uint64_t i = 4 + random.Uniform(12); i > 0; --i) {
        Operate(*domain, *map, random);
      }
      // Else it is closed as by one who does not look.
      if (random.OneIn(4)) continue;
      if (Says(domain->Close())) history_.Acknowledge();
    }
  }

  void Operate(Domain& domain, const Strings& map, Random& random) {
    const Durability durability =
        random.OneIn(3) ? Durability::kSync : Durability::kNone;
    const std::string key = absl::StrCat("k", random.Uniform(8));
    const auto value = [&](size_t bytes) {
      std::string text = absl::StrCat(++serial_, "-");
      text.resize(std::max(text.size(), bytes), 'v');
      return text;
    };
    switch (random.Uniform(14)) {
      case 0:
        if (Says(domain.Sync())) history_.Acknowledge();
        return;
      case 1:
        Says(domain.Reclaim());
        return;
      case 2:
        Says(domain.Compact());
        return;
      case 3: {
        const auto impl = internal::OpenInstance(path_, Quiet());
        if (impl.ok()) Says(PunchFree((*impl)->core(), 0, 100).status());
        if (impl.ok()) Says((*impl)->CutTail().status());
        return;
      }
      case 4:
        Says(domain.Stats().status());
        return;
      case 5:
        Put(domain, map, key, value(700'000), durability).IgnoreError();
        return;
      case 6:
        for (int i = 0; i < 40; ++i) {
          Put(domain, map, absl::StrCat("b", i), value(60'000),
              Durability::kNone)
              .IgnoreError();
        }
        return;
      case 7:
      case 8:
        Erase(domain, map, key, durability).IgnoreError();
        return;
      default:
        Put(domain, map, key, value(random.Uniform(3000)), durability)
            .IgnoreError();
    }
  }

  // Of the kind of failure that this one tries.
  uint64_t SeedOf(uint64_t workload) const {
    uint64_t state = TheFlags().seed;
    for (const uint64_t part : {workload, uint64_t{GetParam().error == EIO},
                                uint64_t{GetParam().is_sticky}}) {
      state ^= SplitMix64(state) + part;
    }
    return state;
  }

  int TryOne(uint64_t workload, int nth) {
    const uint64_t seed = SeedOf(workload);
    simdisk::SeedSystemRandom(seed);
    const auto run = [&](int call) {
      FailingCall failing(call, GetParam());
      Script(seed);
      failing.Stop();
      return failing.calls();
    };
    const int calls = TryCall({.run = run}, nth);
    if (HasFailure()) {
      std::cerr << "io_failures: repeat with --seed=" << TheFlags().seed
                << " --workload=" << workload << " --call=" << nth
                << " --gtest_filter='*/"
                << testing::NameOfFailure({GetParam(), 0}) << "'" << std::endl;
    }
    return calls;
  }

  uint64_t serial_ = 0;
};

TEST_P(IoFailures, LoseNothingThatWasAcknowledged) {
  const Flags& flags = TheFlags();
  const bool is_one = flags.workload != UINT64_MAX;
  if (is_one && flags.call > 0) {
    TryOne(flags.workload, static_cast<int>(flags.call));
    return;
  }
  // Of four kinds of failure.
  const uint64_t end = MonotonicNanos() + flags.seconds * kNanosPerSecond / 4;
  const auto is_over = [&] {
    return !is_one && flags.workloads == 0 && MonotonicNanos() >= end;
  };
  const uint64_t first = is_one ? flags.workload : 0;
  const uint64_t last = is_one                ? first + 1
                        : flags.workloads > 0 ? flags.workloads
                                              : UINT64_MAX;
  uint64_t failed = 0;
  for (uint64_t workload = first; workload < last && !is_over(); ++workload) {
    const int calls = TryOne(workload, INT_MAX);
    if (HasFailure()) return;
    std::vector<int> order(static_cast<size_t>(calls));
    std::iota(order.begin(), order.end(), 1);
    Random random(SeedOf(workload));
    std::shuffle(order.begin(), order.end(), random);
    order.resize(std::min<uint64_t>(order.size(), flags.calls));
    for (const int nth : order) {
      TryOne(workload, nth);
      if (HasFailure()) return;
      ++failed;
      if (is_over()) break;
    }
    EXPECT_GT(calls, 10);
  }
  std::cout << "io_failures: " << failed << " calls failed" << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Errors, IoFailures, testing::AllFailures(),
                         testing::NameOfFailure);

bool ParseFlags(int argc, char** argv, Flags& flags) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    uint64_t* value =
        absl::ConsumePrefix(&argument, "--seconds=")     ? &flags.seconds
        : absl::ConsumePrefix(&argument, "--workloads=") ? &flags.workloads
        : absl::ConsumePrefix(&argument, "--seed=")      ? &flags.seed
        : absl::ConsumePrefix(&argument, "--calls=")     ? &flags.calls
        : absl::ConsumePrefix(&argument, "--workload=")  ? &flags.workload
        : absl::ConsumePrefix(&argument, "--call=")      ? &flags.call
                                                         : nullptr;
    if (value == nullptr || !absl::SimpleAtoi(argument, value)) return false;
  }
  return true;
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  eve::simdisk::FixAddresses(argv);
  ::testing::InitGoogleTest(&argc, argv);
  if (!eve::ParseFlags(argc, argv, eve::TheFlags())) {
    std::cerr << "usage: io_failures [--seconds=N | --workloads=N] [--seed=S] "
                 "[--calls=N] [--workload=W [--call=N]]"
              << std::endl;
    return 2;
  }
  std::cout << "io_failures: --seed=" << eve::TheFlags().seed << std::endl;
  return RUN_ALL_TESTS();
}
