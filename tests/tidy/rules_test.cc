// Every rule is shown a snippet that breaks it and one that does not: a checker
// that cannot fail checks nothing.
#include "tests/tidy/rules.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace eve::tidy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The rules that `text` breaks as the file `path`, with line numbers. Headers
// get their guard, which is not counted.
std::vector<std::string> Broken(
    std::string_view path, std::string_view text,
    std::span<const Allowance> allowances = kAllowances) {
  std::vector<std::string> broken;
  for (const Finding& finding :
       CheckSource(MakeSource(std::string(path), text), allowances)) {
    if (finding.rule == "header-guard") continue;
    broken.push_back(finding.rule + ":" + std::to_string(finding.line));
  }
  return broken;
}

TEST(SourceTest, CommentsAndLiteralsAreBlankInCode) {
  const Source source = MakeSource("a.cc",
                                   "int a = 1'000; // goto\n"
                                   "const char* b = \"go\\\"to\"; /* x\n"
                                   "y */ char c = '\\''; auto d = R\"x(1\n"
                                   "2)x\"; int e;\n"
                                   "#include \"util/check.h\"\n");
  ASSERT_EQ(source.code.size(), source.lines.size());
  EXPECT_EQ(source.code[0], "int a = 1'000;        ");
  EXPECT_EQ(source.code[1], "const char* b = \"      \";     ");
  EXPECT_THAT(source.code[2], HasSubstr("char c = '  '; auto d = R\""));
  EXPECT_EQ(source.code[3], "   \"; int e;");
  EXPECT_EQ(source.code[4], "#include \"util/check.h\"");
}

TEST(LayersTest, ArrowsPointLeftOnly) {
  EXPECT_THAT(Broken("engine/file/a.cc", "#include \"engine/format/b.h\"\n"),
              IsEmpty());
  EXPECT_THAT(Broken("engine/format/a.cc", "#include \"engine/file/b.h\"\n"),
              ElementsAre("layers:1"));
  EXPECT_THAT(Broken("engine/txn/a.cc",
                     "#include <vector>\n"
                     "#include \"absl/status/status.h\"\n"
                     "#include \"engine/txn/a.h\"\n"
                     "#include \"engine/domain/b.h\"\n"),
              ElementsAre("layers:4"));
  EXPECT_THAT(Broken("util/a.cc", "#include \"eve/domain.h\"\n"),
              ElementsAre("layers:1"));
  EXPECT_THAT(Broken("engine/capi/a.cc", "#include \"engine/cli/b.h\"\n"),
              ElementsAre("layers:1"));
}

TEST(LayersTest, VerifySharesNoCodeWithWhatItChecks) {
  EXPECT_THAT(Broken("engine/verify/a.cc",
                     "#include \"eve/status.h\"\n"
                     "#include \"engine/format/b.h\"\n"
                     "#include \"engine/file/b.h\"\n"
                     "#include \"engine/alloc/b.h\"\n"
                     "#include \"engine/collections/b.h\"\n"
                     "#include \"engine/txn/b.h\"\n"),
              ElementsAre("layers:4", "layers:5", "layers:6"));
}

TEST(LayersTest, SiblingsDoNotSeeEachOther) {
  const std::string_view siblings[] = {"checkpoint", "reclaim", "verify"};
  for (std::string_view from : siblings) {
    for (std::string_view to : siblings) {
      const auto path = "engine/" + std::string(from) + "/a.cc";
      const auto text = "#include \"engine/" + std::string(to) + "/b.h\"\n";
      EXPECT_EQ(Broken(path, text).empty(), from == to) << path << text;
    }
  }
}

