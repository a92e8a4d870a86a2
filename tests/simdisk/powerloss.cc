// Power failures on a simulated disk.
//
//   powerloss [--seconds=N | --histories=N] [--seed=S] [--states=N]
//             [--exhaustive=N] [--bug=NAME [--cured=1]]
//   powerloss --seed=S --history=H [--state=STATE] [--bug=NAME [--cured=1]]
//
// A history is a random workload whose every write and flush is recorded; then
// the states that the disk may have been left in are opened and checked. Prints
// the seed, and exits with 1 and what replays it when a promise was broken. A
// whole history replays with the --states and --exhaustive that it had; one
// state does whatever they are. --cured=1 plants nothing, but writes what suits
// the bug.

#include <iostream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "tests/simdisk/fixed_random.h"
#include "tests/simdisk/rig.h"
#include "util/clock.h"

namespace eve::simdisk {
namespace {

struct Flags {
  uint64_t seconds = 60;
  uint64_t histories = 0;
  uint64_t seed = MonotonicNanos() % 1'000'000'007;
  uint64_t history = UINT64_MAX;
  uint64_t states = ExploreOptions().states_max;
  uint64_t exhaustive = ExploreOptions().exhaustive_max;
  uint64_t verbose = 0;  // a line for each history
  uint64_t cured = 0;
  std::string state;
  std::string bug;
};

bool ParseFlags(int argc, char** argv, Flags* flags) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    std::string* text = absl::ConsumePrefix(&argument, "--state=")
                            ? &flags->state
                        : absl::ConsumePrefix(&argument, "--bug=") ? &flags->bug
                                                                   : nullptr;
    if (text != nullptr) {
      *text = std::string(argument);
      continue;
    }
    uint64_t* value =
        absl::ConsumePrefix(&argument, "--seconds=")      ? &flags->seconds
        : absl::ConsumePrefix(&argument, "--histories=")  ? &flags->histories
        : absl::ConsumePrefix(&argument, "--seed=")       ? &flags->seed
        : absl::ConsumePrefix(&argument, "--history=")    ? &flags->history
        : absl::ConsumePrefix(&argument, "--verbose=")    ? &flags->verbose
        : absl::ConsumePrefix(&argument, "--cured=")      ? &flags->cured
        : absl::ConsumePrefix(&argument, "--states=")     ? &flags->states
        : absl::ConsumePrefix(&argument, "--exhaustive=") ? &flags->exhaustive
                                                          : nullptr;
    if (value == nullptr || !absl::SimpleAtoi(argument, value)) return false;
  }
  return true;
}

bool ParseStates(const std::string& text, std::vector<StateId>* states) {
  if (text.empty()) return true;
  for (absl::string_view part : absl::StrSplit(text, '/')) {
    if (!StateId::Parse(std::string(part), &states->emplace_back())) {
      return false;
    }
  }
  return true;
}

int RunMain(int argc, char** argv) {
  Flags flags;
  RigOptions options;
  if (!ParseFlags(argc, argv, &flags) ||
      !ParseStates(flags.state, &options.explore.only) ||
      (!flags.bug.empty() &&
       PlantedBugOfName(flags.bug) == PlantedBug::kNone)) {
    std::cerr << "usage: powerloss [--seconds=N | --histories=N] [--seed=S] "
                 "[--history=H] [--state=STATE] [--states=N] [--exhaustive=N] "
                 "[--bug=NAME [--cured=1]]"
              << std::endl;
    return 2;
  }
  options.seed = flags.seed;
  options.bug = PlantedBugOfName(flags.bug);
  options.is_cured = flags.cured > 0;
  options.explore.states_max = flags.states;
  options.explore.exhaustive_max = flags.exhaustive;
  if (flags.history != UINT64_MAX) {
    options.first_history = flags.history;
    flags.histories = 1;
  }
  std::cout << "powerloss: --seed=" << flags.seed << std::endl;
  const uint64_t begin = MonotonicNanos();
  const uint64_t end = begin + flags.seconds * kNanosPerSecond;
  uint64_t digest = 0;
  const RigResult result = RunRig(options, [&](const RigResult& so_far) {
    if (flags.verbose > 0 && so_far.histories > 0) {
      std::cout << absl::StrCat("history ",
                                options.first_history + so_far.histories - 1,
                                " digest ", absl::Hex(so_far.digest - digest))
                << std::endl;
      digest = so_far.digest;
    }
    return flags.histories > 0 ? so_far.histories < flags.histories
                               : MonotonicNanos() < end;
  });
  const double seconds =
      static_cast<double>(MonotonicNanos() - begin) / kNanosPerSecond;
  if (!result.failure.empty()) {
    std::cerr << absl::StrCat("powerloss: FAILED: ", result.failure,
                              "\npowerloss: ./dev powerloss ", result.replay)
              << std::endl;
  }
  std::cout << absl::StrCat("powerloss: seed ", flags.seed, ": ",
                            result.histories, " histories, ", result.events,
                            " crash points, ", result.states,
                            " states opened and checked (", result.inner_states,
                            " of them second crashes, ", result.deaths,
                            " deaths in a flush, ", result.odd_lock_files,
                            " with odd lock files, ", result.written,
                            " written to and reopened), ", result.repeated,
                            " met again, in ", seconds, " s, digest ",
                            absl::Hex(result.digest))
            << std::endl;
  return result.failure.empty() ? 0 : 1;
}

}  // namespace
}  // namespace eve::simdisk

int main(int argc, char** argv) {
  eve::simdisk::FixAddresses(argv);
  return eve::simdisk::RunMain(argc, argv);
}
