#include "tests/disks/loop_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "util/check.h"

namespace eve::disks {
namespace {

// EXT4_IOC_SHUTDOWN, and to leave the log unflushed.
constexpr unsigned long kShutdown = 0x8004587d;
constexpr uint32_t kNoLogFlush = 2;

// Where the tools are; Bazel gives tests a PATH without it.
const std::string kWithTools = "PATH=$PATH:/usr/sbin:/sbin ";

std::string FirstLineOf(const std::string& command) {
  FILE* pipe = ::popen((kWithTools + command).c_str(), "re");
  if (pipe == nullptr) return "";
  char line[256] = {};
  const bool got = std::fgets(line, sizeof(line), pipe) != nullptr;
  const bool ok = ::pclose(pipe) == 0;
  line[std::strcspn(line, "\n")] = '\0';
  return got && ok ? line : "";
}

int Run(const std::string& command) {
  return std::system((kWithTools + command + " >/dev/null 2>&1").c_str());
}

}  // namespace

std::string LoopDisk::Start(Kind kind, uint64_t device_bytes,
                            uint64_t backing_bytes) {
  kind_ = kind;
  if (::geteuid() != 0) return "mounting needs root";
  std::filesystem::create_directory(dir_.File("mnt"));
  std::filesystem::create_directory(dir_.File("backing"));
  if (backing_bytes > 0) {
    const std::string size = "size=" + std::to_string(backing_bytes);
    if (::mount("tmpfs", dir_.File("backing").c_str(), "tmpfs", 0,
                size.c_str()) != 0) {
      return "mounting a tmpfs is not allowed";
    }
    has_backing_ = true;
  }
  const std::string image = BesideImage("image");
  const int fd = ::open(image.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  EVE_CHECK(fd >= 0 && ::ftruncate(fd, static_cast<off_t>(device_bytes)) == 0,
            "an image");
  ::close(fd);
  const std::string features =
      kind == Kind::kJournal ? "-J size=4" : "-O ^has_journal";
  if (Run("mkfs.ext4 -q -F -b 4096 " + features + " " + image) != 0) {
    return "mkfs.ext4 (e2fsprogs) does not work";
  }
  device_ = FirstLineOf("losetup --find --show " + image + " 2>/dev/null");
  if (device_.empty()) return "no loop device";
  if (::mount(device_.c_str(), path().c_str(), "ext4", 0, nullptr) != 0) {
    return std::string("mounting ext4: ") + std::strerror(errno);
  }
  is_mounted_ = true;
  const int root = ::open(path().c_str(), O_RDONLY | O_CLOEXEC);
  EVE_CHECK(root >= 0, "the root of it");
  ::close(root);
  return "";
}

LoopDisk::~LoopDisk() {
  if (is_mounted_) ::umount2(path().c_str(), MNT_DETACH);
  if (!device_.empty()) Run("losetup -d " + device_);
  if (has_backing_) {
    ::umount2(dir_.File("backing").c_str(), MNT_DETACH);
  }
}

void LoopDisk::Cut() {
  const int root = ::open(path().c_str(), O_RDONLY | O_CLOEXEC);
  EVE_CHECK(root >= 0, "the root of it");
  uint32_t how = kNoLogFlush;
  EVE_CHECK(::ioctl(root, kShutdown, &how) == 0, "ext4 can be shut down");
  ::close(root);
}

void LoopDisk::Unmount() {
  // Files of a process that has just been killed may be closed a moment later.
  while (::umount(path().c_str()) != 0) {
    EVE_CHECK(errno == EBUSY, "it can be unmounted");
    ::sched_yield();
  }
  is_mounted_ = false;
}

void LoopDisk::Mount() {
  // Without a journal the bitmaps may be behind.
  if (kind_ == Kind::kNoJournal) Run("e2fsck -fy " + device_);
  EVE_CHECK(::mount(device_.c_str(), path().c_str(), "ext4", 0, nullptr) == 0,
            "it can be mounted again");
  is_mounted_ = true;
}

}  // namespace eve::disks
