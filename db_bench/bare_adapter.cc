// No database: what the file system itself takes for a commit that survives a
// power cut. Each session has a page of its own in one file, which is there
// before anything is measured, and writes it again and flushes the file for
// each transaction, whatever that holds. Nothing durable can be done with fewer
// calls on the same device, so the ratio to it tells what an engine adds, or
// saves where one flush serves several commits.

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "db_bench/engine_adapter.h"

namespace eve::bench {
namespace {

constexpr size_t kBareBytes = 4096;

absl::Status Failed(const char* what) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(errno)));
}

class BareSession final : public Session {
 public:
  BareSession(int fd, off_t offset)
      : fd_(fd), offset_(offset), page_(kBareBytes, 'x') {}

  absl::Status WriteBatch(absl::Span<const WriteOp> ops) override {
    // A page that is not what it was, with something of the transaction.
    ++count_;
    std::memcpy(page_.data(), &count_, sizeof(count_));
    const std::string_view key = ops.empty() ? "" : ops.front().key;
    key.copy(page_.data() + sizeof(count_), kBareBytes - sizeof(count_));
    if (::pwrite(fd_, page_.data(), kBareBytes, offset_) !=
        static_cast<ssize_t>(kBareBytes)) {
      return Failed("pwrite");
    }
    return ::fdatasync(fd_) == 0 ? absl::OkStatus() : Failed("fdatasync");
  }

  absl::Status BulkLoad(
      absl::FunctionRef<absl::Span<const WriteOp>()> /*next*/) override {
    return absl::UnimplementedError("it keeps nothing");
  }
  absl::Status Increment(std::string_view /*key*/) override {
    return absl::UnimplementedError("it keeps nothing");
  }
  absl::Status TakeSnapshot() override { return absl::OkStatus(); }
  void DropSnapshot() override {}
  bool Get(std::string_view /*key*/, std::string_view* /*value*/) override {
    Fatal("bare keeps nothing");
  }
  void MultiGet(absl::Span<const std::string_view> /*keys*/,
                absl::Span<std::string_view> /*values*/) override {
    Fatal("bare keeps nothing");
  }
  std::unique_ptr<Cursor> NewCursor() override { Fatal("bare keeps nothing"); }
  void KeepOldSnapshot() override { Fatal("bare keeps nothing"); }
  uint64_t CountDiff() override { Fatal("bare keeps nothing"); }

 private:
  const int fd_;
  const off_t offset_;
  std::vector<char> page_;
  uint64_t count_ = 0;
};

class BareEngine final : public Engine {
 public:
  ~BareEngine() override {
    if (fd_ >= 0) ::close(fd_);
  }

  absl::Status Open(const std::string& dir,
                    const EngineOptions& options) override {
    const std::string path = dir + "/bench.bare";
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) return Failed("open");
    // Of all processes, each at pages of its own; they may do this twice.
    pages_ = static_cast<size_t>(options.sessions_max);
    const std::vector<char> page(kBareBytes, 'x');
    for (size_t i = 0; i < pages_; ++i) {
      if (::pwrite(fd_, page.data(), page.size(), OffsetOf(i)) !=
          static_cast<ssize_t>(page.size())) {
        return Failed("pwrite");
      }
    }
    return ::fsync(fd_) == 0 ? absl::OkStatus() : Failed("fsync");
  }

  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    // The processes of a run have numbers in a row, or nearly so: hardly ever
    // do two of them write one page.
    const size_t page = static_cast<size_t>(::getpid()) + next_++;
    return std::make_unique<BareSession>(fd_, OffsetOf(page % pages_));
  }

  absl::StatusOr<std::string> Pack(const std::string& /*scratch*/) override {
    return absl::UnimplementedError("it keeps nothing");
  }
  std::string DescribeStats() override { return "bare keeps nothing\n"; }

 private:
  static off_t OffsetOf(size_t page) {
    return static_cast<off_t>(page * kBareBytes);
  }

  int fd_ = -1;
  size_t pages_ = 0;
  std::atomic<size_t> next_{0};
};

const EngineRegistration registration({
    .name = "bare",
    .product = "Bare calls",
    .version = "1",
    .settings =
        "no database: a pwrite of 4 KiB to a place of the session's own, "
        "and fdatasync, for each transaction",
    .durability = {"fdatasync after each", "fdatasync after each",
                   "fdatasync after each"},
    .can = {.keep = false,
            .order_keys = false,
            .snapshot = false,
            .bulk_load = false,
            .compact_in_place = false,
            .compress = false},
    .create = [] { return std::make_unique<BareEngine>(); },
});

}  // namespace
}  // namespace eve::bench