TEST(LayersTest, PublicHeadersNeedStandardLibraryAndAbseilOnly) {
  EXPECT_THAT(Broken("include/eve/a.h",
                     "#include <span>\n"
                     "#include <stdint.h>\n"
                     "#include \"absl/status/status.h\"\n"
                     "#include \"eve/b.h\"\n"
                     "#include \"util/check.h\"\n"
                     "#include \"engine/format/b.h\"\n"
                     "#include <sys/mman.h>\n"
                     "#include <xxhash.h>\n"),
              ElementsAre("layers:5", "layers:6", "layers:7", "layers:8"));
}

TEST(LayersTest, NothingIncludesTestsAndNoFolderIsUnknown) {
  EXPECT_THAT(Broken("engine/file/a.cc", "#include \"tests/testing/b.h\"\n"),
              ElementsAre("layers:1"));
  EXPECT_THAT(Broken("engine/file/a.cc", "#include \"mapping.h\"\n"),
              ElementsAre("layers:1"));
  EXPECT_THAT(Broken("engine/new_layer/a.cc", ""), ElementsAre("layers:1"));
  EXPECT_THAT(Broken("tests/a_test.cc", "#include \"engine/file/b.h\"\n"),
              IsEmpty());
}

TEST(ShapeTest, LongFilesWarnThenFail) {
  const auto lines = [](size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += "\n";
    return CheckShape(MakeSource("util/a.cc", text));
  };
  EXPECT_THAT(lines(kFileLinesSoftMax), IsEmpty());
  ASSERT_EQ(lines(kFileLinesSoftMax + 1).size(), 1u);
  EXPECT_TRUE(lines(kFileLinesMax)[0].warning);
  EXPECT_FALSE(lines(kFileLinesMax + 1)[0].warning);
}

TEST(ShapeTest, LinesHaveEightyColumns) {
  const std::string fits(80, 'x');
  EXPECT_THAT(Broken("util/a.cc", fits + "\n"), IsEmpty());
  EXPECT_THAT(Broken("util/a.cc", "\n" + fits + "x\n"),
              ElementsAre("columns:2"));
  EXPECT_THAT(Broken("util/a.cc", "// https://" + fits + "\n"), IsEmpty());
}

TEST(ShapeTest, SourcesArePrintableAscii) {
  EXPECT_THAT(Broken("util/a.cc", "// \xc3\xa9\n"), ElementsAre("ascii:1"));
  EXPECT_THAT(Broken("util/a.cc", "\tint a;\n"), ElementsAre("ascii:1"));
  EXPECT_THAT(Broken("util/a.cc", "int a;\r\n"), ElementsAre("ascii:1"));
}

TEST(ShapeTest, FileNamesSayWhatIsInside) {
  for (std::string_view path : {"util/a_2.cc", "util/misc.cc",
                                "util/common_types.cc", "util/a_helper.cc"}) {
    EXPECT_THAT(Broken(path, ""), ElementsAre("file-name:1")) << path;
  }
  EXPECT_THAT(Broken("util/int128.cc", ""), IsEmpty());
}

TEST(ShapeTest, HeadersHaveTheGuardOfTheirPath) {
  const auto broken = [](std::string path, std::string_view text) {
    return !CheckShape(MakeSource(std::move(path), text)).empty();
  };
  EXPECT_FALSE(broken("util/a.h",
                      "// What it is.\n#ifndef EVE_UTIL_A_H_\n"
                      "#define EVE_UTIL_A_H_\n#endif\n"));
  EXPECT_FALSE(broken("include/eve/domain.h",
                      "#ifndef EVE_DOMAIN_H_\n#define EVE_DOMAIN_H_\n"));
  EXPECT_TRUE(broken("util/a.h", "#ifndef UTIL_A_H\n#define UTIL_A_H\n"));
  EXPECT_TRUE(broken("util/a.h", "#ifndef EVE_UTIL_A_H_\n#define OTHER_\n"));
  EXPECT_TRUE(broken("util/a.h", "int a;\n"));
  EXPECT_TRUE(broken("util/a.h", ""));
  EXPECT_FALSE(broken("util/a.cc", "int a;\n"));
}

