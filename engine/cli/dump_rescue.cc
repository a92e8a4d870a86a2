#include "engine/cli/dump_rescue.h"

#include <fcntl.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cli/output.h"
#include "engine/cli/section_emitter.h"
#include "engine/file/file.h"
#include "engine/file/file_lock.h"
#include "engine/format/shared_layout.h"
#include "engine/verify/rescue.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

unsigned long long Long(uint64_t value) { return value; }

// Writes sections as eve load reads them. A record that is whole but has not
// the form of its type ends it: --stored writes such, too, where the type
// allows.
class RescueDump : public RescueSink {
 public:
  RescueDump(const RescueRequest& request, DumpWriter* writer,
             uint64_t map_bytes)
      : request_(request), writer_(writer) {
    at_.map_bytes = map_bytes;
  }

  void Note(std::string_view what) override {
    if (request_.is_quiet) return;
    std::fprintf(stderr, "eve: %.*s\n", static_cast<int>(what.size()),
                 what.data());
  }
  absl::Status Start(const std::vector<RescueSection>& sections) override {
    at_.total = sections.size();
    at_.index = 0;
    return absl::OkStatus();
  }
  absl::Status Begin(const RescueSection& section) override {
    ++at_.index;
    DumpSection next = at_;
    next.info = CollectionInfo{section.name, section.kind, section.key_type,
                               section.value_type, section.records};
    emitter_.emplace(std::move(next), request_.has_native_integers, writer_);
    return emitter_->Begin();
  }
  absl::Status Record(std::string_view key, std::string_view value) override {
    return emitter_->Put(Bytes(key), Bytes(value));
  }
  absl::Status End() override { return emitter_->End(); }

 private:
  const RescueRequest& request_;
  DumpWriter* writer_;
  DumpSection at_;
  std::optional<SectionEmitter> emitter_;
};

void Tell(const RescueReport& report) {
  for (const RescueLoss& loss : report.losses) {
    std::fprintf(stderr, "eve: offset %llu: %s\n", Long(loss.offset),
                 loss.what.c_str());
  }
  if (report.lost_blocks > report.losses.size()) {
    std::fprintf(stderr, "eve: and %llu more\n",
                 Long(report.lost_blocks - report.losses.size()));
  }
  if (report.version == 0) {
    std::fprintf(stderr, "eve: no root is left: all was searched for\n");
  } else {
    std::fprintf(stderr,
                 "eve: version %llu, by %s%s, told right from wrong by "
                 "%s\n",
                 Long(report.version), report.root.c_str(),
                 report.is_newest ? "" : " (not the newest)",
                 report.identity.c_str());
  }
  std::fprintf(stderr,
               "eve: %llu records of it; %llu blocks lost; %llu records found "
               "by searching, which may be old\n",
               Long(report.records), Long(report.lost_blocks),
               Long(report.found));
}

absl::StatusOr<RescueReport> Rescue(const RescueRequest& request) {
  EVE_ASSIGN_OR_RETURN(const File file, File::Open(request.path, O_RDONLY));
  // As one who cannot pin: nobody frees anything meanwhile. It goes with the
  // file; if it cannot be had, nobody cuts the file under us but at its end.
  (void)TryLockByte(file, kUnpinnedReadersLockByte, LockKind::kShared).ok();
  EVE_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  EVE_ASSIGN_OR_RETURN(const std::unique_ptr<DumpWriter> writer,
                       DumpWriter::Open(request.output, request.format));
  RescueDump sink(request, writer.get(), 8 * size);
  EVE_ASSIGN_OR_RETURN(
      RescueReport report,
      RescueDomain(file, RescueOptions{.names = request.names}, sink));
  EVE_RETURN_IF_ERROR(writer->Close());
  return report;
}

}  // namespace

int DumpRescue(const RescueRequest& request) {
  const absl::StatusOr<RescueReport> report = Rescue(request);
  if (!report.ok()) return Fail(report.status());
  if (!report->is_whole() || !request.is_quiet) Tell(*report);
  return report->is_whole() && report->is_newest ? kFine : kDamage;
}

}  // namespace eve::cli
