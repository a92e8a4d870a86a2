// CreationWatch: the creation of a domain as the beginning of its history.
//
// The file has no name until it is linked, so a recorder begins at the first
// call that is made on it.
//
// Threads:    one.
// Processes:  one.
// Owns:       the recorder; this process's file observer while it lives.
// Lifetime:   outlives what is recorded.
// Errors:     none.
// Cost:       as the recorder's.
#ifndef EVE_TESTS_SIMDISK_CREATION_H_
#define EVE_TESTS_SIMDISK_CREATION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tests/simdisk/recorder.h"

namespace eve::simdisk {

class CreationWatch : public FileObserver {
 public:
  // `begun` is called with the recorder, before it has recorded anything.
  CreationWatch(const std::string& path, uint64_t seed,
                std::function<void(Recorder*)> begun);
  ~CreationWatch() override;
  CreationWatch(const CreationWatch&) = delete;
  CreationWatch& operator=(const CreationWatch&) = delete;

  // Null until the file is there.
  Recorder* recorder() { return recorder_.get(); }
  // The event from which on the file may have its name after a crash.
  uint32_t named_at() const { return named_at_; }
  // Whether it has it for certain: its folder was flushed.
  bool has_durable_name() const { return has_durable_name_; }

  std::optional<int> Before(const FileCall& call) override;
  void After(const FileCall& call, int error) override;

 private:
  const std::string path_;
  const std::string folder_;
  const uint64_t seed_;
  const std::function<void(Recorder*)> begun_;
  std::unique_ptr<Recorder> recorder_;
  int fd_ = -1;  // of the file without a name
  uint32_t named_at_ = 0;
  bool has_durable_name_ = false;
};

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_CREATION_H_
