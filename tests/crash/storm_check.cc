#include "tests/crash/storm_check.h"

#include <fcntl.h>

#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "engine/verify/verifier.h"
#include "util/status_macros.h"

namespace eve::testing {
namespace {

// Two writers with four streams each, what is prepared for the next, and what
// is being emptied.
constexpr uint64_t kClaimedMax = 9 + 16;
// The content is bounded, so the file is: what the dead had claimed must be
// used again. A worker has what it writes to (four streams), what is prepared
// for the next, what is being emptied, and a huge value of two segments in
// flight; shared are the live content, a few segments, and what died while
// eight snapshots and two durable roots were held. Fifteen storms of 3 to 16
// workers, 2,800 rounds in all, came to 16 segments and 8 a worker at most.
constexpr uint64_t kSegmentsMaxPerWorker = 10;
constexpr uint64_t kSegmentsMaxShared = 40;

absl::Status Verify(const StormSetup& setup, const Snapshot& snapshot) {
  EVE_ASSIGN_OR_RETURN(const File file, File::Open(setup.path, O_RDONLY));
  VerifyOptions options;
  options.record_offset = snapshot.internal_record_offset();
  EVE_ASSIGN_OR_RETURN(const VerifyReport report, VerifyDomain(file, options));
  if (report.ok()) return absl::OkStatus();
  for (const VerifyError& error : report.errors) {
    std::fprintf(stderr, "offset %llu: %s: expected %s, found %s\n",
                 static_cast<unsigned long long>(error.offset),
                 error.what.c_str(), error.expected.c_str(),
                 error.found.c_str());
  }
  return absl::DataLossError(
      absl::StrCat("the verifier found ", report.error_count,
                   " errors in version ", snapshot.version()));
}

// Moves Ledger::checked on to `newest`, up to which CheckStormLog() has found
// the last kStormLogKeys numbers.
absl::Status AcceptLog(const StormSetup& setup, int worker, int64_t newest) {
  std::atomic<int64_t>& checked = setup.ledger->checked[worker];
  if (newest < checked || newest - kStormLogKeys > checked) {
    return absl::DataLossError(absl::StrCat(
        "worker ", worker, ": the newest number of its log is ", newest, ", ",
        checked.load(), " when it was checked last: some were seen by none"));
  }
  checked = newest;
  return absl::OkStatus();
}

absl::Status CheckAcknowledged(const StormSetup& setup,
                               const std::vector<int64_t>& before,
                               const std::vector<int64_t>& logged,
                               const Snapshot& now, const StormNumbers& a,
                               const StormOrdered& b) {
  const auto in_a = a.At(now);
  for (int worker = 0; worker < setup.workers; ++worker) {
    // `after` is read after the snapshot: at most the commit in flight is
    // beyond it.
    const auto check = [&](const char* what, int64_t found, int64_t low,
                           int64_t after) -> absl::Status {
      if (found >= low && found <= after + 1) return absl::OkStatus();
      return absl::DataLossError(absl::StrCat(
          "worker ", worker, ": version ", now.version(), " has ", what, " ",
          found, ", acknowledged were ", low, " to ", after));
    };
    EVE_ASSIGN_OR_RETURN(const int64_t log, CheckStormLog(now, a, b, worker));
    EVE_RETURN_IF_ERROR(
        check("log", log, logged[worker], setup.ledger->logged[worker]));
    EVE_RETURN_IF_ERROR(AcceptLog(setup, worker, log));
    EVE_RETURN_IF_ERROR(check("count", in_a.Find(StormKey(worker)).value_or(0),
                              before[worker],
                              setup.ledger->acknowledged[worker]));
  }
  return absl::OkStatus();
}

absl::Status CheckSpace(const StormSetup& setup, Domain& domain) {
  EVE_RETURN_IF_ERROR(domain.Reclaim());
  EVE_ASSIGN_OR_RETURN(const DomainStats stats, domain.Stats());
  if (stats.processes != 1) {
    return absl::InternalError(
        absl::StrCat(stats.processes, " processes attached, expected 1"));
  }
  if (stats.segments_claimed > kClaimedMax) {
    return absl::InternalError(absl::StrCat(
        stats.segments_claimed, " segments are claimed after Reclaim"));
  }
  const uint64_t most =
      kSegmentsMaxShared + kSegmentsMaxPerWorker * setup.workers;
  if (stats.segments > most) {
    return absl::InternalError(absl::StrCat(
        "the file has ", stats.segments, " segments, more than ", most, "; ",
        stats.segments_free, " are free, ", stats.segments_sealed, " sealed, ",
        stats.live_bytes, " bytes are live"));
  }
  std::printf(
      "  version %llu: %llu segments, %llu sealed, %llu free, "
      "%llu KiB live, opened: %s\n",
      static_cast<unsigned long long>(stats.version),
      static_cast<unsigned long long>(stats.segments),
      static_cast<unsigned long long>(stats.segments_sealed),
      static_cast<unsigned long long>(stats.segments_free),
      static_cast<unsigned long long>(stats.live_bytes / 1024),
      stats.recovery.c_str());
  std::fflush(stdout);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckStorm(const StormSetup& setup, bool is_alone) {
  std::vector<int64_t> before;
  std::vector<int64_t> logged;
  for (int worker = 0; worker < setup.workers; ++worker) {
    before.push_back(setup.ledger->acknowledged[worker]);
    logged.push_back(setup.ledger->logged[worker]);
  }
  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(setup.path, options));
  EVE_ASSIGN_OR_RETURN(const StormNumbers a,
                       domain.Collection<StormNumbers>("a"));
  EVE_ASSIGN_OR_RETURN(const StormOrdered b,
                       domain.Collection<StormOrdered>("b"));
  {
    EVE_ASSIGN_OR_RETURN(const Snapshot now, domain.Now());
    EVE_RETURN_IF_ERROR(CheckAcknowledged(setup, before, logged, now, a, b));
    int64_t sum = 0;
    EVE_RETURN_IF_ERROR(CheckStormSums(setup, now, a, b, &sum));
    EVE_RETURN_IF_ERROR(Verify(setup, now));
  }
  if (!is_alone) return absl::OkStatus();
  EVE_RETURN_IF_ERROR(CheckSpace(setup, domain));
  EVE_ASSIGN_OR_RETURN(const Snapshot now, domain.Now());
  return Verify(setup, now);
}

}  // namespace eve::testing
