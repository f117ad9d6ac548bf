#include "tenon/alloc/concurrent/large_blocks.h"

#include <algorithm>
#include <new>

namespace tenon::alloc::concurrent {

size_t LargeBlocks::Offset(size_t alignment) noexcept {
  constexpr size_t kRoom = 64;  // For the header, and a cache line.
  static_assert(sizeof(Header) <= kRoom);
  return std::max(kRoom, alignment);
}

void LargeBlocks::Link(Header* header) noexcept {
  const Locked locked(lock_);
  header->previous = nullptr;
  header->next = first_;
  if (first_ != nullptr) first_->previous = header;
  first_ = header;
}

void LargeBlocks::Unlink(Header* header) noexcept {
  const Locked locked(lock_);
  if (header->next != nullptr) header->next->previous = header->previous;
  (header->previous != nullptr ? header->previous->next : first_) = header->next;
}

void* LargeBlocks::Allocate(Layout layout) noexcept {
  const size_t offset = Offset(layout.alignment);
  Layout whole{.alignment = std::max(layout.alignment, alignof(Header))};
  if (__builtin_add_overflow(layout.size, offset, &whole.size)) return nullptr;
  const Block block = backing_.Allocate(whole);
  if (block.ptr == nullptr) return nullptr;
  void* const ptr = static_cast<char*>(block.ptr) + offset;
  Link(::new (HeaderOf(ptr)) Header{.list = this, .start = block.ptr, .whole = whole});
  return ptr;
}

void LargeBlocks::Free(void* ptr) noexcept {
  Header* const header = HeaderOf(ptr);
  header->list->Unlink(header);
  header->list->backing_.Deallocate(header->start, header->whole);
}

bool LargeBlocks::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  Header* const header = HeaderOf(ptr);
  size_t whole_size = 0;
  if (__builtin_add_overflow(new_size, Offset(layout.alignment), &whole_size)) return false;
  if (!header->list->backing_.TryResize(header->start, header->whole, whole_size)) return false;
  header->whole.size = whole_size;
  return true;
}

void* LargeBlocks::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  const size_t offset = Offset(layout.alignment);
  size_t whole_size = 0;
  if (__builtin_add_overflow(new_size, offset, &whole_size)) return nullptr;
  // Not in the list meanwhile: its neighbours point to where it stands.
  Header* header = HeaderOf(ptr);
  LargeBlocks& list = *header->list;
  list.Unlink(header);
  const Block moved = list.backing_.Reallocate(header->start, header->whole, whole_size);
  if (moved.ptr == nullptr) {
    list.Link(header);
    return nullptr;
  }
  void* const moved_ptr = static_cast<char*>(moved.ptr) + offset;
  header = HeaderOf(moved_ptr);
  header->start = moved.ptr;
  header->whole.size = whole_size;
  list.Link(header);
  return moved_ptr;
}

void LargeBlocks::FreeAll() noexcept {
  const Locked locked(lock_);
  while (first_ != nullptr) {
    Header* const header = first_;
    first_ = header->next;
    backing_.Deallocate(header->start, header->whole);
  }
}

}  // namespace tenon::alloc::concurrent
