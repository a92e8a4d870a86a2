// What is told of a failed flush (P18).

#include <fcntl.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "engine/domain/registry.h"
#include "engine/file/file.h"
#include "engine/format/shared_layout.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::Quiet;
using Numbers = Map<std::string, int64_t>;

// Everybody is told what it was: a full disk asks for something else than one
// that is broken.
TEST(PoisonTest, APoisonNamesTheErrorOfTheFlush) {
  constexpr std::pair<std::string_view, int> kFailures[] = {
      {"file.datasync", EIO},    {"file.datasync", ENOSPC},
      {"file.datasync", EDQUOT}, {"file.write", ENOSPC},  // of the slot
      {"file.write", EIO},
  };
  const testing::TempDir dir;
  const std::string path = dir.File("d.eve");
  for (const auto& [call, error] : kFailures) {
    SCOPED_TRACE(std::string(call) + " " + std::to_string(error));
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path, Quiet()));
    ASSERT_OK(domain.Collection<Numbers>("m")->Put("n", error));
    SetFaultHook([call = call, error = error](std::string_view point) {
      return point == call ? error : 0;
    });
    const absl::Status met = domain.Sync();
    ClearFaultHook();
    const absl::Status told = domain.Sync();
    for (const absl::Status& status : {met, told}) {
      EXPECT_CODE(status, absl::StatusCode::kUnavailable);
      EXPECT_NE(status.message().find(std::strerror(error)),
                std::string_view::npos)
          << status;
      EXPECT_EQ(status.message().find("nothing was lost"),
                std::string_view::npos);
    }
    EXPECT_EQ(impl->core().region.header().poison, uint32_t(error));
    impl.reset();
    EXPECT_CODE(domain.Close(), absl::StatusCode::kUnavailable);
    // In opening it is the same.
    SetFaultHook([error = error](std::string_view point) {
      return point == "file.datasync" ? error : 0;
    });
    EXPECT_NE(Domain::Open(path, Quiet())
                  .status()
                  .message()
                  .find(std::strerror(error)),
              std::string_view::npos);
    ClearFaultHook();
    ASSERT_OK_AND_ASSIGN(const File locks,
                         File::Open(path + "-lock", O_RDONLY));
    RegionHeader header;
    ASSERT_OK(locks.ReadAt(0, &header, sizeof(header)));
    EXPECT_EQ(header.poison, uint32_t(error));
  }
}

}  // namespace
}  // namespace eve