// A body of `lines` lines, opened and closed by a line each.
std::string Body(std::string head, size_t lines) {
  std::string text = std::move(head) + " {\n";
  for (size_t i = 0; i < lines; ++i) text += "  if (x) { y(); }\n";
  return text + "}\n";
}

TEST(FunctionLengthTest, SeventyLinesAreTheLimit) {
  EXPECT_THAT(Broken("util/a.cc", Body("void F()", 68)), IsEmpty());
  EXPECT_THAT(Broken("util/a.cc", Body("void F()", 69)),
              ElementsAre("function-length:1"));
  EXPECT_THAT(Broken("util/a.cc", "int a;\n\n" + Body("TEST(A, B)", 69)),
              ElementsAre("function-length:3"));
}

TEST(FunctionLengthTest, ScopesAreNotFunctions) {
  const std::string member = Body("  int F() const", 30);
  const std::string three = member + member + member;
  EXPECT_THAT(Broken("util/a.cc", "namespace {\n" + three + "}\n"), IsEmpty());
  EXPECT_THAT(Broken("util/a.cc", "class alignas(8) A {\n" + three + "};\n"),
              IsEmpty());
  EXPECT_THAT(
      Broken("util/a.cc",
             "template <typename T = X<int()>>\nstruct A {\n" + three + "};\n"),
      IsEmpty());
  EXPECT_THAT(Broken("util/a.cc",
                     "class A {\n" +
                         Body("  template <class T>\n  A(T t)", 69) + "};\n"),
              ElementsAre("function-length:2"));
}

TEST(FunctionLengthTest, MacroBracesDoNotCount) {
  EXPECT_THAT(
      Broken("util/a.cc", "#define OPEN(x) \\\n  if (x) { \\\n  {\n" +
                              Body("void F()", 40) + Body("void G()", 40)),
      IsEmpty());
}

TEST(WordsTest, BannedWordsAreFoundInCodeOnly) {
  for (std::string_view line :
       {"using namespace std;", "goto end;", "volatile int a;", "assert(a);",
        "#include <cassert>", "#pragma once"}) {
    EXPECT_THAT(Broken("util/a.cc", std::string(line) + "\n"),
                ElementsAre("banned-word:1"))
        << line;
    EXPECT_THAT(Broken("util/a.cc", "// " + std::string(line) + "\n"),
                IsEmpty())
        << line;
  }
  EXPECT_THAT(Broken("util/a.cc", "static_assert(a);\nint gotoo;\n"),
              IsEmpty());
}

TEST(WordsTest, UnstableHashesStayOutOfTheEngine) {
  for (std::string_view line :
       {"std::hash<int> h;", "absl::Hash<int> h;", "absl::HashOf(1);"}) {
    EXPECT_THAT(Broken("engine/file/a.cc", line), ElementsAre("hash:1"));
    EXPECT_THAT(Broken("util/a.cc", line), IsEmpty());
  }
}

TEST(WordsTest, CastsAndOrdersHaveTheirOwners) {
  const std::string_view cast = "auto a = reinterpret_cast<char*>(b);\n";
  EXPECT_THAT(Broken("engine/txn/a.cc", cast),
              ElementsAre("reinterpret-cast:1"));
  EXPECT_THAT(Broken("engine/file/a.cc", cast), IsEmpty());
  for (std::string_view order : {"a.load(std::memory_order_acquire);\n",
                                 "a.load(std::memory_order::acquire);\n"}) {
    EXPECT_THAT(Broken("engine/txn/a.cc", order),
                ElementsAre("memory-order:1"));
    EXPECT_THAT(Broken("engine/root/root_slot.cc", order), IsEmpty());
  }
}

TEST(WordsTest, TestsDoNotSleep) {
  for (std::string_view line :
       {"sleep(1);", "::usleep(1);", "nanosleep(a, b);",
        "std::this_thread::sleep_for(a);", "absl::SleepFor(a);"}) {
    EXPECT_THAT(Broken("tests/a_test.cc", line), ElementsAre("sleep:1"));
  }
}

