#include "tests/simdisk/lock_files.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "engine/file/file.h"
#include "engine/file/file_lock.h"
#include "engine/format/shared_layout.h"
#include "tests/testing/lock_file.h"
#include "util/check.h"
#include "util/random.h"

namespace eve::simdisk {
namespace {

// Of so many states each of the kinds after kNone has one, and kNone two.
constexpr uint64_t kKinds = 32;

File OpenLockFile(const std::string& path) {
  absl::StatusOr<File> file = File::Open(path + "-lock", O_RDWR | O_CREAT);
  EVE_CHECK(file.ok(), "a lock file");
  return *std::move(file);
}

void Write(const File& file, uint64_t offset, const void* bytes,
           uint64_t size) {
  EVE_CHECK(file.WriteAt(offset, bytes, size).ok(), "room in memory");
}

constexpr uint64_t kWordsPage = kRegionWordsOffset / kPageBytes;

bool IsPoisoned(const RegionImage& image) {
  uint32_t poison = 0;
  std::memcpy(&poison, image.data() + offsetof(RegionHeader, poison),
              sizeof(poison));
  return poison != 0;
}

// Header and words; behind the process slots, which a state does not have, the
// states of segments.
void WriteImage(const File& file, const RegionImage& image) {
  Write(file, 0, image.data(), kProcessSlotsOffset);
  Write(file, kSegmentStatesOffset, image.data() + kProcessSlotsOffset,
        image.size() - kProcessSlotsOffset);
}

void WriteOlder(const File& file, Random& random) {
  constexpr uint64_t kAt = offsetof(RegionHeader, incarnation);
  uint64_t incarnation = 0;
  EVE_CHECK(file.ReadAt(kAt, &incarnation, sizeof(incarnation)).ok(),
            "a header");
  incarnation -= std::min(incarnation, 1 + random.Uniform(3));
  Write(file, kAt, &incarnation, sizeof(incarnation));
}

// Of another boot, whatever sectors are garbage.
void WriteAsItWas(RegionImage image, const std::string& path) {
  if (image.empty()) return;
  image[offsetof(RegionHeader, boot_id)] ^= 1;
  WriteRegion(image, path);
}

void WriteGarbage(const File& file, Random& random) {
  const uint64_t size = file.Size().value();
  const uint64_t head = kProcessSlotsOffset / kSectorBytes;
  for (uint64_t i = 0; i < 12; ++i) {
    // Half of them where there is something.
    const uint64_t sector =
        random.Uniform(i % 2 == 0 ? head : size / kSectorBytes);
    uint64_t garbage[kSectorBytes / sizeof(uint64_t)];
    const bool is_erased = random.OneIn(3);
    for (uint64_t& word : garbage) word = is_erased ? ~0ull : random.Next();
    Write(file, sector * kSectorBytes, garbage, sizeof(garbage));
  }
}

}  // namespace

LockFileKind LockFileOf(const CrashState& state) {
  const uint64_t kind = state.hash % kKinds;
  if (kind == kLockFileKinds) return LockFileKind::kNone;
  return kind < kLockFileKinds ? static_cast<LockFileKind>(kind)
                               : LockFileKind::kNewest;
}

void WriteRegion(const RegionImage& image, const std::string& path) {
  const FileIdentity identity = IdentityOfPath(path).value();
  RegionImage bytes = image;
  std::memcpy(bytes.data() + offsetof(RegionHeader, data_device),
              &identity.device, 8);
  std::memcpy(bytes.data() + offsetof(RegionHeader, data_inode),
              &identity.inode, 8);
  WriteImage(OpenLockFile(path), bytes);
}

void WriteLockFile(LockFileKind kind, const RegionImage& image, uint64_t seed,
                   const std::string& path) {
  if (kind == LockFileKind::kNone) return;
  EVE_CHECK(testing::WriteLockFileOfOtherBoot(path), "a lock file");
  Random random(seed);
  const File file = OpenLockFile(path);
  const uint64_t size = file.Size().value();
  if (size == 0) return;  // beside a file that is too short to be a domain
  const auto cut = [&file](uint64_t bytes) {
    EVE_CHECK(file.Truncate(bytes).ok(), "a file that can be cut");
  };
  if (kind == LockFileKind::kOlder) WriteOlder(file, random);
  if (kind >= LockFileKind::kAsItWas) WriteAsItWas(image, path);
  switch (kind) {
    case LockFileKind::kShort:
      cut(random.OneIn(2) ? random.Uniform(size)
                          : random.Uniform(size / kPageBytes) * kPageBytes);
      return;
    case LockFileKind::kZeroes:
      cut(0);
      cut(size);
      return;
    case LockFileKind::kGarbage:
      WriteGarbage(file, random);
      return;
    default:
      return;
  }
}

Survivor::Survivor(const std::string& path) : file_(OpenLockFile(path)) {
  // States of segments name who has claimed them, and an image has no slots: so
  // that nobody who comes takes what was theirs for its own.
  for (uint64_t slot = 0; slot < 16; ++slot) {
    constexpr uint64_t kOther = 777;
    Write(file_,
          kProcessSlotsOffset + slot * sizeof(ProcessSlot) +
              offsetof(ProcessSlot, generation),
          &kOther, sizeof(kOther));
  }
  EVE_CHECK(TryLockByte(file_, kProcessLockBase + kProcessesMax - 1,
                        LockKind::kExclusive)
                .value(),
            "nobody is attached");
}

RegionImage MixRegions(const RegionImage& now, const RegionImage& earlier,
                       uint64_t seed) {
  Random random(seed);
  RegionImage mixed = now;
  if (earlier.size() != now.size()) return mixed;
  const uint64_t pages = now.size() / kPageBytes;
  const uint64_t certain = random.Uniform(pages);
  for (uint64_t page = 0; page < pages; ++page) {
    if (page != certain && random.OneIn(2)) continue;
    if (page == kWordsPage && IsPoisoned(mixed)) continue;
    std::memcpy(mixed.data() + page * kPageBytes,
                earlier.data() + page * kPageBytes, kPageBytes);
  }
  return mixed;
}

}  // namespace eve::simdisk
