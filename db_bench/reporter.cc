#include "db_bench/reporter.h"

#include <errno.h>
#include <string.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace eve::bench {
namespace {

constexpr double kMiB = 1048576.0;
constexpr char kOurEngine[] = "eve";

double Median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  if (values.size() % 2 == 1) return values[half];
  return (values[half - 1] + values[half]) / 2;
}

bool EndsIn(std::string_view name, std::string_view unit) {
  return name.size() > unit.size() &&
         name.substr(name.size() - unit.size()) == unit;
}

std::string NameOf(const Workload& workload) {
  return std::string(workload.name);
}

std::string PercentilesLine(const LatencyHistogram& h) {
  return absl::StrFormat(
      "Percentiles: P50: %.2f P75: %.2f P99: %.2f P99.9: %.2f P99.99: %.2f",
      h.PercentileMicros(50), h.PercentileMicros(75), h.PercentileMicros(99),
      h.PercentileMicros(99.9), h.PercentileMicros(99.99));
}

// What LevelDB and RocksDB say at the end of the line.
std::string Remark(const Measurement& m) {
  if (m.workload->Reads()) {
    return absl::StrFormat(" (%d of %d found)", m.found, m.lookups);
  }
  switch (m.workload->kind) {
    case OpKind::kUpdate:
      return absl::StrFormat(" ( updates:%d found:%d)", m.operations, m.found);
    case OpKind::kReadsAndWrites:
      return absl::StrFormat(" ( reads:%d writes:%d total:%d found:%d)",
                             m.lookups, m.operations - m.lookups, m.operations,
                             m.found);
    case OpKind::kChecksum:
      return absl::StrFormat(" (4K per op; %s, not CRC-32C)", m.checksum);
    default:
      return "";
  }
}

}  // namespace

namespace {

// How fast the slowest worker was, by the fastest.
void AddFairness(absl::Span<const WorkerResult> results, Measurement& sum) {
  double slowest = std::numeric_limits<double>::infinity();
  double fastest = 0;
  int workers = 0;
  for (const WorkerResult& result : results) {
    if (result.operations == 0) continue;
    const auto nanos =
        static_cast<double>(result.end_nanos - result.start_nanos + 1);
    const double speed = static_cast<double>(result.operations) / nanos;
    slowest = std::min(slowest, speed);
    fastest = std::max(fastest, speed);
    ++workers;
  }
  if (workers < 2) return;
  sum.figures.push_back({"slowest_by_fastest_worker_ratio", slowest / fastest});
}

}  // namespace

std::string InWords(const NamedFigure& figure) {
  const std::string_view name = figure.name;
  const double value = figure.value;
  size_t size = name.size();
  std::string amount;
  if (EndsIn(name, "_bytes")) {
    size -= std::string_view("_bytes").size();
    amount = absl::StrFormat("%.1f MB", value / kMiB);
  } else if (EndsIn(name, "_seconds")) {
    size -= std::string_view("_seconds").size();
    amount = absl::StrFormat("%.1f s", value);
  } else if (EndsIn(name, "_us")) {
    size -= std::string_view("_us").size();
    amount = absl::StrFormat("%.2f us", value);
  } else if (EndsIn(name, "_ratio")) {
    size -= std::string_view("_ratio").size();
    amount = absl::StrFormat("%.2fx", value);
  } else {
    amount = absl::StrFormat("%.*f", value == std::floor(value) ? 0 : 1, value);
  }
  std::string words(name.substr(0, size));
  std::replace(words.begin(), words.end(), '_', ' ');
  return absl::StrCat(words, ": ", amount);
}

double Measurement::OpsPerSecond() const {
  return static_cast<double>(operations) / seconds;
}

double Measurement::MicrosPerOp() const {
  return worker_seconds * 1e6 / static_cast<double>(operations);
}

double Measurement::CpuMicrosPerOp() const {
  return cpu_seconds * 1e6 / static_cast<double>(operations);
}

Measurement MergeWorkers(absl::Span<const WorkerResult> results) {
  Measurement sum;
  uint64_t start = std::numeric_limits<uint64_t>::max();
  uint64_t end = 0;
  for (const WorkerResult& result : results) {
    sum.operations += result.operations;
    sum.lookups += result.lookups;
    sum.found += result.found;
    sum.bytes += result.bytes;
    sum.verify_failures += result.verify_failures;
    sum.latencies.Merge(result.latencies);
    sum.figures.insert(sum.figures.end(), result.figures,
                       result.figures + result.figure_count);
    sum.worker_seconds +=
        static_cast<double>(result.end_nanos - result.start_nanos) * 1e-9;
    start = std::min(start, result.start_nanos);
    end = std::max(end, result.end_nanos);
  }
  AddFairness(results, sum);
  // At least a nanosecond, so that no rate is infinite.
  sum.seconds = static_cast<double>(std::max(end, start + 1) - start) * 1e-9;
  return sum;
}

