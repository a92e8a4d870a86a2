// How a Watch ends, and what does not end it.

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/domain/registry.h"
#include "engine/format/commit_record.h"
#include "engine/root/root_watch.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::Quiet;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;

class WatchEndTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Numbers map, domain_.Collection<Numbers>("m"));
    map_.emplace(std::move(map));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
    SetStepHook([this](std::string_view step) {
      if (step == "watch.cannot_look") ++failed_looks_;
      if (step == "watch.join") is_awaited_ = true;
    });
  }
  void TearDown() override { ClearStepHook(); }

  SharedWord& root() { return impl_->core().region.words().root; }
  // Makes a watch look at once.
  void WakeAll() { RootWatch(&impl_->core().region).WakeAll(); }
  uint64_t Newest() { return domain_.Now().value().version(); }
  // Until a look has failed, or the watch has ended over it.
  void AwaitFailedLook(const Watch& watch) {
    while (failed_looks_ == 0 && watch.status().ok()) {
      std::this_thread::yield();
    }
    EXPECT_OK(watch.status());
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Numbers> map_;
  std::shared_ptr<internal::DomainImpl> impl_;
  std::atomic<int> failed_looks_{0};
  std::atomic<bool> is_awaited_{false};
};

// A process that holds as many snapshots as it may is told of what it has
// missed as soon as it has released one.
TEST_F(WatchEndTest, NotByWantOfASnapshot) {
  std::atomic<uint64_t> last{0};
  ASSERT_OK_AND_ASSIGN(
      Watch watch, domain_.OnChange([&](uint64_t version) { last = version; }));
  std::vector<Snapshot> held;
  absl::Status refused;
  // The watch itself may have the last one for a moment.
  while (failed_looks_ == 0 && watch.status().ok()) {
    absl::StatusOr<Snapshot> now = domain_.Now();
    if (now.ok()) {
      held.push_back(*std::move(now));
    } else {
      refused = now.status();
      WakeAll();
    }
  }
  EXPECT_CODE(refused, absl::StatusCode::kResourceExhausted);
  EXPECT_OK(watch.status());
  held.clear();
  ASSERT_OK(map_->Put("k", 1));
  const uint64_t newest = Newest();
  while (last != newest && watch.status().ok()) std::this_thread::yield();
  EXPECT_OK(watch.status());
  // It can be stopped while it cannot look, as well.
  failed_looks_ = 0;
  const uint64_t good = root();
  root() = impl_->core().view.limit_units;
  WakeAll();
  AwaitFailedLook(watch);
  watch.Stop();
  EXPECT_OK(watch.status());
  root() = good;
}

// Nor by a commit beyond what this process could map.
TEST_F(WatchEndTest, NotByWantOfAddresses) {
  std::atomic<uint64_t> last{0};
  ASSERT_OK_AND_ASSIGN(
      Watch watch, domain_.OnChange([&](uint64_t version) { last = version; }));
  const uint64_t good = root();
  root() = impl_->core().view.limit_units;
  EXPECT_CODE(domain_.Now().status(), absl::StatusCode::kUnavailable);
  WakeAll();
  AwaitFailedLook(watch);
  root() = good;
  ASSERT_OK(map_->Put("k", 1));
  const uint64_t newest = Newest();
  while (last != newest && watch.status().ok()) std::this_thread::yield();
  EXPECT_OK(watch.status());
}

// Damage does not pass: who waits for a call is called, and finds out why.
TEST_F(WatchEndTest, ByDamageAndSaysSo) {
  std::atomic<int> calls{0};
  std::atomic<uint64_t> last{UINT64_MAX};
  ASSERT_OK_AND_ASSIGN(Watch watch, domain_.OnChange([&](uint64_t version) {
    last = version;
    ++calls;
  }));
  const Core& core = impl_->core();
  const uint64_t good = root();
  // Nothing is written there yet.
  const Offset bad{core.FileSegments() * uint64_t{kSegmentUnits} -
                   2 * sizeof(CommitRecord) / kUnitBytes};
  ASSERT_EQ(core.view.As<CommitRecord>(bad)->version, 0u);
  root() = bad.units;
  EXPECT_CODE(domain_.Now().status(), absl::StatusCode::kDataLoss);
  WakeAll();
  while (calls == 0) std::this_thread::yield();
  EXPECT_EQ(last, 0u);
  EXPECT_CODE(watch.status(), absl::StatusCode::kDataLoss);
  root() = good;
  ASSERT_OK(map_->Put("k", 1));
  watch.Stop();
  EXPECT_EQ(calls, 1);
  EXPECT_CODE(watch.status(), absl::StatusCode::kDataLoss);
}

// Who has stopped a watch inside a call has not taken from others that they can
// wait for the end of that call, before they destroy what it uses.
TEST_F(WatchEndTest, StopInsideACallIsStillWaitedForOutside) {
  for (const bool destroys : {false, true}) {
    SCOPED_TRACE(destroys);
    is_awaited_ = false;
    std::atomic<bool> has_watch{false};
    std::atomic<bool> is_stopped{false};
    std::atomic<bool> may_leave{false};
    std::atomic<bool> has_left{false};
    auto watch = std::make_unique<Watch>();
    ASSERT_OK_AND_ASSIGN(*watch, domain_.OnChange([&, own = watch.get()](auto) {
      while (!has_watch) std::this_thread::yield();
      own->Stop();
      own->Stop();
      is_stopped = true;
      while (!may_leave) std::this_thread::yield();
      has_left = true;
    }));
    has_watch = true;
    ASSERT_OK(map_->Put("k", destroys));
    while (!is_stopped) std::this_thread::yield();
    std::atomic<bool> has_returned{false};
    std::thread outside([&] {
      destroys ? watch.reset() : watch->Stop();
      EXPECT_TRUE(has_left);
      has_returned = true;
    });
    while (!is_awaited_ && !has_returned) std::this_thread::yield();
    may_leave = true;
    outside.join();
    while (!has_left) std::this_thread::yield();
  }
}

// A call may destroy its watch: nobody can wait for it then.
TEST_F(WatchEndTest, ACallMayDestroyItsWatch) {
  std::atomic<bool> has_watch{false};
  std::atomic<bool> is_destroyed{false};
  const auto users = impl_.use_count();
  auto watch = std::make_unique<Watch>();
  ASSERT_OK_AND_ASSIGN(*watch, domain_.OnChange([&](uint64_t) {
    while (!has_watch) std::this_thread::yield();
    watch.reset();
    is_destroyed = true;
  }));
  has_watch = true;
  ASSERT_OK(map_->Put("k", 1));
  while (!is_destroyed) std::this_thread::yield();
  // Until the thread has let go of all it has: it detaches itself before that,
  // or ends the process.
  while (impl_.use_count() > users) std::this_thread::yield();
}

}  // namespace
}  // namespace eve
