// Of a damaged domain every record that is in an intact block is saved, and
// none that is wrong.

#include "engine/verify/rescue.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/format/block.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
#include "engine/format/constants.h"
#include "engine/format/offset.h"
#include "engine/format/superblock.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/quiet.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;
using Ordered = OrderedMap<std::string, std::string>;
using Records = std::map<std::string, std::string>;

struct Saved {
  std::map<std::string, Records> certain;  // by collection
  std::map<std::string, std::multimap<std::string, std::string>> found;
  std::map<std::string, RescueSection> sections;
};

class Collect : public RescueSink {
 public:
  absl::Status Start(const std::vector<RescueSection>& sections) override {
    announced_ = sections.size();
    return absl::OkStatus();
  }
  absl::Status Begin(const RescueSection& section) override {
    EXPECT_GT(announced_--, 0u);
    EXPECT_TRUE(saved.sections.emplace(section.name, section).second);
    now_ = section;
    left_ = section.records;
    return absl::OkStatus();
  }
  absl::Status Record(std::string_view key, std::string_view value) override {
    EXPECT_GT(left_--, 0u) << now_.name;
    if (now_.is_found) {
      saved.found[now_.name].emplace(key, value);
    } else {
      EXPECT_TRUE(saved.certain[now_.name].emplace(key, value).second);
    }
    return absl::OkStatus();
  }
  absl::Status End() override {
    EXPECT_EQ(left_, 0u) << now_.name;
    return absl::OkStatus();
  }
  Saved saved;

 private:
  size_t announced_ = 0;
  RescueSection now_;
  uint64_t left_ = 0;
};

struct Block {
  uint64_t offset;
  uint64_t size;
  BlockType type;
  uint32_t collection;
};

