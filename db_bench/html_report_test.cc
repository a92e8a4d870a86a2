// The page of --report: every figure of every engine is in it, in order, and
// nothing that is printed can become markup.
#include "db_bench/html_report.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace eve::bench {
namespace {

size_t CountOf(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

Result MakeResult(const char* engine, int phase, const char* workload,
                  double rate) {
  Result result;
  result.engine = engine;
  result.workload = FindWorkload(workload);
  result.phase = phase;
  result.ops_per_second = rate;
  result.micros_per_op = 1e6 / rate;
  result.operations = 100;
  for (uint64_t i = 1; i <= 100; ++i) result.latencies.Add(i * 1000);
  return result;
}

Report MakeReport() {
  Report report;
  report.engines = {"eve", "lmdb"};
  report.command_line = "db_bench --benchmarks=fillseq,readrandom";
  report.results = {MakeResult("eve", 0, "fillseq", 1234567),
                    MakeResult("lmdb", 0, "fillseq", 2469134),
                    MakeResult("eve", 1, "readrandom", 765432.4)};
  report.left_out = {{"lmdb", "readrandom", "it has no time"}};
  return report;
}

TEST(HtmlReportTest, EveryResultHasABarOfItsLength) {
  const std::string page = HtmlReport(MakeReport());
  EXPECT_EQ(CountOf(page, "class=\"bar\""), 3u);
  const size_t eve = page.find("data-workload=\"fillseq\" data-engine=\"eve\"");
  const size_t lmdb =
      page.find("data-workload=\"fillseq\" data-engine=\"lmdb\"");
  ASSERT_NE(eve, std::string::npos);
  ASSERT_LT(eve, lmdb);
  EXPECT_EQ(page.find("width:50.00%", eve), page.find("width:", eve));
  EXPECT_EQ(page.find("width:100.00%", lmdb), page.find("width:", lmdb));
  EXPECT_NE(page.find("1,234,567", eve), std::string::npos);
  EXPECT_NE(page.find("2,469,134", lmdb), std::string::npos);
  EXPECT_NE(page.find("765,432<"), std::string::npos);
}

// P50 to P99.9 of 1 to 100 us, in buckets 3 % wide.
TEST(HtmlReportTest, PercentilesAreThoseOfTheHistogram) {
  const std::string page = HtmlReport(MakeReport());
  const size_t row = page.find("data-percentiles=\"readrandom eve\"");
  ASSERT_NE(row, std::string::npos);
  const std::string cells = page.substr(row, page.find("</tr>", row) - row);
  EXPECT_EQ(CountOf(cells, "<td>"), 7u);
  LatencyHistogram histogram;
  for (uint64_t i = 1; i <= 100; ++i) histogram.Add(i * 1000);
  EXPECT_NEAR(histogram.PercentileMicros(50), 50, 1.6);
  EXPECT_NEAR(histogram.PercentileMicros(99), 99, 3.1);
  EXPECT_EQ(histogram.PercentileMicros(99.99), 100);
  EXPECT_NE(cells.find("<td>100</td></tr>"), cells.size());
  EXPECT_NE(cells.find(absl::StrFormat("%.1f", histogram.PercentileMicros(50))),
            std::string::npos);
}

TEST(HtmlReportTest, TextCannotBecomeMarkup) {
  Report report = MakeReport();
  const std::string evil = "</pre><script>alert('1')</script>\"&";
  const std::string tame =
      "&lt;/pre&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;";
  report.command_line = evil;
  report.messages = {evil};
  report.engines.push_back(evil);
  report.results.push_back(MakeResult(evil.c_str(), 1, "readrandom", 10));
  report.left_out.push_back({evil, evil, evil});
  report.environment.machine = {{evil, evil}};
  report.environment.engines = {{evil, evil}};
  report.environment.sizes = {{evil, evil}};
  report.environment.warnings = {evil};
  const std::string page = HtmlReport(report);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  // Three names of columns and rows, three of data, and all of the above.
  EXPECT_GE(CountOf(page, tame), 18u);
}

TEST(HtmlReportTest, SaysInWhatABenchmarkDiffersFromTheRun) {
  Report report = MakeReport();
  report.results[0].conditions = {"durability: a & b", "values: large"};
  report.results[1].conditions = {"durability: c", "values: large"};
  const std::string page = HtmlReport(report);
  const size_t first = page.find("id=\"w0\"");
  const size_t second = page.find("id=\"w1\"");
  for (const char* line : {"durability: a &amp; b", "durability: c"}) {
    EXPECT_GT(page.find(line), first);
    EXPECT_LT(page.find(line), second);
  }
  EXPECT_EQ(CountOf(page, "values: large"), 1u);
}

TEST(HtmlReportTest, SaysWhatIsLeftOutAndWhatFailed) {
  Report report = MakeReport();
  std::string page = HtmlReport(report);
  EXPECT_NE(page.find("readrandom on lmdb: it has no time"), std::string::npos);
  EXPECT_EQ(page.find("Some benchmark failed"), std::string::npos);
  report.failed = true;
  page = HtmlReport(report);
  EXPECT_NE(page.find("Some benchmark failed"), std::string::npos);
}

TEST(HtmlReportTest, ARunWithoutResultsIsAPage) {
  const std::string page = HtmlReport(Report{});
  EXPECT_EQ(CountOf(page, "class=\"bar\""), 0u);
  EXPECT_NE(page.find("</html>"), std::string::npos);
}

}  // namespace
}  // namespace eve::bench
