// Blocks in a rule's hands: filled, so that whoever else writes to them is noticed.

#ifndef TENON_CONFORMANCE_ALLOCATOR_HELD_BLOCK_H_
#define TENON_CONFORMANCE_ALLOCATOR_HELD_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tenon/core/memory/allocator.h"

namespace tenon::conformance {

// A size that no allocator has: half of what can be said.
inline constexpr size_t kHuge = std::numeric_limits<size_t>::max() / 2;

// A live block, how it was asked for, and what it is filled with.
struct HeldBlock {
  unsigned char* ptr = nullptr;
  // As asked for: what it is freed with.
  Layout layout;
  // Bytes that may be used, at least layout.size.
  size_t usable = 0;
  // Differs from that of every other block.
  uint64_t stamp = 0;

  uintptr_t begin() const { return reinterpret_cast<uintptr_t>(ptr); }
  // Behind the last byte; a block of no bytes has its address to itself.
  uintptr_t end() const { return begin() + (usable == 0 ? 1 : usable); }
};

// Asks for a block and fills it. A failure of the rule where it is misaligned, smaller than asked
// for, or null with a size. Null where the allocator has none.
HeldBlock Hold(Allocator& allocator, Layout layout, uint64_t stamp);

// Writes the stamp over the usable bytes.
void Fill(const HeldBlock& block);

// The first of the first `size` bytes that is not as filled, or `size`.
size_t FirstWrongByte(const HeldBlock& block, size_t size);

// A failure of the rule unless the block is as it was filled: "byte 3 of a live block of 24 bytes
// aligned to 8 was overwritten: `what`". Returns whether it is.
bool ExpectIntact(const HeldBlock& block, const char* what);

// Frees the block, which must be intact. Null is nothing.
void Release(Allocator& allocator, HeldBlock& block);

// Resizes by Reallocate; the kept bytes must be as before, and the new place aligned. Then fills it
// again. Returns false, with the block as before, where there is no memory.
bool Resize(Allocator& allocator, HeldBlock& block, size_t new_size);

// The same by TryResize.
bool ResizeInPlace(Allocator& allocator, HeldBlock& block, size_t new_size);

// A failure of the rule for each of `blocks` that overlaps another.
void ExpectApart(std::vector<HeldBlock> blocks);

// "24 bytes aligned to 8"
std::string Text(Layout layout);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_HELD_BLOCK_H_
