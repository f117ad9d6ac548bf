#include "tenon/runtime/open_allocator.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/runtime/process_heap.h"

namespace tenon::runtime {
namespace {

// What decorators decorate where nothing else is said; null where it is not linked.
const AllocatorFactory* FindSystem() noexcept {
  for (const AllocatorFactory* factory : LinkedAllocators()) {
    if (factory->name() == "system" && factory->options().empty() && !factory->decorates()) {
      return factory;
    }
  }
  return nullptr;
}

}  // namespace

AllocatorStack& AllocatorStack::operator=(AllocatorStack&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  layers_ = std::move(other.layers_);
  made_ = std::exchange(other.made_, 0);
  outermost_ = std::exchange(other.outermost_, nullptr);
  return *this;
}

void AllocatorStack::Reset() noexcept {
  while (made_ > 0) layers_[--made_].reset();
  outermost_ = nullptr;
  layers_ = {};
}

absl::Status AllocatorStack::Add(const AllocatorSpec& spec, const AllocatorLayer& layer,
                                 Allocator* inner, Allocator& memory) noexcept {
  if (absl::Status status = layer.factory->Probe(); !status.ok()) {
    return spec.RefusalOf(layer, status);
  }
  absl::StatusOr<Owned<Allocator>> made =
      layer.factory->Create({.options = layer.options,
                             .inner = layer.factory->decorates() ? inner : nullptr,
                             .memory = memory});
  if (!made.ok()) return spec.RefusalOf(layer, made.status());
  layers_[made_] = *std::move(made);
  outermost_ = layers_[made_++].get();
  return absl::OkStatus();
}

absl::StatusOr<AllocatorStack> AllocatorStack::Make(const AllocatorSpec& spec, Allocator* innermost,
                                                    Allocator& memory) noexcept {
  const absl::Span<const AllocatorLayer> layers = spec.layers();
  AllocatorStack stack;
  // One more for `system`.
  stack.layers_ = OwnedArray<Owned<Allocator>>::Create(memory, layers.size() + 1);
  if (!stack.layers_.ok()) return OutOfMemory();
  if (spec.open() && innermost == nullptr) {
    AllocatorLayer system = {.factory = FindSystem(), .position = layers.back().position};
    if (system.factory == nullptr) {
      return spec.RefusalOf(layers.back(), StatusOf(absl::StatusCode::kNotFound,
                                                    "it decorates system, which is not linked"));
    }
    if (absl::Status status = stack.Add(spec, system, nullptr, memory); !status.ok()) return status;
  }
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    Allocator* const inner = stack.has_value() ? stack.outermost_ : innermost;
    if (absl::Status status = stack.Add(spec, *layer, inner, memory); !status.ok()) return status;
  }
  return stack;
}

absl::StatusOr<AllocatorStack> OpenAllocator(absl::string_view spec) {
  const absl::StatusOr<AllocatorSpec> read = AllocatorSpec::Parse(spec, LinkedAllocators());
  if (!read.ok()) return read.status();
  return AllocatorStack::Make(*read, nullptr, ProcessHeap());
}

}  // namespace tenon::runtime
