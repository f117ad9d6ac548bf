// The process's heap, for what is made before anybody chose an allocator.

#ifndef TENON_RUNTIME_PROCESS_HEAP_H_
#define TENON_RUNTIME_PROCESS_HEAP_H_

#include "absl/base/no_destructor.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::runtime {

// The heap has no state; neither has the object that stands for it. Any thread.
inline Allocator& ProcessHeap() {
  static absl::NoDestructor<alloc::SystemAllocator> heap;
  return *heap;
}

}  // namespace tenon::runtime

#endif  // TENON_RUNTIME_PROCESS_HEAP_H_
