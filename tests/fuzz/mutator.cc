// mutator [--seconds=N | --runs=N] [--seed=S] [--run=R] [--known=1]: hostile
// files.
//
// Each run changes some bytes of a small domain, in its superblock, its slots
// and its blocks, and makes their checksums fit again. The file, of which no
// lock file knows, is then verified, looked at as recovery would, opened to
// read and read, and opened to write, written to and closed. All of that may
// fail, by a status; nobody may crash or go on for ever. What opens was read
// whole before (docs/durability.md), so it is the verifier that must see what
// would crash the engine. With --known=1 there is a lock file that knows it, so
// it is opened at once, and the engine itself must see it. A seed and a run
// give the same file each time: --run=R repeats one.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/domain/recovery_preview.h"
#include "engine/file/file.h"
#include "engine/format/block.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
#include "engine/format/superblock.h"
#include "engine/verify/verifier.h"
#include "eve/eve.h"
#include "tests/simdisk/fixed_random.h"
#include "tests/testing/child_process.h"
#include "tests/testing/lock_file.h"
#include "tests/testing/quiet.h"
#include "tests/testing/temp_dir.h"
#include "util/check.h"
#include "util/clock.h"
#include "util/random.h"

namespace eve {
namespace {

using testing::Quiet;
using Strings = Map<std::string, std::string>;
using Ordered = OrderedMap<std::string, std::string>;

// One that takes longer has gone astray.
constexpr unsigned kSecondsARun = 60;
constexpr uint64_t kRunsAChild = 25;

struct Flags {
  uint64_t seconds = 60;
  uint64_t runs = 0;
  uint64_t seed = MonotonicNanos() % 1'000'000'007;
  uint64_t run = UINT64_MAX;
  uint64_t known = 0;  // 1: files are not read whole before they are opened
};

struct Progress {
  uint64_t run = 0;
  uint64_t opened = 0;
  uint64_t digest = 0;  // of the files
};

std::string ReadAll(const std::string& path) {
  const File file = File::Open(path, O_RDONLY).value();
  std::string bytes(file.Size().value(), '\0');
  EVE_CHECK(file.ReadAt(0, bytes.data(), bytes.size()).ok(), "a small file");
  return bytes;
}

// A domain with some of everything.
std::string MakeOriginal(const std::string& path) {
  Domain domain = Domain::Open(path, Quiet()).value();
  const Strings map = domain.Collection<Strings>("m").value();
  const Ordered tree = domain.Collection<Ordered>("t").value();
  bool is_made = true;
  for (int round = 0; round < 3; ++round) {
    const auto made = domain.Swap([&](Transaction& txn) -> absl::Status {
      for (int i = 0; i < 250; ++i) {
        const std::string key = absl::StrCat("key", i * (round + 1));
        const std::string value(static_cast<size_t>(i % 90), 'v');
        absl::Status status = map.In(txn).Put(key, value);
        if (status.ok()) status = tree.In(txn).Put(key, value);
        if (!status.ok()) return status;
      }
      return map.In(txn).Put("large", std::string(20'000, 'l'));
    });
    is_made &= made.ok() && map.Erase("key7").ok() && domain.Sync().ok();
  }
  is_made &= domain.Reclaim().ok() && domain.Close().ok();
  EVE_CHECK(is_made, "the original");
  return ReadAll(path);
}

// Where its blocks are.
std::vector<Offset> FindBlocks(const std::string& bytes) {
  std::vector<Offset> blocks;
  for (uint64_t segment = 0; segment * kSegmentBytes < bytes.size();
       ++segment) {
    uint64_t at = segment == 0 ? kFirstBlockOffset : segment * kSegmentBytes;
    while (at + sizeof(BlockHeader) <= bytes.size()) {
      BlockHeader header;
      std::memcpy(&header, bytes.data() + at, sizeof(header));
      if (header.size_units == 0 || at + header.bytes() > bytes.size()) break;
      blocks.push_back(Offset{at / kUnitBytes});
      at += header.bytes();
    }
  }
  return blocks;
}

class Mutant {
 public:
  Mutant(const std::string& original, const std::vector<Offset>& blocks,
         uint64_t seed)
      : bytes_(original), blocks_(blocks), random_(seed) {}

  std::string Make() {
    const Superblock superblock = Read<Superblock>(0);
    salt_ = ChecksumSalt(superblock.uuid);
    for (uint64_t i = 0, n = 1 + random_.Uniform(4); i < n; ++i) {
      switch (random_.Uniform(12)) {
        case 0:
          Change(0, sizeof(Superblock));
          break;
        case 1:
        case 2:
          Change(CommitSlotPosition(
                     static_cast<uint32_t>(random_.Uniform(kCommitSlotCount))),
                 offsetof(CommitSlot, reserved));
          break;
        default:
          ChangeBlock();
      }
    }
    MendHead();
    return std::move(bytes_);
  }
  Random& random() { return random_; }

 private:
  template <class T>
  T Read(uint64_t at) const {
    T value;
    std::memcpy(static_cast<void*>(&value), bytes_.data() + at, sizeof(T));
    return value;
  }
  template <class T>
  void Write(uint64_t at, const T& value) {
    std::memcpy(bytes_.data() + at, static_cast<const void*>(&value),
                sizeof(T));
  }
  uint64_t AnyNumber() {
    switch (random_.Uniform(6)) {
      case 0:
        return random_.Next();
      case 1:
        return uint64_t{1} << random_.Uniform(64);
      case 2:
        return UINT64_MAX >> random_.Uniform(64);
      case 3:
        return blocks_[random_.Uniform(blocks_.size())].units;
      case 4:
        return bytes_.size() / kUnitBytes - random_.Uniform(3);
      default:
        return random_.Uniform(70);
    }
  }
  void Change(uint64_t begin, uint64_t size) {
    const uint64_t at = begin + random_.Uniform(size);
    if (random_.OneIn(3)) {
      bytes_[at] = static_cast<char>(bytes_[at] ^ (1 << random_.Uniform(8)));
      return;
    }
    const uint64_t number = AnyNumber();
    const uint64_t width = uint64_t{1} << random_.Uniform(4);
    // Mostly a field and not two halves.
    const uint64_t aligned = random_.OneIn(4) ? at : at / width * width;
    const uint64_t first = std::max(aligned, begin);
    std::memcpy(bytes_.data() + first, &number,
                std::min(width, begin + size - first));
  }
  void ChangeBlock() {
    const Offset block = blocks_[random_.Uniform(blocks_.size())];
    const uint64_t at = block.bytes();
    const auto before = Read<BlockHeader>(at);
    // Structure is at the front.
    const uint64_t size =
        std::min<uint64_t>(before.bytes(), random_.OneIn(2) ? 64 : kPageBytes);
    if (random_.OneIn(8)) {
      const Offset other = blocks_[random_.Uniform(blocks_.size())];
      const uint64_t bytes =
          std::min(before.bytes(), Read<BlockHeader>(other.bytes()).bytes());
      std::memmove(bytes_.data() + at, bytes_.data() + other.bytes(), bytes);
    } else {
      Change(at, size);
    }
    auto header = Read<BlockHeader>(at);
    if (header.size_units == 0 || at + header.bytes() > bytes_.size()) return;
    header.checksum = ChecksumOf(BlockHash(bytes_.data() + at, block, salt_));
    Write(at, header);
  }
  // Slots name the hash of their record, and have checksums of their own.
  void MendHead() {
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      auto slot = Read<CommitSlot>(CommitSlotPosition(i));
      if (slot.magic == 0) continue;
      const uint64_t at = slot.record.bytes();
      if (slot.record.units < bytes_.size() / kUnitBytes &&
          at + sizeof(BlockHeader) <= bytes_.size()) {
        const auto header = Read<BlockHeader>(at);
        if (header.size_units > 0 && header.bytes() <= bytes_.size() - at) {
          slot.record_hash = BlockHash(bytes_.data() + at, slot.record, salt_);
        }
      }
      slot.checksum =
          HashBytes(&slot, offsetof(CommitSlot, checksum), kCommitSlotMagic);
      Write(CommitSlotPosition(i), slot);
    }
    auto superblock = Read<Superblock>(0);
    superblock.checksum =
        HashBytes(&superblock, offsetof(Superblock, checksum), kDomainMagic);
    Write(0, superblock);
  }

  std::string bytes_;
  const std::vector<Offset>& blocks_;
  Random random_;
  uint64_t salt_ = 0;
};

void ReadEverything(const Domain& opened, Random& random) {
  Domain domain = opened;
  const absl::StatusOr<Strings> map = domain.Collection<Strings>("m");
  const absl::StatusOr<Ordered> tree = domain.Collection<Ordered>("t");
  const absl::StatusOr<Snapshot> now = domain.Now();
  uint64_t bytes = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string key = absl::StrCat("key", random.Uniform(800));
    if (map.ok()) bytes += map->Get(key).value_or("").size();
    if (tree.ok()) bytes += tree->Get(key).value_or("").size();
  }
  if (!now.ok()) return;
  if (map.ok()) {
    for (const auto& entry : map->At(*now)) bytes += entry.value.size();
  }
  if (tree.ok()) {
    for (const auto& entry : tree->At(*now)) bytes += entry.value.size();
  }
  EVE_CHECK(bytes < UINT64_MAX, "all was touched");
}

void WriteSome(const Domain& opened, Random& random) {
  Domain domain = opened;
  const absl::StatusOr<Strings> map = domain.Collection<Strings>("m");
  const absl::StatusOr<Ordered> tree = domain.Collection<Ordered>("t");
  for (int i = 0; i < 10; ++i) {
    const std::string key = absl::StrCat("key", random.Uniform(800));
    if (map.ok()) map->Put(key, "w").IgnoreError();
    if (tree.ok()) tree->Put(key, "w").IgnoreError();
    if (map.ok()) map->Erase(absl::StrCat("key", i)).status().IgnoreError();
  }
  domain.Sync().IgnoreError();
  domain.Reclaim().IgnoreError();
  domain.Close().IgnoreError();
}

void RunOne(const std::string& path, const std::string& original,
            const std::vector<Offset>& blocks, const Flags& flags,
            Progress& progress) {
  const uint64_t seed = flags.seed * 1'000'003 + progress.run;
  Mutant mutant(original, blocks, seed);
  const std::string bytes = mutant.Make();
  std::filesystem::remove(path);
  std::filesystem::remove(path + "-lock");
  {
    const File file = File::Open(path, O_RDWR | O_CREAT).value();
    EVE_CHECK(file.WriteAt(0, bytes.data(), bytes.size()).ok(), "room");
    VerifyDomain(file).status().IgnoreError();
  }
  progress.digest += HashBytes(bytes.data(), bytes.size(), seed);
  if (flags.known != 0) {
    EVE_CHECK(testing::WriteLockFileOfOtherBoot(path), "a lock file");
  }
  PreviewRecovery(path).status().IgnoreError();
  DomainOptions options = Quiet();
  options.create = false;
  options.read_only = true;
  options.verify_reads = mutant.random().OneIn(2);
  if (auto domain = Domain::Open(path, options); domain.ok()) {
    ReadEverything(*domain, mutant.random());
  }
  options.read_only = false;
  if (auto domain = Domain::Open(path, options); domain.ok()) {
    ++progress.opened;
    WriteSome(*domain, mutant.random());
  }
}

int RunMain(const Flags& flags) {
  std::cout << "mutator: --seed=" << flags.seed << std::endl;
  // So that the original has the same identity each time.
  simdisk::SeedSystemRandom(flags.seed);
  testing::TempDir dir(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : nullptr);
  const std::string original = MakeOriginal(dir.File("original.eve"));
  const std::vector<Offset> blocks = FindBlocks(original);
  EVE_CHECK(blocks.size() > 100, "blocks to change");
  const bool is_one = flags.run != UINT64_MAX;
  const uint64_t end = MonotonicNanos() + flags.seconds * kNanosPerSecond;
  testing::SharedValue<Progress> progress;
  uint64_t run = is_one ? flags.run : 0;
  const uint64_t runs = is_one ? flags.run + 1 : flags.runs;
  while (runs > 0 ? run < runs : MonotonicNanos() < end) {
    const uint64_t last =
        runs > 0 ? std::min(run + kRunsAChild, runs) : run + kRunsAChild;
    testing::ChildProcess child([&] {
      for (progress->run = run; progress->run < last; ++progress->run) {
        ::alarm(kSecondsARun);
        RunOne(dir.File("mutant.eve"), original, blocks, flags, *progress);
      }
      return 0;
    });
    if (const int status = child.Wait(); status != 0) {
      std::cerr << "mutator: FAILED with status " << status
                << "; mutator --seed=" << flags.seed
                << " --run=" << progress->run << std::endl;
      return 1;
    }
    run = last;
  }
  std::cout << "mutator: seed " << flags.seed << ": " << run
            << " files, all of them read or refused, " << progress->opened
            << " opened, digest " << std::hex << progress->digest << std::endl;
  return 0;
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  eve::simdisk::FixAddresses(argv);
  eve::Flags flags;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    uint64_t* value =
        absl::ConsumePrefix(&argument, "--seconds=") ? &flags.seconds
        : absl::ConsumePrefix(&argument, "--runs=")  ? &flags.runs
        : absl::ConsumePrefix(&argument, "--seed=")  ? &flags.seed
        : absl::ConsumePrefix(&argument, "--run=")   ? &flags.run
        : absl::ConsumePrefix(&argument, "--known=") ? &flags.known
                                                     : nullptr;
    if (value == nullptr || !absl::SimpleAtoi(argument, value)) {
      std::cerr << "usage: mutator [--seconds=N | --runs=N] [--seed=S] "
                   "[--run=R] [--known=1]"
                << std::endl;
      return 2;
    }
  }
  return eve::RunMain(flags);
}
