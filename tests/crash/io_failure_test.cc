// The N-th system call on a file fails, for all N, once and from then on. Every
// operation says so or succeeds; what was acknowledged is there afterwards, and
// the domain opens and is whole.

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "engine/reclaim/punch.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::TempDir;
using Strings = Map<std::string, std::string>;

struct Failure {
  int error;
  bool is_sticky;
};

class IoFailureTest : public ::testing::TestWithParam<Failure> {
 protected:
  void TearDown() override { ClearFaultHook(); }

  void FailCall(int nth) {
    calls_ = 0;
    SetFaultHook([this, nth](std::string_view point) {
      if (point.substr(0, 5) != "file.") return 0;
      ++calls_;
      const bool fails =
          calls_ == nth || (GetParam().is_sticky && calls_ > nth);
      return fails ? GetParam().error : 0;
    });
  }

  // A failure has a code and says where.
  static bool Says(const absl::Status& status) {
    EXPECT_NE(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_NE(status.code(), absl::StatusCode::kInternal) << status;
    EXPECT_TRUE(status.ok() || !status.message().empty());
    return status.ok();
  }

  void Put(Domain& domain, const Strings& map, const std::string& key,
           const std::string& value, Durability durability) {
    SwapOptions options;
    options.durability = durability;
    const absl::StatusOr<Commit> done = domain.Swap(
        [&](Transaction& transaction) {
          return map.In(transaction).Put(key, value);
        },
        options);
    // kUnavailable: visible, perhaps not durable. Else nothing was published.
    if (Says(done.status()) || absl::IsUnavailable(done.status())) {
      values_.try_emplace(key, 1).first->second.push_back(value);
    }
    if (done.ok() && durability == Durability::kSync) Acknowledge();
  }

  // Everything that makes calls. Stops where it cannot go on.
  void Script(const std::string& path) {
    DomainOptions options;
    options.background = false;
    options.durability = Durability::kNone;
    absl::StatusOr<Domain> domain = Domain::Open(path, options);
    if (!Says(domain.status())) return;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    if (!Says(map.status())) return;
    Put(*domain, *map, "a", "1", Durability::kNone);
    Put(*domain, *map, "a", "2", Durability::kSync);
    Put(*domain, *map, "large", std::string(700'000, 'l'), Durability::kNone);
    if (Says(domain->Sync())) Acknowledge();
    Put(*domain, *map, "large", "small", Durability::kSync);
    for (int i = 0; i < 40; ++i) {
      Put(*domain, *map, absl::StrCat("k", i), std::string(60'000, 'k'),
          Durability::kNone);
    }
    Says(domain->Reclaim());
    {
      auto impl = internal::OpenInstance(path, options);
      if (impl.ok()) Says(PunchFree((*impl)->core(), 0, 100).status());
      if (impl.ok()) Says((*impl)->CutTail().status());
    }
    Says(domain->Compact());
    Put(*domain, *map, "a", "3", Durability::kNone);
    if (Says(domain->Close())) Acknowledge();
    map = absl::CancelledError();
    domain = absl::CancelledError();
    domain = Domain::Open(path, options);
    if (!Says(domain.status())) return;
    map = domain->Collection<Strings>("m");
    if (!Says(map.status())) return;
    // After a failed flush what was not acknowledged may be gone.
    Compare(*map);
    for (auto& [key, values] : values_) values = {map->Get(key).value_or("")};
    Put(*domain, *map, "a", "4", Durability::kSync);
  }

  // All that is visible now survives from now on.
  void Acknowledge() {
    for (auto& [key, values] : values_) values = {values.back()};
  }
  void Compare(const Strings& map) {
    for (const auto& [key, values] : values_) {
      const std::string found = map.Get(key).value_or("");
      EXPECT_NE(std::find(values.begin(), values.end(), found), values.end())
          << key << " is '" << found.substr(0, 20) << "'";
    }
  }

  void ExpectThere(const std::string& path) {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    Compare(map);
    testing::ExpectCleanCheck(path, domain);
    ASSERT_OK(map.Put("after", "works"));
    ASSERT_OK(domain.Close());
  }

  int calls_ = 0;
  // Of each key, since it was last acknowledged: the oldest, which may be ""
  // for absent, to the newest.
  std::map<std::string, std::vector<std::string>> values_;
};

TEST_P(IoFailureTest, AtEveryCallLosesNothingThatWasAcknowledged) {
  int nth = 0;
  do {
    ++nth;
    SCOPED_TRACE(absl::StrCat("call ", nth));
    TempDir dir;
    const std::string path = dir.File("d.eve");
    values_.clear();
    FailCall(nth);
    Script(path);
    ClearFaultHook();
    if (std::filesystem::exists(path)) {
      const std::string copy =
          testing::CopyAfterPowerLoss(path, dir.File("copy.eve"));
      ExpectThere(copy);
    }
    ExpectThere(path);
    if (HasFailure()) return;
  } while (calls_ >= nth);
  EXPECT_GT(nth, 40);
}

INSTANTIATE_TEST_SUITE_P(
    Errors, IoFailureTest,
    ::testing::Values(Failure{EIO, false}, Failure{EIO, true},
                      Failure{ENOSPC, false}, Failure{ENOSPC, true}),
    [](const ::testing::TestParamInfo<Failure>& info) {
      return absl::StrCat(info.param.error == EIO ? "Eio" : "Enospc",
                          info.param.is_sticky ? "FromThenOn" : "Once");
    });

}  // namespace
}  // namespace eve
