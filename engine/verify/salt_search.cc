#include "engine/verify/salt_search.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>

#include "engine/format/checksum.h"
#include "engine/format/constants.h"
#include "engine/verify/rescue_scan.h"
#include "util/random.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace eve::verify {
namespace {

constexpr uint64_t kProbesPerSegment = 16;
constexpr uint64_t kProbeBytesMax = 64 << 10;
constexpr uint64_t kHalfEnd = uint64_t{1} << 32;
constexpr uint64_t kChunk = 1 << 22;  // between looks whether it is found

// A block's header at the unit, if it can be one.
bool ReadHeader(const std::string& bytes, uint64_t unit, BlockHeader* header) {
  const uint64_t units = bytes.size() / kUnitBytes;
  if (unit >= units) return false;
  std::memcpy(header, bytes.data() + unit * kUnitBytes, sizeof(*header));
  return LooksLikeABlock(*header) && header->size_units <= units - unit;
}

bool IsEmpty(const std::string& bytes, uint64_t unit) {
  static constexpr char kNothing[kUnitBytes] = {};
  return (unit + 1) * kUnitBytes > bytes.size() ||
         std::memcmp(bytes.data() + unit * kUnitBytes, kNothing, kUnitBytes) ==
             0;
}

void CollectIn(const File& file, uint64_t file_bytes, uint32_t segment,
               Random& random, std::vector<SaltProbe>& probes) {
  const std::string bytes = ReadSegment(file, file_bytes, segment);
  std::vector<SaltProbe> here;
  for (uint64_t unit = SegmentStartUnits(segment);
       unit < bytes.size() / kUnitBytes;) {
    SaltProbe probe;
    BlockHeader next;
    if (!ReadHeader(bytes, unit, &probe.header) ||
        (!ReadHeader(bytes, unit + probe.header.size_units, &next) &&
         !IsEmpty(bytes, unit + probe.header.size_units))) {
      ++unit;
      continue;
    }
    probe.offset = Offset{SegmentOffset(segment).units + unit};
    // What was never committed has no checksum.
    if (probe.header.checksum != 0 && probe.header.bytes() <= kProbeBytesMax) {
      here.push_back(probe);
    }
    unit += probe.header.size_units;
  }
  std::shuffle(here.begin(), here.end(), random);
  here.resize(std::min<uint64_t>(here.size(), kProbesPerSegment));
  for (SaltProbe& probe : here) {
    const uint64_t at =
        probe.offset.units_in_segment() * kUnitBytes + sizeof(BlockHeader);
    probe.body_hash = XXH3_64bits(bytes.data() + at,
                                  probe.header.bytes() - sizeof(BlockHeader));
    probes.push_back(probe);
  }
}

// All upper halves of the pivot's hash, by all processors.
class PairSearch {
 public:
  PairSearch(const std::vector<SaltProbe>& probes, const SaltProbe& pivot,
             const SaltProbe& witness)
      : probes_(probes), pivot_(pivot), witness_(witness) {}

  std::optional<FoundSalt> Run() {
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) {
      try {
        threads.emplace_back([this] { Work(); });
      } catch (const std::system_error&) {
        break;  // those that there are do it as well
      }
    }
    Work();
    for (std::thread& thread : threads) thread.join();
    return found_;
  }

 private:
  void Work() {
    while (!is_found_) {
      const uint64_t first = next_.fetch_add(kChunk);
      if (first >= kHalfEnd) return;
      for (const uint64_t salt :
           TrySalts(pivot_, witness_, first, first + kChunk)) {
        const uint64_t agreeing = CountAgreeing(probes_, salt);
        if (agreeing < kSaltAgreeingMin) continue;
        std::lock_guard lock(mutex_);
        found_ = FoundSalt{salt, agreeing};
        is_found_ = true;
      }
    }
  }

  const std::vector<SaltProbe>& probes_;
  const SaltProbe& pivot_;
  const SaltProbe& witness_;
  std::atomic<uint64_t> next_{0};
  std::atomic<bool> is_found_{false};
  std::mutex mutex_;
  std::optional<FoundSalt> found_;
};

}  // namespace

uint64_t CountAgreeing(const std::vector<SaltProbe>& probes, uint64_t salt) {
  return static_cast<uint64_t>(std::count_if(
      probes.begin(), probes.end(), [salt](const SaltProbe& probe) {
        const uint64_t hash = BlockHashFromBody(probe.header, probe.body_hash,
                                                probe.offset, salt);
        return ChecksumOf(hash) == probe.header.checksum;
      }));
}

std::vector<SaltProbe> CollectProbes(const File& file, uint64_t file_bytes) {
  std::vector<uint32_t> order(SegmentsForBytes(file_bytes));
  std::iota(order.begin(), order.end(), 0);
  Random random(1);  // the same blocks each time
  std::shuffle(order.begin(), order.end(), random);
  std::vector<SaltProbe> probes;
  for (const uint32_t segment : order) {
    CollectIn(file, file_bytes, segment, random, probes);
    if (probes.size() >= kSaltProbesMax) break;
  }
  std::shuffle(probes.begin(), probes.end(), random);
  return probes;
}

std::optional<FoundSalt> SearchSalt(const std::vector<SaltProbe>& probes) {
  if (probes.size() < kSaltAgreeingMin) return std::nullopt;
  const uint64_t count = probes.size();
  for (uint64_t i = 0; i < std::min(kSaltPairsMax, count); ++i) {
    const std::optional<FoundSalt> found =
        PairSearch(probes, probes[i], probes[(i + 1) % count]).Run();
    if (found.has_value()) return found;
  }
  return std::nullopt;
}

}  // namespace eve::verify
