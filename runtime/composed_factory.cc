#include "tenon/runtime/composed_factory.h"

#include "tenon/runtime/open_allocator.h"

namespace tenon::runtime {
namespace {

// The outermost layer, with the others kept alive.
class ComposedAllocator final : public Allocator {
 public:
  explicit ComposedAllocator(AllocatorStack stack) : stack_(std::move(stack)) {}

  Block Allocate(Layout layout) noexcept override { return stack_->Allocate(layout); }
  void Deallocate(void* ptr, Layout layout) noexcept override { stack_->Deallocate(ptr, layout); }
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override {
    return stack_->TryResize(ptr, layout, new_size);
  }
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override {
    return stack_->Reallocate(ptr, layout, new_size);
  }
  AllocatorStats Stats() const noexcept override { return stack_->Stats(); }
  AllocatorTraits traits() const noexcept override { return stack_->traits(); }
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    stack_->VisitLive(visit);
  }

 private:
  AllocatorStack stack_;
};

}  // namespace

absl::Status ComposedFactory::Probe() const noexcept {
  for (const AllocatorLayer& layer : spec_.layers()) {
    if (absl::Status status = layer.factory->Probe(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<Owned<Allocator>> ComposedFactory::Create(
    const AllocatorConfig& config) const noexcept {
  absl::StatusOr<AllocatorStack> stack = AllocatorStack::Make(spec_, config.inner, config.memory);
  if (!stack.ok()) return std::move(stack).status();
  Owned<Allocator> made = MakeOwned<ComposedAllocator>(config.memory, *std::move(stack));
  if (made == nullptr) return absl::ResourceExhaustedError("");
  return made;
}

}  // namespace tenon::runtime