class RescueTest : public ::testing::Test {
 protected:
  // Values are told apart, so a record can be looked for in the file.
  std::string NewValue(const std::string& collection, const std::string& key) {
    std::string value =
        absl::StrCat("<", collection, ":", key, ":", ++serial_, ">");
    const uint64_t dice = random_.Uniform(100);
    if (dice < 10) value.append(random_.Uniform(4000), 'm');
    if (dice == 0) value.append(100'000, 'l');
    return value;
  }

  template <class Handle>
  void Write(Domain& domain, const Handle& handle, const std::string& name,
             int count) {
    ASSERT_OK(domain.Swap([&](Transaction& txn) -> absl::Status {
      for (int i = 0; i < count; ++i) {
        const std::string key =
            absl::StrCat("key ", random_.Uniform(4000), " of ", name);
        if (random_.OneIn(6)) {
          if (absl::Status erased = handle.In(txn).Erase(key).status();
              !erased.ok()) {
            return erased;
          }
          model_[name].erase(key);
          continue;
        }
        const std::string value = NewValue(name, key);
        if (absl::Status put = handle.In(txn).Put(key, value); !put.ok()) {
          return put;
        }
        model_[name][key] = value;
        history_[name].emplace(key, value);
      }
      return absl::OkStatus();
    }));
  }

  void SetUp() override {
    {
      ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
      ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("map"));
      ASSERT_OK_AND_ASSIGN(Ordered tree, domain.Collection<Ordered>("tree"));
      ASSERT_OK_AND_ASSIGN(Strings gone, domain.Collection<Strings>("gone"));
      for (int round = 0; round < 12; ++round) {
        Write(domain, map, "map", 900);
        Write(domain, tree, "tree", 900);
        Write(domain, gone, "gone", 20);
        if (HasFatalFailure()) return;
      }
      const std::string run =
          absl::StrCat("<map:run:", ++serial_, ">") + std::string(3 << 20, 'r');
      ASSERT_OK(map.Put("run", run));
      model_["map"]["run"] = run;
      history_["map"].emplace("run", run);
      ASSERT_OK(domain.Drop("gone"));
      ASSERT_OK(domain.Sync());
      ASSERT_OK(domain.Close());
    }
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDONLY));
    ASSERT_OK_AND_ASSIGN(const uint64_t size, file.Size());
    image_.resize(size);
    ASSERT_OK(file.ReadAt(0, image_.data(), size));
    ListBlocks();
    ASSERT_GT(blocks_.size(), 1000u);
  }

  // Whether a block begins there: behind the fill lies what a former life of
  // the segment has left, from anywhere in a block on.
  bool IsBlock(uint64_t at, const BlockHeader& header) const {
    if (header.type == 0 || header.size_units == 0 ||
        header.bytes() > image_.size() - at) {
      return false;
    }
    Superblock superblock;
    std::memcpy(&superblock, image_.data(), sizeof(superblock));
    return header.checksum ==
           ChecksumOf(BlockHash(image_.data() + at, Offset{at / kUnitBytes},
                                ChecksumSalt(superblock.uuid)));
  }

  // Front to back: in a whole image there are no gaps before the fill.
  void ListBlocks() {
    for (uint64_t base = 0; base < image_.size(); base += kSegmentBytes) {
      uint64_t at = base == 0 ? kFirstBlockOffset : base;
      while (at < std::min<uint64_t>(base + kSegmentBytes, image_.size())) {
        BlockHeader header;
        std::memcpy(&header, image_.data() + at, sizeof(header));
        if (!IsBlock(at, header)) break;
        blocks_.push_back(Block{at, header.bytes(),
                                static_cast<BlockType>(header.type),
                                header.collection});
        at += header.bytes();
      }
      // Of a run no segment but the first begins with a block.
      if (at > base + kSegmentBytes) {
        base += (at - base - 1) / kSegmentBytes * kSegmentBytes;
      }
    }
  }

  void Damage(std::string& image, const Block& block) {
    const uint64_t at = block.offset + random_.Uniform(block.size);
    image[at] = static_cast<char>(image[at] ^ (1 + random_.Uniform(255)));
    hit_.insert(block.offset);
  }

  // `expect_whole`: nothing was lost, and it says so.
  Saved RescueImage(const std::string& image, RescueReport* report) {
    TempDir dir;
    const std::string path = dir.File("damaged.eve");
    absl::StatusOr<File> file = File::Open(path, O_RDWR | O_CREAT);
    EXPECT_OK(file);
    EXPECT_OK(file->WriteAt(0, image.data(), image.size()));
    Collect collect;
    absl::StatusOr<RescueReport> done = RescueDomain(*file, {}, collect);
    EXPECT_OK(done);
    if (done.ok()) *report = *done;
    return std::move(collect.saved);
  }

  bool IsHit(uint64_t byte) const {
    auto next = std::upper_bound(
        blocks_.begin(), blocks_.end(), byte,
        [](uint64_t at, const Block& block) { return at < block.offset; });
    return next != blocks_.begin() && hit_.count((next - 1)->offset) > 0;
  }

  // Each record whose every copy lies in intact blocks.
  void ExpectAllThere(const Saved& saved, const std::string& name,
                      const std::string& found_name) {
    const auto certain = saved.certain.find(name);
    const auto found = saved.found.find(found_name);
    int missing = 0;
    for (const auto& [key, value] : model_.at(name)) {
      if (certain != saved.certain.end()) {
        const auto at = certain->second.find(key);
        if (at != certain->second.end()) {
          EXPECT_TRUE(at->second == value) << key << " is wrong";
          continue;
        }
      }
      if (found != saved.found.end()) {
        const auto [from, to] = found->second.equal_range(key);
        if (std::any_of(from, to, [&value = value](const auto& one) {
              return one.second == value;
            })) {
          continue;
        }
      }
      const std::string token = value.substr(0, value.find('>') + 1);
      bool is_hit = false;
      for (size_t at = image_.find(token); at != std::string::npos;
           at = image_.find(token, at + 1)) {
        is_hit |= IsHit(at);
      }
      EXPECT_TRUE(is_hit) << key << " of " << name << " is intact and missing";
      if (++missing > 2000) return;
    }
  }

  void ExpectRight(const Saved& saved) {
    for (const auto& [name, records] : saved.certain) {
      ASSERT_TRUE(name == "map" || name == "tree") << name;
      for (const auto& [key, value] : records) {
        const auto at = model_.at(name).find(key);
        ASSERT_NE(at, model_.at(name).end()) << key << " was erased";
        EXPECT_TRUE(at->second == value) << key << " is wrong";
      }
    }
    for (const auto& [name, records] : saved.found) {
      const std::string of =
          saved.sections.at(name).id == kFirstCollectionId       ? "map"
          : saved.sections.at(name).id == kFirstCollectionId + 1 ? "tree"
                                                                 : "gone";
      for (const auto& [key, value] : records) {
        EXPECT_EQ(history_.at(of).count({key, value}), 1u)
            << key << " never had this value";
      }
    }
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Random random_{7};
  int serial_ = 0;
  std::map<std::string, Records> model_;
  // What any version had.
  std::map<std::string, std::set<std::pair<std::string, std::string>>> history_;
  std::string image_;
  std::vector<Block> blocks_;
  std::set<uint64_t> hit_;
};

