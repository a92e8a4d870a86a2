// Which root recovery takes where newer ones are damaged, and what it reads
// before it believes an old one (P24).

#include <fcntl.h>

#include <cstdint>
#include <string>

#include "engine/file/file.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/file_bytes.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::Quiet;
using Strings = Map<std::string, std::string>;

// The values of three durable versions, the oldest first; nothing else in the
// file looks like them.
const std::string kValues[] = {std::string(64, '#'), std::string(64, '%'),
                               std::string(64, '&')};

class FallingBackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
    for (size_t i = 0; i < std::size(kValues); ++i) {
      ASSERT_OK(map.Put("k", kValues[i]));
      ASSERT_OK(domain_.Sync());
      versions_[i] = domain_.durable_version();
    }
  }
  // As it is on the disk, but for the newest slots.
  std::string CopyWithTornSlots(const std::string& name, size_t count) {
    const std::string copy =
        testing::CopyAfterPowerLoss(path_, dir_.File(name));
    testing::TearNewestSlots(copy, count);
    return copy;
  }
  static void Damage(const std::string& path, const std::string& value) {
    const std::string bytes = testing::ReadFile(path);
    const size_t at = bytes.find(value);
    ASSERT_NE(at, bytes.npos);
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path, O_RDWR));
    ASSERT_OK(file.WriteAt(at, "rot", 3));
  }
  void ExpectOpensAt(const std::string& path, size_t value) {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, domain.Collection<Strings>("m"));
    EXPECT_EQ(map.Get("k").value(), kValues[value]);
    const std::string note = domain.Stats().value().recovery;
    const std::string version = "version " + std::to_string(versions_[value]);
    EXPECT_NE(note.find(version), note.npos) << note;
    EXPECT_NE(note.find(": fails its checksum"), note.npos) << note;
    testing::ExpectCleanCheck(path, domain);
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  uint64_t versions_[std::size(kValues)] = {};
};

TEST_F(FallingBackTest, DamagedNewestRootGivesTheOneBefore) {
  const uint64_t record = domain_.Now().value().internal_record_offset();
  const std::string copy = CopyWithTornSlots("copy.eve", 0);
  {
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(copy, O_RDWR));
    ASSERT_OK(file.WriteAt(record + 20, "damaged", 7));
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy, Quiet()));
  ASSERT_OK_AND_ASSIGN(const Strings map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), kValues[1]);
  testing::ExpectCleanCheck(copy, domain);
}

// One is what a power failure leaves. The root before is kept, so nothing is
// read for it: not what is damaged here.
TEST_F(FallingBackTest, PastOneDamagedSlotNothingIsRead) {
  ExpectOpensAt(CopyWithTornSlots("torn.eve", 1), 1);
  const std::string rotten = CopyWithTornSlots("rotten.eve", 1);
  Damage(rotten, kValues[1]);
  EXPECT_OK(Domain::Open(rotten, Quiet()));
}

// No power failure leaves two. Both roots that the reuse rule kept may be
// behind them, so what is older is believed only if all of it is there.
TEST_F(FallingBackTest, PastTwoDamagedSlotsAllIsRead) {
  ExpectOpensAt(CopyWithTornSlots("torn.eve", 2), 0);
  const std::string rotten = CopyWithTornSlots("rotten.eve", 2);
  Damage(rotten, kValues[0]);
  EXPECT_CODE(Domain::Open(rotten, Quiet()), absl::StatusCode::kDataLoss);
}

TEST_F(FallingBackTest, AReadOnlyOpenerReadsAllAsWell) {
  DomainOptions options = Quiet();
  options.read_only = true;
  EXPECT_OK(Domain::Open(CopyWithTornSlots("torn.eve", 2), options));
  const std::string rotten = CopyWithTornSlots("rotten.eve", 2);
  Damage(rotten, kValues[0]);
  EXPECT_CODE(Domain::Open(rotten, options), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace eve
