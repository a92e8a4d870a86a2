#include "engine/verify/rescue.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/format/catalog_entry.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_record.h"
#include "engine/format/commit_slot.h"
#include "engine/verify/rescue_identity.h"
#include "engine/verify/rescue_scan.h"
#include "engine/verify/rescue_walk.h"
#include "engine/verify/verify_chain.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using verify::Gap;
using verify::RescueContext;
using verify::RescueWalk;
using verify::WholeBlock;

constexpr std::string_view kFoundMark = " (found)";

const char* KindOf(uint8_t kind) {
  switch (static_cast<CollectionKind>(kind)) {
    case CollectionKind::kMap:
      return "map";
    case CollectionKind::kOrderedMap:
      return "ordered_map";
    case CollectionKind::kSortedSet:
      return "sorted_set";
    case CollectionKind::kMultiMap:
      return "multi_map";
    default:
      return nullptr;
  }
}

// A collection as the catalog has it, or as its blocks let guess.
struct Named {
  RescueSection section;
  uint64_t root = 0;  // a NodeSlot or TreeSlot
  bool is_trie = false;
  bool has_root = false;
};

bool ParseEntry(std::string_view name, std::string_view value, Named* named) {
  CatalogEntry entry;
  if (value.size() < sizeof(entry)) return false;
  std::memcpy(static_cast<void*>(&entry), value.data(), sizeof(entry));
  if (value.size() !=
      sizeof(entry) + entry.key_type_bytes + entry.value_type_bytes) {
    return false;
  }
  const char* kind = KindOf(entry.kind);
  if (kind == nullptr || name.empty() || name[0] == '\0') return false;
  value.remove_prefix(sizeof(entry));
  named->section.name = std::string(name);
  named->section.kind = kind;
  named->section.id = entry.id;
  named->section.key_type = std::string(value.substr(0, entry.key_type_bytes));
  named->section.value_type = std::string(value.substr(entry.key_type_bytes));
  named->root = entry.root.word;
  named->is_trie = entry.kind == static_cast<uint8_t>(CollectionKind::kMap);
  named->has_root = true;
  return true;
}

class Rescue {
 public:
  Rescue(const File& file, const RescueOptions& options, RescueSink& sink)
      : file_(file), options_(options), sink_(sink) {}

  absl::StatusOr<RescueReport> Run() {
    context_.file = &file_;
    EVE_ASSIGN_OR_RETURN(context_.file_bytes, file_.Size());
    EVE_ASSIGN_OR_RETURN(const verify::RescueIdentity identity,
                         verify::Identify(file_, context_.file_bytes, sink_));
    report_.identity = identity.source;
    context_.salt = identity.salt;
    context_.hash_seed = identity.hash_seed;
    context_.hash_mask = identity.hash_mask;
    uuid_ = identity.uuid;
    ReadSlots();
    ChooseRoot();
    ReadCatalog();
    // Once to count, once to hand out: a section begins with its size.
    EVE_RETURN_IF_ERROR(WalkAll(/*is_counting=*/true));
    Search();
    if (report_.version == 0 && found_.empty()) {
      return absl::DataLossError(absl::StrCat(
          file_.path(), ": no block of it verifies; is it a domain?"));
    }
    std::vector<RescueSection> sections;
    for (const Named& one : collections_) sections.push_back(one.section);
    for (const auto& [id, one] : found_) sections.push_back(one.section);
    EVE_RETURN_IF_ERROR(sink_.Start(sections));
    EVE_RETURN_IF_ERROR(WalkAll(/*is_counting=*/false));
    EVE_RETURN_IF_ERROR(HandOutFound());
    return report_;
  }

