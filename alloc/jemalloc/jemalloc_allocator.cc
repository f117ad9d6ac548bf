#include "tenon/alloc/jemalloc/jemalloc_allocator.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/alloc/jemalloc/request.h"
#include "tenon/alloc/threads/thread_number.h"

namespace tenon::alloc {
namespace {

// One for all: they share the heap.
constexpr uint32_t kHeap = 0;
constexpr LiveBlockOwner kOwner{.name = "jemalloc", .id = &kHeap};

class JemallocFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "jemalloc"; }
  absl::string_view summary() const noexcept override {
    return "jemalloc's process-wide heap, with a cache for each thread";
  }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    return MakeAllocator<JemallocAllocator>(config.memory);
  }
};

}  // namespace

Block JemallocAllocator::Allocate(Layout layout) noexcept {
  void* const ptr = jemalloc::Allocate(kOwner, layout, 0);
  return counters_.CountAllocated({ptr, ptr != nullptr ? layout.size : 0}, layout.size);
}

void JemallocAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  jemalloc::Deallocate(kOwner, ptr, layout, 0);
  counters_.CountFreed(ThreadNumber(), layout.size);
}

bool JemallocAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  if (!jemalloc::TryResize(kOwner, ptr, layout, new_size)) return false;
  counters_.CountResize(ThreadNumber(), layout.size, new_size);
  return true;
}

Block JemallocAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  const uint32_t number = ThreadNumber();
  void* const moved = jemalloc::Reallocate(kOwner, ptr, layout, new_size, 0);
  if (moved == nullptr) {
    counters_.CountFailure(number);
    return {};
  }
  counters_.CountResize(number, layout.size, new_size);
  return {moved, new_size};
}

const AllocatorFactory& jemalloc::Factory() {
  static constexpr JemallocFactory factory;
  return factory;
}

}  // namespace tenon::alloc
