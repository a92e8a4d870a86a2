// What the sets share, hashed and sorted: keys with nothing behind them.
//
// Threads:    as Map and OrderedMap.
// Processes:  as Map and OrderedMap.
// Owns:       as Map and OrderedMap.
// Lifetime:   as Map and OrderedMap.
// Errors:     as Map and OrderedMap.
// Cost:       as Map and OrderedMap.
#ifndef EVE_INTERNAL_KEYS_H_
#define EVE_INTERNAL_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "eve/codec.h"
#include "eve/internal/diff_access.h"
#include "eve/internal/key_value.h"
#include "eve/internal/map_access.h"
#include "eve/snapshot.h"
#include "eve/transaction.h"

namespace eve::internal {

template <class K>
class KeyReader {
 public:
  explicit KeyReader(const MapView& view) : view_(view) {}

  // False is also what damaged bytes give, see Snapshot::status().
  bool Contains(Arg<K> key) const {
    Scratch scratch;
    return FindInMap(view_, Codec<K>::Encode(key, scratch)).has_value();
  }
  // Many at once, several times as fast per key, as MultiGet() of a map.
  std::vector<bool> MultiContains(absl::Span<const PlainArg<K>> keys) const {
    std::vector<bool> out(keys.size());
    FindEach<K>(view_, keys, [&](size_t i, const std::optional<Bytes>& found) {
      out[i] = found.has_value();
    });
    return out;
  }
  uint64_t size() const { return view_.count; }
  bool empty() const { return view_.count == 0; }

 protected:
  const MapView& source() const { return view_; }

 private:
  MapView view_;
};

template <class K>
class KeyWriter {
 public:
  explicit KeyWriter(MapEditor* editor) : editor_(editor) {}

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

template <class K, class R, class W>
class KeyHandle : public Handle<R, W> {
 public:
  using Key = K;
  static std::string KeyTypeName() { return std::string(Codec<K>::TypeName()); }
  using Handle<R, W>::Handle;

  // Calls `fn` for each key that is in one of the snapshots only, with whether
  // that is `after`, until it returns false. As OrderedMap's or Map's.
  absl::Status Diff(const Snapshot& before, const Snapshot& after,
                    absl::FunctionRef<bool(View<K>, bool added)> fn) const {
    bool valid = true;
    absl::Status status = DiffMaps(
        OpenMap(before.impl(), this->ref()), OpenMap(after.impl(), this->ref()),
        [&](Bytes key, const std::optional<Bytes>&,
            const std::optional<Bytes>& new_bytes) {
          valid = Codec<K>::IsValid(key);
          return valid && fn(Codec<K>::Decode(key), new_bytes.has_value());
        });
    if (!valid) return UndecodableValue();
    return status;
  }

  // One-op forms: a snapshot or swap of their own.
  absl::StatusOr<bool> Contains(Arg<K> key) const {
    Scratch scratch;
    return ContainsOne(this->ref(), Codec<K>::Encode(key, scratch));
  }
  absl::Status Add(Arg<K> key) const {
    return SwapOne(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Add(key);
    });
  }
  absl::StatusOr<bool> Insert(Arg<K> key) const {
    return SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Insert(key);
    });
  }
  absl::StatusOr<bool> Remove(Arg<K> key) const {
    return SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Remove(key);
    });
  }
};

}  // namespace eve::internal

#endif  // EVE_INTERNAL_KEYS_H_
