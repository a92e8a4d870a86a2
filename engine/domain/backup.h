// Backup: one version of a domain as another file, while others write.
//
// The plain copy has every block where the source has it, so all pointers, sums
// and checksums hold as they are, and it is the same domain (uuid). Its only
// commit slot is of a far higher incarnation than any of the source, so that no
// lock file of the source, whichever file it comes to lie beside, is taken for
// one of the copy. A packed copy is a new domain.
//
// Threads:    any; a snapshot may be copied several times at once.
// Processes:  any number read and write the source; the copy is nobody's until
//             it has its name.
// Owns:       the file, which has no name until it is whole: one that is killed
//             leaves nothing. Only where the file system has no unnamed files,
//             and for a moment when a file is replaced, is there a name, PATH
//             .copy- and eight hexadecimal digits, that is left then. A packed
//             copy to a stream is such a file in $TMPDIR (/tmp), for the call.
// Lifetime:   the snapshot outlives the call.
// Errors:     see Domain::Backup.
// Cost:       reads what is live once (twice to pack), writes it, and reads the
//             copy twice from the device (not of a plain stream).
#ifndef EVE_ENGINE_DOMAIN_BACKUP_H_
#define EVE_ENGINE_DOMAIN_BACKUP_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/file/file.h"
#include "engine/txn/snapshot_impl.h"
#include "eve/options.h"

namespace eve::internal {

absl::StatusOr<BackupResult> BackupToPath(const SnapshotImpl& snapshot,
                                          const std::string& path,
                                          const BackupOptions& options);
absl::StatusOr<BackupResult> BackupToStream(const SnapshotImpl& snapshot,
                                            int descriptor,
                                            const BackupOptions& options);

// Makes of the empty `file` a domain with what the snapshot shows, and closes
// it.
absl::Status WritePacked(const SnapshotImpl& snapshot, const File& file,
                         const BackupOptions& options);

// kCancelled if the callback says so; kFailedPrecondition if this is a child
// that it has forked, whose descriptors of the source may lead elsewhere.
absl::Status ReportProgress(const Core& source, const BackupOptions& options,
                            const BackupProgress& now);

}  // namespace eve::internal

#endif  // EVE_ENGINE_DOMAIN_BACKUP_H_
