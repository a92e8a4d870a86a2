#include "engine/verify/verifier.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
#include "engine/format/superblock.h"
#include "engine/verify/block_reader.h"
#include "engine/verify/error_log.h"
#include "engine/verify/reach_map.h"
#include "engine/verify/verify_catalog.h"
#include "engine/verify/verify_chain.h"
#include "engine/verify/verify_segments.h"
#include "engine/verify/verify_trie.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using verify::BlockReader;
using verify::ErrorLog;
using verify::Hex;

constexpr int kSlotReads = 16;

absl::Status ReadSuperblock(const File& file, uint64_t file_bytes,
                            Superblock& superblock) {
  if (file_bytes < sizeof(superblock)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": not an Eve domain (", file_bytes,
                     " bytes, a superblock has ", sizeof(superblock), ")"));
  }
  EVE_RETURN_IF_ERROR(file.ReadAt(0, &superblock, sizeof(superblock)));
  return ValidateSuperblock(superblock, file.path().c_str());
}

void CheckRestOfFirstPage(const File& file, ErrorLog& log) {
  std::vector<char> rest(kPageBytes - sizeof(Superblock));
  const absl::Status read =
      file.ReadAt(sizeof(Superblock), rest.data(), rest.size());
  if (!read.ok()) {
    log.AddUnread(sizeof(Superblock), "the file cannot be read here",
                  rest.size(), read);
    return;
  }
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == 0) continue;
    log.Add(sizeof(Superblock) + i, "page of the superblock", "zeroes",
            Hex(static_cast<uint8_t>(rest[i])));
    return;
  }
}

// Reports all slots; returns the valid ones, newest first.
std::vector<CommitSlot> ReadSlots(const File& file,
                                  const Superblock& superblock, ErrorLog& log,
                                  VerifyReport& report) {
  std::vector<CommitSlot> valid;
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    SlotReport seen{.index = i};
    CommitSlot slot;
    absl::Status read;
    // A slot that somebody is writing now may be read half old, half new.
    for (int tries = 0; tries < kSlotReads; ++tries) {
      read = file.ReadAt(CommitSlotPosition(i), &slot, sizeof(slot));
      if (!read.ok() || IsEmptyCommitSlot(slot) ||
          IsValidCommitSlot(slot, i, superblock.uuid)) {
        break;
      }
    }
    if (!read.ok()) {
      log.AddUnread(CommitSlotPosition(i), "commit slot cannot be read",
                    sizeof(slot), read);
      seen.state = SlotState::kInvalid;
    } else if (IsValidCommitSlot(slot, i, superblock.uuid)) {
      seen.state = SlotState::kValid;
      seen.incarnation = slot.incarnation;
      seen.version = slot.version;
      seen.record_offset = slot.record.bytes();
      valid.push_back(slot);
    } else if (!IsEmptyCommitSlot(slot)) {
      seen.state = SlotState::kInvalid;
      // A power cut may tear the slot that was being written: no damage.
      log.Warn(CommitSlotPosition(i),
               absl::StrCat("commit slot ", i, " is torn or damaged"),
               "a checksum that fits", Hex(slot.checksum));
    }
    report.slots.push_back(seen);
  }
  std::sort(
      valid.begin(), valid.end(), [](const CommitSlot& a, const CommitSlot& b) {
        // Of equal ones that of the shorter file: it is to be cut.
        return std::tuple(a.incarnation, a.version, b.extent_count,
                          b.file_bytes) > std::tuple(b.incarnation, b.version,
                                                     a.extent_count,
                                                     a.file_bytes);
      });
  return valid;
}

class Verification {
 public:
  Verification(const File& file, const Superblock& superblock,
               const VerifyOptions& options, VerifyReport& report)
      : superblock_(superblock),
        options_(options),
        report_(report),
        log_(&report, options.errors_kept),
        reader_(&file, report.file_bytes, ChecksumSalt(superblock.uuid),
                &log_) {}

  void Run(const File& file) {
    CheckRestOfFirstPage(file, log_);
    std::vector<CommitSlot> slots = ReadSlots(file, superblock_, log_, report_);
    if (!slots.empty()) CheckFileSize(slots.front());
    DropIncomplete(slots);
    Offset root = Offset::FromBytes(options_.record_offset);
    if (slots.empty()) {
      log_.Add(kCommitSlotsOffset, "no valid commit slot", "at least 1", "0");
      if (root.is_null()) return;
    }
    if (root.is_null()) root = slots.front().record;
    report_.root_offset = root.bytes();
    const verify::Chain chain = verify::ReadChain(root, reader_, reach_, log_);
    if (chain.records.empty()) return;
    if (options_.record_offset == 0) {
      CompareWithSlot(slots.front(), chain.records.front());
    }
    CheckFallback(slots, chain);
    Describe(chain);
    std::vector<AccountingRow> rows;
    const bool has_rows = verify::ReadRows(chain, reader_, reach_, log_, rows);
    const verify::TrieWalk walk{
        &reader_, &reach_, &log_,
        verify::KeyHash{superblock_.hash_seed, superblock_.hash_mask}};
    verify::WalkCollections(walk, chain.records.front(), report_);
    report_.blocks = reach_.blocks();
    if (!has_rows) return;
    verify::CheckSegments(rows, chain.root().version, reach_, reader_, log_,
                          report_);
  }

