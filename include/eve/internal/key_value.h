// What all collections of keys with values share: Find, Put, Update and so on.
//
// Threads:    readers and handles are thread-safe; a writer is its closure's.
// Processes:  any number read and write the same collection at once.
// Owns:       a handle owns a reference that keeps the domain open.
// Lifetime:   views die with their Snapshot; those that a writer gives, with
//             the next write to the collection. A call may be given any that
//             is alive when it begins.
// Errors:     as Map and OrderedMap.
// Cost:       as Map and OrderedMap.
#ifndef EVE_INTERNAL_KEY_VALUE_H_
#define EVE_INTERNAL_KEY_VALUE_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "eve/bytes.h"
#include "eve/codec.h"
#include "eve/internal/map_access.h"
#include "eve/snapshot.h"
#include "eve/transaction.h"

namespace eve::internal {

// Looks keys up, some at a time with their cache misses overlapped, and tells
// each(index in `keys`, what was found).
template <class K, class Each>
void FindEach(const MapView& view, absl::Span<const PlainArg<K>> keys,
              Each each) {
  constexpr size_t kGroup = 16;
  Scratch scratch[kGroup];
  Bytes encoded[kGroup];
  std::optional<Bytes> found[kGroup];
  for (size_t done = 0; done < keys.size(); done += kGroup) {
    const size_t n = std::min(kGroup, keys.size() - done);
    for (size_t i = 0; i < n; ++i) {
      encoded[i] = Codec<K>::Encode(keys[done + i], scratch[i]);
    }
    MultiFindInMap(view, absl::MakeConstSpan(encoded, n),
                   absl::MakeSpan(found, n));
    for (size_t i = 0; i < n; ++i) each(done + i, found[i]);
  }
}

// A collection as one snapshot shows it. Copyable; valid while that is.
template <class K, class V>
class KeyValueReader {
 public:
  explicit KeyValueReader(const MapView& view) : view_(view) {}

  // The value, or nothing, which is also what damaged bytes give, see
  // Snapshot::status() and Get(). Allocates no more than the codecs do.
  std::optional<View<V>> Find(Arg<K> key) const {
    Scratch scratch;
    std::optional<Bytes> found =
        FindInMap(view_, Codec<K>::Encode(key, scratch));
    if (!found.has_value()) return std::nullopt;
    return DecodeFound(*found);
  }
  // As Find, but absent is kNotFound and damage kDataLoss.
  absl::StatusOr<View<V>> Get(Arg<K> key) const {
    Scratch scratch;
    absl::StatusOr<Bytes> found =
        GetInMap(view_, Codec<K>::Encode(key, scratch));
    if (!found.ok()) return found.status();
    if (!Codec<V>::IsValid(*found)) return UndecodableValue();
    return Codec<V>::Decode(*found);
  }
  bool Contains(Arg<K> key) const { return Find(key).has_value(); }

  // Many lookups at once, their cache misses overlapped: several times as
  // fast per key as Find. REQUIRES: out.size() == keys.size().
  void MultiGet(absl::Span<const PlainArg<K>> keys,
                absl::Span<std::optional<View<V>>> out) const {
    if constexpr (std::is_same_v<Arg<K>, Bytes> &&
                  std::is_same_v<View<V>, Bytes>) {
      MultiFindInMap(view_, keys, out);
      return;
    }
    FindEach<K>(view_, keys, [&](size_t i, const std::optional<Bytes>& found) {
      out[i] = found.has_value() ? DecodeFound(*found) : std::nullopt;
    });
  }
  std::vector<std::optional<View<V>>> MultiGet(
      absl::Span<const PlainArg<K>> keys) const {
    std::vector<std::optional<View<V>>> out(keys.size());
    MultiGet(keys, absl::MakeSpan(out));
    return out;
  }

  uint64_t size() const { return view_.count; }
  bool empty() const { return view_.count == 0; }

 protected:
  const MapView& source() const { return view_; }

 private:
  // Damaged bytes may have any size.
  std::optional<View<V>> DecodeFound(Bytes found) const {
    if (Codec<V>::IsValid(found)) return Codec<V>::Decode(found);
    NoteDamagedRead(view_);
    return std::nullopt;
  }
  MapView view_;
};

// A collection inside a swap closure: reads see the closure's own writes.
// Reader is what Read() gives.
template <class K, class V, class Reader>
class KeyValueWriter {
 public:
  explicit KeyValueWriter(MapEditor* editor) : editor_(editor) {}

  // The value, valid until the next write, or nothing.
  std::optional<View<V>> Find(Arg<K> key) {
    absl::StatusOr<std::optional<Bytes>> found = FindBytes(key);
    if (!found.ok() || !found->has_value()) return std::nullopt;
    return Codec<V>::Decode(**found);
  }
  absl::StatusOr<View<V>> Get(Arg<K> key) {
    absl::StatusOr<std::optional<Bytes>> found = FindBytes(key);
    if (!found.ok()) return found.status();
    if (!found->has_value()) return KeyNotFound();
    return Codec<V>::Decode(**found);
  }
  bool Contains(Arg<K> key) { return Find(key).has_value(); }

