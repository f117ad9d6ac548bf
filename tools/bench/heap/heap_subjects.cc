#include "tenon/tools/bench/heap/heap_subjects.h"

#include <cstdlib>
#include <cstring>
#include <memory_resource>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "jemalloc/jemalloc.h"
#include "mimalloc.h"
#include "tenon/alloc/guarded/guarded_allocator.h"
#include "tenon/alloc/jemalloc/jemalloc_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/runtime/open_allocator.h"

namespace tenon::bench {
namespace {

// Ours, as everybody calls it who is given an Allocator; with the type of one that is final, as
// somebody calls it who has that one and needs no interface.
template <typename Called = Allocator>
class TenonHeap {
 public:
  explicit TenonHeap(Called& allocator) : allocator_(allocator) {}
  void* Allocate(size_t size) { return allocator_.Allocate({.size = size}).ptr; }
  void Free(void* ptr, size_t size) { allocator_.Deallocate(ptr, {.size = size}); }
  void* Reallocate(void* ptr, size_t size, size_t new_size) {
    return allocator_.Reallocate(ptr, {.size = size}, new_size).ptr;
  }

 private:
  Called& allocator_;
};

struct GlibcHeap {
  void* Allocate(size_t size) { return std::malloc(size); }
  void Free(void* ptr, size_t /*size*/) { std::free(ptr); }
  void* Reallocate(void* ptr, size_t /*size*/, size_t new_size) {
    return std::realloc(ptr, new_size);
  }
};

struct JemallocHeap {
  void* Allocate(size_t size) { return je_malloc(size); }
  void Free(void* ptr, size_t size) { je_sdallocx(ptr, size, 0); }
  void* Reallocate(void* ptr, size_t /*size*/, size_t new_size) {
    return je_realloc(ptr, new_size);
  }
};

struct MimallocHeap {
  void* Allocate(size_t size) { return mi_malloc(size); }
  void Free(void* ptr, size_t size) { mi_free_size(ptr, size); }
  void* Reallocate(void* ptr, size_t /*size*/, size_t new_size) {
    return mi_realloc(ptr, new_size);
  }
};

class PmrHeap {
 public:
  void* Allocate(size_t size) { return pool_.allocate(size); }
  void Free(void* ptr, size_t size) { pool_.deallocate(ptr, size); }
  // A memory_resource cannot resize.
  void* Reallocate(void* ptr, size_t size, size_t new_size) {
    void* const moved = pool_.allocate(new_size);
    std::memcpy(moved, ptr, size < new_size ? size : new_size);
    pool_.deallocate(ptr, size);
    return moved;
  }

 private:
  std::pmr::synchronized_pool_resource pool_;
};

// The remedy that comes to mind first: a tracker of live blocks, in a list, under one mutex that
// is held while memory is allocated.
class MutexTracker {
 public:
  void* Allocate(size_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto* const node = static_cast<Node*>(std::malloc(sizeof(Node) + size));
    Insert(node, size);
    return node + 1;
  }
  void Free(void* ptr, size_t /*size*/) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Node* const node = static_cast<Node*>(ptr) - 1;
    Remove(node);
    std::free(node);
  }
  void* Reallocate(void* ptr, size_t /*size*/, size_t new_size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Node* node = static_cast<Node*>(ptr) - 1;
    Remove(node);
    node = static_cast<Node*>(std::realloc(node, sizeof(Node) + new_size));
    Insert(node, new_size);
    return node + 1;
  }

 private:
  struct alignas(std::max_align_t) Node {
    Node* next;
    Node* previous;
    size_t size;
  };

  void Insert(Node* node, size_t size) {
    node->size = size;
    node->previous = &live_;
    node->next = live_.next;
    live_.next->previous = node;
    live_.next = node;
    bytes_ += size;
  }
  void Remove(Node* node) {
    node->previous->next = node->next;
    node->next->previous = node->previous;
    bytes_ -= node->size;
  }