 private:
  // A slot without a list was flushed after the size of the file: if that is
  // less now, somebody else has cut it.
  void CheckFileSize(const CommitSlot& newest) {
    if (newest.extent_count > 0 || newest.file_bytes <= report_.file_bytes) {
      return;
    }
    log_.Add(CommitSlotPosition(newest.slot_index),
             absl::StrCat("commit slot ", newest.slot_index,
                          ": the file is truncated"),
             absl::StrCat(newest.file_bytes, " bytes"),
             absl::StrCat(report_.file_bytes, " bytes"));
  }

  // The newest slot may list data that had not reached the disk when the power
  // failed; recovery takes the next one then.
  void DropIncomplete(std::vector<CommitSlot>& slots) {
    while (slots.size() > 1 && !HasAllExtents(slots.front())) {
      log_.Warn(CommitSlotPosition(slots.front().slot_index),
                absl::StrCat("commit slot ", slots.front().slot_index,
                             ": not all that it lists is on disk"),
                "every extent's sum", "another");
      slots.erase(slots.begin());
    }
  }

  bool HasAllExtents(const CommitSlot& slot) {
    VerifyReport scratch;
    ErrorLog aside(&scratch, 1);
    BlockReader reader(&reader_.file(), report_.file_bytes, reader_.salt(),
                       &aside);
    for (uint32_t i = 0; i < slot.extent_count; ++i) {
      const CommitExtent& extent = slot.extents[i];
      uint64_t sum = 0;
      uint64_t at = extent.from_units;
      while (at < extent.to_units) {
        const Offset offset{SegmentOffset(extent.segment).units + at};
        const uint64_t left = (extent.to_units - at) * kUnitBytes;
        verify::LoadedBlock block;
        if (!reader.LoadAny(offset, left, block) ||
            ChecksumOf(block.hash) != block.header.checksum) {
          return false;
        }
        sum += block.hash;
        at += block.header.size_units;
      }
      if (sum != extent.sum) return false;
    }
    return true;
  }

  void Describe(const verify::Chain& chain) {
    const CommitRecord& root = chain.root();
    report_.version = root.version;
    report_.incarnation = root.incarnation;
    report_.folded_version = root.folded_version;
    report_.chain_records = chain.records.size();
  }

  void CompareWithSlot(const CommitSlot& slot,
                       const verify::ReadRecord& record) {
    const CommitRecord& root = record.fields;
    log_.Equal(record.offset, "commit record: version in its slot",
               slot.version, root.version);
    log_.AtMost(record.offset, "commit record: incarnation", slot.incarnation,
                root.incarnation);
    log_.Equal(record.offset, "commit record: segments in its slot",
               slot.segment_count, root.segment_count);
    if (record.hash != slot.record_hash) {
      log_.Add(record.offset, "commit record is not the one of its slot: hash",
               Hex(slot.record_hash), Hex(record.hash));
    }
  }

  // While nobody is attached, the second newest slot's root is intact as well:
  // recovery would go back to it. Not if it is of a later version: then it was
  // given up, and its blocks may be others' by now.
  void CheckFallback(const std::vector<CommitSlot>& slots,
                     const verify::Chain& chain) {
    if (options_.record_offset != 0 || slots.size() < 2) return;
    const CommitSlot& second = slots[1];
    if (second.version > chain.root().version) return;
    for (const verify::ReadRecord& record : chain.records) {
      if (record.offset == second.record) return;
    }
    VerifyReport scratch;
    ErrorLog aside(&scratch, 1);
    BlockReader reader(&reader_.file(), report_.file_bytes, reader_.salt(),
                       &aside);
    verify::LoadedBlock block;
    const verify::Expected expected{.type = BlockType::kCommitRecord,
                                    .collection = kSystemId,
                                    .bytes_min = sizeof(CommitRecord),
                                    .bytes_max = kSegmentBytes};
    if (!reader.Load(second.record, expected, block) ||
        block.hash != second.record_hash) {
      log_.Warn(second.record.bytes(),
                absl::StrCat("the root of slot ", second.slot_index,
                             ", second newest, is gone"),
                absl::StrCat("the record of version ", second.version),
                "something else");
    }
  }

  const Superblock& superblock_;
  const VerifyOptions& options_;
  VerifyReport& report_;
  ErrorLog log_;
  BlockReader reader_;
  verify::ReachMap reach_;
};

}  // namespace

absl::StatusOr<VerifyReport> VerifyDomain(const File& file,
                                          const VerifyOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  VerifyReport report;
  report.path = file.path();
  EVE_ASSIGN_OR_RETURN(report.file_bytes, file.Size());
  Superblock superblock;
  if (absl::Status status = ReadSuperblock(file, report.file_bytes, superblock);
      absl::IsDataLoss(status)) {
    // Without the uuid no checksum can be told right from wrong.
    ErrorLog(&report, options.errors_kept)
        .Add(0, std::string(status.message()), "an intact superblock",
             "damage");
    return report;
  } else if (!status.ok()) {
    return status;
  }
  if (options.record_offset % kUnitBytes != 0 ||
      options.record_offset >= report.file_bytes) {
    return absl::OutOfRangeError(
        absl::StrCat(file.path(), ": no commit record can be at offset ",
                     options.record_offset));
  }
  Verification(file, superblock, options, report).Run(file);
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - begin;
  report.seconds = elapsed.count();
  return report;
}

}  // namespace eve
