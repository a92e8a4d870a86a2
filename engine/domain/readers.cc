// Who is attached, what they have pinned, and what that holds.

#include <algorithm>
#include <vector>

#include "engine/domain/domain_impl.h"
#include "engine/reclaim/holders.h"
#include "util/status_macros.h"

namespace eve::internal {

absl::StatusOr<Survey> DomainImpl::TakeSurvey() {
  return eve::TakeSurvey(core_, [this] { return DurableVersions().versions; });
}

absl::StatusOr<std::vector<ReaderInfo>> DomainImpl::Readers() {
  EVE_RETURN_IF_ERROR(core_.CheckUsable());
  EVE_ASSIGN_OR_RETURN(const Survey survey, TakeSurvey());
  std::vector<ReaderInfo> readers;
  for (size_t i = 0; i < survey.processes.size(); ++i) {
    const AttachedProcess& process = survey.processes[i];
    ReaderInfo reader;
    reader.slot = process.slot;
    reader.pid = process.pid;
    reader.is_self = process.is_self;
    reader.alone_bytes = survey.holdings.alone_bytes[i];
    reader.commits = process.counters.commits;
    reader.conflicts = process.counters.conflicts;
    reader.restamps = process.counters.restamps;
    reader.bytes_committed = process.counters.bytes_committed;
    reader.bytes_moved = process.counters.bytes_moved;
    for (size_t k = 0; k < process.pins.size(); ++k) {
      const PinInfo pin = DescribePin(
          process.pins[k], survey.holdings.pins[i][k], survey.record.version);
      if (!pin.is_range) reader.lag = std::max(reader.lag, pin.lag);
      reader.pins.push_back(pin);
    }
    std::stable_sort(reader.pins.begin(), reader.pins.end(),
                     [](const PinInfo& a, const PinInfo& b) {
                       return a.version < b.version;
                     });
    readers.push_back(std::move(reader));
  }
  ReaderInfo unpinned;
  unpinned.is_unpinned = true;
  if (survey.has_unpinned_reader) readers.push_back(unpinned);
  unpinned.is_self = true;
  if (survey.is_unpinned_reader) readers.push_back(unpinned);
  return readers;
}

}  // namespace eve::internal
