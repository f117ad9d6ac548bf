// Tells the address sanitizer which memory an allocator holds that nobody may touch.

#ifndef TENON_ALLOC_POISON_SANITIZER_H_
#define TENON_ALLOC_POISON_SANITIZER_H_

#include <cstddef>

#include "absl/base/config.h"

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace tenon::alloc {

// Whether the functions below do anything.
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
inline constexpr bool kPoisonsMemory = true;
#else
inline constexpr bool kPoisonsMemory = false;
#endif

// From here on, whoever reads or writes these bytes is reported, or no longer is. Does nothing in
// builds without the sanitizer. A block's memory is unpoisoned before it goes back to whom it came
// from. `ptr` is a multiple of 8, or else some bytes may go unreported.
inline void PoisonMemory([[maybe_unused]] const void* ptr, [[maybe_unused]] size_t size) noexcept {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  __asan_poison_memory_region(ptr, size);
#endif
}
inline void UnpoisonMemory([[maybe_unused]] const void* ptr,
                           [[maybe_unused]] size_t size) noexcept {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(ptr, size);
#endif
}

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_POISON_SANITIZER_H_
