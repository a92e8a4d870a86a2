// Real input: the paths of this machine's files as the keys of a map.
//
// They share long beginnings and have all lengths, as made-up keys seldom do.
// Put in random order and batches, they must come back as `LC_ALL=C sort` would
// have them: by their bytes. The seed is fixed, the paths are what is there.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/random.h"

namespace eve {
namespace {

using Contents = OrderedMap<std::string, std::string>;
using Paths = std::vector<std::string>;

constexpr size_t kPathsMax = 300'000;
constexpr size_t kBatchMax = 5'000;

Paths PathsBelow(const std::string& root) {
  namespace fs = std::filesystem;
  Paths paths;
  std::error_code error;
  fs::recursive_directory_iterator it(
      root, fs::directory_options::skip_permission_denied, error);
  const fs::recursive_directory_iterator end;
  while (!error && it != end && paths.size() < kPathsMax) {
    paths.push_back(it->path().string());
    it.increment(error);
  }
  return paths;
}

// Checkable from the key alone; some have blocks of their own.
std::string ValueOf(const std::string& path) {
  return path.size() % 64 == 0 ? path + std::string(600, 'x')
                               : path.substr(path.size() / 2);
}

class OrderedPathsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    sorted_ = PathsBelow("/usr");
    std::printf("%zu paths\n", sorted_.size());
    ASSERT_GT(sorted_.size(), 500u);
    Paths shuffled = sorted_;
    std::sort(sorted_.begin(), sorted_.end());
    for (size_t i = shuffled.size(); i > 1; --i) {
      std::swap(shuffled[i - 1], shuffled[random_.Uniform(i)]);
    }
    DomainOptions options;
    options.background = false;
    options.durability = Durability::kNone;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
    ASSERT_OK_AND_ASSIGN(const Contents map,
                         domain_.Collection<Contents>("paths"));
    maps_.push_back(map);
    for (size_t done = 0; done < shuffled.size();) {
      const size_t end =
          std::min(shuffled.size(), done + 1 + random_.Uniform(kBatchMax));
      ASSERT_OK(domain_.Swap([&](Transaction& txn) {
        auto writer = map.In(txn);
        absl::Status status;
        for (size_t i = done; i < end && status.ok(); ++i) {
          status = writer.Put(shuffled[i], ValueOf(shuffled[i]));
        }
        return status;
      }));
      done = end;
    }
  }

  const Contents& map() { return maps_.front(); }
  const std::string& RandomPath() {
    return sorted_[random_.Uniform(sorted_.size())];
  }
  uint64_t RankOf(const std::string& path) const {
    return static_cast<uint64_t>(
        std::lower_bound(sorted_.begin(), sorted_.end(), path) -
        sorted_.begin());
  }

  // The whole scan, both ways.
  void ExpectAllAsSorted(const Contents::Reader& reader) {
    ASSERT_EQ(reader.size(), sorted_.size());
    size_t i = 0;
    for (auto [path, value] : reader) {
      ASSERT_LT(i, sorted_.size());
      ASSERT_EQ(path, Bytes(sorted_[i]));
      ASSERT_TRUE(value == Bytes(ValueOf(sorted_[i])));
      ++i;
    }
    ASSERT_EQ(i, sorted_.size());
    for (auto [path, value] : reader.All().Reverse()) {
      ASSERT_GT(i, 0u);
      ASSERT_EQ(path, Bytes(sorted_[--i]));
    }
    ASSERT_EQ(i, 0u);
  }

  void ExpectPrefixAsSorted(const Contents::Reader& reader,
                            const std::string& prefix) {
    const uint64_t first = RankOf(prefix);
    uint64_t last = first;
    for (auto [path, value] : reader.Prefix(prefix)) {
      ASSERT_LT(last, sorted_.size());
      ASSERT_EQ(path, Bytes(sorted_[last]));
      ++last;
    }
    ASSERT_TRUE(last == sorted_.size() || !sorted_[last].starts_with(prefix));
    ASSERT_OK_AND_ASSIGN(const uint64_t count, reader.Prefix(prefix).Count());
    ASSERT_EQ(count, last - first);
    for (auto [path, value] : reader.Prefix(prefix).Reverse()) {
      ASSERT_GT(last, first);
      ASSERT_EQ(path, Bytes(sorted_[--last]));
    }
    ASSERT_EQ(last, first);
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("paths.eve");
  Random random_{20260104};
  Domain domain_;
  Paths sorted_;
  std::vector<Contents> maps_;  // one, when it is open
};

TEST_F(OrderedPathsTest, ComeBackInTheOrderOfTheirBytes) {
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  const auto reader = map().At(now);
  ASSERT_NO_FATAL_FAILURE(ExpectAllAsSorted(reader));
  for (int i = 0; i < 3'000; ++i) {
    const uint64_t at = random_.Uniform(sorted_.size());
    ASSERT_EQ(reader.Nth(at)->key, sorted_[at]);
    ASSERT_EQ(reader.Rank(sorted_[at]).value(), at);
    ASSERT_TRUE(reader.Find(sorted_[at]) == Bytes(ValueOf(sorted_[at])));
    // A path that is not there, most of the time.
    const std::string other = RandomPath().substr(0, 3 + random_.Uniform(40));
    ASSERT_EQ(reader.Rank(other).value(), RankOf(other));
    const uint64_t from = std::min(at, RankOf(other));
    const uint64_t to = std::max(at, RankOf(other));
    ASSERT_EQ(
        reader.Count(std::min(other, sorted_[at]), std::max(other, sorted_[at]))
            .value(),
        to - from);
  }
  EXPECT_FALSE(reader.Nth(sorted_.size()).has_value());
  ASSERT_OK(now.status());
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(OrderedPathsTest, DirectoriesArePrefixes) {
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  const auto reader = map().At(now);
  for (int i = 0; i < 300; ++i) {
    const std::string& path = RandomPath();
    // "/usr/" and longer: a directory, with its slash.
    const size_t slash = path.find('/', 5 + random_.Uniform(path.size()));
    const std::string prefix =
        path.substr(0, slash == std::string::npos ? path.size() : slash + 1);
    ASSERT_NO_FATAL_FAILURE(ExpectPrefixAsSorted(reader, prefix));
  }
  ASSERT_OK(now.status());
}

TEST_F(OrderedPathsTest, DirectoriesAreErasedAsRanges) {
  for (int i = 0; i < 20; ++i) {
    const std::string& path = RandomPath();
    const size_t slash = path.find('/', 6);
    if (slash == std::string::npos) continue;
    const std::string from = path.substr(0, path.find_last_of('/')) + "/";
    const std::string to = path.substr(0, path.find_last_of('/')) + "0";
    const uint64_t first = RankOf(from);
    const uint64_t last = RankOf(to);
    uint64_t erased = 0;
    ASSERT_OK(domain_.Swap([&](Transaction& txn) {
      auto done = map().In(txn).EraseRange(from, to);
      erased = done.value_or(0);
      return done.status();
    }));
    ASSERT_EQ(erased, last - first);
    sorted_.erase(sorted_.begin() + static_cast<int64_t>(first),
                  sorted_.begin() + static_cast<int64_t>(last));
  }
  {
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
    ASSERT_NO_FATAL_FAILURE(ExpectAllAsSorted(map().At(now)));
  }
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
