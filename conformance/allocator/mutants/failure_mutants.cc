// Mutants of the rules about allocations that fail, and about what a free leaves alone.

#include <cerrno>
#include <mutex>

#include "tenon/conformance/allocator/mutants/decorator.h"
#include "tenon/conformance/rules/allocator_mutant.h"

namespace tenon::conformance {
namespace {

// Returns early, with the lock, when there is no memory.
class KeepsTheLock final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    mutex_.lock();
    const Block block = good().Allocate(layout);
    if (block.ptr != nullptr) mutex_.unlock();
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    good().Deallocate(ptr, layout);
  }

 private:
  std::mutex mutex_;
};

// Frees first and allocates then.
class FreesBeforeItGrows final : public AllocatorDecorator {
 public:
  using AllocatorDecorator::AllocatorDecorator;

  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override {
    const Block moved = good().Reallocate(ptr, layout, new_size);
    if (moved.ptr == nullptr) good().Deallocate(ptr, layout);
    return moved;
  }
};

// As free(3) of a large block may, where munmap(2) fails or was never checked.
class ChangesErrno final : public AllocatorDecorator {
 public:
  using AllocatorDecorator::AllocatorDecorator;

  void Deallocate(void* ptr, Layout layout) noexcept override {
    good().Deallocate(ptr, layout);
    if (layout.size >= kLarge) errno = EINVAL;
  }

 private:
  static constexpr size_t kLarge = 128 * 1024;
};

}  // namespace

namespace allocator_mutants {

AllocatorMutant ALC_4() {
  return {.name = "the lock is kept when an allocation fails",
          .rule = "ALC-4",
          .expected_reason = "never ended: a lock is held",
          .wrap = &Wrap<KeepsTheLock>};
}

AllocatorMutant ALC_5() {
  return {.name = "the old block is freed although it could not grow",
          .rule = "ALC-5",
          .expected_reason = "by a grow that failed",
          .wrap = &Wrap<FreesBeforeItGrows>};
}

AllocatorMutant ALC_13() {
  return {.name = "a free changes errno",
          .rule = "ALC-13",
          .expected_reason = "changed errno",
          .wrap = &Wrap<ChangesErrno>};
}

}  // namespace allocator_mutants
}  // namespace tenon::conformance
