// Real input: the paths of this machine's files as the keys of a map.
//
// They share long beginnings and have all lengths, as made-up keys seldom do.
// Put in random order and batches, they must come back as `LC_ALL=C sort` would
// have them: by their bytes. The seed is fixed, the paths are what is there.
// One test asks the programs themselves: find, sort and awk.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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

// What `command` prints; empty, and a failure, if it does not end well.
std::string OutputOf(const std::string& command) {
  std::string output;
  FILE* const pipe = ::popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr) << command;
  if (pipe == nullptr) return output;
  char buffer[1 << 16];
  while (const size_t bytes = std::fread(buffer, 1, sizeof(buffer), pipe)) {
    output.append(buffer, bytes);
  }
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return output;
}

// Of a list of which each part ends with a zero byte.
Paths SplitAtZeroes(const std::string& list) {
  Paths paths;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = list.find('\0', begin);
    paths.push_back(list.substr(begin, end - begin));
    if (end == std::string::npos) break;
    begin = end + 1;
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

// The order is that of `LC_ALL=C sort`, and the counts of prefixes are those of
// awk, over `find /usr`, each in the place of what could share a mistake here.
TEST(OrderedFindTest, FindSortAndAwkAgree) {
  const testing::TempDir dir;
  const std::string found = "'" + dir.File("found") + "'";
  // It says so, and fails, if a folder goes away meanwhile: no matter.
  OutputOf("find /usr -xdev -print0 > " + found + " 2>/dev/null || true");
  const Paths in_order_found = SplitAtZeroes(OutputOf("cat " + found));
  const Paths sorted = SplitAtZeroes(OutputOf("LC_ALL=C sort -z " + found));
  const Paths reversed = SplitAtZeroes(OutputOf("LC_ALL=C sort -rz " + found));
  std::printf("%zu paths\n", sorted.size());
  ASSERT_GT(sorted.size(), 500u);

  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  ASSERT_OK_AND_ASSIGN(Domain domain,
                       Domain::Open(dir.File("paths.eve"), options));
  ASSERT_OK_AND_ASSIGN(const Contents map,
                       domain.Collection<Contents>("paths"));
  ASSERT_OK(domain.Swap([&](Transaction& txn) {
    auto writer = map.In(txn);
    absl::Status status;
    for (const std::string& path : in_order_found) {
      status.Update(writer.Put(path, ValueOf(path)));
    }
    return status;
  }));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
  const auto reader = map.At(now);
  ASSERT_EQ(reader.size(), sorted.size());
  auto cursor = reader.NewCursor();
  cursor.First();
  for (const std::string& path : sorted) {
    ASSERT_TRUE(cursor.Valid()) << path;
    ASSERT_EQ(cursor.key(), Bytes(path));
    ASSERT_TRUE(cursor.value() == Bytes(ValueOf(path)));
    cursor.Next();
  }
  ASSERT_FALSE(cursor.Valid());
  cursor.Last();
  for (const std::string& path : reversed) {
    ASSERT_TRUE(cursor.Valid()) << path;
    ASSERT_EQ(cursor.key(), Bytes(path));
    cursor.Prev();
  }
  ASSERT_FALSE(cursor.Valid());

  Random random(1128);
  for (int i = 0; i < 25; ++i) {
    const std::string& path = sorted[random.Uniform(sorted.size())];
    const std::string prefix = path.substr(0, 6 + random.Uniform(path.size()));
    ASSERT_EQ(::setenv("EVE_PREFIX", prefix.c_str(), /*overwrite=*/1), 0);
    // awk knows lines: newlines and zeroes change places, also in the prefix.
    const std::string counted = OutputOf(
        "export EVE_PREFIX=\"$(printf %s. \"$EVE_PREFIX\" | tr '\\n' '\\1')\";"
        "tr '\\0\\n' '\\n\\1' < " +
        found +
        " | LC_ALL=C awk 'BEGIN { p = substr(ENVIRON[\"EVE_PREFIX\"], 1, "
        "length(ENVIRON[\"EVE_PREFIX\"]) - 1) } index($0, p) == 1 { ++n } "
        "END { print n + 0 }'");
    ASSERT_OK_AND_ASSIGN(const uint64_t count, reader.Prefix(prefix).Count());
    EXPECT_EQ(std::to_string(count) + "\n", counted) << prefix;
    EXPECT_GE(count, 1u);
  }
}

}  // namespace
}  // namespace eve
