// Which file a lock file was written for.

#include <cstring>

#include "engine/checkpoint/boot_id.h"
#include "engine/checkpoint/recovery.h"
#include "util/status_macros.h"

namespace eve {

namespace {

// Whichever build made it.
absl::StatusOr<bool> IsOfThisBoot(const SharedRegion& region,
                                  const RecoveryContext& context) {
  const RegionHeader& header = region.header();
  EVE_ASSIGN_OR_RETURN(const FileIdentity identity, context.file->Identity());
  uint8_t boot_id[16];
  EVE_ASSIGN_OR_RETURN(const bool has_boot_id, ReadBootId(boot_id));
  return has_boot_id && header.magic == kRegionMagic &&
         header.data_device == identity.device &&
         header.data_inode == identity.inode &&
         std::memcmp(header.uuid, context.superblock->uuid,
                     sizeof(header.uuid)) == 0 &&
         std::memcmp(header.boot_id, boot_id, sizeof(boot_id)) == 0 &&
         header.ready.load(std::memory_order_acquire) == 1;
}

}  // namespace

absl::StatusOr<bool> RegionBelongs(const SharedRegion& region,
                                   const RecoveryContext& context) {
  EVE_ASSIGN_OR_RETURN(const bool is_of_boot, IsOfThisBoot(region, context));
  return is_of_boot && region.header().abi_hash == SharedAbiHash();
}

absl::StatusOr<std::string> WhyOtherBuild(const SharedRegion& region,
                                          const RecoveryContext& context) {
  EVE_ASSIGN_OR_RETURN(const bool is_of_boot, IsOfThisBoot(region, context));
  if (!is_of_boot || region.header().abi_hash == SharedAbiHash()) return "";
  return "the lock file is of a build of Eve with another shared layout: what "
         "that may have committed and not made durable is not gone on with";
}

// The device is not compared: its number may be another one in each boot. Nor
// is the build: these fields are where they are in all of them. An opener that
// died between its slot and its lock file has left a slot that is one ahead; a
// file that was put back is behind.
absl::StatusOr<std::string> WhyUnknown(const SharedRegion* region,
                                       const RecoveryContext& context,
                                       const std::vector<CommitSlot>& slots) {
  if (region == nullptr || region->header().magic != kRegionMagic) {
    return "there is no lock file";
  }
  const RegionHeader& header = region->header();
  EVE_ASSIGN_OR_RETURN(const FileIdentity identity, context.file->Identity());
  if (header.data_inode != identity.inode) {
    return absl::StrCat("its lock file is of another file (inode ",
                        header.data_inode, ", this one has ", identity.inode,
                        ")");
  }
  if (std::memcmp(header.uuid, context.superblock->uuid, sizeof(header.uuid)) !=
      0) {
    return "its lock file is of another domain";
  }
  const uint64_t newest = slots.empty() ? 0 : slots.front().incarnation;
  if (newest == header.incarnation || newest == header.incarnation + 1) {
    return "";
  }
  return absl::StrCat("its lock file is of another opening (incarnation ",
                      header.incarnation, ", the newest slot has ", newest,
                      "), as where another state was put back over it");
}

}  // namespace eve
