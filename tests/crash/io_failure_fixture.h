// What tests of failing calls share: a hook that fails the N-th call, and a
// history of what a map may hold after it.
//
// Threads:    the hook counts calls of all threads; the rest is of one.
// Processes:  a forked child inherits the hook with its count.
// Owns:       nothing.
// Lifetime:   a FailingCall ends before the next is made.
// Errors:     failed expectations.
// Cost:       a file in memory, where there is such a file system.
#ifndef EVE_TESTS_CRASH_IO_FAILURE_FIXTURE_H_
#define EVE_TESTS_CRASH_IO_FAILURE_FIXTURE_H_

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/flushed_image.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve::testing {

struct Failure {
  int error;
  bool is_sticky;
};

inline std::string NameOfFailure(
    const ::testing::TestParamInfo<Failure>& info) {
  return absl::StrCat(info.param.error == EIO ? "Eio" : "Enospc",
                      info.param.is_sticky ? "FromThenOn" : "Once");
}

inline auto AllFailures() {
  return ::testing::Values(Failure{EIO, false}, Failure{EIO, true},
                           Failure{ENOSPC, false}, Failure{ENOSPC, true});
}

// Which points count as calls.
using Counts = std::function<bool(std::string_view point)>;
inline bool IsOnAFile(std::string_view point) {
  return point.starts_with("file.");
}
inline bool IsOfACopy(std::string_view point) {
  return IsOnAFile(point) || point.starts_with("backup.");
}

// The n-th call fails, or all from the n-th on.
class FailingCall {
 public:
  // `refused` fails with ENOSYS, always, and does not count.
  FailingCall(int nth, Failure failure, Counts counts = IsOnAFile,
              std::string_view refused = {}) {
    SetFaultHook(
        [nth, failure, counts, refused, seen = seen_](std::string_view point) {
          if (point == refused) return ENOSYS;
          if (!counts(point)) return 0;
          const int call = seen->calls.fetch_add(1) + 1;
          if (call != nth && !(failure.is_sticky && call > nth)) return 0;
          if (IsOfAFlush(point)) seen->has_failed_to_flush = true;
          if (point == "file.write") seen->has_failed_to_write = true;
          if (point == "file.sync") seen->has_failed_to_sync = true;
          return failure.error;
        });
  }
  ~FailingCall() { ClearFaultHook(); }
  FailingCall(const FailingCall&) = delete;
  FailingCall& operator=(const FailingCall&) = delete;

  void Stop() { ClearFaultHook(); }
  int calls() const { return seen_->calls; }
  // What was not acknowledged may be lost then.
  bool has_failed_to_flush() const { return seen_->has_failed_to_flush; }
  bool has_failed_to_sync() const { return seen_->has_failed_to_sync; }
  bool has_failed_to_write() const { return seen_->has_failed_to_write; }

 private:
  struct Seen {
    std::atomic<int> calls{0};
    std::atomic<bool> has_failed_to_flush{false};
    std::atomic<bool> has_failed_to_write{false};
    std::atomic<bool> has_failed_to_sync{false};
  };
  // Each is final. So are some writes: those of slots.
  static bool IsOfAFlush(std::string_view point) {
    return point == "file.write_back" || point == "file.datasync";
  }
  // Shared, for a thread may be inside the hook when this ends.
  const std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
};

// A failure has a code and says where. True if there is none.
inline bool Says(const absl::Status& status) {
  EXPECT_NE(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_NE(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_TRUE(status.ok() || !status.message().empty());
  return status.ok();
}

// The states of a map, from the last that must survive to the newest.
class History {
 public:
  using Strings = Map<std::string, std::string>;

  // Visible as `version`, if that is known.
  void Put(const std::string& key, const std::string& value,
           uint64_t version = UINT64_MAX) {
    State next = states_.back();
    next.version = version;
    next.values[key] = DigestOf(value);
    states_.push_back(std::move(next));
  }
  void Erase(const std::string& key, uint64_t version = UINT64_MAX) {
    State next = states_.back();
    next.version = version;
    next.values.erase(key);
    states_.push_back(std::move(next));
  }
  // The newest state up to that version survives from now on.
  void Acknowledge(uint64_t version = UINT64_MAX) {
    size_t newest = 0;
    for (size_t i = 0; i < states_.size(); ++i) {
      if (states_[i].version <= version) newest = i;
    }
    states_.erase(states_.begin(),
                  states_.begin() + static_cast<ptrdiff_t>(newest));
  }
  bool MayBeEmpty() const { return states_.front().values.empty(); }
  // The map is in one of the states; it is the only one from now on.
  void ExpectOneOf(Domain& domain, const Strings& map) {
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
    State found;
    for (const auto& [key, value] : map.At(now)) {
      found.values[std::string(key)] = DigestOf(std::string(value));
    }
    ASSERT_OK(now.status());
    const auto at = std::find_if(
        states_.begin(), states_.end(),
        [&](const State& state) { return state.values == found.values; });
    EXPECT_NE(at, states_.end())
        << found.values.size() << " keys, 'a' is '" << found.values["a"]
        << "'; none of " << states_.size() << " states from 'a' of '"
        << states_.front().values["a"] << "' on";
    states_ = {found};
  }

 private:
  struct State {
    uint64_t version = 0;
    std::map<std::string, std::string> values;
  };
  static std::string DigestOf(const std::string& value) {
    return absl::StrCat(value.size(), ":", value.substr(0, 8));
  }

  std::vector<State> states_{State{}};
};

class IoFailureTest : public ::testing::TestWithParam<Failure> {
 public:
  using Strings = Map<std::string, std::string>;

 protected:
  void TearDown() override { ClearFaultHook(); }

  // What fails here are calls, not the disk: memory is faster.
  static const char* Base() {
    return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : nullptr;
  }

  absl::Status Put(Domain& domain, const Strings& map, const std::string& key,
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
      history_.Put(key, value, done.ok() ? done->version : UINT64_MAX);
    }
    if (done.ok() && durability == Durability::kSync) history_.Acknowledge();
    return done.status();
  }

  absl::Status Erase(Domain& domain, const Strings& map, const std::string& key,
                     Durability durability) {
    SwapOptions options;
    options.durability = durability;
    const absl::StatusOr<Commit> done = domain.Swap(
        [&](Transaction& transaction) {
          return map.In(transaction).Erase(key).status();
        },
        options);
    if (Says(done.status()) || absl::IsUnavailable(done.status())) {
      history_.Erase(key, done.ok() ? done->version : UINT64_MAX);
    }
    if (done.ok() && durability == Durability::kSync) history_.Acknowledge();
    return done.status();
  }

  struct Attempt {
    std::function<void()> prepare = [] {};
    // Fails the N-th call, and gives the number of calls.
    std::function<int(int nth)> run;
    // Before the domain is opened again.
    std::function<void()> finish = [] {};
    std::function<int(int nth)> next = [](int nth) { return nth + kEachOf; };
  };
  // All N are tried; under ASan a third, of each kind of failure others.
  static constexpr int kEachOf = testing::kUnderAsan ? 3 : 1;
  static int FirstCall() {
    const int kind = (GetParam().error == EIO) + (GetParam().is_sticky ? 1 : 0);
    return 1 + kind % kEachOf;
  }

  // Attempts that for each N, at `path_` in a folder of its own, and looks what
  // survives. Ends with the first N that is tried and not reached any more,
  // which it gives, or with the first failure.
  int ForEachCall(const Attempt& attempt) {
    for (int nth = FirstCall();; nth = attempt.next(nth)) {
      const int calls = TryCall(attempt, nth);
      if (HasFailure() || calls < nth) return nth;
    }
  }

  // For one N. Gives how many calls there were.
  int TryCall(const Attempt& attempt, int nth) {
    SCOPED_TRACE(absl::StrCat("call ", nth));
    const TempDir dir(Base());
    path_ = dir.File("d.eve");
    history_ = History();
    FlushedImage image(path_);
    attempt.prepare();
    if (HasFailure()) return nth;
    const int calls = attempt.run(nth);
    if (!HasFailure()) ExpectSurvivesPowerLoss(dir, path_, image);
    if (!HasFailure()) attempt.finish();
    if (!HasFailure()) ExpectThere(path_);
    return calls;
  }

  // Opens, has what was acknowledged, is whole, and works.
  void ExpectThere(const std::string& path) {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    ASSERT_NO_FATAL_FAILURE(history_.ExpectOneOf(domain, map));
    ExpectCleanCheck(path, domain);
    ASSERT_OK(map.Put("after", "works"));
    ASSERT_OK(domain.Close());
  }
  // So does what a power failure leaves, of a disk that has all that was
  // written and of one that has what it had to. Calls do not fail any more.
  void ExpectSurvivesPowerLoss(const TempDir& dir, const std::string& path,
                               const FlushedImage& image) {
    const History before = history_;
    const std::string flushed = dir.File("flushed.eve");
    if (image.SaveTo(flushed)) {
      SCOPED_TRACE("what was flushed");
      ASSERT_NO_FATAL_FAILURE(ExpectThere(flushed));
    } else {
      EXPECT_TRUE(history_.MayBeEmpty());
    }
    history_ = before;
    if (std::filesystem::exists(path)) {
      SCOPED_TRACE("what was written");
      ASSERT_NO_FATAL_FAILURE(
          ExpectThere(CopyAfterPowerLoss(path, dir.File("copy.eve"))));
    }
    history_ = before;
  }

  std::string path_;
  History history_;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_CRASH_IO_FAILURE_FIXTURE_H_
