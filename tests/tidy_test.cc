// Holds the source tree to the house style. The rules are in
// tests/tidy/rules.h, the exceptions in tests/tidy/allow_list.h.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/tidy/rules.h"

namespace eve::tidy {
namespace {

namespace fs = std::filesystem;

// Bazel lays out the files of a test as links into the source tree.
fs::path SourceRoot() { return fs::canonical("WORKSPACE").parent_path(); }

std::vector<Source> AllSources() {
  const fs::path root = SourceRoot();
  std::vector<Source> sources;
  for (const char* folder :
       {"include", "util", "engine", "db_bench", "examples", "tests"}) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".c") {
        continue;
      }
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      sources.push_back(
          MakeSource(fs::relative(entry.path(), root).generic_string(), text));
    }
  }
  std::sort(sources.begin(), sources.end(),
            [](const Source& a, const Source& b) { return a.path < b.path; });
  return sources;
}

TEST(TidyTest, TheSourceTreeKeepsTheRules) {
  const std::vector<Source> sources = AllSources();
  // Found nothing: looked in the wrong place.
  ASSERT_GT(sources.size(), 10u) << SourceRoot();
  for (const Source& source : sources) {
    for (const Finding& finding : CheckSource(source)) {
      if (finding.warning) {
        std::printf("warning: %s\n", finding.ToString().c_str());
      } else {
        ADD_FAILURE() << finding.ToString();
      }
    }
  }
}

}  // namespace
}  // namespace eve::tidy
