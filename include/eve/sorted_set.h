// SortedSet<K>: a persistent set in the order of its keys.
//
// An OrderedMap without values: the same ranges, cursors and counts, of keys.
//
// Threads:    as OrderedMap.
// Processes:  as OrderedMap.
// Owns:       as OrderedMap.
// Lifetime:   as OrderedMap.
// Errors:     as OrderedMap.
// Cost:       as OrderedMap.
#ifndef EVE_SORTED_SET_H_
#define EVE_SORTED_SET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/codec.h"
#include "eve/internal/diff_access.h"
#include "eve/internal/key_value.h"
#include "eve/internal/ordered.h"

namespace eve {

namespace internal {

template <class K>
struct KeyDecoder {
  using Entry = View<K>;
  using Owned = K;
  using Cursor = KeyCursor<K>;
  Entry Decode(const CursorHead& cursor) const {
    return DecodeUnder<K>(cursor, cursor.key);
  }
  static Owned Own(const Entry& key) { return K(key); }
};

template <class K>
class SetReader {
 public:
  explicit SetReader(const MapView& view) : view_(view) {}

  // False is also what damaged bytes give, see Snapshot::status().
  bool Contains(Arg<K> key) const {
    Scratch scratch;
    return FindInMap(view_, Codec<K>::Encode(key, scratch)).has_value();
  }
  uint64_t size() const { return view_.count; }
  bool empty() const { return view_.count == 0; }

 protected:
  const MapView& source() const { return view_; }

 private:
  MapView view_;
};

template <class K>
class SetWriter {
 public:
  explicit SetWriter(MapEditor* editor) : editor_(editor) {}

  bool Contains(Arg<K> key) {
    Scratch scratch;
    absl::StatusOr<std::optional<Bytes>> found =
        FindInEditor(editor_, Codec<K>::Encode(key, scratch));
    return found.ok() && found->has_value();
  }
  // Whether or not the key is there; faster than Insert().
  absl::Status Add(Arg<K> key) {
    Scratch scratch;
    return PutInMap(editor_, Codec<K>::Encode(key, scratch), Bytes());
  }
  // As OrderedMap's: kInvalidArgument unless the key is above all others.
  absl::Status Append(Arg<K> key) {
    Scratch scratch;
    return AppendInMap(editor_, Codec<K>::Encode(key, scratch), Bytes());
  }
  // False if the key was there.
  absl::StatusOr<bool> Insert(Arg<K> key) {
    Scratch scratch;
    return InsertInMap(editor_, Codec<K>::Encode(key, scratch), Bytes());
  }
  // False if the key was not there.
  absl::StatusOr<bool> Remove(Arg<K> key) {
    Scratch scratch;
    return EraseInMap(editor_, Codec<K>::Encode(key, scratch));
  }
  // Makes the set empty in O(1); its blocks are retired in the background.
  absl::Status Clear() { return ClearMap(editor_); }
  absl::StatusOr<uint64_t> size() { return SizeOfMap(editor_); }

 protected:
  MapEditor* source() const { return editor_; }

 private:
  MapEditor* editor_;  // null: the transaction has the error
};

template <class K>
using SetHandle = Handle<OrderedReader<SetReader<K>, K, KeyDecoder<K>>,
                         OrderedWriter<SetWriter<K>, K, KeyDecoder<K>>>;

}  // namespace internal

// Ranges, cursors, Count, Rank, Nth and EraseRange are explained in
// internal/ordered.h; their entries are keys.
template <class K>
class SortedSet : public internal::SetHandle<K> {
 public:
  static_assert(Codec<K>::kKey && Codec<K>::kOrdered,
                "the bytes of this type do not order as its values do");
  static constexpr std::string_view kKind = "sorted_set";
  using Key = K;
  static std::string KeyTypeName() { return std::string(Codec<K>::TypeName()); }
  static std::string ValueTypeName() { return ""; }
  using internal::SetHandle<K>::Handle;

  // Calls `fn` for each key that is in one of the snapshots only, in order,
  // with whether that is `after`, until it returns false. As OrderedMap's.
  absl::Status Diff(const Snapshot& before, const Snapshot& after,
                    absl::FunctionRef<bool(View<K>, bool added)> fn) const {
    bool valid = true;
    absl::Status status = internal::DiffMaps(
        internal::OpenMap(before.impl(), this->ref()),
        internal::OpenMap(after.impl(), this->ref()),
        [&](Bytes key, const std::optional<Bytes>&,
            const std::optional<Bytes>& new_bytes) {
          valid = Codec<K>::IsValid(key);
          return valid && fn(Codec<K>::Decode(key), new_bytes.has_value());
        });
    if (!valid) return internal::UndecodableValue();
    return status;
  }

  // One-op forms: a snapshot or swap of their own.
  absl::StatusOr<bool> Contains(Arg<K> key) const {
    Scratch scratch;
    absl::Status found = internal::GetOne(
        this->ref(), Codec<K>::Encode(key, scratch), [](Bytes) {});
    if (absl::IsNotFound(found)) return false;
    if (!found.ok()) return found;
    return true;
  }
  absl::Status Add(Arg<K> key) const {
    return internal::SwapOne(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Add(key);
    });
  }
  absl::StatusOr<bool> Insert(Arg<K> key) const {
    return internal::SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Insert(key);
    });
  }
  absl::StatusOr<bool> Remove(Arg<K> key) const {
    return internal::SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Remove(key);
    });
  }
};

}  // namespace eve

#endif  // EVE_SORTED_SET_H_
