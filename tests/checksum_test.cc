// The hash of a block is XXH3-64 of its body, whichever code computes it.

#include "engine/format/checksum.h"

#include <cstring>
#include <vector>

#include "engine/format/constants.h"
#include "gtest/gtest.h"
#include "util/random.h"

namespace eve {
namespace {

TEST(ChecksumTest, IsTheSameWhicheverCodeComputesIt) {
  Random random(7);
  std::vector<char> block(8192);
  for (char& byte : block) byte = static_cast<char>(random.Next());
  const Offset offset{12345};
  for (uint32_t units = 2; units <= block.size() / kUnitBytes; ++units) {
    BlockHeader header{};
    header.size_units = units;
    header.collection = 3;
    std::memcpy(block.data(), &header, sizeof(header));
    // The plain function, which no processor has a version of its own for.
    const uint64_t body = HashBytes(block.data() + sizeof(header),
                                    header.bytes() - sizeof(header), 0);
    ASSERT_EQ(BlockHash(block.data(), offset, 99),
              BlockHashFromBody(header, body, offset, 99))
        << units;
  }
}

}  // namespace
}  // namespace eve
