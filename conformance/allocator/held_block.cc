#include "tenon/conformance/allocator/held_block.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

// Differs from byte to byte, so that a block moved by a few bytes does not look intact.
unsigned char PatternByte(uint64_t stamp, size_t index) {
  return static_cast<unsigned char>((stamp >> (index % 8 * 8)) + index / 8);
}

bool ExpectAligned(const HeldBlock& block, const char* how) {
  const bool aligned = block.begin() % block.layout.alignment == 0;
  EXPECT_TRUE(aligned) << "a block of " << Text(block.layout) << " stands at "
                       << static_cast<void*>(block.ptr) << how;
  return aligned;
}

}  // namespace

std::string Text(Layout layout) {
  return absl::StrCat(layout.size, " bytes aligned to ", layout.alignment);
}

HeldBlock Hold(Allocator& allocator, Layout layout, uint64_t stamp) {
  const Block block = allocator.Allocate(layout);
  HeldBlock held = {.ptr = static_cast<unsigned char*>(block.ptr),
                    .layout = layout,
                    .usable = block.size,
                    .stamp = stamp};
  if (held.ptr == nullptr) {
    EXPECT_EQ(block.size, 0u) << "a null block has a size";
    return held;
  }
  EXPECT_GE(block.size, layout.size) << "a block is smaller than was asked for";
  ExpectAligned(held, "");
  held.usable = std::max(block.size, layout.size);
  Fill(held);
  return held;
}

void Fill(const HeldBlock& block) {
  for (size_t i = 0; i < block.usable; ++i) block.ptr[i] = PatternByte(block.stamp, i);
}

size_t FirstWrongByte(const HeldBlock& block, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (block.ptr[i] != PatternByte(block.stamp, i)) return i;
  }
  return size;
}

bool ExpectIntact(const HeldBlock& block, const char* what) {
  const size_t wrong = FirstWrongByte(block, block.usable);
  EXPECT_EQ(wrong, block.usable) << "byte " << wrong << " of a live block of " << Text(block.layout)
                                 << " was overwritten: " << what;
  return wrong == block.usable;
}

void Release(Allocator& allocator, HeldBlock& block) {
  if (block.ptr == nullptr) return;
  ExpectIntact(block, "found when it was freed");
  allocator.Deallocate(block.ptr, block.layout);
  block.ptr = nullptr;
}

bool Resize(Allocator& allocator, HeldBlock& block, size_t new_size) {
  const Block moved = allocator.Reallocate(block.ptr, block.layout, new_size);
  if (moved.ptr == nullptr) {
    ExpectIntact(block, "found after it could not be resized");
    return false;
  }
  const size_t kept = std::min(block.layout.size, new_size);
  block.ptr = static_cast<unsigned char*>(moved.ptr);
  EXPECT_GE(moved.size, new_size) << "a resized block is smaller than was asked for";
  EXPECT_EQ(FirstWrongByte(block, kept), kept)
      << "a block of " << Text(block.layout) << " lost bytes when it was resized to " << new_size;
  block.layout.size = new_size;
  block.usable = std::max(moved.size, new_size);
  ExpectAligned(block, " after a resize");
  Fill(block);
  return true;
}

bool ResizeInPlace(Allocator& allocator, HeldBlock& block, size_t new_size) {
  if (!allocator.TryResize(block.ptr, block.layout, new_size)) {
    ExpectIntact(block, "found after it could not be resized where it stands");
    return false;
  }
  const size_t kept = std::min(block.layout.size, new_size);
  EXPECT_EQ(FirstWrongByte(block, kept), kept)
      << "a block of " << Text(block.layout) << " lost bytes when it became " << new_size
      << " where it stands";
  block.layout.size = new_size;
  block.usable = new_size;
  Fill(block);
  return true;
}

void ExpectApart(std::vector<HeldBlock> blocks) {
  std::sort(blocks.begin(), blocks.end(),
            [](const HeldBlock& a, const HeldBlock& b) { return a.begin() < b.begin(); });
  for (size_t i = 1; i < blocks.size(); ++i) {
    EXPECT_LE(blocks[i - 1].end(), blocks[i].begin())
        << "a live block of " << Text(blocks[i - 1].layout) << " overlaps one of "
        << Text(blocks[i].layout);
  }
}

}  // namespace tenon::conformance
