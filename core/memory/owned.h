// Owners of memory that came from an Allocator: one object (`Owned<T>`) or a fixed array
// (`OwnedArray<T>`).

#ifndef TENON_CORE_MEMORY_OWNED_H_
#define TENON_CORE_MEMORY_OWNED_H_

#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "tenon/core/memory/allocator.h"

namespace tenon {

// Destroys an object and returns its memory. Remembers the layout of the type that was created, so
// that an `Owned<Base>` made from an `Owned<Derived>` frees what was allocated.
class AllocatorDelete {
 public:
  AllocatorDelete() = default;
  AllocatorDelete(Allocator& allocator, Layout layout) : allocator_(&allocator), layout_(layout) {}

  template <typename T>
  void operator()(T* object) const noexcept {
    // The block starts where the most derived object starts, which need not be where its base does.
    void* block = object;
    if constexpr (std::is_polymorphic_v<T>) block = dynamic_cast<void*>(object);
    object->~T();
    allocator_->Deallocate(block, layout_);
  }

 private:
  Allocator* allocator_ = nullptr;
  Layout layout_;
};

// Owns one object in memory from an allocator, which must outlive it. Null when allocation failed.
template <typename T>
using Owned = std::unique_ptr<T, AllocatorDelete>;

// Allocates and constructs a T. Null when there is no memory; the arguments are then untouched.
template <typename T, typename... Args>
Owned<T> MakeOwned(Allocator& allocator, Args&&... args) {
  const Layout layout{.size = sizeof(T), .alignment = alignof(T)};
  const Block block = allocator.Allocate(layout);
  if (block.ptr == nullptr) return nullptr;
  return Owned<T>(::new (block.ptr) T(std::forward<Args>(args)...),
                  AllocatorDelete(allocator, layout));
}

// A fixed-size array in memory from an allocator, which must outlive it. Move-only.
template <typename T>
class OwnedArray {
 public:
  OwnedArray() = default;

  // Value-initialises `count` elements. The result is empty (and `ok()` false) when there is no
  // memory or the size overflows; an array of zero elements is `ok()` without memory.
  static OwnedArray Create(Allocator& allocator, size_t count) {
    OwnedArray array;
    if (count == 0) {
      array.ok_ = true;
      return array;
    }
    if (count > std::numeric_limits<size_t>::max() / sizeof(T)) return array;
    const Block block = allocator.Allocate({.size = count * sizeof(T), .alignment = alignof(T)});
    if (block.ptr == nullptr) return array;
    array.allocator_ = &allocator;
    array.data_ = static_cast<T*>(block.ptr);
    array.size_ = count;
    array.ok_ = true;
    std::uninitialized_value_construct_n(array.data_, count);
    return array;
  }

  OwnedArray(OwnedArray&& other) noexcept { swap(other); }
  OwnedArray& operator=(OwnedArray&& other) noexcept {
    OwnedArray(std::move(other)).swap(*this);
    return *this;
  }
  ~OwnedArray() {
    if (data_ == nullptr) return;
    std::destroy_n(data_, size_);
    allocator_->Deallocate(data_, {.size = size_ * sizeof(T), .alignment = alignof(T)});
  }

  bool ok() const { return ok_; }
  size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }

 private:
  void swap(OwnedArray& other) noexcept {
    std::swap(allocator_, other.allocator_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(ok_, other.ok_);
  }

  Allocator* allocator_ = nullptr;
  T* data_ = nullptr;
  size_t size_ = 0;
  bool ok_ = false;
};

}  // namespace tenon

#endif  // TENON_CORE_MEMORY_OWNED_H_
