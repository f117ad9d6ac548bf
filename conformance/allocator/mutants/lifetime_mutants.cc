// Mutants of the rules about the end of an allocator, and what comes after it.

#include <mutex>
#include <thread>

#include "tenon/conformance/allocator/mutants/decorator.h"
#include "tenon/conformance/rules/allocator_mutant.h"

namespace tenon::conformance {
namespace {

// Notes what other threads free, for its owner to collect, and forgets the notes at the end.
class KeepsNotesOfForeignFrees final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (std::this_thread::get_id() != owner_) memory().Allocate({.size = sizeof(void*)});
    good().Deallocate(ptr, layout);
  }

 private:
  const std::thread::id owner_ = std::this_thread::get_id();
};

struct CachedBlock {
  const void* owner = nullptr;
  void* ptr = nullptr;
};

// Each thread keeps one block, for the allocator whose address is that of the one it came from.
class CachesByAddress final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    if (!IsCached(layout) || cache_.owner != this) return good().Allocate(layout);
    cache_.owner = nullptr;
    return {cache_.ptr, layout.size};
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (!IsCached(layout) || cache_.owner == this) return good().Deallocate(ptr, layout);
    cache_ = {this, ptr};
  }

 private:
  static bool IsCached(Layout layout) { return layout.size == 64 && layout.alignment <= 16; }

  inline static thread_local CachedBlock cache_;
};

// Takes a lock for all allocators when it ends, and returns early after a failure.
class KeepsTheLockOfTheRegistry final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;
  ~KeepsTheLockOfTheRegistry() override {
    registry_.lock();
    if (failed_) return;
    registry_.unlock();
  }

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(layout);
    if (block.ptr == nullptr) failed_ = true;
    return block;
  }

 private:
  inline static std::mutex registry_;
  bool failed_ = false;
};

}  // namespace

namespace allocator_mutants {

AllocatorMutant ALC_10() {
  return {.name = "what other threads freed is not released with the allocator",
          .rule = "ALC-10",
          .expected_reason = "bytes of its inner allocator remain after it was destroyed",
          .wrap = &Wrap<KeepsNotesOfForeignFrees>};
}

AllocatorMutant ALC_11() {
  return {.name = "a thread's cache is found by the address of the allocator",
          .rule = "ALC-11",
          .expected_reason = "made where another was, handed out memory of that",
          .wrap = &Wrap<CachesByAddress>};
}

AllocatorMutant ALC_18() {
  return {.name = "teardown after a failure keeps the lock of the registry",
          .rule = "ALC-18",
          .expected_reason = "teardown after failures, again and again never ended",
          .wrap = &Wrap<KeepsTheLockOfTheRegistry>};
}

}  // namespace allocator_mutants
}  // namespace tenon::conformance
