// Timeline: what each version of a domain holds, and what was promised of it.
//
// Threads:    none of its own; acknowledgements come under the recorder's lock.
// Processes:  none.
// Owns:       contents, shared between versions.
// Lifetime:   none.
// Errors:     none.
// Cost:       a copy of a collection's keys for each commit that changes it.
#ifndef EVE_TESTS_SIMDISK_TIMELINE_H_
#define EVE_TESTS_SIMDISK_TIMELINE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace eve::simdisk {

// Stands for a value: `size` bytes that begin with and repeat `token`.
struct ValueModel {
  uint64_t token = 0;
  uint32_t size = 0;
  friend bool operator==(const ValueModel&, const ValueModel&) = default;
};

struct CollectionModel {
  bool is_ordered = false;
  std::map<std::string, ValueModel> records;
};

// By name of collection.
using Content = std::map<std::string, std::shared_ptr<const CollectionModel>>;

// What was committed from one opening of the domain to the next. A rollback
// uses versions again, so each has its own.
class Epoch {
 public:
  Epoch(uint32_t opened, uint64_t base, Content content)
      : opened_(opened), newest_(base) {
    contents_[base] = std::move(content);
  }

  // The same until `version`, as another history's first. `knows_newer`: what
  // is newer may be there after all when recovery is cut off. It was left out
  // for what the lock file says, a failed flush, and that is gone; or its slot
  // was torn, and a torn write over it has mended that.
  Epoch UpTo(uint64_t version, bool knows_newer) const {
    Epoch copy = *this;
    copy.opened_ = 0;
    copy.newest_ = version;
    if (!knows_newer) copy.EndAt(version);
    return copy;
  }

  // Nothing newer has been committed.
  void EndAt(uint64_t version) {
    newest_ = version;
    contents_.erase(contents_.upper_bound(version), contents_.end());
  }

  uint32_t opened() const { return opened_; }  // event
  uint64_t base() const { return contents_.begin()->first; }
  uint64_t newest() const { return newest_; }
  void Commit(uint64_t version, Content content) {
    contents_[version] = std::move(content);
    newest_ = std::max(newest_, version);
  }
  // Commits between those of the workload change nothing that it can see.
  const Content* At(uint64_t version) const {
    auto at = contents_.upper_bound(version);
    return at == contents_.begin() ? nullptr : &std::prev(at)->second;
  }

 private:
  uint32_t opened_;
  uint64_t newest_;
  std::map<uint64_t, Content> contents_;
};

class Timeline {
 public:
  // From `event` on; what is there is `content` at version `base`.
  void OpenEpoch(uint32_t event, uint64_t base, Content content) {
    epochs_.emplace_back(event, base, std::move(content));
  }
  void Begin(Epoch epoch) { epochs_.push_back(std::move(epoch)); }
  Epoch& epoch() { return epochs_.back(); }

  // From `event` on, `version` survives a power failure.
  void Acknowledge(uint32_t event, uint64_t version) {
    if (!acks_.empty() && acks_.back().version >= version &&
        acks_.back().epoch == epochs_.size() - 1) {
      return;
    }
    acks_.push_back(Ack{event, epochs_.size() - 1, version});
  }

  // The epoch that has been opened by then: until the next one is open nothing
  // has been committed to that.
  size_t EpochAt(uint32_t event) const {
    size_t at = 0;
    while (at + 1 < epochs_.size() && epochs_[at + 1].opened() <= event) ++at;
    return at;
  }
  const Epoch& epoch(size_t index) const { return epochs_[index]; }
  uint64_t AcknowledgedAt(uint32_t event) const {
    const size_t epoch = EpochAt(event);
    uint64_t version = 0;
    for (const Ack& ack : acks_) {
      if (ack.event <= event && ack.epoch == epoch) {
        version = std::max(version, ack.version);
      }
    }
    return version;
  }
  // The one before, if the newest slot should be lost to the medium; nothing if
  // this opening has promised only one.
  std::optional<uint64_t> SecondAcknowledgedAt(uint32_t event) const {
    const size_t epoch = EpochAt(event);
    std::optional<uint64_t> newest;
    std::optional<uint64_t> second;
    for (const Ack& ack : acks_) {
      if (ack.event > event || ack.epoch != epoch) continue;
      if (newest.has_value() && ack.version <= *newest) continue;
      second = newest;
      newest = ack.version;
    }
    return second;
  }
  bool IsEventful(uint32_t event) const {
    return std::any_of(acks_.begin(), acks_.end(),
                       [event](const Ack& ack) { return ack.event == event; });
  }

 private:
  struct Ack {
    uint32_t event;
    size_t epoch;
    uint64_t version;
  };

  std::vector<Epoch> epochs_;
  std::vector<Ack> acks_;
};

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_TIMELINE_H_
