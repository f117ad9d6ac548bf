// Memory for objects that gives the next one the address of the last.

#ifndef TENON_CONFORMANCE_ALLOCATOR_RECYCLING_MEMORY_H_
#define TENON_CONFORMANCE_ALLOCATOR_RECYCLING_MEMORY_H_

#include <map>
#include <utility>
#include <vector>

#include "tenon/core/memory/allocator.h"

namespace tenon::conformance {

// Keeps what is freed for the next request of the same layout: last in, first out.
//
// Ownership: returns all to `memory` when it is destroyed, which is when nothing of it is live.
// Threads: one.
class RecyclingMemory final : public Allocator {
 public:
  // `memory` outlives it.
  explicit RecyclingMemory(Allocator& memory) : memory_(memory) {}
  ~RecyclingMemory() override {
    for (const auto& [key, blocks] : free_) {
      for (void* ptr : blocks) {
        memory_.Deallocate(ptr, {.size = key.first, .alignment = key.second});
      }
    }
  }

  Block Allocate(Layout layout) noexcept override {
    std::vector<void*>& blocks = free_[{layout.size, layout.alignment}];
    if (blocks.empty()) return memory_.Allocate(layout);
    void* const ptr = blocks.back();
    blocks.pop_back();
    return {ptr, layout.size};
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr != nullptr) free_[{layout.size, layout.alignment}].push_back(ptr);
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  Allocator& memory_;
  // By size and alignment.
  std::map<std::pair<size_t, size_t>, std::vector<void*>> free_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_RECYCLING_MEMORY_H_
