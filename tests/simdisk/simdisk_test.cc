// Power failures on a simulated disk (docs/testing.md): the engine survives all
// that are tried here, and the rig finds each planted bug. `./dev powerloss`
// goes on for as long as it is told.

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simdisk/rig.h"

namespace eve::simdisk {
namespace {

TEST(SimDiskTest, EveryCrashStateOpensAtWhatWasPromised) {
  RigOptions options;
  options.seed = 20;
  const RigResult result = RunRig(
      options, [](const RigResult& so_far) { return so_far.histories < 12; });
  EXPECT_EQ(result.failure, "");
  EXPECT_GT(result.states, 2000u);
  EXPECT_GT(result.inner_states, 300u);
}

class PlantedBugTest : public ::testing::TestWithParam<PlantedBug> {};

TEST_P(PlantedBugTest, IsFound) {
  RigOptions options;
  options.bug = GetParam();
  options.explore.states_max = 1000;
  const RigResult result = RunRig(
      options, [](const RigResult& so_far) { return so_far.histories < 100; });
  EXPECT_NE(result.failure, "") << result.states << " states passed";
  // A state that was judged, and not the rig's own end.
  EXPECT_THAT(result.failure, ::testing::HasSubstr("--state="));
  RecordProperty("found", result.failure);
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