TEST_F(RescueTest, OfAWholeDomainEverythingIsCertain) {
  RescueReport report;
  const Saved saved = RescueImage(image_, &report);
  EXPECT_TRUE(report.is_whole());
  EXPECT_TRUE(report.is_newest);
  EXPECT_EQ(report.found, 0u);
  EXPECT_EQ(saved.certain.at("map"), model_.at("map"));
  EXPECT_EQ(saved.certain.at("tree"), model_.at("tree"));
  EXPECT_EQ(saved.sections.size(), 2u);
  EXPECT_EQ(saved.sections.at("tree").kind, "ordered_map");
  EXPECT_EQ(saved.sections.at("map").value_type, "string");
}

// A share of the blocks of each type, and of all types.
TEST_F(RescueTest, WhatIsIntactIsThereAndNothingIsWrong) {
  uint64_t found = 0;
  uint64_t lost = 0;
  for (int type = 0; type <= kBlockTypeMax; ++type) {
    for (const uint64_t one_in : {200, 5}) {
      SCOPED_TRACE(absl::StrCat("type ", type, ", one in ", one_in));
      std::string image = image_;
      hit_.clear();
      for (const Block& block : blocks_) {
        const bool counts = type == 0
                                ? block.collection == kFirstCollectionId ||
                                      block.collection == kFirstCollectionId + 1
                                : block.type == static_cast<BlockType>(type);
        // Catalog and root have tests of their own.
        if (block.collection == kCatalogId ||
            block.type == BlockType::kCommitRecord) {
          continue;
        }
        if (counts && random_.OneIn(one_in)) Damage(image, block);
      }
      RescueReport report;
      const Saved saved = RescueImage(image, &report);
      ExpectRight(saved);
      ExpectAllThere(saved, "map", "map (found)");
      ExpectAllThere(saved, "tree", "tree (found)");
      EXPECT_EQ(saved.found.count("gone (found)"), 0u);
      found += report.found;
      lost += report.lost_blocks;
      EXPECT_EQ(report.lost_blocks == 0,
                report.found == 0 && report.is_whole());
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(found, 1000u);
  EXPECT_GT(lost, 20u);
}

TEST_F(RescueTest, WithoutTheCatalogCollectionsAreFoundByTheirBlocks) {
  std::string image = image_;
  for (const Block& block : blocks_) {
    if (block.collection == kCatalogId) Damage(image, block);
  }
  RescueReport report;
  Saved saved = RescueImage(image, &report);
  EXPECT_FALSE(report.is_whole());
  EXPECT_TRUE(saved.certain.empty());
  ExpectRight(saved);
  ExpectAllThere(saved, "map", "collection 1 (found)");
  ExpectAllThere(saved, "tree", "collection 2 (found)");
  EXPECT_EQ(saved.sections.at("collection 2 (found)").kind, "ordered_map");
  // One catalog block that is left, however old, gives them their names.
  const auto last =
      std::find_if(blocks_.rbegin(), blocks_.rend(), [](const Block& block) {
        return block.collection == kCatalogId &&
               block.type == BlockType::kTrieLeaf;
      });
  ASSERT_NE(last, blocks_.rend());
  image.replace(last->offset, last->size, image_, last->offset, last->size);
  saved = RescueImage(image, &report);
  EXPECT_TRUE(
      saved.sections.count("map") + saved.sections.count("map (found)") > 0);
}

TEST_F(RescueTest, TheHeadOfTheFileMayBeGone) {
  std::string image = image_;
  RescueReport report;
  // The first page: the slots say which domain it is.
  std::fill_n(image.begin(), kPageBytes, '#');
  Saved saved = RescueImage(image, &report);
  EXPECT_EQ(saved.certain.at("map"), model_.at("map"));
  EXPECT_EQ(saved.certain.at("tree"), model_.at("tree"));
  EXPECT_TRUE(report.is_whole());
  EXPECT_NE(report.identity.find("slot"), std::string::npos);
  // The slots: the newest commit record will do.
  image = image_;
  std::fill_n(image.begin() + kCommitSlotsOffset,
              kCommitSlotCount * kCommitSlotBytes, '#');
  saved = RescueImage(image, &report);
  EXPECT_EQ(saved.certain.at("map"), model_.at("map"));
  EXPECT_EQ(saved.certain.at("tree"), model_.at("tree"));
  EXPECT_FALSE(report.is_newest);
}

// Nothing says any more which domain it was, but for what is left of its
// blocks.
TEST_F(RescueTest, AllOfTheHeadMayBeGoneAndATenthOfTheBlocks) {
  std::string image = image_;
  std::fill_n(image.begin(), kFirstBlockOffset, '\0');
  for (const Block& block : blocks_) {
    // Else an older root may be all that is left, which has what was dropped.
    if (block.type == BlockType::kCommitRecord ||
        block.collection == kCatalogId) {
      continue;
    }
    if (random_.OneIn(10)) Damage(image, block);
  }
  RescueReport report;
  const Saved saved = RescueImage(image, &report);
  EXPECT_NE(report.identity.find("blocks agree"), std::string::npos)
      << report.identity;
  EXPECT_FALSE(report.is_whole());
  EXPECT_GT(report.lost_blocks, 0u);
  ExpectRight(saved);
  ExpectAllThere(saved, "map", "map (found)");
  ExpectAllThere(saved, "tree", "tree (found)");
}

TEST_F(RescueTest, WithoutARootAllIsFound) {
  std::string image = image_;
  for (const Block& block : blocks_) {
    if (block.type == BlockType::kCommitRecord) Damage(image, block);
  }
  RescueReport report;
  const Saved saved = RescueImage(image, &report);
  EXPECT_EQ(report.version, 0u);
  EXPECT_FALSE(report.is_whole());
  ExpectRight(saved);
  ExpectAllThere(saved, "map", "map (found)");
  ExpectAllThere(saved, "tree", "tree (found)");
}

// Any bytes: it ends, with an error or with something right.
TEST_F(RescueTest, NoDamageLeadsItAstray) {
  constexpr int kImages = testing::kUnderAsan ? 20 : 60;
  for (int run = 0; run < kImages; ++run) {
    std::string image = image_;
    hit_.clear();
    const uint64_t pieces = 1 + random_.Uniform(20);
    for (uint64_t i = 0; i < pieces; ++i) {
      const uint64_t at = random_.Uniform(image.size());
      const uint64_t size =
          std::min<uint64_t>(1 + random_.Uniform(8192), image.size() - at);
      for (uint64_t k = 0; k < size; ++k) {
        image[at + k] =
            random_.OneIn(2) ? static_cast<char>(random_.Next()) : '\0';
      }
    }
    if (random_.OneIn(3)) image.resize(random_.Uniform(image.size()));
    TempDir dir;
    absl::StatusOr<File> file = File::Open(dir.File("d.eve"), O_RDWR | O_CREAT);
    ASSERT_OK(file);
    ASSERT_OK(file->WriteAt(0, image.data(), image.size()));
    Collect collect;
    const absl::StatusOr<RescueReport> done = RescueDomain(*file, {}, collect);
    if (!done.ok()) {
      EXPECT_CODE(done, absl::StatusCode::kDataLoss);
      continue;
    }
    // An older root may be all that is left.
    if (done->is_newest) ExpectRight(collect.saved);
    ASSERT_FALSE(HasFailure()) << "run " << run;
  }
}

TEST_F(RescueTest, NoDomainIsSaid) {
  TempDir dir;
  for (const std::string& text :
       {std::string(), std::string("no domain"), std::string(1 << 20, '\0')}) {
    absl::StatusOr<File> file = File::Open(dir.File("x"), O_RDWR | O_CREAT);
    ASSERT_OK(file);
    ASSERT_OK(file->WriteAt(0, text.data(), text.size()));
    Collect collect;
    EXPECT_CODE(RescueDomain(*file, {}, collect), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace eve
