// Map<K, V>: a persistent hash map in a domain.
//
// A handle is got from Domain::Collection<Map<K, V>>(name). At(snapshot) reads
// one version, In(transaction) reads and writes inside a swap closure, and the
// one-op forms do a whole read or swap each.
//
// Threads:    handles are copyable and thread-safe; a Writer is its closure's.
// Processes:  any number read and write the same map at once.
// Owns:       a reference that keeps the domain open.
// Lifetime:   views die with their Snapshot or Transaction.
// Errors:     kNotFound: no such key. kInvalidArgument: key above 64 KiB or
//             value above 4 GiB. kFailedPrecondition: the collection was
//             dropped, the domain is read-only, or this is a forked child.
//             kDataLoss: damaged bytes, with their offset.
// Cost:       a read is a handful of cache misses and no copy; a write copies a
//             path of O(log n) nodes; size() is O(1).
#ifndef EVE_MAP_H_
#define EVE_MAP_H_

#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
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

namespace eve {

template <class K, class V>
class Map {
 public:
  static_assert(Codec<K>::kKey,
                "equal keys need equal bytes: this type cannot be a key");
  using Key = K;
  using Value = V;
  static constexpr std::string_view kKind = "map";
  static std::string KeyTypeName() { return std::string(Codec<K>::TypeName()); }
  static std::string ValueTypeName() {
    return std::string(Codec<V>::TypeName());
  }

  struct Entry {
    View<K> key;
    View<V> value;
  };

  // Entries in no particular, but per version fixed, order.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Entry;
    using difference_type = std::ptrdiff_t;
    using pointer = const Entry*;
    using reference = Entry;

    Iterator() = default;
    explicit Iterator(internal::MapCursor cursor)
        : cursor_(std::move(cursor)) {}
    Entry operator*() const {
      return Entry{Codec<K>::Decode(cursor_.key()),
                   Codec<V>::Decode(cursor_.value())};
    }
    Iterator& operator++() {
      cursor_.Next();
      return *this;
    }
    void operator++(int) { cursor_.Next(); }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.cursor_.AtEnd() == b.cursor_.AtEnd();
    }

