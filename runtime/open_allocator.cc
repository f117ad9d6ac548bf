#include "tenon/runtime/open_allocator.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tenon/runtime/process_heap.h"

namespace tenon::runtime {
namespace {

absl::Status Of(const AllocatorFactory& factory, const absl::Status& status) {
  const absl::string_view message = status.message().empty() ? "no memory" : status.message();
  return absl::Status(status.code(), absl::StrCat(factory.name(), ": ", message));
}

absl::StatusOr<Owned<Allocator>> MakeLayer(const AllocatorLayer& layer, Allocator* inner,
                                           Allocator& memory) {
  const AllocatorFactory& factory = *layer.factory;
  if (absl::Status status = factory.Probe(); !status.ok()) return Of(factory, status);
  absl::StatusOr<Owned<Allocator>> made =
      factory.Create({.options = layer.options, .inner = inner, .memory = memory});
  if (!made.ok()) return Of(factory, made.status());
  return made;
}

}  // namespace

AllocatorStack& AllocatorStack::operator=(AllocatorStack&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  layers_ = std::move(other.layers_);
  outermost_ = std::exchange(other.outermost_, nullptr);
  return *this;
}

void AllocatorStack::Reset() {
  while (!layers_.empty()) layers_.pop_back();
  outermost_ = nullptr;
}

void AllocatorStack::Push(Owned<Allocator> layer) {
  layers_.push_back(std::move(layer));
  outermost_ = layers_.back().get();
}

absl::StatusOr<AllocatorStack> AllocatorStack::Make(const AllocatorSpec& spec, Allocator* innermost,
                                                    Allocator& memory) {
  AllocatorStack stack;
  Allocator* inner = innermost;
  if (spec.open() && inner == nullptr) {
    const absl::StatusOr<AllocatorSpec> system = AllocatorSpec::Parse("system", LinkedAllocators());
    if (!system.ok()) {
      return absl::NotFoundError(absl::StrCat(spec.layers().back().factory->name(),
                                              " decorates system, which is not linked"));
    }
    auto made = MakeLayer(system->layers()[0], nullptr, memory);
    if (!made.ok()) return made.status();
    stack.Push(*std::move(made));
    inner = stack.outermost_;
  }
  const absl::Span<const AllocatorLayer> layers = spec.layers();
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    auto made = MakeLayer(*layer, layer->factory->decorates() ? inner : nullptr, memory);
    if (!made.ok()) return made.status();
    stack.Push(*std::move(made));
    inner = stack.outermost_;
  }
  return stack;
}

absl::StatusOr<AllocatorStack> OpenAllocator(absl::string_view spec) {
  const absl::StatusOr<AllocatorSpec> read = AllocatorSpec::Parse(spec, LinkedAllocators());
  if (!read.ok()) return read.status();
  return AllocatorStack::Make(*read, nullptr, ProcessHeap());
}

}  // namespace tenon::runtime
