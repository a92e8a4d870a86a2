// Values of sizes that do not fit into 32 bits, or hardly.

#include <sys/mman.h>

#include <cstdint>
#include <string>
#include <vector>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "util/check.h"

namespace eve {
namespace {

using Strings = Map<std::string, std::string>;

// Zeroes that take memory only where something else is written.
class SparseBytes {
 public:
  explicit SparseBytes(uint64_t size) : size_(size) {
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EVE_CHECK(data != MAP_FAILED, "addresses");
    data_ = static_cast<char*>(data);
  }
  ~SparseBytes() { ::munmap(data_, size_); }
  SparseBytes(const SparseBytes&) = delete;
  SparseBytes& operator=(const SparseBytes&) = delete;

  char& operator[](uint64_t at) { return data_[at]; }
  Bytes bytes() const { return Bytes(data_, size_); }

 private:
  char* data_ = nullptr;
  const uint64_t size_;
};

class LargeValueTest : public ::testing::Test {
 protected:
  void SetUp() override {
    DomainOptions options;
    options.in_memory = true;
    options.background = false;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open("large", options));
  }
  Domain domain_;
};

TEST_F(LargeValueTest, ValueAboveFourGibibytesIsRefused) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "before"));
  const SparseBytes value((uint64_t{4} << 30) + 1);
  EXPECT_CODE(map.Put("k", value.bytes()), absl::StatusCode::kInvalidArgument);
  EXPECT_CODE(map.Insert("new", value.bytes()),
              absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(map.Get("k").value(), "before");
  EXPECT_EQ(map.size().value(), 1u);
  // Far above, where sizes in units would wrap around.
  const SparseBytes huge(uint64_t{64} << 30);
  EXPECT_CODE(map.Put("k", huge.bytes()), absl::StatusCode::kInvalidArgument);
}

TEST_F(LargeValueTest, ValueAboveOneGibibyteIsReadBackAndItsSpaceReused) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  SparseBytes value(uint64_t{1100} << 20);
  const uint64_t size = value.bytes().size();
  std::vector<uint64_t> marked = {0, 1, size / 2, size - 1};
  for (uint64_t at = 77; at < size; at += 64 << 20) marked.push_back(at);
  for (const uint64_t at : marked) value[at] = static_cast<char>(at % 251 + 1);
  ASSERT_OK(map.Put("k", value.bytes()));
  {
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
    const auto found = map.At(now).Find("k");
    ASSERT_TRUE(found.has_value());
    ASSERT_EQ(found->size(), size);
    for (const uint64_t at : marked) {
      EXPECT_EQ(found->data()[at], value[at]) << at;
      if (at + 1 < size) {
        EXPECT_EQ(found->data()[at + 1], value[at + 1]) << at;
      }
    }
  }
  ASSERT_OK(map.Put("k", "small"));
  ASSERT_OK(domain_.Sync());  // so that no durable root sees the large one
  ASSERT_OK(map.Put("k", "small too"));
  ASSERT_OK(domain_.Sync());
  ASSERT_OK(domain_.Reclaim());
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain_.Stats());
  EXPECT_GE(stats.segments_free, 550u);
  EXPECT_LT(stats.live_bytes, uint64_t{1} << 20);
}

}  // namespace
}  // namespace eve