   private:
    internal::MapCursor cursor_;
  };

  // The map as one snapshot shows it. Copyable; valid while the snapshot is.
  class Reader {
   public:
    explicit Reader(const internal::MapView& view) : view_(view) {}

    // The value, or nothing. Never allocates; nothing is also what damaged
    // bytes give, see Snapshot::status() and Get().
    std::optional<View<V>> Find(Arg<K> key) const {
      Scratch scratch;
      std::optional<Bytes> found =
          internal::FindInMap(view_, Codec<K>::Encode(key, scratch));
      if (!found.has_value()) return std::nullopt;
      return Codec<V>::Decode(*found);
    }
    // As Find, but absent is kNotFound and damage kDataLoss.
    absl::StatusOr<View<V>> Get(Arg<K> key) const {
      Scratch scratch;
      absl::StatusOr<Bytes> found =
          internal::GetInMap(view_, Codec<K>::Encode(key, scratch));
      if (!found.ok()) return found.status();
      if (!Codec<V>::IsValid(*found)) return internal::UndecodableValue();
      return Codec<V>::Decode(*found);
    }
    bool Contains(Arg<K> key) const { return Find(key).has_value(); }

    // Many lookups at once, their cache misses overlapped: several times as
    // fast per key as Find. REQUIRES: out.size() == keys.size().
    void MultiGet(absl::Span<const Arg<K>> keys,
                  absl::Span<std::optional<View<V>>> out) const {
      if constexpr (std::is_same_v<Arg<K>, Bytes> &&
                    std::is_same_v<View<V>, Bytes>) {
        internal::MultiFindInMap(view_, keys, out);
        return;
      }
      constexpr size_t kGroup = 16;
      Scratch scratch[kGroup];
      Bytes encoded[kGroup];
      std::optional<Bytes> found[kGroup];
      for (size_t done = 0; done < keys.size(); done += kGroup) {
        const size_t n = std::min(kGroup, keys.size() - done);
        for (size_t i = 0; i < n; ++i) {
          encoded[i] = Codec<K>::Encode(keys[done + i], scratch[i]);
        }
        internal::MultiFindInMap(view_, absl::MakeConstSpan(encoded, n),
                                 absl::MakeSpan(found, n));
        for (size_t i = 0; i < n; ++i) {
          if (found[i].has_value()) {
            out[done + i] = Codec<V>::Decode(*found[i]);
          } else {
            out[done + i] = std::nullopt;
          }
        }
      }
    }
    std::vector<std::optional<View<V>>> MultiGet(
        absl::Span<const Arg<K>> keys) const {
      std::vector<std::optional<View<V>>> out(keys.size());
      MultiGet(keys, absl::MakeSpan(out));
      return out;
    }

    uint64_t size() const { return view_.count; }
    bool empty() const { return view_.count == 0; }
    Iterator begin() const { return Iterator(internal::MapCursor(view_)); }
    Iterator end() const { return Iterator(); }

   private:
    internal::MapView view_;
  };

  // The map inside a swap closure: reads see the closure's own writes.
  class Writer {
   public:
    explicit Writer(internal::MapEditor* editor) : editor_(editor) {}

    std::optional<View<V>> Find(Arg<K> key) {
      absl::StatusOr<std::optional<Bytes>> found = FindBytes(key);
      if (!found.ok() || !found->has_value()) return std::nullopt;
      return Codec<V>::Decode(**found);
    }
    absl::StatusOr<View<V>> Get(Arg<K> key) {
      absl::StatusOr<std::optional<Bytes>> found = FindBytes(key);
      if (!found.ok()) return found.status();
      if (!found->has_value()) return internal::KeyNotFound();
      return Codec<V>::Decode(**found);
    }
    bool Contains(Arg<K> key) { return Find(key).has_value(); }

    // Writes the value, whether or not the key was there.
    absl::Status Put(Arg<K> key, Arg<V> value) {
      Scratch key_scratch;
      Scratch value_scratch;
      return internal::PutInMap(editor_, Codec<K>::Encode(key, key_scratch),
                                Codec<V>::Encode(value, value_scratch));
    }
    // False, and no change, if the key is there.
    absl::StatusOr<bool> Insert(Arg<K> key, Arg<V> value) {
      Scratch key_scratch;
      Scratch value_scratch;
      return internal::InsertInMap(editor_, Codec<K>::Encode(key, key_scratch),
                                   Codec<V>::Encode(value, value_scratch));
    }
    // False if the key was not there.
    absl::StatusOr<bool> Erase(Arg<K> key) {
      Scratch scratch;
      return internal::EraseInMap(editor_, Codec<K>::Encode(key, scratch));
    }
    // Puts fn(old value, or nothing).
    absl::StatusOr<V> Update(Arg<K> key,
                             absl::FunctionRef<V(std::optional<View<V>>)> fn) {
      absl::StatusOr<std::optional<Bytes>> found = FindBytes(key);
      if (!found.ok()) return found.status();
      std::optional<View<V>> old;
      if (found->has_value()) old = Codec<V>::Decode(**found);
      V next = fn(old);
      if (absl::Status put = Put(key, next); !put.ok()) return put;
      return next;
    }
    // Makes the map empty in O(1); its blocks are retired in the background.
    absl::Status Clear() { return internal::ClearMap(editor_); }

    absl::StatusOr<uint64_t> size() { return internal::SizeOfMap(editor_); }
    // A reader of the state as it is now, for iteration and MultiGet. Dies
    // with the next write.
    absl::StatusOr<Reader> Read() {
      absl::StatusOr<internal::MapView> view = internal::ViewOfMap(editor_);
      if (!view.ok()) return view.status();
      return Reader(*view);
    }

   private:
    absl::StatusOr<std::optional<Bytes>> FindBytes(Arg<K> key) {
      Scratch scratch;
      return internal::FindInEditor(editor_, Codec<K>::Encode(key, scratch));
    }
    internal::MapEditor* editor_;  // null: the transaction has the error
  };

  explicit Map(internal::CollectionRef ref) : ref_(std::move(ref)) {}

  // The map is empty in snapshots from before its creation or after its drop.
  Reader At(const Snapshot& snapshot) const {
    return Reader(internal::OpenMap(snapshot.impl(), ref_));
  }
  // Errors (dropped collection, wrong domain) come with the first write.
  Writer In(Transaction& transaction) const {
    return Writer(internal::EditMap(transaction.impl(), ref_));
  }

  // One-op forms: a snapshot or swap of their own; values are copied out.
  absl::StatusOr<V> Get(Arg<K> key) const {
    Scratch scratch;
    std::optional<V> value;
    absl::Status status = internal::GetOne(
        ref_, Codec<K>::Encode(key, scratch), [&value](Bytes stored) {
          if (Codec<V>::IsValid(stored)) {
            value.emplace(V(Codec<V>::Decode(stored)));
          }
        });
    if (!status.ok()) return status;
    if (!value.has_value()) return internal::UndecodableValue();
    return *std::move(value);
  }
  absl::Status Put(Arg<K> key, Arg<V> value) const {
    return internal::SwapOne(ref_, [&](Transaction& transaction) {
      return In(transaction).Put(key, value);
    });
  }
  absl::StatusOr<bool> Insert(Arg<K> key, Arg<V> value) const {
    return Flagged([&](Writer writer) { return writer.Insert(key, value); });
  }
  absl::StatusOr<bool> Erase(Arg<K> key) const {
    return Flagged([&](Writer writer) { return writer.Erase(key); });
  }
  // Atomic read-modify-write. `fn` may run several times.
  absl::StatusOr<V> Update(
      Arg<K> key, absl::FunctionRef<V(std::optional<View<V>>)> fn) const {
    std::optional<V> result;
    absl::Status status =
        internal::SwapOne(ref_, [&](Transaction& transaction) {
          absl::StatusOr<V> next = In(transaction).Update(key, fn);
          if (!next.ok()) return next.status();
          result = *std::move(next);
          return absl::OkStatus();
        });
    if (!status.ok()) return status;
    return *std::move(result);
  }
  absl::StatusOr<uint64_t> size() const { return internal::CountOne(ref_); }

  const std::string& name() const { return ref_.name; }

 private:
  absl::StatusOr<bool> Flagged(
      absl::FunctionRef<absl::StatusOr<bool>(Writer)> fn) const {
    bool flag = false;
    absl::Status status =
        internal::SwapOne(ref_, [&](Transaction& transaction) {
          absl::StatusOr<bool> done = fn(In(transaction));
          if (!done.ok()) return done.status();
          flag = *done;
          return absl::OkStatus();
        });
    if (!status.ok()) return status;
    return flag;
  }

  internal::CollectionRef ref_;
};

}  // namespace eve

#endif  // EVE_MAP_H_
