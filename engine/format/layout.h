// EVE_LAYOUT: a struct whose bytes other processes or later builds will read.
//
// Threads:    none.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     does not compile if a struct has padding, virtual functions,
//             non-trivial copies, or another size or alignment than it says.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_LAYOUT_H_
#define EVE_ENGINE_FORMAT_LAYOUT_H_

#include <type_traits>

// Holds for PERSISTED structs and for SHARED ones with std::atomic words.
#define EVE_LAYOUT(Type, size, align)                            \
  static_assert(std::is_standard_layout_v<Type>);                \
  static_assert(std::is_trivially_copyable_v<Type>);             \
  static_assert(std::has_unique_object_representations_v<Type>); \
  static_assert(sizeof(Type) == (size));                         \
  static_assert(alignof(Type) == (align))

#endif  // EVE_ENGINE_FORMAT_LAYOUT_H_
