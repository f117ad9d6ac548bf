// The allocator underneath, for any thread.

#ifndef TENON_ALLOC_CONCURRENT_BACKING_H_
#define TENON_ALLOC_CONCURRENT_BACKING_H_

#include <cstddef>
#include <cstdint>

#include "tenon/alloc/threads/lock.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::alloc::concurrent {

// Forwards to another allocator, one thread at a time unless it says that it is thread-safe.
class Backing {
 public:
  explicit Backing(Allocator& inner) : inner_(inner), shared_(inner.traits().thread_safe) {}

  Block Allocate(Layout layout) noexcept {
    if (shared_) return inner_.Allocate(layout);
    const Locked locked(lock_);
    return inner_.Allocate(layout);
  }
  void Deallocate(void* ptr, Layout layout) noexcept {
    if (shared_) return inner_.Deallocate(ptr, layout);
    const Locked locked(lock_);
    inner_.Deallocate(ptr, layout);
  }
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
    if (shared_) return inner_.TryResize(ptr, layout, new_size);
    const Locked locked(lock_);
    return inner_.TryResize(ptr, layout, new_size);
  }
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
    if (shared_) return inner_.Reallocate(ptr, layout, new_size);
    const Locked locked(lock_);
    return inner_.Reallocate(ptr, layout, new_size);
  }

  uint64_t quota_bytes() const noexcept { return inner_.traits().quota_bytes; }

 private:
  Allocator& inner_;
  const bool shared_;
  Lock lock_;
};

}  // namespace tenon::alloc::concurrent

#endif  // TENON_ALLOC_CONCURRENT_BACKING_H_
