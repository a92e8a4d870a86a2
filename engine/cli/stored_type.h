// StoredType: the form of stored bytes, by the name of their type.
//
// The codecs of eve/codec.h know types at compile time; a command line has only
// the names that a domain keeps.
//
// Threads:    value type.
// Processes:  none.
// Owns:       the types of a tuple's members.
// Lifetime:   none.
// Errors:     a name that no codec of Eve has is nothing: its bytes can be kept
//             but not judged.
// Cost:       O(bytes); strings on their own are always valid.
#ifndef EVE_ENGINE_CLI_STORED_TYPE_H_
#define EVE_ENGINE_CLI_STORED_TYPE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eve/bytes.h"

namespace eve::cli {

class StoredType {
 public:
  // "string", "int64", "tuple(string,uint8)", "aligned:struct:24".
  static std::optional<StoredType> Parse(std::string_view name);

  // A type whose codecs write any bytes of this size, in the order of the
  // bytes: "tuple(uint64,uint32)" for 12. Empty: a name would be too long.
  static std::string NameForBytes(size_t size);

  bool is_string() const { return form_ == Form::kString; }
  // Whether everything of this type has one size.
  bool IsFixedSize() const;
  // Whether a codec of this type could have written `bytes`.
  bool IsValid(Bytes bytes) const;

  // A multimap stores its key as the member of a tuple with the value behind
  // it. Puts them together and takes them apart; the key is as it is stored
  // elsewhere. Split() returns false if `pair` has no such key at its front;
  // `*room` owns what `*key` shows.
  void Join(Bytes key, Bytes value, std::string* pair) const;
  bool Split(Bytes pair, std::string* room, Bytes* key, Bytes* value) const;

 private:
  enum class Form { kString, kBool, kFixed, kTuple, kArray };
  static std::optional<StoredType> Take(std::string_view& name);
  // Takes a member of a tuple off the front of `bytes`.
  bool TakeMember(Bytes& bytes) const;

  Form form_ = Form::kString;
  size_t size_ = 0;  // of kFixed, kBool and each of kArray
  std::vector<StoredType> members_;
};

// Whether LMDB has a type as integers of its own (MDB_INTEGERKEY,
// MDB_INTEGERDUP), in the order of Eve: unsigned, of 32 or 64 bits.
inline bool IsLmdbInteger(std::string_view type) {
  return type == "uint32" || type == "uint64";
}
inline size_t LmdbIntegerBytes(std::string_view type) {
  return type == "uint32" ? 4 : 8;
}

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_STORED_TYPE_H_