  std::mutex mutex_;
  Node live_ = {.next = &live_, .previous = &live_, .size = 0};
  size_t bytes_ = 0;
};

// The C library's heap as one that knows nothing of threads would be: guarded has to lock for it.
class OneThreadAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override { return heap_.Allocate(layout); }
  void Deallocate(void* ptr, Layout layout) noexcept override { heap_.Deallocate(ptr, layout); }
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override {
    return heap_.Reallocate(ptr, layout, new_size);
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  alloc::SystemAllocator heap_;
};

absl::Status RunGuarded(const HeapLoad& load, Stopwatch& stopwatch) {
  OneThreadAllocator one_thread;
  alloc::GuardedAllocator guarded(one_thread);
  TenonHeap<> heap(guarded);
  return RunPattern(heap, load, stopwatch);
}

// An allocator of ours without the interface.
template <typename Called>
absl::Status RunDirectly(const HeapLoad& load, Stopwatch& stopwatch) {
  Called allocator;
  TenonHeap<Called> heap(allocator);
  return RunPattern(heap, load, stopwatch);
}

template <typename Heap>
absl::Status RunPeer(const HeapLoad& load, Stopwatch& stopwatch) {
  Heap heap;
  return RunPattern(heap, load, stopwatch);
}

HeapSubject Ours(const char* spec, const char* description) {
  return {.subject = {.name = spec,
                      .description = absl::StrCat("Tenon: ", description),
                      .ours = true,
                      .probe = [spec] { return runtime::OpenAllocator(spec).status(); }},
          .run = [spec](const HeapLoad& load, Stopwatch& stopwatch) -> absl::Status {
            absl::StatusOr<runtime::AllocatorStack> stack = runtime::OpenAllocator(spec);
            if (!stack.ok()) return stack.status();
            TenonHeap<> heap(**stack);
            return RunPattern(heap, load, stopwatch);
          }};
}

std::string JemallocVersion() {
  const char* version = "";
  size_t size = sizeof(version);
  if (je_mallctl("version", &version, &size, nullptr, 0) != 0) return "";
  return std::string(version, std::strcspn(version, "-"));
}

}  // namespace

std::vector<HeapSubject> HeapSubjects() {
  const int mimalloc = mi_version();
  return {
      Ours("system", "the process's heap"),
      {{.name = "system-direct",
        .description = "Tenon: the process's heap, its class called without the interface",
        .ours = true},
       &RunDirectly<alloc::SystemAllocator>},
      Ours("counting(system)", "with statistics"),
      Ours("guarded(tracking(system))", "with every live block known, for many threads"),
      {{.name = "guarded(one-thread)",
        .description = "Tenon: malloc as a heap for one thread, under guarded's mutex",
        .ours = true},
       &RunGuarded},
      Ours("jemalloc", "jemalloc"),
      {{.name = "jemalloc-direct",
        .description = "Tenon: jemalloc, its class called without the interface",
        .ours = true},
       &RunDirectly<alloc::JemallocAllocator>},
      Ours("jemalloc_arena", "an arena of jemalloc and a cache of its own"),
      Ours("concurrent(system)", "owner free lists and remote-free queues"),
      {Handwritten("glibc", "malloc and free"), &RunPeer<GlibcHeap>},
      {{.name = "raw-jemalloc",
        .description = "jemalloc: je_malloc and je_sdallocx",
        .library = "jemalloc",
        .version = JemallocVersion()},
       &RunPeer<JemallocHeap>},
      {{.name = "mimalloc",
        .description = "mimalloc: mi_malloc and mi_free_size",
        .library = "mimalloc",
        .version = absl::StrCat(mimalloc / 100, ".", mimalloc / 10 % 10, ".", mimalloc % 10)},
       &RunPeer<MimallocHeap>},
      {Handwritten("pmr", "std::pmr::synchronized_pool_resource"), &RunPeer<PmrHeap>},
      {Handwritten("mutex-tracker", "a list of live blocks and malloc under one mutex"),
       &RunPeer<MutexTracker>},
  };
}

}  // namespace tenon::bench
