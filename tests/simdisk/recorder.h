// Recorder: watches a domain's file while the real engine works on it.
//
// The file lies in memory (tmpfs). At each call that changes or flushes it,
// before and after, and at steps of the engine, the recorder compares the file
// with what it was: stores through a mapping show without the engine's help,
// whoever made them. It knows nothing of how a checkpoint is made.
//
// Threads:    any; events are taken one at a time.
// Processes:  one: calls of another process are not seen, its stores are.
// Owns:       the history; this process's file observer and step hook while it
//             lives.
// Lifetime:   outlives the threads that use the domain.
// Errors:     aborts when the file cannot be read.
// Cost:       reads all data of the file at each event.
#ifndef EVE_TESTS_SIMDISK_RECORDER_H_
#define EVE_TESTS_SIMDISK_RECORDER_H_

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/file/file.h"
#include "engine/file/file_observer.h"
#include "engine/file/mapping.h"
#include "tests/simdisk/crash_state.h"
#include "tests/simdisk/disk_history.h"
#include "util/failpoint.h"
#include "util/random.h"

namespace eve::simdisk {

// What a flush is about to write, for lies about it.
struct FlushInfo {
  bool any_slot_page = false;   // commit slots differ from their bound
  bool any_block_page = false;  // so do other pages
  std::string last_step;        // that the engine passed
};

// What a lie makes of a flush that the device was asked for.
enum class FlushFate {
  kDone,
  kForgotten,           // returns 0, moves nothing: a hint, not a flush
  kForgetsSize,         // the pages, but not the size
  kForgetsFreshPages,   // not those that had no space before
  kFailedAndRetriedOk,  // fails; the caller retries and believes the second
};

class Recorder : public FileObserver {
 public:
  using Lie = std::function<FlushFate(const FlushInfo&)>;
  using StepWatch = std::function<void(std::string_view step)>;

  // Watches the file at `path`, which is all on the disk. `name`: by which it
  // is opened, if it is another.
  Recorder(const std::string& path, uint64_t seed,
           const std::string& name = {});
  ~Recorder() override;

  void set_lie(Lie lie) { lie_ = std::move(lie); }
  // Called at each step of the engine, outside of the recorder's lock.
  void set_step_watch(StepWatch watch) { step_watch_ = std::move(watch); }
  // Called at each event with its number, under the recorder's lock.
  void set_at_event(std::function<void(uint32_t)> at_event) {
    at_event_ = std::move(at_event);
  }
  // The n-th flush of the file from now on fails with EIO; 1: the next.
  void FailFlush(int nth) { fail_flush_ = nth; }
  int failed_flushes() const { return failed_flushes_; }
  // What the file shows is not what its device has: a flush failed just now.
  // Who reads from the device is told, if `answers_reads`.
  void BeginUnflushed(const std::vector<Unflushed>& unflushed,
                      uint64_t size_on_device, bool answers_reads);
  // Ends the recording; the history stays.
  void Stop();
  // Whether to keep the lock file's words of each event.
  void KeepRegions() { keeps_regions_ = true; }

  // An event of its own; returns its number.
  uint32_t Event();

  const DiskHistory& history() const { return history_; }
  // Empty if there was none.
  const RegionImage& region(uint32_t event) const;

  std::optional<int> Before(const FileCall& call) override;
  void After(const FileCall& call, int error) override;

 private:
  struct OpenFlush {
    std::thread::id caller;
    uint32_t begin;
    FlushFate fate;
    bool fails;
    bool is_alone;
  };

  bool IsWatched(int fd) const;
  void PassStep(std::string_view step);
  uint32_t Capture();
  void CapturePages(uint64_t size);
  void CaptureRegion();
  FlushInfo Describe() const;
  void BeginFlush();
  void EndFlush(int error);
  void ReadDevice(const FileCall& call) const;
  // What the cache had of pages that a failed flush lost is gone.
  void DropLostPages();

  const std::string path_;
  File file_;
  File lock_file_;
  FileIdentity identity_;
  Random random_;
  Mapping view_;  // reading would copy all of it at each event

  std::mutex mutex_;
  DiskHistory history_;
  std::vector<OpenFlush> open_flushes_;
  std::vector<RegionImage> regions_;
  bool keeps_regions_ = false;
  bool knows_device_ = false;   // what it has is no longer open
  bool answers_reads_ = false;  // of the device
  uint64_t data_bytes_ = 0;     // that the last event read
  int fail_flush_ = 0;
  int failed_flushes_ = 0;
  std::string last_step_;
  Lie lie_;
  StepWatch step_watch_;
  std::function<void(uint32_t)> at_event_;
  std::optional<ScopedStepHook> steps_;
};

// Reads a file's pages; zero ones are null.
std::vector<PageRef> ReadPages(const std::string& path);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_RECORDER_H_
