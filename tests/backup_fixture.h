// A domain with everything in it, to be copied: plainly, and packed.
//
// Threads:    of the test.
// Processes:  of the test.
// Owns:       a folder with the domain.
// Lifetime:   one test.
// Errors:     as failures of the test.
// Cost:       Fill() writes some 30 MB.
#ifndef EVE_TESTS_BACKUP_FIXTURE_H_
#define EVE_TESTS_BACKUP_FIXTURE_H_

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "engine/format/constants.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve::testing {

class BackupTest : public ::testing::TestWithParam<bool> {
 public:
  using Strings = Map<std::string, std::string>;
  using Ordered = OrderedMap<std::string, std::string>;
  using Pairs = MultiMap<std::string, int64_t>;

 protected:
  // Where packed streams are packed.
  void SetUp() override { ::setenv("TMPDIR", dir_.path().c_str(), 1); }
  void TearDown() override {
    ClearStepHook();
    ClearFaultHook();
  }

  BackupOptions Options() const {
    BackupOptions options;
    options.compact = GetParam();
    return options;
  }

  // All kinds, large values, garbage, and segments that are free.
  void Fill() {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("map"));
    ASSERT_OK_AND_ASSIGN(Ordered tree, domain_.Collection<Ordered>("tree"));
    ASSERT_OK_AND_ASSIGN(Pairs pairs, domain_.Collection<Pairs>("pairs"));
    ASSERT_OK(domain_.Collection<SortedSet<std::string>>("empty"));
    for (int round = 0; round < 3; ++round) {
      ASSERT_OK(domain_.Swap([&](Transaction& txn) -> absl::Status {
        for (int i = 0; i < 3000; ++i) {
          const std::string key = absl::StrCat("key", i * 7919 % 3000);
          const std::string value(i % 300, static_cast<char>('a' + round));
          absl::Status put = map.In(txn).Put(key, value);
          if (put.ok()) put = tree.In(txn).Put(key, value);
          if (!put.ok()) return put;
        }
        return absl::OkStatus();
      }));
      ASSERT_OK(map.Put("run", std::string(5 << 20, static_cast<char>(round))));
      ASSERT_OK(map.Put("block", std::string(90'000, 'b')));
      ASSERT_OK(tree.Put(std::string(60'000, 'k'), "long key"));
      ASSERT_OK(pairs.Add("twice", round));
    }
    ASSERT_OK(map.Erase("key5").status());
    ASSERT_OK(domain_.Sync());
    ASSERT_OK(domain_.Reclaim());
  }

  static void ExpectSame(Domain& domain, Domain& copy) {
    ASSERT_OK_AND_ASSIGN(const Snapshot a, domain.Now());
    ASSERT_OK_AND_ASSIGN(const Snapshot b, copy.Now());
    ASSERT_OK_AND_ASSIGN(const auto infos, domain.Collections());
    ASSERT_OK_AND_ASSIGN(const auto copied, copy.Collections());
    ASSERT_EQ(infos.size(), copied.size());
    for (size_t i = 0; i < infos.size(); ++i) {
      EXPECT_EQ(infos[i].name, copied[i].name);
      EXPECT_EQ(infos[i].kind, copied[i].kind);
      EXPECT_EQ(infos[i].key_type, copied[i].key_type);
      EXPECT_EQ(infos[i].value_type, copied[i].value_type);
      EXPECT_EQ(infos[i].count, copied[i].count);
    }
    EXPECT_EQ(ContentOf<Strings>(domain, a, "map"),
              ContentOf<Strings>(copy, b, "map"));
    EXPECT_EQ(ContentOf<Ordered>(domain, a, "tree"),
              ContentOf<Ordered>(copy, b, "tree"));
    ASSERT_OK_AND_ASSIGN(const Pairs pairs, copy.Collection<Pairs>("pairs"));
    EXPECT_TRUE(pairs.At(b).Contains("twice", 2));
  }
  template <class C>
  static std::map<std::string, std::string> ContentOf(Domain& domain,
                                                      const Snapshot& at,
                                                      const char* name) {
    std::map<std::string, std::string> content;
    const absl::StatusOr<C> opened = domain.Collection<C>(name);
    EXPECT_OK(opened);
    if (!opened.ok()) return content;
    for (const auto& [key, value] : opened->At(at)) {
      content[std::string(key)] = std::string(value);
    }
    EXPECT_OK(at.status());
    return content;
  }

  // What is there beside the source.
  std::vector<std::string> NamesLeft() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      const std::string name = entry.path().filename();
      if (name != "d.eve" && name != "d.eve-lock") names.push_back(name);
    }
    return names;
  }
  void ExpectNothingLeft() {
    const std::vector<std::string> names = NamesLeft();
    EXPECT_TRUE(names.empty()) << names.front();
  }

  // The copy that this process is writing, which has no name.
  absl::StatusOr<File> OpenUnnamed() {
    const std::string deleted = absl::StrCat(dir_.path(), "/#");
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code error;
      const std::string target =
          std::filesystem::read_symlink(entry.path(), error);
      if (!error && target.starts_with(deleted)) {
        return File::Open(entry.path(), O_RDWR);
      }
    }
    return absl::NotFoundError("no unnamed file");
  }

  // Changes a byte of what is written, before it is verified.
  void SpoilWhatIsWritten() {
    SetStepHook([this](std::string_view step) {
      if (step != "backup.written") return;
      const absl::StatusOr<File> file = OpenUnnamed();
      EXPECT_OK(file);
      if (file.ok()) EXPECT_OK(file->WriteAt(kFirstBlockOffset + 50, "#", 1));
    });
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  const std::string to_ = dir_.File("copy.eve");
  Domain domain_;
};

// The name of each of the two ways in a test's.
inline std::string NameOfWay(const ::testing::TestParamInfo<bool>& info) {
  return info.param ? "Packed" : "Plain";
}

}  // namespace eve::testing

#endif  // EVE_TESTS_BACKUP_FIXTURE_H_
