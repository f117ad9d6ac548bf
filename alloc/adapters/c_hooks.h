// An Allocator for C libraries that take their own malloc, realloc, calloc and free.

#ifndef TENON_ALLOC_ADAPTERS_C_HOOKS_H_
#define TENON_ALLOC_ADAPTERS_C_HOOKS_H_

#include <cstddef>

#include "tenon/core/memory/allocator.h"

// Functions in the shape that such libraries call. C frees without a size, so that each block has a
// header of 16 bytes, in which its size stands; the Allocator sees these bytes too.
//
// `opaque` is what Opaque() makes of an Allocator, which must outlive all blocks. A library whose
// hooks have no such argument (libuv's uv_replace_allocator) has to be given functions that know
// the Allocator. One whose hooks have it in a structure of their own (QuickJS's JSMallocFunctions)
// is given functions that take it from there, and that keep the library's own accounts:
//
//   void* Malloc(JSMallocState* state, size_t size) {
//     void* ptr = c_hooks::Malloc(state->opaque, size);
//     if (ptr != nullptr) state->malloc_size += c_hooks::UsableSize(ptr);
//     ...
//
// All blocks are aligned to max_align_t. Nothing throws; where there is no memory, errno is ENOMEM.
//
// Threads: as the Allocator.
namespace tenon::alloc::c_hooks {

inline void* Opaque(Allocator& allocator) noexcept { return &allocator; }

// A block of `size` bytes, indeterminate; null where there is no memory. A size of zero gives a
// block that is unique while it lives (ALC-3).
void* Malloc(void* opaque, size_t size) noexcept;

// A block of count × size bytes, all zero; null where there is no memory or the product cannot be
// represented (ALC-2).
void* Calloc(void* opaque, size_t count, size_t size) noexcept;

// Makes a block `size` bytes large, keeping what fits of its bytes. Null where there is no memory:
// the block is then as it was (ALC-5). A null `ptr` allocates as Malloc does. A size of zero frees,
// and the result is null; errno is then as it was. REQUIRES: `ptr` is live and came from these
// functions with the same `opaque`, or is null.
void* Realloc(void* opaque, void* ptr, size_t size) noexcept;

// Takes back a block. Null is a no-op. Preserves errno (ALC-13). REQUIRES: `ptr` is live and came
// from these functions with the same `opaque`, or is null.
void Free(void* opaque, void* ptr) noexcept;

// The size with which a block was allocated or last resized; 0 for null. All of it may be used.
size_t UsableSize(const void* ptr) noexcept;

}  // namespace tenon::alloc::c_hooks

#endif  // TENON_ALLOC_ADAPTERS_C_HOOKS_H_
