// Counters of the region and the file that come to their ends (scenario 17):
// set near them, and used beyond. Those that do not come there in the life of a
// machine are listed in docs/concurrency.md, as are the tests of the others.

#include <signal.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/domain/registry.h"
#include "engine/format/checksum.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::SignalSelfAt;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// Lives of a slot between two that segment words and tickets take for one.
constexpr uint64_t kGenerations = uint64_t{1} << 16;

class CountersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
    ASSERT_OK(domain_.Collection<Strings>("m").status());
  }
  Core& core() { return impl_->core(); }
  // By whom the next slot belonged to in that life of it.
  int ClaimsOf(uint64_t generation) {
    int found = 0;
    for (uint32_t i = 0; i < core().table->capacity(); ++i) {
      const SegmentWord word = core().table->Load(i);
      if (word.state() == SegmentState::kClaimed && word.owner() == 1 &&
          word.generation() == generation % kGenerations) {
        ++found;
      }
    }
    return found;
  }
  // Of the slot that the next process takes.
  SharedWord& next_generation() { return core().region.process(1).generation; }

  // Claims segments and dies before it has committed to them.
  void ClaimAndDie() {
    ChildProcess child([this] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Strings>("m");
      if (!map.ok()) return 2;
      SignalSelfAt(1, SIGKILL, "commit.before_cas");
      return map->Put("k", "v").ok() ? 3 : 4;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
  }
  // Stops when it has claimed them; commits when it goes on.
  ChildProcess ClaimAndStop() {
    return ChildProcess([this] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Strings>("m");
      if (!map.ok()) return 2;
      SignalSelfAt(1, SIGSTOP, "commit.before_cas");
      return map->Put("k", "v").ok() ? 0 : 3;
    });
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<internal::DomainImpl> impl_;
};

// P5: who is in the slot of a dead owner now is not that owner, but is the
// owner of its own, at the end of the sixteen bits that a segment word has for
// a generation as well.
TEST_F(CountersTest, GenerationsMayBeginAnew) {
  for (uint64_t left = 3; left > 0; --left) {
    next_generation() = kGenerations - left;
    ASSERT_NO_FATAL_FAILURE(ClaimAndDie());
    const uint64_t dead = next_generation();
    EXPECT_GE(ClaimsOf(dead), 1);
    ChildProcess in_its_slot = ClaimAndStop();
    in_its_slot.AwaitStopped();
    ASSERT_EQ(next_generation(), dead + 1);
    const int claims = ClaimsOf(dead + 1);
    EXPECT_GE(claims, 1);
    ASSERT_OK(domain_.Reclaim());
    EXPECT_EQ(ClaimsOf(dead), 0);
    EXPECT_EQ(ClaimsOf(dead + 1), claims);
    in_its_slot.Signal(SIGCONT);
    EXPECT_EQ(in_its_slot.Wait(), 0);
  }
  testing::ExpectCleanCheck(path_, domain_);
}

// Exactly so many lives later the dead one is taken for its heir. Its segments
// are then kept for as long as that lives, and not used by it.
TEST_F(CountersTest, ClaimOfALifeThatIsTakenForAnotherWaitsForItsEnd) {
  ASSERT_NO_FATAL_FAILURE(ClaimAndDie());
  const uint64_t dead = next_generation();
  const int of_the_dead = ClaimsOf(dead);
  next_generation() = dead + kGenerations - 1;
  ChildProcess heir = ClaimAndStop();
  heir.AwaitStopped();
  const int of_both = ClaimsOf(dead);
  EXPECT_GT(of_both, of_the_dead);
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(ClaimsOf(dead), of_both);
  heir.Signal(SIGKILL);
  EXPECT_EQ(heir.Wait(), -SIGKILL);
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(ClaimsOf(dead), 0);
  testing::ExpectCleanCheck(path_, domain_);
}

// Numbers of collections have 32 bits and are not used again: after the last
// one none is made any more, and all that is there is of use.
TEST_F(CountersTest, CollectionsEndWithTheirNumbers) {
  const Offset root = core().root->Load();
  void* const block = core().write_mapping.data() + root.bytes();
  auto* const record = static_cast<CommitRecord*>(block);
  record->next_collection = kSystemId - 2;
  record->header.checksum = ChecksumOf(BlockHash(record, root, core().salt));
  ASSERT_OK_AND_ASSIGN(Strings last,
                       domain_.Collection<Strings>("last but one"));
  ASSERT_OK_AND_ASSIGN(last, domain_.Collection<Strings>("last"));
  ASSERT_OK(last.Put("k", "v"));
  EXPECT_CODE(domain_.Collection<Strings>("one more"),
              absl::StatusCode::kResourceExhausted);
  ASSERT_OK(domain_.Drop("last but one"));
  EXPECT_CODE(domain_.Collection<Strings>("one more"),
              absl::StatusCode::kResourceExhausted);
  ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "v"));
  EXPECT_EQ(last.Get("k").value(), "v");
  ASSERT_OK(domain_.Reclaim());
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
