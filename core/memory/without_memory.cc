#include "tenon/core/memory/without_memory.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

thread_local bool fails = false;
thread_local int refused = 0;

void* AllocateOrNull(size_t size) noexcept {
  if (fails) ++refused;
  return fails ? nullptr : std::malloc(size == 0 ? 1 : size);
}

void* AllocateOrThrow(size_t size) {
  void* const block = AllocateOrNull(size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

void* operator new(size_t size) { return AllocateOrThrow(size); }
void* operator new[](size_t size) { return AllocateOrThrow(size); }
// Sanitizers have these of their own, not over the two above.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return AllocateOrNull(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return AllocateOrNull(size); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete[](void* block, size_t) noexcept { std::free(block); }

namespace tenon {

WithoutMemory::WithoutMemory() {
  ::refused = 0;
  fails = true;
}

void WithoutMemory::End() { fails = false; }

int WithoutMemory::refused() { return ::refused; }

}  // namespace tenon
