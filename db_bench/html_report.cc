#include "db_bench/html_report.h"

#include <errno.h>
#include <string.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "db_bench/html_style.h"

namespace eve::bench {
namespace {

constexpr double kMiB = 1048576.0;
// Colours that the style has.
constexpr size_t kColours = 5;
constexpr double kPercents[] = {50, 75, 99, 99.9, 99.99};
constexpr const char* kPercentNames[] = {"P50", "P75", "P99", "P99.9",
                                         "P99.99"};
static_assert(std::size(kPercents) == std::size(kPercentNames));

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// 2427184.4 -> "2,427,184", 7.25 -> "7.25"
std::string WithCommas(double value) {
  if (value < 100) return absl::StrFormat("%.*f", value < 10 ? 2 : 1, value);
  std::string digits = absl::StrFormat("%.0f", value);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

// Three digits that count.
std::string Micros(double micros) {
  if (micros >= 1000) return WithCommas(micros);
  const int decimals = micros >= 100 ? 0 : micros >= 10 ? 1 : 2;
  return absl::StrFormat("%.*f", decimals, micros);
}

// All results of one benchmark.
struct Group {
  const Workload* workload;
  int phase;
  std::vector<const Result*> results;
};

std::vector<Group> GroupsOf(const Report& report) {
  std::vector<Group> groups;
  for (const Result& result : report.results) {
    if (groups.empty() || groups.back().phase != result.phase) {
      groups.push_back({result.workload, result.phase, {}});
    }
    groups.back().results.push_back(&result);
  }
  return groups;
}

// An engine has the same colour in all charts, whatever was left out.
std::string ColourOf(const std::string& engine) {
  const auto known = KnownEngines();
  const auto it = std::find_if(
      known.begin(), known.end(),
      [&](const KnownEngine& candidate) { return candidate.name == engine; });
  const auto position = static_cast<size_t>(it - known.begin());
  return absl::StrCat("e", position % kColours);
}

double FastestOf(const Group& group) {
  double fastest = 0;
  for (const Result* result : group.results) {
    fastest = std::max(fastest, result->ops_per_second);
  }
  return fastest;
}

// Positions on a logarithmic scale over whole powers of ten.
class LogScale {
 public:
  explicit LogScale(const Group& group) {
    double low = 1e12;
    double high = 0;
    for (const Result* result : group.results) {
      low = std::min(low, result->latencies.PercentileMicros(50));
      high = std::max(high, result->latencies.PercentileMicros(99.9));
    }
    low = std::max(low, 1e-3);
    first_ = std::floor(std::log10(low));
    last_ = std::max(first_ + 1, std::ceil(std::log10(std::max(high, low))));
  }
  // In percent of the width.
  double At(double micros) const {
    const double power = std::log10(std::max(micros, 1e-3));
    return std::clamp(100 * (power - first_) / (last_ - first_), 0.0, 100.0);
  }
  // Names of the powers, below the tracks.
  std::string Axis() const {
    std::string axis = "<span></span><div class=\"axis\" aria-hidden=\"true\">";
    for (double power = first_; power <= last_; ++power) {
      absl::StrAppendFormat(&axis, "<span style=\"left:%.2f%%\">%s</span>",
                            PositionOf(power), TimeOf(power));
    }
    return axis + "</div><span></span>\n";
  }
  // Lines at the powers, inside of a track.
  std::string Lines() const {
    std::string lines;
    for (double power = first_ + 1; power < last_; ++power) {
      absl::StrAppendFormat(
          &lines, "<span class=\"line\" style=\"left:%.2f%%\"></span>",
          PositionOf(power));
    }
    return lines;
  }

 private:
  double PositionOf(double power) const {
    return 100 * (power - first_) / (last_ - first_);
  }
  static std::string TimeOf(double power) {
    if (power < 3) return absl::StrFormat("%g us", std::pow(10, power));
    if (power < 6) return absl::StrFormat("%g ms", std::pow(10, power - 3));
    return absl::StrFormat("%g s", std::pow(10, power - 6));
  }

  double first_;
  double last_;
};

void AppendRates(const Group& group, std::string* page) {
  const double fastest = FastestOf(group);
  *page +=
      "<div><h3>Operations per second, longer is better</h3>\n"
      "<div class=\"rows rates\">\n";
  for (const Result* result : group.results) {
    const double part =
        fastest > 0 ? 100 * result->ops_per_second / fastest : 0;
    absl::StrAppendFormat(
        page,
        "<div class=\"row %s\" data-workload=\"%s\" data-engine=\"%s\">"
        "<span class=\"name\">%s</span>"
        "<span class=\"track\"><span class=\"bar\" style=\"width:%.2f%%\">"
        "</span></span><span class=\"value\">%s</span></div>\n",
        ColourOf(result->engine), Escaped(group.workload->name),
        Escaped(result->engine), Escaped(result->engine), part,
        WithCommas(result->ops_per_second));
  }
  *page += "</div></div>\n";
}

// Of one call: a transaction, or a look-up of several keys.
std::string CallOf(const Group& group) {
  const Result& first = *group.results.front();
  const double calls = static_cast<double>(first.latencies.count());
  const double each = calls > 0 ? first.operations / calls : 1;
  if (each < 1.5) return "Latency of an operation";
  return absl::StrCat("Latency of a call of ", WithCommas(std::ceil(each)),
                      " operations");
}

void AppendLatencyBars(const Group& group, std::string* page) {
  const LogScale scale(group);
  absl::StrAppend(page, "<div><h3>", CallOf(group),
                  ": P50 to P99.9, mark at P99; less is better</h3>\n<div "
                  "class=\"rows spans\">\n");
  for (const Result* result : group.results) {
    const double from = scale.At(result->latencies.PercentileMicros(50));
    const double to = scale.At(result->latencies.PercentileMicros(99.9));
    absl::StrAppendFormat(
        page,
        "<div class=\"row %s\"><span class=\"name\">%s</span>"
        "<span class=\"track\">%s<span class=\"span\" "
        "style=\"left:%.2f%%;width:%.2f%%\"></span><span class=\"tick\" "
        "style=\"left:%.2f%%\"></span></span><span></span></div>\n",
        ColourOf(result->engine), Escaped(result->engine), scale.Lines(), from,
        to - from, scale.At(result->latencies.PercentileMicros(99)));
  }
  absl::StrAppend(page, scale.Axis(), "</div></div>\n");
}

void AppendPercentiles(const Group& group, std::string* page) {
  *page += "<div class=\"wide all\"><table><thead><tr><th></th><th>us/op</th>";
  for (const char* name : kPercentNames) {
    absl::StrAppend(page, "<th>", name, "</th>");
  }
  *page += "<th>max</th></tr></thead><tbody>\n";
  for (const Result* result : group.results) {
    absl::StrAppendFormat(page, "<tr data-percentiles=\"%s %s\"><th>%s</th>",
                          Escaped(group.workload->name),
                          Escaped(result->engine), Escaped(result->engine));
    absl::StrAppend(page, "<td>", Micros(result->micros_per_op), "</td>");
    for (const double percent : kPercents) {
      absl::StrAppend(page, "<td>",
                      Micros(result->latencies.PercentileMicros(percent)),
                      "</td>");
    }
    absl::StrAppend(page, "<td>", Micros(result->latencies.MaxMicros()),
                    "</td></tr>\n");
  }
  *page += "</tbody></table></div>\n";
}

// In what a benchmark differs from what is said of the whole run.
void AppendBenchmarkConditions(const Group& group, std::string* page) {
  std::vector<std::string> lines;
  for (const Result* result : group.results) {
    for (const std::string& condition : result->conditions) {
      // What is the same for all engines is said once.
      if (!absl::c_linear_search(lines, condition)) lines.push_back(condition);
    }
  }
  if (lines.empty()) return;
  *page += "<ul class=\"figures\">\n";
  for (const std::string& line : lines) {
    absl::StrAppend(page, "<li>", Escaped(line), "</li>\n");
  }
  *page += "</ul>\n";
}

// What the workloads of space and some others tell beside their speed.
void AppendFigures(const Group& group, std::string* page) {
  for (const Result* result : group.results) {
    if (result->figures.empty()) continue;
    absl::StrAppend(page, "<details><summary>More figures of ",
                    Escaped(result->engine), "</summary>\n",
                    "<ul class=\"figures\">\n");
    for (const NamedFigure& figure : result->figures) {
      absl::StrAppend(page, "<li>", Escaped(InWords(figure)), "</li>\n");
    }
    *page += "</ul></details>\n";
  }
}

void AppendGroup(const Group& group, std::string* page) {
  const std::string name = Escaped(group.workload->name);
  absl::StrAppendFormat(page,
                        "<section class=\"card\" id=\"w%d\"><h2>%s</h2>"
                        "<p class=\"soft\">%s</p>\n",
                        group.phase, name, Escaped(group.workload->what));
  AppendBenchmarkConditions(group, page);
  *page += "<div class=\"parts\">\n";
  AppendRates(group, page);
  AppendLatencyBars(group, page);
  AppendPercentiles(group, page);
  *page += "</div>\n";
  AppendFigures(group, page);
  *page += "</section>\n";
}

// Every benchmark in a line, the fastest engine in bold.
void AppendOverview(const Report& report, const std::vector<Group>& groups,
                    std::string* page) {
  *page +=
      "<section class=\"card\"><h2>Operations per second</h2>\n"
      "<div class=\"wide\"><table><thead><tr><th>benchmark</th>";
  for (const std::string& engine : report.engines) {
    absl::StrAppendFormat(page,
                          "<th class=\"%s\"><span class=\"key\"></span>"
                          "%s</th>",
                          ColourOf(engine), Escaped(engine));
  }
  *page += "</tr></thead><tbody>\n";
  for (const Group& group : groups) {
    const double fastest = FastestOf(group);
    absl::StrAppendFormat(page, "<tr><th><a href=\"#w%d\">%s</a></th>",
                          group.phase, Escaped(group.workload->name));
    for (const std::string& engine : report.engines) {
      const auto it = std::find_if(
          group.results.begin(), group.results.end(),
          [&](const Result* result) { return result->engine == engine; });
      if (it == group.results.end()) {
        *page += "<td class=\"soft\">&ndash;</td>";
        continue;
      }
      const double rate = (*it)->ops_per_second;
      absl::StrAppend(page, rate == fastest ? "<td class=\"best\">" : "<td>",
                      WithCommas(rate), "</td>");
    }
    *page += "</tr>\n";
  }
  *page += "</tbody></table></div></section>\n";
}

void AppendFacts(const std::vector<Environment::Fact>& facts,
                 std::string* page) {
  for (const Environment::Fact& fact : facts) {
    absl::StrAppend(page, "<dt>", Escaped(fact.name), "</dt><dd>",
                    Escaped(fact.text), "</dd>\n");
  }
}

void AppendConditions(const Report& report, std::string* page) {
  *page +=
      "<section class=\"card\"><h2>What the figures depend on</h2>\n"
      "<p class=\"soft\">In each benchmark every engine had the same keys, "
      "values, batches and "
      "durability, and every value read was verified in the same way. "
      "Percentiles are of whole transactions and of whole calls.</p>\n"
      "<div class=\"parts one\">"
      "<dl>\n";
  AppendFacts(report.environment.versions, page);
  AppendFacts(report.environment.machine, page);
  AppendFacts(report.environment.sizes, page);
  AppendFacts(report.environment.engines, page);
  absl::StrAppend(page, "</dl>\n<div><h3>Command</h3><pre>",
                  Escaped(report.command_line), "</pre></div>\n");
  if (!report.left_out.empty() || !report.messages.empty()) {
    *page += "<div><h3>Left out</h3><ul class=\"figures\">\n";
    for (const std::string& message : report.messages) {
      absl::StrAppend(page, "<li>", Escaped(message), "</li>\n");
    }
    for (const LeftOut& item : report.left_out) {
      absl::StrAppendFormat(page, "<li>%s on %s: %s</li>\n",
                            Escaped(item.workload), Escaped(item.engine),
                            Escaped(item.why));
    }
    *page += "</ul></div>\n";
  }
  *page += "</div></section>\n";
}

std::string TextOf(const std::vector<Environment::Fact>& facts,
                   std::string_view name) {
  for (const Environment::Fact& fact : facts) {
    if (fact.name == name) return fact.text;
  }
  return "";
}

absl::Status FileError(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat("--report: ", path, ": ", strerror(errno)));
}

}  // namespace

std::string HtmlReport(const Report& report) {
  std::string page = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n"
      // The page asks for nothing; this makes sure of it.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
      "'none'; style-src 'unsafe-inline'\">\n"
      "<title>db_bench</title>\n<style>",
      kHtmlStyle, "</style>\n</head>\n<body>\n<main>\n<h1>db_bench</h1>\n");
  const Environment& environment = report.environment;
  absl::StrAppend(
      &page, "<p class=\"soft\">", Escaped(TextOf(environment.machine, "Date")),
      ". ", Escaped(TextOf(environment.machine, "CPU")), ". ",
      Escaped(TextOf(environment.sizes, "Entries")), " entries, durability ",
      Escaped(TextOf(environment.machine, "Durability")), ".</p>\n");
  for (const std::string& warning : environment.warnings) {
    absl::StrAppend(&page, "<p class=\"warn\">", Escaped(warning), "</p>\n");
  }
  if (report.failed) {
    page += "<p class=\"warn\">Some benchmark failed: this is not all.</p>\n";
  }
  if (report.interrupted) {
    page += "<p class=\"warn\">The run was interrupted: this is not all.</p>\n";
  }
  const std::vector<Group> groups = GroupsOf(report);
  AppendOverview(report, groups, &page);
  for (const Group& group : groups) AppendGroup(group, &page);
  AppendConditions(report, &page);
  page += "</main>\n</body>\n</html>\n";
  return page;
}

absl::Status CheckReportPath(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) return FileError(path);
  std::fclose(file);
  return absl::OkStatus();
}

absl::Status WriteHtmlReport(const std::string& path, const Report& report) {
  if (path.empty()) return absl::OkStatus();
  const std::string page = HtmlReport(report);
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return FileError(path);
  const size_t written = std::fwrite(page.data(), 1, page.size(), file);
  if (std::fclose(file) != 0 || written != page.size()) return FileError(path);
  return absl::OkStatus();
}

}  // namespace eve::bench
