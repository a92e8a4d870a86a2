// What is dropped gives its space back, whoever has background threads.

#include <signal.h>

#include <string>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// Without a background thread as well: by commits, Sync or Close.
TEST(DropTest, WhatWasDroppedIsRetiredByItself) {
  const TempDir dir;
  const auto open = [&](const DomainOptions& options) {
    return Domain::Open(dir.File("d.eve"), options).value();
  };
  const auto fill_and_drop = [](Domain& domain) {
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("dropped"));
    ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
      auto writer = map.In(txn);
      for (int i = 0; i < 20'000; ++i) {
        EXPECT_OK(writer.Put(std::to_string(i), std::string(200, 'v')));
      }
      return absl::OkStatus();
    }));
    ASSERT_OK(domain.Drop("dropped"));
  };
  const auto live = [](const Domain& domain) {
    return domain.Stats().value().live_bytes;
  };
  constexpr uint64_t kDropped = 2'000'000;
  DomainOptions options = testing::Quiet();
  {
    Domain domain = open(options);
    fill_and_drop(domain);
    EXPECT_GT(live(domain), kDropped);
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    for (int i = 0; i < 400; ++i) ASSERT_OK(map.Put("k", "v"));
    EXPECT_LT(live(domain), kDropped / 10);
    fill_and_drop(domain);
    ASSERT_OK(domain.Sync());
    EXPECT_LT(live(domain), kDropped / 10);
    // What another has dropped before it died, too.
    ChildProcess child([&] {
      Domain other = open(options);
      fill_and_drop(other);
      ::raise(SIGKILL);
      return 1;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
    EXPECT_GT(live(domain), kDropped);
    ASSERT_OK(domain.Sync());
    EXPECT_LT(live(domain), kDropped / 10);
    fill_and_drop(domain);
  }
  options.read_only = true;
  EXPECT_LT(live(open(options)), kDropped / 10);
}

}  // namespace
}  // namespace eve
