// Options of domains and transactions; every default has its reason.
//
// Threads:    value types.
// Processes:  each process chooses its own.
// Owns:       nothing.
// Lifetime:   copied when passed.
// Errors:     Open and Swap reject bad values with kInvalidArgument.
// Cost:       none.
#ifndef EVE_OPTIONS_H_
#define EVE_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "absl/time/time.h"
#include "eve/stats.h"

namespace eve {

// Commits are visible to all processes at once, whatever the durability. The
// death of processes loses nothing in any mode; the modes differ in what a
// power failure may lose. In every mode the domain then holds exactly one
// committed version.
enum class Durability {
  // Durable when somebody calls Sync() or Compact(), or at the last Close().
  // It may be made durable earlier in the background, when dead space that
  // only the last checkpoint keeps has grown to one and a half times the live
  // data, or, when nobody has written for DomainOptions::rest_after, to more
  // than two segments. So may a transaction for which there is no space left.
  kNone,
  // Durable at the next checkpoint, DomainOptions::checkpoint_every later.
  kCheckpoint,
  // Durable when Swap returns.
  kSync,
};

struct DomainOptions {
  // Create the file if it is missing.
  bool create = true;
  // Never writes; works on files and media that cannot be written. If nobody
  // has the domain open it shows the newest durable version, until somebody
  // opens it for writing; what that one commits is seen at the next read.
  bool read_only = false;
  // No file: the domain lives in memory and ends with its last handle. The
  // path names it for this process.
  bool in_memory = false;
  Durability durability = Durability::kCheckpoint;
  // How often a checkpoint begins in the background under kCheckpoint; more
  // seldom where one takes more than half of that, and twice as often while
  // durable versions keep much dead space. A power failure loses what
  // was committed since the last one that is complete began. 100 ms cost
  // little.
  absl::Duration checkpoint_every = absl::Milliseconds(100);
  // How long nobody must have committed before free space is given back to the
  // file system and, under kNone, what was written last is made durable if that
  // frees space. Who pauses for less goes on in the space that there is.
  absl::Duration rest_after = absl::Seconds(10);
  // A quota on the file, in bytes; 0: as much as the disk holds. What adds is
  // refused earlier: from 24 MiB on 4 to 8 segments are set aside, so that
  // erasing goes on when all else is full (docs/durability.md).
  uint64_t max_bytes = 0;
  // Check each leaf's checksum on lookups that return a Status.
  bool verify_reads = false;
  // Two background threads: one for checkpoints, the other for folding, reuse,
  // and compaction while nobody writes. Without them Sync and Close checkpoint,
  // Reclaim folds and frees, and so do commits when that is overdue; what was
  // dropped is retired in slices, each by one in some dozens of commits, or by
  // Sync, Close and Reclaim. Writers still move what bounds the space, and
  // Compact() does the rest. Of a read-only domain: one thread, which looks
  // once a second for who has come to write, until somebody has.
  bool background = true;
  // Not in read-only domains. Called when one pin alone, in any process, holds
  // more than slow_reader_bytes of garbage, and again each time that has
  // doubled. Never twice at once, and no lock is held: on a background
  // thread, or without one at the end of Swap and Reclaim. It must not capture
  // a Domain (that would keep it open for ever); garbage that two pins share is
  // nobody's alone.
  std::function<void(const SlowReader&)> on_slow_reader;
  uint64_t slow_reader_bytes = uint64_t{64} << 20;
  // When readers hold more garbage than this, Swap, Drop and the creation of
  // collections fail with kResourceExhausted and name the reader that holds
  // most, until it lets go; 0: they never do. Erasing is refused as well: it
  // writes, and frees nothing that a reader can see. Reading, Sync, Reclaim and
  // Close go on. What counts are whole segments of 2 MiB in which nothing
  // lives and something is held; it is measured every 16 MiB or 256 commits of
  // each process (further apart in domains above some GB) and in the
  // background, so the file may grow by more than the limit before anybody is
  // refused. A closure or checkpoint that runs in any process is a reader for
  // as long: choose a limit well above what is written meanwhile.
  uint64_t max_pinned_bytes = 0;
};

struct SwapOptions {
  // Instead of the domain's.
  std::optional<Durability> durability;
  // Runs of the closure before Swap gives up with kAborted; 0: no limit. Lost
  // races that are repaired without running it again do not count.
  int max_attempts = 0;
  // When Swap gives up with kDeadlineExceeded: after it no run of the closure
  // begins, and nothing is published; the clock is read before each. A run that
  // has begun is not cut short. Does not bound the flush of a commit under
  // kSync that is published. Where a full disk refuses it, kResourceExhausted;
  // a step of making room that has begun by then is ended first (up to some
  // hundred ms).
  absl::Time deadline = absl::InfiniteFuture();
};

// How far Domain::Compact() has come.
struct CompactProgress {
  uint64_t live_bytes = 0;
  uint64_t used_bytes = 0;    // segments that are not free
  uint64_t pinned_bytes = 0;  // of them: kept by readers
  uint64_t file_bytes = 0;
  uint64_t disk_bytes = 0;
};

struct CompactOptions {
  // Segments with a smaller share of live bytes than this are emptied.
  double share = 0.95;
  // Called now and then from the calling thread; false stops with kCancelled.
  // Must not call Compact() itself, nor return in a child that it has forked.
  std::function<bool(const CompactProgress&)> progress;
};

// How far Domain::Backup() has come.
struct BackupProgress {
  bool is_verifying = false;  // all is written, and read again
  // Bytes of the source; packing, records; a packed stream, then bytes sent.
  uint64_t done = 0;
  uint64_t total = 0;
};

struct BackupOptions {
  // A new domain with the same collections, packed: with an identity and
  // versions of its own. Else the same domain at that version, every block
  // where it is; what is free stays a hole. Segments with anything live are
  // copied with what is dead in them, because their sums are over all of it.
  bool compact = false;
  // Replace a file of that name, once the copy is whole. Not one that somebody
  // has open.
  bool overwrite = false;
  // Called now and then from the calling thread; false stops with kCancelled,
  // and leaves nothing. Must not return in a child that it has forked.
  std::function<bool(const BackupProgress&)> progress;
};

// What Domain::Backup() wrote.
struct BackupResult {
  uint64_t version = 0;        // of the source that it holds
  uint64_t file_bytes = 0;     // of the copy
  uint64_t written_bytes = 0;  // of it, without what is a hole
};

// What a successful Swap did.
struct Commit {
  uint64_t version = 0;  // of the published root; the base's if nothing changed
  int attempts = 1;      // runs of the closure
};

}  // namespace eve

#endif  // EVE_OPTIONS_H_
