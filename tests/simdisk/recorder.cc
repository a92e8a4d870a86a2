#include "tests/simdisk/recorder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/format/shared_layout.h"
#include "util/check.h"

namespace eve::simdisk {
namespace {

constexpr uint64_t kSlotPagesFirst = kCommitSlotsOffset / kPageBytes;
constexpr uint64_t kSlotPagesEnd = kSlotPagesFirst + kCommitSlotCount;
// Header and words; then the states of the segments that small domains have.
constexpr uint64_t kRegionHeadBytes = kProcessSlotsOffset;
constexpr uint64_t kRegionStatesBytes = kPageBytes;

constexpr uint64_t kLargeFileBytes = 4 << 20;
// Far beyond the end of any file here.
constexpr uint64_t kViewBytes = uint64_t{1} << 30;

// An event inside an event (a hook that reads the domain) is none.
thread_local bool inside = false;

struct Inside {
  Inside() { inside = true; }
  ~Inside() { inside = false; }
};

// Where the engine sees to it that it is attached alone.
bool IsAlone(std::string_view step) {
  return step.starts_with("recover.") || step.starts_with("shorten.") ||
         step.starts_with("create.");
}

PageRef MakePage(const char* bytes) {
  static const Page kZeroes{};
  if (std::memcmp(bytes, kZeroes.data(), kPageBytes) == 0) return nullptr;
  auto page = std::make_shared<Page>();
  std::memcpy(page->data(), bytes, kPageBytes);
  return page;
}

bool Equals(const PageRef& page, const char* bytes) {
  static const Page kZeroes{};
  const char* has = page == nullptr ? kZeroes.data() : page->data();
  return std::memcmp(has, bytes, kPageBytes) == 0;
}

}  // namespace

std::vector<PageRef> ReadPages(const std::string& path) {
  absl::StatusOr<File> file = File::Open(path, O_RDONLY);
  EVE_CHECK(file.ok(), "the file is there");
  const uint64_t size = file->Size().value();
  std::vector<char> bytes((size + kPageBytes - 1) / kPageBytes * kPageBytes);
  EVE_CHECK(file->ReadAt(0, bytes.data(), size).ok(), "it can be read");
  std::vector<PageRef> pages;
  for (uint64_t at = 0; at < bytes.size(); at += kPageBytes) {
    pages.push_back(MakePage(bytes.data() + at));
  }
  return pages;
}

Recorder::Recorder(const std::string& path, uint64_t seed,
                   const std::string& name)
    : path_(name.empty() ? path : name), random_(seed) {
  absl::StatusOr<File> file = File::Open(path, O_RDWR);
  EVE_CHECK(file.ok(), "the file is there");
  file_ = *std::move(file);
  identity_ = file_.Identity().value();
  view_ =
      Mapping::Map(file_, kViewBytes, kViewBytes, Mapping::Access::kReadOnly)
          .value();
  history_.Begin(ReadPages(path), file_.Size().value());
  SetFileObserver(this);
  steps_.emplace([this](std::string_view step) { PassStep(step); });
}

Recorder::~Recorder() { Stop(); }

void Recorder::Stop() {
  if (!steps_.has_value()) return;
  steps_.reset();
  SetFileObserver(nullptr);
}

bool Recorder::IsWatched(int fd) const {
  struct stat info;
  return ::fstat(fd, &info) == 0 &&
         identity_ == FileIdentity{info.st_dev, info.st_ino};
}

uint32_t Recorder::Event() {
  if (inside) return history_.last_event();
  const Inside in;
  std::lock_guard lock(mutex_);
  return Capture();
}

void Recorder::PassStep(std::string_view step) {
  if (inside) return;
  if (step_watch_) {
    const Inside in;
    step_watch_(step);
  }
  const Inside in;
  std::lock_guard lock(mutex_);
  last_step_ = step;
  // Pins change nothing in the file.
  if (step.substr(0, 4) == "pin." || step.substr(0, 5) == "scan.") return;
  // Of a large file only what decides something.
  const bool is_cas = step.size() > 4 && step.substr(step.size() - 4) == "_cas";
  if (data_bytes_ > kLargeFileBytes && !is_cas) return;
  Capture();
}

// Holes are skipped: reading one through a mapping would make it a page.
void Recorder::CapturePages(uint64_t size) {
  data_bytes_ = 0;
  uint64_t done = 0;  // pages
  const auto put_zeroes = [&](uint64_t end) {
    for (; done < std::min(end, history_.pages()); ++done) {
      if (history_.newest(done).hash != 0) history_.Put(done, nullptr);
    }
    done = std::max(done, end);
  };
  off_t at = 0;
  while (true) {
    const off_t data = ::lseek(file_.fd(), at, SEEK_DATA);
    if (data < 0) break;
    const off_t hole = ::lseek(file_.fd(), data, SEEK_HOLE);
    EVE_CHECK(hole > data, "data ends somewhere");
    const uint64_t first = static_cast<uint64_t>(data) / kPageBytes;
    const uint64_t end =
        (static_cast<uint64_t>(hole) + kPageBytes - 1) / kPageBytes;
    put_zeroes(first);
    data_bytes_ += (end - first) * kPageBytes;
    EVE_CHECK(end * kPageBytes <= view_.bytes(), "the view is large enough");
    for (; done < end; ++done) {
      const char* bytes = view_.data() + done * kPageBytes;
      if (done < history_.pages() &&
          Equals(history_.newest(done).bytes, bytes)) {
        continue;
      }
      history_.Put(done, MakePage(bytes));
    }
    at = hole;
  }
  put_zeroes(std::max(history_.pages(), size / kPageBytes));
}

void Recorder::CaptureRegion() {
  if (!lock_file_.is_open()) {
    absl::StatusOr<File> file = File::Open(path_ + "-lock", O_RDONLY);
    if (file.ok()) lock_file_ = *std::move(file);
  }
  RegionImage image;
  if (lock_file_.is_open()) {
    image.resize(kRegionHeadBytes + kRegionStatesBytes);
    const bool read =
        lock_file_.ReadAt(0, image.data(), kRegionHeadBytes).ok() &&
        lock_file_
            .ReadAt(kSegmentStatesOffset, image.data() + kRegionHeadBytes,
                    kRegionStatesBytes)
            .ok();
    if (!read) image.clear();
  }
  regions_.resize(history_.last_event() + 1);
  regions_.back() = std::move(image);
}

const RegionImage& Recorder::region(uint32_t event) const {
  static const RegionImage kNone;
  return event < regions_.size() ? regions_[event] : kNone;
}

uint32_t Recorder::Capture() {
  const uint32_t event = history_.NewEvent();
  const uint64_t size = file_.Size().value();
  history_.PutSize(size);
  CapturePages(size);
  if (keeps_regions_) CaptureRegion();
  if (at_event_) at_event_(event);
  return event;
}

FlushInfo Recorder::Describe() const {
  FlushInfo info;
  info.last_step = last_step_;
  for (const InFlight& page : history_.At(history_.last_event()).in_flight) {
    const bool is_slot =
        page.page >= kSlotPagesFirst && page.page < kSlotPagesEnd;
    (is_slot ? info.any_slot_page : info.any_block_page) = true;
  }
  return info;
}

void Recorder::BeginFlush() {
  OpenFlush flush{std::this_thread::get_id(), history_.last_event(),
                  FlushFate::kDone, false, IsAlone(last_step_)};
  if (lie_) flush.fate = lie_(Describe());
  if (fail_flush_ > 0 && --fail_flush_ == 0) {
    flush.fails = true;
    ++failed_flushes_;
  }
  open_flushes_.push_back(flush);
}

void Recorder::EndFlush(int error) {
  const auto open = std::find_if(
      open_flushes_.rbegin(), open_flushes_.rend(), [](const OpenFlush& flush) {
        return flush.caller == std::this_thread::get_id();
      });
  EVE_CHECK(open != open_flushes_.rend(), "a flush that ends has begun");
  Flush done;
  done.begin = open->begin;
  done.end = history_.last_event();
  done.ok = error == 0;
  done.is_alone = open->is_alone;
  done.skips_size = open->fate == FlushFate::kForgetsSize;
  done.skips_fresh_pages = open->fate == FlushFate::kForgetsFreshPages;
  if (open->fate == FlushFate::kFailedAndRetriedOk) {
    done.ok = false;
    history_.AddFlush(done);
    done.ok = true;
  }
  if (open->fate != FlushFate::kForgotten) history_.AddFlush(done);
  open_flushes_.erase(std::next(open).base());
}

void Recorder::BeginUnflushed(const std::vector<Unflushed>& unflushed,
                              uint64_t size_on_device, bool answers_reads) {
  std::lock_guard lock(mutex_);
  std::vector<PageRef> pages;
  for (uint64_t i = 0; i < history_.pages(); ++i) {
    pages.push_back(history_.newest(i).bytes);
  }
  history_.BeginUnflushed(pages, history_.newest_size(), unflushed,
                          size_on_device);
  knows_device_ = true;
  answers_reads_ = answers_reads;
}

void Recorder::ReadDevice(const FileCall& call) const {
  for (uint64_t at = 0; at < call.size; at += kPageBytes) {
    const uint64_t page = (call.offset + at) / kPageBytes;
    static const Page kZeroes{};
    const PageRef bytes =
        page < history_.pages() ? history_.OnDevice(page).bytes : nullptr;
    std::memcpy(call.bytes + at,
                bytes == nullptr ? kZeroes.data() : bytes->data(),
                std::min(kPageBytes, call.size - at));
  }
}

void Recorder::DropLostPages() {
  for (const InFlight& lost : history_.LostPages()) {
    const auto version =
        knows_device_
            ? lost.low
            : static_cast<uint32_t>(lost.low +
                                    random_.Uniform(lost.high - lost.low + 1));
    const PageRef page = history_.version(lost.page, version).bytes;
    const Page zeroes{};
    const char* bytes = page == nullptr ? zeroes.data() : page->data();
    const auto at = static_cast<off_t>(lost.page * kPageBytes);
    if (static_cast<uint64_t>(at) >= history_.newest_size()) continue;
    EVE_CHECK(::pwrite(file_.fd(), bytes, kPageBytes, at) ==
                  static_cast<ssize_t>(kPageBytes),
              "the page is there");
    history_.Settle(lost.page, version);
  }
}

std::optional<int> Recorder::Before(const FileCall& call) {
  if (inside || !IsWatched(call.fd)) return std::nullopt;
  const Inside in;
  std::lock_guard lock(mutex_);
  Capture();
  switch (call.op) {
    case FileOp::kDatasync:
    case FileOp::kSync:
      BeginFlush();
      if (open_flushes_.back().fails) return EIO;
      return 0;  // memory has no disk to go to
    case FileOp::kDropCache:
      DropLostPages();
      return 0;
    case FileOp::kWriteBack:
      return 0;  // a hint: any page may be written back at any time
    case FileOp::kOpenDevice:
      return answers_reads_ ? std::optional<int>(0) : std::nullopt;
    case FileOp::kReadDevice:
      ReadDevice(call);
      return 0;
    default:
      return std::nullopt;
  }
}

void Recorder::After(const FileCall& call, int error) {
  if (inside || !IsWatched(call.fd)) return;
  const Inside in;
  std::lock_guard lock(mutex_);
  Capture();
  switch (call.op) {
    case FileOp::kDatasync:
    case FileOp::kSync:
      EndFlush(error);
      return;
    case FileOp::kAllocate:
    case FileOp::kPunch:
      history_.AddRange(call.offset, call.size);
      return;
    case FileOp::kWrite:
      for (uint64_t at = call.offset / kPageBytes * kPageBytes;
           at < call.offset + call.size; at += kPageBytes) {
        history_.Touch(at / kPageBytes);
      }
      return;
    default:
      return;
  }
}

}  // namespace eve::simdisk