TEST(WordsTest, UnfinishedWorkHasAnOwner) {
  EXPECT_THAT(Broken("util/a.cc", "int a;  // TODO: more\n"),
              ElementsAre("todo:1"));
  EXPECT_THAT(Broken("util/a.cc", "// TODO() more\n"), ElementsAre("todo:1"));
  EXPECT_THAT(Broken("util/a.cc", "// TODO(#12): more\n"), IsEmpty());
  EXPECT_THAT(Broken("util/a.cc", "// TODO(ann): more\n"), IsEmpty());
  EXPECT_THAT(Broken("util/a.cc", "// FIXME(ann)\n"), ElementsAre("todo:1"));
}

TEST(WordsTest, CatchesHandleSomething) {
  EXPECT_THAT(Broken("util/a.cc", "try {\n} catch (...) {\n  // why\n}\n"),
              ElementsAre("empty-catch:2"));
  EXPECT_THAT(Broken("util/a.cc", "try { } catch (A& a) { b(); }\n"),
              IsEmpty());
}

TEST(LayoutTest, StructsOfTheFormatAssertTheirLayout) {
  constexpr std::string_view kBad =
      "// PERSISTED. Bytes 0..7.\n"
      "// More.\n"
      "struct Header {\n"
      "  uint64_t magic;\n"
      "};\n";
  EXPECT_THAT(Broken("engine/format/a.cc", kBad), ElementsAre("layout:3"));
  EXPECT_THAT(Broken("engine/format/a.cc",
                     std::string(kBad) + "EVE_LAYOUT(Header, 8, 8);\n"),
              IsEmpty());
  EXPECT_THAT(Broken("engine/format/a.cc",
                     std::string(kBad) + "EVE_LAYOUT(HeaderB, 8, 8);\n"),
              ElementsAre("layout:3"));
  EXPECT_THAT(Broken("engine/format/a.cc",
                     "// SHARED.\nstruct alignas(64) Cell {\n};\n"),
              ElementsAre("layout:2"));
  EXPECT_THAT(Broken("engine/format/a.cc",
                     "// PERSISTED.\nenum class Kind : uint8_t { kA };\n"
                     "// PRIVATE.\nstruct View {};\nstruct Later;\n"),
              IsEmpty());
  EXPECT_THAT(
      Broken("engine/format/a.cc", "// PRIVATE.\nint a;\nstruct View {\n};\n"),
      ElementsAre("layout:3"));
  EXPECT_THAT(Broken("engine/root/a.cc", "struct View {\n};\n"), IsEmpty());
}

TEST(AllowListTest, AnEntryCoversItsFolderItsFileAndItsTextOnly) {
  constexpr Allowance kList[] = {
      {"layers", "util/a", "eve/b.h", "test"},
      {"banned-word", "util/c/", "", "test"},
  };
  constexpr std::string_view kInclude = "#include \"eve/b.h\"\n";
  EXPECT_THAT(Broken("util/a.cc", kInclude, kList), IsEmpty());
  EXPECT_THAT(Broken("util/ab.cc", kInclude, kList), ElementsAre("layers:1"));
  EXPECT_THAT(Broken("util/a.cc", "#include \"eve/c.h\"\n", kList),
              ElementsAre("layers:1"));
  EXPECT_THAT(Broken("util/c/d.cc", "goto a;\n", kList), IsEmpty());
  EXPECT_THAT(Broken("util/d.cc", "goto a;\n", kList),
              ElementsAre("banned-word:1"));
}

TEST(AllowListTest, EveryEntryHasAReason) {
  for (const Allowance& allowance : kAllowances) {
    EXPECT_FALSE(allowance.reason.empty()) << allowance.path;
  }
}

}  // namespace
}  // namespace eve::tidy
