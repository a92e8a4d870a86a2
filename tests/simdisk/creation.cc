#include "tests/simdisk/creation.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace eve::simdisk {

CreationWatch::CreationWatch(const std::string& path, uint64_t seed,
                             std::function<void(Recorder*)> begun)
    : path_(path),
      folder_(path.substr(0, path.rfind('/'))),
      seed_(seed),
      begun_(std::move(begun)) {
  SetFileObserver(this);
}

CreationWatch::~CreationWatch() { SetFileObserver(nullptr); }

std::optional<int> CreationWatch::Before(const FileCall& call) {
  if (recorder_ == nullptr && call.op == FileOp::kAllocate) {
    fd_ = call.fd;
    recorder_ = std::make_unique<Recorder>(
        absl::StrCat("/proc/self/fd/", call.fd), seed_, path_);
    SetFileObserver(this);
    begun_(recorder_.get());
  }
  if (recorder_ == nullptr) return std::nullopt;
  return recorder_->Before(call);
}

void CreationWatch::After(const FileCall& call, int error) {
  if (recorder_ == nullptr) return;
  recorder_->After(call, error);
  if (call.op != FileOp::kSync || error != 0) return;
  if (named_at_ == 0 && call.fd == fd_) {
    named_at_ = recorder_->history().last_event();
  } else if (named_at_ > 0 && std::string(call.path) == folder_) {
    has_durable_name_ = true;
  }
}

}  // namespace eve::simdisk
