// A process with few addresses (ulimit -v) beside one with many (P4).

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>

#include "engine/alloc/segment_source.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

using testing::Quiet;

// A segment of its own, so that a few are many segments.
std::string Large(char fill) { return std::string(600 << 10, fill); }

// Leaves this process `bytes` of addresses more than it has in use.
bool LimitAddresses(uint64_t bytes) {
  unsigned long pages = 0;
  FILE* statm = std::fopen("/proc/self/statm", "re");
  if (statm == nullptr) return false;
  const bool read = std::fscanf(statm, "%lu", &pages) == 1;
  std::fclose(statm);
  const uint64_t limit =
      pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) + bytes;
  const rlimit both{limit, limit};
  return read && ::setrlimit(RLIMIT_AS, &both) == 0;
}

// The life of the short process; stops itself where the other goes on.
class ShortProcess {
 public:
  explicit ShortProcess(std::string path) : path_(std::move(path)) {}

  // 0, or the number of what went wrong.
  int Run() {
    if (!LimitAddresses(uint64_t{700} << 20)) return 1;
    absl::StatusOr<Domain> domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return Say(2, domain.status());
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    if (!map.ok()) return Say(3, map.status());
    int code = Fill(*map, "first", Large('f'));
    if (code != 0) return code;
    absl::StatusOr<Snapshot> held = domain->Now();
    if (!held.ok()) return Say(4, held.status());
    ::raise(SIGSTOP);  // the other grows the file and commits nothing
    code = Fill(*map, "small", std::string(4000, 's'));
    if (code != 0) return code;
    ::raise(SIGSTOP);  // the other commits beyond what is mapped here
    if (!absl::IsUnavailable(domain->Now().status())) {
      return Say(5, domain->Now().status());
    }
    const absl::Status put = map->Put("k", "v");
    if (!absl::IsUnavailable(put)) return Say(6, put);
    // What was pinned before is still there.
    const auto found = map->At(*held).Find("first0");
    return found.has_value() && *found == Bytes(Large('f')) ? 0 : 7;
  }

 private:
  static int Say(int code, const absl::Status& status) {
    std::fprintf(stderr, "short process, %d: %s\n", code,
                 status.ToString().c_str());
    return code;
  }
  // Puts until the addresses are used up.
  static int Fill(const Strings& map, const std::string& prefix,
                  const std::string& value) {
    absl::Status put;
    int i = 0;
    for (; put.ok() && i < 100000; ++i) {
      put = map.Put(prefix + std::to_string(i), value);
    }
    if (!absl::IsResourceExhausted(put)) return Say(20, put);
    return map.Get("first0").ok() ? 0 : 21;
  }

  const std::string path_;
};

// The views are reserved once. A process that got few addresses fills the file
// as far as it has mapped it; others grow it further; then its errors are
// clean, whether the growth was committed to or not.
TEST(AddressSpaceTest, ShortProcessBesideOneThatGrowsTheFileFurther) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  ChildProcess child([&] { return ShortProcess(path).Run(); });
  child.AwaitStopped();
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
  const uint64_t full = domain.Stats().value().segments;
  const auto grow = [&](bool commit) {
    return domain
        .Swap([&](Transaction& txn) -> absl::Status {
          for (int i = 0; i < 50; ++i) {
            absl::Status put =
                map.In(txn).Put("big" + std::to_string(i), Large('b'));
            if (!put.ok()) return put;
          }
          return commit ? absl::OkStatus() : absl::CancelledError();
        })
        .status();
  };
  EXPECT_CODE(grow(false), absl::StatusCode::kCancelled);
  // The child has left its reserve free.
  EXPECT_GE(domain.Stats().value().segments, full + 50 - kReserveMax);
  child.Signal(SIGCONT);
  child.AwaitStopped();
  EXPECT_OK(grow(true));
  child.Signal(SIGCONT);
  EXPECT_EQ(child.Wait(), 0);
  testing::ExpectCleanCheck(path, domain);
}

}  // namespace
}  // namespace eve