  // Writes the value, whether or not the key was there.
  absl::Status Put(Arg<K> key, Arg<V> value) {
    Scratch key_scratch;
    Scratch value_scratch;
    return PutInMap(editor_, Codec<K>::Encode(key, key_scratch),
                    Codec<V>::Encode(value, value_scratch));
  }
  // False, and no change, if the key is there.
  absl::StatusOr<bool> Insert(Arg<K> key, Arg<V> value) {
    Scratch key_scratch;
    Scratch value_scratch;
    return InsertInMap(editor_, Codec<K>::Encode(key, key_scratch),
                       Codec<V>::Encode(value, value_scratch));
  }
  // False if the key was not there.
  absl::StatusOr<bool> Erase(Arg<K> key) {
    Scratch scratch;
    return EraseInMap(editor_, Codec<K>::Encode(key, scratch));
  }
  // Puts fn(old value, or nothing).
  absl::StatusOr<V> Update(Arg<K> key,
                           absl::FunctionRef<V(std::optional<View<V>>)> fn) {
    Scratch scratch;
    Scratch value_scratch;
    Scratch own;  // the look-up may write over what `key` is a view of
    const Bytes bytes = own.Copy(Codec<K>::Encode(key, scratch));
    absl::StatusOr<std::optional<Bytes>> found = FindEncoded(bytes);
    if (!found.ok()) return found.status();
    std::optional<View<V>> old;
    if (found->has_value()) old = Codec<V>::Decode(**found);
    V next = fn(old);
    absl::Status put =
        PutInMap(editor_, bytes, Codec<V>::Encode(next, value_scratch));
    if (!put.ok()) return put;
    return next;
  }
  // Makes it empty in O(1); its blocks are retired in the background.
  absl::Status Clear() { return ClearMap(editor_); }

  absl::StatusOr<uint64_t> size() { return SizeOfMap(editor_); }
  // A reader of the state as it is now, for iteration and MultiGet. Dies
  // with the next write.
  absl::StatusOr<Reader> Read() {
    absl::StatusOr<MapView> view = ViewOfMap(editor_);
    if (!view.ok()) return view.status();
    return Reader(*view);
  }

 protected:
  MapEditor* source() const { return editor_; }

 private:
  absl::StatusOr<std::optional<Bytes>> FindBytes(Arg<K> key) {
    Scratch scratch;
    return FindEncoded(Codec<K>::Encode(key, scratch));
  }
  absl::StatusOr<std::optional<Bytes>> FindEncoded(Bytes key) {
    absl::StatusOr<std::optional<Bytes>> found = FindInEditor(editor_, key);
    if (found.ok() && found->has_value() && !Codec<V>::IsValid(**found)) {
      return UndecodableValue();
    }
    return found;
  }

  MapEditor* editor_;  // null: the transaction has the error
};

// A swap around one call of a writer; `fn` may run several times.
template <class T>
absl::StatusOr<T> SwapFor(
    const CollectionRef& ref,
    absl::FunctionRef<absl::StatusOr<T>(Transaction&)> fn) {
  std::optional<T> result;
  absl::Status status = SwapOne(ref, [&](Transaction& transaction) {
    absl::StatusOr<T> done = fn(transaction);
    if (!done.ok()) return done.status();
    result = *std::move(done);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return *std::move(result);
}

// What every handle has.
template <class R, class W>
class Handle {
 public:
  using Reader = R;
  using Writer = W;

  explicit Handle(CollectionRef ref) : ref_(std::move(ref)) {}

  // Empty in snapshots from before its creation or after its drop.
  // The snapshot must outlive the reader.
  Reader At(Snapshot&& snapshot) const = delete;
  Reader At(const Snapshot& snapshot) const {
    return Reader(OpenMap(snapshot.impl(), ref_));
  }
  // Errors (dropped collection, wrong domain) come with the first write.
  Writer In(Transaction& transaction) const {
    return Writer(EditMap(transaction.impl(), ref_));
  }
  absl::StatusOr<uint64_t> size() const { return CountOne(ref_); }
  const std::string& name() const { return ref_.name; }

 protected:
  const CollectionRef& ref() const { return ref_; }

 private:
  CollectionRef ref_;
};

template <class K, class V, class R, class W>
class KeyValueHandle : public Handle<R, W> {
 public:
  using Key = K;
  using Value = V;
  static std::string KeyTypeName() { return std::string(Codec<K>::TypeName()); }
  static std::string ValueTypeName() {
    return codec_internal::ValueTypeName<V>();
  }
  using Handle<R, W>::Handle;

  // One-op forms: a snapshot or swap of their own; values are copied out.
  absl::StatusOr<V> Get(Arg<K> key) const {
    Scratch scratch;
    std::optional<V> value;
    absl::Status status = GetOne(this->ref(), Codec<K>::Encode(key, scratch),
                                 [&value](Bytes stored) {
                                   if (Codec<V>::IsValid(stored)) {
                                     value.emplace(V(Codec<V>::Decode(stored)));
                                   }
                                 });
    if (!status.ok()) return status;
    if (!value.has_value()) return UndecodableValue();
    return *std::move(value);
  }
  absl::Status Put(Arg<K> key, Arg<V> value) const {
    return SwapOne(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Put(key, value);
    });
  }
  absl::StatusOr<bool> Insert(Arg<K> key, Arg<V> value) const {
    return SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Insert(key, value);
    });
  }
  absl::StatusOr<bool> Erase(Arg<K> key) const {
    return SwapFor<bool>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Erase(key);
    });
  }
  // Atomic read-modify-write. `fn` may run several times.
  absl::StatusOr<V> Update(
      Arg<K> key, absl::FunctionRef<V(std::optional<View<V>>)> fn) const {
    return SwapFor<V>(this->ref(), [&](Transaction& transaction) {
      return this->In(transaction).Update(key, fn);
    });
  }
};

}  // namespace eve::internal

#endif  // EVE_INTERNAL_KEY_VALUE_H_
