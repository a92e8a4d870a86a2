// LoopDisk: a small ext4 of the real kernel whose power can be cut.
//
// The device is a file in memory behind a loop device. Cut() shuts the file
// system down by ioctl, without its log: what has not reached the device by
// then never will.
//
// Threads:    one.
// Processes:  others may have files open on it; end them before Unmount().
// Owns:       a folder, a tmpfs if asked for, the loop device, the mount.
// Lifetime:   gives all back on destruction.
// Errors:     in words, by Start(); aborts after.
// Cost:       about 50 ms for a mount and unmount.
#ifndef EVE_TESTS_DISKS_LOOP_DISK_H_
#define EVE_TESTS_DISKS_LOOP_DISK_H_

#include <cstdint>
#include <string>

#include "tests/testing/temp_dir.h"

namespace eve::disks {

class LoopDisk {
 public:
  enum class Kind { kJournal, kNoJournal };

  LoopDisk() : dir_("/dev/shm") {}
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;
  ~LoopDisk();

  // Makes the file system and mounts it. `backing_bytes`: of a tmpfs of its own
  // for the image, which can be filled; 0: none. Returns why it cannot be done
  // here, or "".
  std::string Start(Kind kind, uint64_t device_bytes,
                    uint64_t backing_bytes = 0);

  // Where it is mounted.
  std::string path() const { return dir_.File("mnt"); }
  // On the tmpfs below, outside of the image.
  std::string BesideImage(const std::string& name) const {
    return dir_.File("backing/" + name);
  }

  void Cut();
  void Unmount();
  // Mends what a file system without a journal needs to have mended.
  void Mount();

 private:
  testing::TempDir dir_;
  Kind kind_ = Kind::kJournal;
  std::string device_;
  bool has_backing_ = false;
  bool is_mounted_ = false;
};

}  // namespace eve::disks

#endif  // EVE_TESTS_DISKS_LOOP_DISK_H_
