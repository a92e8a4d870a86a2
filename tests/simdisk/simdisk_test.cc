// Power failures on a simulated disk (docs/testing.md): the engine survives all
// that are tried here, and the rig finds each planted bug. `./dev powerloss`
// goes on for as long as it is told.
//
// Each test runs that program: what it prints of a failure replays it bit for
// bit, and that depends on where the program has its code and data.

#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simdisk/planted_bug.h"

namespace eve::simdisk {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  int exit_code = -1;
  std::string output;
  std::string failure;  // "" if there is none
  std::string replay;   // flags, if there is one
  std::string digests;  // of each history, with --verbose=1

  bool passed() const { return exit_code == 0 && failure.empty(); }
  bool failed() const { return exit_code == 1 && !failure.empty(); }
};

Outcome RunPowerloss(const std::string& flags) {
  Outcome outcome;
  FILE* const pipe = ::popen(
      absl::StrCat("tests/simdisk/powerloss ", flags, " 2>&1").c_str(), "re");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  while (const size_t size = std::fread(buffer, 1, sizeof(buffer), pipe)) {
    outcome.output.append(buffer, size);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  for (absl::string_view line : absl::StrSplit(outcome.output, '\n')) {
    if (absl::ConsumePrefix(&line, "powerloss: FAILED: ")) {
      outcome.failure = std::string(line);
    } else if (absl::ConsumePrefix(&line, "powerloss: ./dev powerloss ")) {
      outcome.replay = std::string(line);
    } else if (absl::StartsWith(line, "history ")) {
      absl::StrAppend(&outcome.digests, line, "\n");
    }
  }
  return outcome;
}

// The number before a word of the summary; 0 if there is none.
uint64_t CountOf(const std::string& output, absl::string_view word) {
  const size_t at = output.rfind(absl::StrCat(" ", word));
  if (at == std::string::npos) return 0;
  const size_t begin = output.find_last_not_of("0123456789", at - 1) + 1;
  uint64_t count = 0;
  return absl::SimpleAtoi(output.substr(begin, at - begin), &count) ? count : 0;
}

TEST(SimDiskTest, EveryCrashStateOpensAtWhatWasPromised) {
  const Outcome outcome = RunPowerloss("--seed=20 --histories=12");
  EXPECT_TRUE(outcome.passed()) << outcome.output;
  EXPECT_GT(CountOf(outcome.output, "states opened"), 2000u) << outcome.output;
  EXPECT_GT(CountOf(outcome.output, "of them second crashes"), 300u);
  EXPECT_GT(CountOf(outcome.output, "deaths in a flush"), 20u);
  EXPECT_GT(CountOf(outcome.output, "with odd lock files"), 200u);
}

TEST(SimDiskTest, ASeedGivesTheSameHistoriesAndStatesEachTime) {
  const std::string flags = "--seed=7 --histories=3 --verbose=1";
  const Outcome first = RunPowerloss(flags);
  EXPECT_TRUE(first.passed()) << first.output;
  EXPECT_THAT(first.digests, HasSubstr("history 2 digest"));
  EXPECT_EQ(RunPowerloss(flags).digests, first.digests);
  // And a history does not lean on those before it.
  const Outcome last =
      RunPowerloss("--seed=7 --history=2 --states=400 --verbose=1");
  EXPECT_THAT(last.digests, HasSubstr("history 2 digest"));
  EXPECT_TRUE(absl::EndsWith(first.digests, last.digests))
      << first.digests << last.digests;
  EXPECT_NE(RunPowerloss("--seed=8 --histories=3 --verbose=1").digests,
            first.digests);
}

class PlantedBugTest : public ::testing::TestWithParam<PlantedBug> {};

// What is printed of it finds it again, and without the bug it is not there.
TEST_P(PlantedBugTest, IsFoundReplaysAndIsWhatIsWrong) {
  const Outcome found =
      RunPowerloss(absl::StrCat("--seed=1 --histories=100 --states=1000 --bug=",
                                std::string(NameOf(GetParam()))));
  ASSERT_TRUE(found.failed()) << found.output;
  // A state that was judged, and not the rig's own end.
  ASSERT_THAT(found.replay, HasSubstr(" --state="));
  RecordProperty("found", found.failure);
  const Outcome again = RunPowerloss(found.replay);
  EXPECT_TRUE(again.failed()) << found.output << again.output;
  EXPECT_EQ(again.failure, found.failure);
  EXPECT_EQ(again.replay, found.replay);
  // The same history with the same choice of states.
  const std::string history =
      found.replay.substr(0, found.replay.find(" --state="));
  const Outcome cured =
      RunPowerloss(absl::StrCat(history, " --states=1000 --cured=1"));
  EXPECT_TRUE(cured.passed()) << cured.output;
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugTest,
                         ::testing::ValuesIn(AllPlantedBugs()),
                         [](const ::testing::TestParamInfo<PlantedBug>& info) {
                           std::string name(NameOf(info.param));
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace eve::simdisk
