#include "tenon/alloc/counting/counting_allocator.h"

#include "tenon/alloc/factory/make_allocator.h"

namespace tenon::alloc {
namespace {

class CountingFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "counting"; }
  absl::string_view summary() const noexcept override {
    return "adds statistics: live bytes and blocks, all blocks, failures";
  }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    return MakeAllocator<CountingAllocator>(config.memory, *config.inner);
  }
};

}  // namespace

Block CountingAllocator::Allocate(Layout layout) noexcept {
  return counters_.CountAllocated(inner_.Allocate(layout), layout.size);
}

void CountingAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const uint32_t number = ThreadNumber();
  counters_.BeginFree(number);
  inner_.Deallocate(ptr, layout);
  counters_.EndFree(number, layout.size);
}

bool CountingAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  if (!inner_.TryResize(ptr, layout, new_size)) return false;
  counters_.CountResize(ThreadNumber(), layout.size, new_size);
  return true;
}

Block CountingAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  const Block block = inner_.Reallocate(ptr, layout, new_size);
  if (block.ptr == nullptr) {
    counters_.CountFailure(ThreadNumber());
  } else {
    counters_.CountResize(ThreadNumber(), layout.size, new_size);
  }
  return block;
}

AllocatorTraits CountingAllocator::traits() const noexcept {
  AllocatorTraits traits = inner_.traits();
  traits.statistics = true;
  return traits;
}

const AllocatorFactory& counting::Factory() {
  static constexpr CountingFactory factory;
  return factory;
}

}  // namespace tenon::alloc