Reporter::~Reporter() {
  if (json_ != nullptr) std::fclose(json_);
}

absl::Status Reporter::OpenJson(const std::string& path) {
  json_ = std::fopen(path.c_str(), "w");
  if (json_ != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--json: ", path, ": ", strerror(errno)));
}

void Reporter::Add(const Measurement& m) {
  // RocksDB's tools/benchmark.sh takes this line apart by its blanks.
  absl::PrintF(
      "%-12s : %11.3f micros/op %.0f ops/sec %.3f seconds "
      "%d operations; %6.1f MB/s%s\n",
      NameOf(*m.workload), m.MicrosPerOp(), m.OpsPerSecond(), m.seconds,
      m.operations, static_cast<double>(m.bytes) / kMiB / m.seconds, Remark(m));
  const std::string percentiles = PercentilesLine(m.latencies);
  if (config_.histogram) {
    absl::PrintF("Microseconds per op:\n%s", m.latencies.ToString(percentiles));
  } else {
    absl::PrintF("%s\n", percentiles);
  }
  absl::PrintF("  cpu: %.3f s\n", m.cpu_seconds);
  for (const std::string& condition : ConditionsOf(m)) {
    absl::PrintF("  %s\n", condition);
  }
  for (const NamedFigure& figure : m.figures) {
    absl::PrintF("  %s\n", InWords(figure));
  }
  std::fflush(stdout);
  if (json_ != nullptr) PrintJson(m);
  all_.push_back(m);
}

std::vector<std::string> Reporter::ConditionsOf(const Measurement& m) const {
  std::vector<std::string> conditions;
  const Durability durability = config_.DurabilityOf(*m.workload);
  if (durability != config_.durability) {
    conditions.push_back(absl::StrFormat("durability of this one: %s, %s: %s",
                                         NameOf(durability), m.engine,
                                         m.durability));
  }
  const size_t bytes = config_.ValueBytesOf(m.phase);
  if (bytes != config_.values.Average()) {
    conditions.push_back(
        absl::StrFormat("values of this one: %d bytes each", bytes));
  }
  return conditions;
}

void Reporter::AddLeftOut(const std::string& engine, const Workload& workload,
                          const std::string& why) {
  absl::PrintF("%s left out: %s\n", NameOf(workload), why);
  for (const LeftOut& known : left_out_) {
    if (known.engine == engine && known.workload == workload.name) return;
  }
  left_out_.push_back({engine, NameOf(workload), why});
}

void Reporter::PrintJson(const Measurement& m) {
  std::string line = absl::StrFormat(
      "{\"schema\":1,\"benchmark\":\"%s\",\"engine\":\"%s\","
      "\"collection\":\"%s\",\"phase\":%d,\"repeat\":%d,\"num\":%d,"
      "\"threads\":%d,\"processes\":%d,\"batch_size\":%d",
      NameOf(*m.workload), m.engine, config_.collection, m.phase, m.repeat,
      config_.num, config_.threads, config_.processes,
      config_.BatchOf(*m.workload));
  absl::StrAppendFormat(
      &line,
      ",\"key_type\":\"%s\",\"key_size\":%d,\"value_size\":%d,\"durability\":"
      "\"%s\","
      "\"distribution\":\"%s\",\"operations\":%d,\"bytes\":%d,"
      "\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"micros_per_op\":%.4f,"
      "\"ops_per_sec\":%.1f",
      NameOfType(config_.keys.type), config_.keys.size,
      config_.ValueBytesOf(m.phase), NameOf(config_.DurabilityOf(*m.workload)),
      config_.distribution_name, m.operations, m.bytes, m.seconds,
      m.cpu_seconds, m.MicrosPerOp(), m.OpsPerSecond());
  const LatencyHistogram& h = m.latencies;
  absl::StrAppendFormat(
      &line,
      ",\"p50_us\":%.3f,\"p75_us\":%.3f,\"p99_us\":%.3f,"
      "\"p999_us\":%.3f,\"p9999_us\":%.3f,\"max_us\":%.3f,"
      "\"lookups\":%d,\"found\":%d,\"file_bytes\":%d,\"disk_bytes\":%d",
      h.PercentileMicros(50), h.PercentileMicros(75), h.PercentileMicros(99),
      h.PercentileMicros(99.9), h.PercentileMicros(99.99), h.MaxMicros(),
      m.lookups, m.found, m.size.file_bytes, m.size.disk_bytes);
  for (const NamedFigure& figure : m.figures) {
    absl::StrAppendFormat(&line, ",\"%s\":%.*f", figure.name,
                          EndsIn(figure.name, "_bytes") ? 0 : 4, figure.value);
  }
  line += "}\n";
  std::fputs(line.c_str(), json_);
  std::fflush(json_);
}

absl::Status Reporter::CheckAgreement() const {
  for (const Measurement& m : all_) {
    for (const Measurement& other : all_) {
      if (m.phase != other.phase || m.repeat != other.repeat ||
          m.found == other.found || !m.comparable || !other.comparable) {
        continue;
      }
      return absl::DataLossError(
          absl::StrCat(NameOf(*m.workload), ": ", m.engine, " found ", m.found,
                       ", ", other.engine, " found ", other.found));
    }
  }
  return absl::OkStatus();
}

double Reporter::MedianOf(Figure figure, const std::string& engine,
                          int phase) const {
  std::vector<double> values;
  for (const Measurement& m : all_) {
    if (m.engine == engine && m.phase == phase) {
      values.push_back((m.*figure)());
    }
  }
  return Median(std::move(values));
}

std::vector<Result> Reporter::Summarize(
    const std::vector<std::string>& engines) const {
  std::vector<Result> results;
  for (size_t i = 0; i < config_.workloads.size(); ++i) {
    const int phase = static_cast<int>(i);
    for (const std::string& engine : engines) {
      Result result{.engine = engine,
                    .workload = config_.workloads[i],
                    .phase = phase,
                    .ops_per_second = MedianOps(engine, phase),
                    .micros_per_op = MedianMicros(engine, phase)};
      if (std::isnan(result.ops_per_second)) continue;
      for (const Measurement& m : all_) {
        if (m.engine != engine || m.phase != phase) continue;
        result.operations += static_cast<double>(m.operations);
        result.latencies.Merge(m.latencies);
        result.disk_bytes = m.size.disk_bytes;
        result.figures = m.figures;
        result.conditions = ConditionsOf(m);
      }
      results.push_back(std::move(result));
    }
  }
  return results;
}

// Its lines are set in: benchmark.sh looks for those that begin with the name
// of a benchmark.
void Reporter::PrintSummary(const std::vector<std::string>& engines) const {
  absl::PrintF("\nSummary: medians; ratio = ops/sec of eve / of the rival\n");
  absl::PrintF("  %-22s", "benchmark");
  for (const std::string& engine : engines) {
    absl::PrintF(" %12s us %9s/s", engine, "ops");
  }
  for (const std::string& engine : engines) {
    if (engine != kOurEngine) absl::PrintF(" %12s", "eve/" + engine);
  }
  absl::PrintF("\n");
  for (size_t i = 0; i < config_.workloads.size(); ++i) {
    if (config_.workloads[i]->MeasuresNothing()) continue;
    const int phase = static_cast<int>(i);
    absl::PrintF("  %-22s", NameOf(*config_.workloads[i]));
    for (const std::string& engine : engines) {
      const double ops = MedianOps(engine, phase);
      if (std::isnan(ops)) {
        absl::PrintF(" %15s %11s", "-", "-");
      } else {
        absl::PrintF(" %15.3f %11.0f", MedianMicros(engine, phase), ops);
      }
    }
    for (const std::string& engine : engines) {
      if (engine == kOurEngine) continue;
      const double ratio =
          MedianOps(kOurEngine, phase) / MedianOps(engine, phase);
      if (std::isnan(ratio)) {
        absl::PrintF(" %12s", "-");
      } else {
        absl::PrintF(" %11.2fx", ratio);
      }
    }
    absl::PrintF("\n");
  }
  PrintCpu(engines);
}

void Reporter::PrintCpu(const std::vector<std::string>& engines) const {
  absl::PrintF(
      "\nProcessor time: us per operation of all threads of the processes, "
      "background "
      "work too\n  %-22s",
      "benchmark");
  for (const std::string& engine : engines) absl::PrintF(" %12s", engine);
  absl::PrintF("\n");
  for (size_t i = 0; i < config_.workloads.size(); ++i) {
    if (config_.workloads[i]->MeasuresNothing()) continue;
    absl::PrintF("  %-22s", NameOf(*config_.workloads[i]));
    for (const std::string& engine : engines) {
      const double micros =
          MedianOf(&Measurement::CpuMicrosPerOp, engine, static_cast<int>(i));
      if (std::isnan(micros)) {
        absl::PrintF(" %12s", "-");
      } else {
        absl::PrintF(" %12.3f", micros);
      }
    }
    absl::PrintF("\n");
  }
}

}  // namespace eve::bench
