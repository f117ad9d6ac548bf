#include "tenon/runtime/composed_factory.h"

#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/core/memory/forwarding_allocator.h"
#include "tenon/runtime/open_allocator.h"

namespace tenon::runtime {
namespace {

// The outermost layer, with all of them kept alive.
class ComposedAllocator final : public ForwardingAllocator {
 public:
  explicit ComposedAllocator(AllocatorStack stack)
      : ForwardingAllocator(stack.get()), stack_(std::move(stack)) {}

 private:
  const AllocatorStack stack_;
};

}  // namespace

absl::Status ComposedFactory::Probe() const noexcept {
  for (const AllocatorLayer& layer : spec_.layers()) {
    if (absl::Status status = layer.factory->Probe(); !status.ok()) {
      return spec_.RefusalOf(layer, status);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Owned<Allocator>> ComposedFactory::Create(
    const AllocatorConfig& config) const noexcept {
  absl::StatusOr<AllocatorStack> stack = AllocatorStack::Make(spec_, config.inner, config.memory);
  if (!stack.ok()) return std::move(stack).status();
  return alloc::MakeAllocator<ComposedAllocator>(config.memory, *std::move(stack));
}

}  // namespace tenon::runtime
