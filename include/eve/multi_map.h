// MultiMap<K, V>: for each key any number of values, sorted, each once.
//
// Stored as a set of pairs, in the order of keys and then of values. A key and
// a value take up to 64 KiB together (a string key counts for two bytes more,
// and for one more for each zero byte in it); there is no limit on the number
// of values of a key.
//
// Threads:    as OrderedMap.
// Processes:  as OrderedMap.
// Owns:       as OrderedMap.
// Lifetime:   keys and values out of a scan die with its next step.
// Errors:     as OrderedMap. kInvalidArgument: key and value above 64 KiB.
// Cost:       as OrderedMap, for the number of pairs: counting the values of a
//             key is O(log n), however many there are, and so is the step to
//             the next key, NextKey() of a cursor.
#ifndef EVE_MULTI_MAP_H_
#define EVE_MULTI_MAP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/codec.h"
#include "eve/internal/diff_access.h"
#include "eve/internal/key_value.h"
#include "eve/internal/ordered_access.h"
#include "eve/internal/pairs.h"
#include "eve/internal/scan.h"

namespace eve {

namespace internal {

// What readers and writers have in common.
template <class K, class V, class Source>
class MultiMapView {
 public:
  using Entry = typename PairDecoder<K, V>::Entry;
  using Cursor = PairCursor<K, V>;
  using Scan = internal::Scan<Source, PairDecoder<K, V>>;
  using ValueScan = internal::Scan<Source, ValueDecoder<V>>;

  explicit MultiMapView(const Source& source) : source_(source) {}

  // All pairs; those of keys >= from and < to; of keys that begin with the
  // given bytes or, of tuples, with the given members.
  Scan All() const { return Scan(source_, Bounds()); }
  Scan Keys(Arg<K> from, Arg<K> to) const {
    return Scan(source_, Between(from, to));
  }
  Scan From(Arg<K> from) const {
    Scratch scratch;
    Bounds bounds;
    bounds.From(JoinKey<K>(from, scratch));
    return Scan(source_, std::move(bounds));
  }
  Scan Until(Arg<K> to) const {
    Scratch scratch;
    Bounds bounds;
    bounds.To(JoinKey<K>(to, scratch));
    return Scan(source_, std::move(bounds));
  }
  template <class... Leading>
  Scan Prefix(const Leading&... leading) const {
    return Scan(source_, KeyPrefixBounds<K>(leading...));
  }
  // The values of a key, and those >= from and < to.
  ValueScan Values(Arg<K> key) const {
    Bounds bounds = KeyBounds<K>(key);
    const size_t key_bytes = bounds.from().size();
    return ValueScan(source_, std::move(bounds), {key_bytes});
  }
  ValueScan Range(Arg<K> key, Arg<V> from, Arg<V> to) const {
    Scratch scratch;
    Bounds bounds;
    bounds.From(JoinPair<K, V>(key, from, scratch));
    bounds.To(JoinPair<K, V>(key, to, scratch));
    const size_t key_bytes = JoinKey<K>(key, scratch).size();
    return ValueScan(source_, std::move(bounds), {key_bytes});
  }
  // Stands nowhere.
  Cursor NewCursor() const { return Cursor(internal::NewCursor(source_)); }

  // All in O(log n). How many values a key has; how many a range has tells its
  // Count().
  absl::StatusOr<uint64_t> Count(Arg<K> key) const {
    return Values(key).Count();
  }
  // How many pairs have a key below `key`; how many are below this one.
  absl::StatusOr<uint64_t> Rank(Arg<K> key) const { return Until(key).Count(); }
  absl::StatusOr<uint64_t> Rank(Arg<K> key, Arg<V> value) const {
    Scratch scratch;
    Bounds bounds;
    bounds.To(JoinPair<K, V>(key, value, scratch));
    return Scan(source_, std::move(bounds)).Count();
  }
  // The pair before which there are `index` others, copied out.
  std::optional<typename PairDecoder<K, V>::Owned> Nth(uint64_t index) const {
    CursorPtr cursor = internal::NewCursor(source_);
    SeekCursorToRank(*cursor, index);
    if (!cursor->valid) return std::nullopt;
    return PairDecoder<K, V>::Own(PairDecoder<K, V>().Decode(*cursor));
  }

 protected:
  const Source& source() const { return source_; }
  static Bounds Between(Arg<K> from, Arg<K> to) {
    Scratch scratch;
    Bounds bounds;
    bounds.From(JoinKey<K>(from, scratch));
    bounds.To(JoinKey<K>(to, scratch));
    return bounds;
  }

 private:
  Source source_;
};

template <class K, class V>
class MultiMapReader : public MultiMapView<K, V, MapView> {
 public:
  using Base = MultiMapView<K, V, MapView>;
  using Iterator = typename Base::Scan::Iterator;
  using Base::Base;

  bool Contains(Arg<K> key, Arg<V> value) const {
    Scratch scratch;
    return FindInMap(this->source(), JoinPair<K, V>(key, value, scratch))
        .has_value();
  }
  // Pairs.
  uint64_t size() const { return this->source().count; }
  bool empty() const { return size() == 0; }
  Iterator begin() const { return this->All().begin(); }
  Iterator end() const { return Iterator(); }
};

template <class K, class V>
class MultiMapWriter : public MultiMapView<K, V, MapEditor*> {
 public:
  using MultiMapView<K, V, MapEditor*>::MultiMapView;

