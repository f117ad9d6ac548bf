// A table of blocks that threads share without a lock (webui #507).

#ifndef TENON_CONFORMANCE_ALLOCATOR_MUTANTS_UNGUARDED_TRACKER_H_
#define TENON_CONFORMANCE_ALLOCATOR_MUTANTS_UNGUARDED_TRACKER_H_

#include <cstddef>
#include <thread>

#include "tenon/conformance/allocator/mutants/decorator.h"

namespace tenon::conformance {

// Notes every block in the first free place of a table, and ignores the free of one that is not
// there, as WebUI's did. It says that it is for several threads; two that look for a place at the
// same time find the same one, and one block is forgotten.
class UnguardedTracker final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(layout);
    if (block.ptr != nullptr) Note(block.ptr, layout.size);
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr != nullptr) Forget(ptr);
    good().Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override {
    AllocatorStats stats = good().Stats();
    stats.live_blocks = 0;
    stats.live_bytes = 0;
    for (const Entry& entry : table_) {
      if (entry.ptr == nullptr) continue;
      ++stats.live_blocks;
      stats.live_bytes += entry.size;
    }
    return stats;
  }
  AllocatorTraits traits() const noexcept override {
    AllocatorTraits traits = good().traits();
    traits.thread_safe = true;
    traits.statistics = true;
    return traits;
  }

 private:
  struct Entry {
    void* ptr = nullptr;
    size_t size = 0;
  };
  static constexpr size_t kPlaces = 4096;

  void Note(void* ptr, size_t size) {
    for (Entry& entry : table_) {
      if (entry.ptr != nullptr) continue;
      // Where a thread may lose the processor, once in a while it does.
      if (size % 8 == 0) std::this_thread::yield();
      entry = {ptr, size};
      return;
    }
  }
  void Forget(const void* ptr) {
    for (Entry& entry : table_) {
      if (entry.ptr != ptr) continue;
      entry = {};
      return;
    }
  }

  Entry table_[kPlaces];
};

// Makes them over the process heap: under the thread sanitizer the suite has to report the race.
const AllocatorFactory& UnguardedTrackerFactory();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_MUTANTS_UNGUARDED_TRACKER_H_
