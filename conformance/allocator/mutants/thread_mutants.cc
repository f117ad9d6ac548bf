// Mutants of the rules about several threads, and about misuse.

#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "tenon/conformance/allocator/mutants/decorator.h"
#include "tenon/conformance/allocator/mutants/unguarded_tracker.h"
#include "tenon/conformance/rules/allocator_mutant.h"

namespace tenon::conformance {
namespace {

// Keeps what a thread frees for that thread, whichever allocator it came from.
class CachesByThread final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    if (!IsCached(layout) || cache_.empty()) return good().Allocate(layout);
    void* const ptr = cache_.back();
    cache_.pop_back();
    return {ptr, layout.size};
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (!IsCached(layout) || ptr == nullptr) return good().Deallocate(ptr, layout);
    cache_.push_back(ptr);
  }

 private:
  static bool IsCached(Layout layout) { return layout.size == 64 && layout.alignment <= 16; }

  inline static thread_local std::vector<void*> cache_;
};

// Puts some of the blocks that are freed into its free list twice.
class FreesSomeTwice final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;
  ~FreesSomeTwice() override {
    for (const auto& [key, blocks] : free_) {
      for (void* ptr : std::set<void*>(blocks.begin(), blocks.end())) {
        good().Deallocate(ptr, {.size = key.first, .alignment = key.second});
      }
    }
  }

  Block Allocate(Layout layout) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<void*>& blocks = free_[{layout.size, layout.alignment}];
    if (blocks.empty()) return good().Allocate(layout);
    void* const ptr = blocks.back();
    blocks.pop_back();
    return {ptr, layout.size};
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr == nullptr) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<void*>& blocks = free_[{layout.size, layout.alignment}];
    blocks.push_back(ptr);
    if (++freed_ % 64 == 0) blocks.push_back(ptr);
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<size_t, size_t>, std::vector<void*>> free_;
  int freed_ = 0;
};

// Looks a block up, and does nothing when it is not there.
class IgnoresWhatIsNotLive final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(layout);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (block.ptr != nullptr) live_.insert(block.ptr);
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (live_.erase(ptr) == 0) return;
    }
    good().Deallocate(ptr, layout);
  }

 private:
  std::mutex mutex_;
  std::set<void*> live_;
};

}  // namespace

namespace allocator_mutants {

AllocatorMutant ALC_6() {
  return {.name = "the table of blocks is written to without a lock",
          .rule = "ALC-6",
          .expected_reason = "after threads allocated at the same time",
          .wrap = &Wrap<UnguardedTracker>};
}

AllocatorMutant ALC_7() {
  return {.name = "what a thread frees goes to its own cache, whosever it is",
          .rule = "ALC-7",
          .expected_reason = "it was in memory of an allocator that another thread freed to",
          .wrap = &Wrap<CachesByThread>};
}

AllocatorMutant ALC_8() {
  return {.name = "a free list holds one block twice",
          .rule = "ALC-8",
          .expected_reason = "of a live block",
          .wrap = &Wrap<FreesSomeTwice>};
}

AllocatorMutant ALC_9() {
  return {.name = "a free of what is not live is ignored",
          .rule = "ALC-9",
          .expected_reason = "was not caught",
          .wrap = &Wrap<IgnoresWhatIsNotLive>};
}

}  // namespace allocator_mutants
}  // namespace tenon::conformance