  bool Contains(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    absl::StatusOr<std::optional<Bytes>> found =
        FindInEditor(this->source(), JoinPair<K, V>(key, value, scratch));
    return found.ok() && found->has_value();
  }
  // Whether or not the pair is there; faster than Insert().
  absl::Status Add(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    return PutInMap(this->source(), JoinPair<K, V>(key, value, scratch), "");
  }
  // As OrderedMap's: kInvalidArgument unless the pair is above all others.
  absl::Status Append(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    return AppendInMap(this->source(), JoinPair<K, V>(key, value, scratch), "");
  }
  // False if the pair was there.
  absl::StatusOr<bool> Insert(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    return InsertInMap(this->source(), JoinPair<K, V>(key, value, scratch), "");
  }
  // False if the pair was not there.
  absl::StatusOr<bool> Remove(Arg<K> key, Arg<V> value) {
    Scratch scratch;
    return EraseInMap(this->source(), JoinPair<K, V>(key, value, scratch));
  }
  // Removes all values of a key, and says how many there were.
  absl::StatusOr<uint64_t> RemoveAll(Arg<K> key) {
    return EraseIn(KeyBounds<K>(key));
  }
  // Erases all pairs of keys >= from and < to, or of keys that begin so, as the
  // scan Prefix(), and says how many there were. Whole subtrees go in O(1)
  // each.
  absl::StatusOr<uint64_t> EraseRange(Arg<K> from, Arg<K> to) {
    return EraseIn(this->Between(from, to));
  }
  template <class... Leading>
  absl::StatusOr<uint64_t> ErasePrefix(const Leading&... leading) {
    return EraseIn(KeyPrefixBounds<K>(leading...));
  }
  absl::Status Clear() { return ClearMap(this->source()); }
  absl::StatusOr<uint64_t> size() { return SizeOfMap(this->source()); }

 private:
  absl::StatusOr<uint64_t> EraseIn(const Bounds& bounds) {
    return EraseRangeInMap(this->source(), bounds.from(), bounds.to());
  }
};

template <class K, class V>
using MultiMapHandle = Handle<MultiMapReader<K, V>, MultiMapWriter<K, V>>;

}  // namespace internal

template <class K, class V>
class MultiMap : public internal::MultiMapHandle<K, V> {
 public:
  static_assert(codec_internal::Member<K> && codec_internal::Member<V>,
                "a key and its values are std::string, numbers, bools, enums "
                "and tuples of these");
  static constexpr std::string_view kKind = "multi_map";
  using Key = K;
  using Value = V;
  using Entry = typename internal::PairDecoder<K, V>::Entry;
  using Cursor = internal::PairCursor<K, V>;
  static std::string KeyTypeName() { return std::string(Codec<K>::TypeName()); }
  static std::string ValueTypeName() {
    return std::string(Codec<V>::TypeName());
  }
  using internal::MultiMapHandle<K, V>::Handle;

  // Calls `fn` for each pair that is in one of the snapshots only, in order,
  // with whether that is `after`, until it returns false. As OrderedMap's.
  absl::Status Diff(
      const Snapshot& before, const Snapshot& after,
      absl::FunctionRef<bool(const K& key, View<V> value, bool added)> fn)
      const {
    bool valid = true;
    absl::Status status =
        internal::DiffMaps(internal::OpenMap(before.impl(), this->ref()),
                           internal::OpenMap(after.impl(), this->ref()),
                           [&](Bytes pair, const std::optional<Bytes>&,
                               const std::optional<Bytes>& new_bytes) {
                             K key;
                             valid = codec_internal::TakeMember(pair, &key) &&
                                     Codec<V>::IsValid(pair);
                             return valid && fn(key, Codec<V>::Decode(pair),
                                                new_bytes.has_value());
                           });
    if (!valid) return internal::UndecodableValue();
    return status;
  }

  // One-op forms: a snapshot or swap of their own.
  absl::StatusOr<bool> Contains(Arg<K> key, Arg<V> value) const {
    Scratch scratch;
    return internal::ContainsOne(this->ref(),
                                 internal::JoinPair<K, V>(key, value, scratch));
  }
  absl::StatusOr<uint64_t> Count(Arg<K> key) const {
    absl::StatusOr<uint64_t> count = 0;
    absl::Status status =
        internal::ReadOne(this->ref(), [&](const internal::MapView& view) {
          count = internal::MultiMapReader<K, V>(view).Count(key);
        });
    if (!status.ok()) return status;
    return count;
  }
  absl::Status Add(Arg<K> key, Arg<V> value) const {
    return internal::SwapOne(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Add(key, value);
    });
  }
  absl::StatusOr<bool> Insert(Arg<K> key, Arg<V> value) const {
    return internal::SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Insert(key, value);
    });
  }
  absl::StatusOr<bool> Remove(Arg<K> key, Arg<V> value) const {
    return internal::SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Remove(key, value);
    });
  }
  absl::StatusOr<uint64_t> RemoveAll(Arg<K> key) const {
    return internal::SwapFor<uint64_t>(
        this->ref(), [&](Transaction& transaction) {
          return this->In(transaction).RemoveAll(key);
        });
  }
};

}  // namespace eve

#endif  // EVE_MULTI_MAP_H_
