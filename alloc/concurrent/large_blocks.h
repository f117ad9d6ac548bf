// Blocks that are too large for slabs.

#ifndef TENON_ALLOC_CONCURRENT_LARGE_BLOCKS_H_
#define TENON_ALLOC_CONCURRENT_LARGE_BLOCKS_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "tenon/alloc/concurrent/backing.h"
#include "tenon/alloc/threads/lock.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::alloc::concurrent {

// Passes blocks on to the backing allocator and remembers them in a list, by a header in front of
// each, so that they can be released with their allocator.
//
// Threads: any. Blocks may be freed and resized through any list; they know theirs.
class LargeBlocks {
 public:
  explicit LargeBlocks(Backing& backing) : backing_(backing) {}

  // Null where there is no memory or the size overflows (ALC-2).
  void* Allocate(Layout layout) noexcept;

  static void Free(void* ptr) noexcept;

  // Both leave everything as it is where they fail (ALC-5).
  static bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept;
  static void* Reallocate(void* ptr, Layout layout, size_t new_size) noexcept;

  // REQUIRES: nobody uses them.
  void FreeAll() noexcept ABSL_LOCKS_EXCLUDED(lock_);

 private:
  // Ends where the block begins.
  struct Header {
    LargeBlocks* list = nullptr;
    Header* next = nullptr;
    Header* previous = nullptr;
    void* start = nullptr;
    Layout whole;
  };

  static size_t Offset(size_t alignment) noexcept;
  static Header* HeaderOf(void* ptr) noexcept { return static_cast<Header*>(ptr) - 1; }

  void Link(Header* header) noexcept ABSL_LOCKS_EXCLUDED(lock_);
  void Unlink(Header* header) noexcept ABSL_LOCKS_EXCLUDED(lock_);

  Backing& backing_;
  Lock lock_;
  Header* first_ ABSL_GUARDED_BY(lock_) = nullptr;
};

}  // namespace tenon::alloc::concurrent

#endif  // TENON_ALLOC_CONCURRENT_LARGE_BLOCKS_H_
