#include "engine/file/block_view.h"

#include "absl/strings/str_cat.h"
#include "engine/file/mapping.h"
#include "util/status_macros.h"

namespace eve {

absl::Status BlockView::CheckReadable(Offset begin, uint64_t units) const {
  if (CanBeRead(At(begin), units * kUnitBytes)) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the device cannot read the ", units * kUnitBytes,
                   " bytes at offset ", begin.bytes(), " of the file"));
}

absl::StatusOr<const BlockHeader*> BlockView::ReadBlock(
    Offset offset, BlockType type, uint64_t least_bytes) const {
  if (is_cold && Contains(offset)) {
    EVE_RETURN_IF_ERROR(CheckReadable(offset, 1));
  }
  const BlockHeader* header = Block(offset, type, least_bytes);
  if (is_cold && header != nullptr) {
    EVE_RETURN_IF_ERROR(CheckReadable(offset, header->size_units));
  }
  return header;
}

}  // namespace eve
