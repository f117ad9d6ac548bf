// The name by which operations refer to a descriptor that a loop owns.

#ifndef TENON_CORE_LOOP_HANDLE_H_
#define TENON_CORE_LOOP_HANDLE_H_

#include <cstdint>

namespace tenon {

// An index into the loop's table of descriptors, and the generation of its slot. A small value,
// freely copied. It goes stale when its descriptor is closed, and is then refused with -EBADF
// (SUB-3): it never comes to mean the next owner of the slot or of the descriptor number (HDL-2).
struct Handle {
  static constexpr uint32_t kNoIndex = UINT32_MAX;

  uint32_t index = kNoIndex;
  uint32_t generation = 0;

  friend bool operator==(const Handle&, const Handle&) = default;
};

// Stands for the process's current directory (AT_FDCWD) where a directory handle is expected.
inline constexpr Handle kCurrentDirectory = {};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_HANDLE_H_