 private:
  void ReadSlots() {
    if (!uuid_.has_value()) return;  // else one would have told it
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      CommitSlot slot;
      if (file_.ReadAt(CommitSlotPosition(i), &slot, sizeof(slot)).ok() &&
          IsValidCommitSlot(slot, i, uuid_->data())) {
        slots_.push_back(slot);
      }
    }
    std::sort(slots_.begin(), slots_.end(),
              [](const CommitSlot& a, const CommitSlot& b) {
                return std::tuple(a.incarnation, a.version) >
                       std::tuple(b.incarnation, b.version);
              });
  }

  bool TakeRecord(Offset offset, const uint64_t* hash) {
    WholeBlock block;
    std::string why;
    if (!context_.LoadAny(offset, block, &why) ||
        block.header.type != static_cast<uint8_t>(BlockType::kCommitRecord) ||
        block.bytes.size() < sizeof(CommitRecord)) {
      return false;
    }
    if (hash != nullptr &&
        BlockHash(block.bytes.data(), offset, context_.salt) != *hash) {
      return false;
    }
    CommitRecord record;
    std::memcpy(static_cast<void*>(&record), block.bytes.data(),
                sizeof(record));
    report_.version = record.version;
    record_ = record;
    record_offset_ = offset;
    return true;
  }

  // Whether all is there that went to disk together with the slot, or should
  // have.
  bool HasAllExtents(const CommitSlot& slot) const {
    for (uint32_t i = 0; i < slot.extent_count; ++i) {
      const CommitExtent& extent = slot.extents[i];
      uint64_t sum = 0;
      for (uint64_t at = extent.from_units; at < extent.to_units;) {
        WholeBlock block;
        std::string why;
        if (!context_.LoadAny(Offset{SegmentOffset(extent.segment).units + at},
                              block, &why)) {
          return false;
        }
        sum += BlockHash(block.bytes.data(), block.offset, context_.salt);
        at += block.header.size_units;
      }
      if (sum != extent.sum) return false;
    }
    return true;
  }

  // As recovery does: the newest slot of which all is there; then one of which
  // the record is; else the newest record there is.
  void ChooseRoot() {
    for (const bool needs_extents : {true, false}) {
      for (size_t i = 0; i < slots_.size(); ++i) {
        if ((needs_extents && !HasAllExtents(slots_[i])) ||
            !TakeRecord(slots_[i].record, &slots_[i].record_hash)) {
          continue;
        }
        report_.root = absl::StrCat("commit slot ", slots_[i].slot_index);
        report_.is_newest = i == 0;
        return;
      }
    }
    Offset best;
    std::pair<uint64_t, uint64_t> newest{0, 0};
    verify::ScanBlocks(context_, {}, [&](const WholeBlock& block) {
      if (block.header.type == static_cast<uint8_t>(BlockType::kCommitRecord) &&
          block.bytes.size() >= sizeof(CommitRecord)) {
        CommitRecord record;
        std::memcpy(static_cast<void*>(&record), block.bytes.data(),
                    sizeof(record));
        const std::pair at(record.incarnation, record.version);
        if (at > newest) {
          newest = at;
          best = block.offset;
        }
      }
      return true;
    });
    if (!best.is_null() && TakeRecord(best, nullptr)) {
      report_.root =
          absl::StrCat("the newest commit record, at offset ", best.bytes());
    }
  }

  bool IsWanted(const std::string& name) const {
    return options_.names.empty() ||
           std::find(options_.names.begin(), options_.names.end(), name) !=
               options_.names.end();
  }

  void ReadCatalog() {
    if (report_.version == 0) return;
    RescueWalk walk(&context_);
    const absl::Status done =
        walk.WalkTrie(kCatalogId, record_.catalog_root,
                      [&](std::string_view name, std::string_view value) {
                        Named named;
                        if (ParseEntry(name, value, &named)) {
                          known_.insert(named.section.id);
                          if (IsWanted(named.section.name)) {
                            collections_.push_back(std::move(named));
                          }
                        }
                        return absl::OkStatus();
                      });
    (void)done;  // that visitor has no errors
    is_catalog_whole_ = walk.lost_blocks() == 0;
    CountLosses(walk);
    std::sort(collections_.begin(), collections_.end(),
              [](const Named& a, const Named& b) {
                return a.section.name < b.section.name;
              });
  }

  void CountLosses(const RescueWalk& walk) {
    report_.lost_blocks += walk.lost_blocks();
    for (const RescueLoss& loss : walk.losses()) {
      if (report_.losses.size() < RescueReport::kLossesKept) {
        report_.losses.push_back(loss);
      }
    }
  }

  absl::Status WalkOne(RescueWalk& walk, const Named& one,
                       verify::FoundRecord visit) {
    const RescueSection& section = one.section;
    return one.is_trie ? walk.WalkTrie(section.id, NodeSlot{one.root}, visit)
                       : walk.WalkTree(section.id, TreeSlot{one.root}, visit);
  }

  absl::Status WalkAll(bool is_counting) {
    RescueWalk handing_out(&context_);
    RescueWalk& walk = is_counting ? counting_ : handing_out;
    for (Named& one : collections_) {
      walk.ClearGaps();
      if (is_counting) {
        EVE_RETURN_IF_ERROR(
            WalkOne(walk, one, [&](std::string_view, std::string_view) {
              ++one.section.records;
              return absl::OkStatus();
            }));
        report_.records += one.section.records;
        if (!walk.gaps().empty()) gaps_[one.section.id] = walk.gaps();
        continue;
      }
      EVE_RETURN_IF_ERROR(sink_.Begin(one.section));
      EVE_RETURN_IF_ERROR(WalkOne(
          walk, one, [this](std::string_view key, std::string_view value) {
            return sink_.Record(key, value);
          }));
      EVE_RETURN_IF_ERROR(sink_.End());
    }
    if (is_counting) {
      CountLosses(walk);
      ReadRows();
    }
    return absl::OkStatus();
  }

  // If all of the accounting is right; else nothing is left out.
  void ReadRows() {
    if (report_.version == 0) return;
    VerifyReport aside;
    verify::ErrorLog log(&aside, 1);
    verify::BlockReader reader(&file_, context_.file_bytes, context_.salt,
                               &log);
    verify::ReachMap reach;
    const verify::Chain chain =
        verify::ReadChain(record_offset_, reader, reach, log);
    if (chain.records.empty() ||
        !verify::ReadRows(chain, reader, reach, log, rows_) ||
        log.count() > 0) {
      rows_.clear();
    }
  }

  // Whether a key may be where no walk came to.
  bool IsInGap(uint32_t id, bool is_trie, std::string_view key) const {
    const auto at = gaps_.find(id);
    // One that a whole catalog does not have was dropped.
    if (at == gaps_.end()) return !is_catalog_whole_ && known_.count(id) == 0;
    const std::optional<uint64_t> hash = context_.HashOf(key);
    return std::any_of(
        at->second.begin(), at->second.end(), [&](const Gap& gap) {
          if (is_trie) {
            return !hash.has_value() ||
                   (*hash >= gap.hash_low && *hash <= gap.hash_high);
          }
          return key >= gap.key_low &&
                 (!gap.has_key_high || key < gap.key_high);
        });
  }

  static bool IsOfTrie(const WholeBlock& block) {
    const auto type = static_cast<BlockType>(block.header.type);
    return type == BlockType::kTrieLeaf || type == BlockType::kRecord;
  }

  // Of each block that may have lost records, those.
  absl::Status VisitFound(absl::FunctionRef<absl::Status(
                              uint32_t id, bool is_trie, std::string_view key,
                              std::string_view value)>
                              visit) {
    absl::Status status;
    RescueWalk walk(&context_);
    verify::ScanBlocks(context_, rows_, [&](const WholeBlock& block) {
      const uint32_t id = block.header.collection;
      if (id == kCatalogId || id == kSystemId ||
          counting_.WasHandedOut(block.offset)) {
        return true;
      }
      const bool is_trie = IsOfTrie(block);
      absl::Status visited;
      walk.VisitBlock(
          block,
          [&](std::string_view key, std::string_view value) -> absl::Status {
            if (!IsInGap(id, is_trie, key)) return absl::OkStatus();
            return visit(id, is_trie, key, value);
          },
          &visited);
      status.Update(visited);
      return status.ok();
    });
    return status;
  }

  // Names of collections that the catalog has lost, by their ids.
  std::map<uint32_t, Named> FindNames() {
    std::map<uint32_t, Named> names;
    RescueWalk walk(&context_);
    verify::ScanBlocks(context_, rows_, [&](const WholeBlock& block) {
      if (block.header.collection != kCatalogId) return true;
      absl::Status none;
      walk.VisitBlock(
          block,
          [&](std::string_view name, std::string_view value) {
            Named named;
            if (ParseEntry(name, value, &named)) {
              names[named.section.id] = std::move(named);
            }
            return absl::OkStatus();
          },
          &none);
      return true;
    });
    return names;
  }

  void Search() {
    if (gaps_.empty() && is_catalog_whole_ && report_.version != 0) return;
    std::map<uint32_t, Named> names;
    if (!is_catalog_whole_ || report_.version == 0) names = FindNames();
    for (const Named& one : collections_) names[one.section.id] = one;
    const absl::Status counted = VisitFound(
        [&](uint32_t id, bool is_trie, std::string_view, std::string_view) {
          const auto named = names.find(id);
          Named& one = found_[id];
          if (one.section.records++ == 0) {
            const uint64_t records = one.section.records;
            if (named != names.end()) {
              one = named->second;
            } else {
              one.section.name = absl::StrCat("collection ", id);
              one.section.kind = is_trie ? "map" : "ordered_map";
              one.section.key_type = "string";
              one.section.value_type = "string";
              one.section.id = id;
            }
            one.section.is_found = true;
            one.section.records = records;
            one.section.name =
                one.section.name.substr(0, kNameBytesMax - kFoundMark.size())
                    .append(kFoundMark);
          }
          return absl::OkStatus();
        });
    (void)counted;  // that visitor has no errors
    std::erase_if(found_, [this, &names](const auto& entry) {
      const auto named = names.find(entry.first);
      return named != names.end() && !IsWanted(named->second.section.name);
    });
    for (const auto& [id, one] : found_) report_.found += one.section.records;
  }

  absl::Status HandOutFound() {
    for (const auto& [id, one] : found_) {
      const uint32_t wanted = id;
      EVE_RETURN_IF_ERROR(sink_.Begin(one.section));
      EVE_RETURN_IF_ERROR(VisitFound([&](uint32_t its_id, bool,
                                         std::string_view key,
                                         std::string_view value) {
        return its_id == wanted ? sink_.Record(key, value) : absl::OkStatus();
      }));
      EVE_RETURN_IF_ERROR(sink_.End());
    }
    return absl::OkStatus();
  }

  const File& file_;
  const RescueOptions& options_;
  RescueSink& sink_;
  RescueContext context_{};
  RescueReport report_;
  std::optional<verify::Uuid> uuid_;
  std::vector<CommitSlot> slots_;
  CommitRecord record_{};
  Offset record_offset_;
  std::vector<Named> collections_;
  std::set<uint32_t> known_;  // ids that the catalog has
  bool is_catalog_whole_ = false;
  std::map<uint32_t, std::vector<Gap>> gaps_;  // by collection
  std::vector<AccountingRow> rows_;
  RescueWalk counting_{&context_};
  std::map<uint32_t, Named> found_;  // by collection
};

}  // namespace

absl::StatusOr<RescueReport> RescueDomain(const File& file,
                                          const RescueOptions& options,
                                          RescueSink& sink) {
  return Rescue(file, options, sink).Run();
}

}  // namespace eve
