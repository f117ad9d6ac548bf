// Good allocators and factories, passed through, for mutants to change one thing of.
//
//   class ChangesErrno final : public AllocatorDecorator {
//    public:
//     using AllocatorDecorator::AllocatorDecorator;
//     void Deallocate(void* ptr, Layout layout) noexcept override { ... }
//   };
//   ... .wrap = &Wrap<ChangesErrno> ...

#ifndef TENON_CONFORMANCE_ALLOCATOR_MUTANTS_DECORATOR_H_
#define TENON_CONFORMANCE_ALLOCATOR_MUTANTS_DECORATOR_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/core/memory/forwarding_allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::conformance {

// Forwards everything to the allocator that it owns.
class AllocatorDecorator : public ForwardingAllocator {
 public:
  // `memory` is where the two live, and outlives them.
  AllocatorDecorator(Owned<Allocator> good, Allocator& memory)
      : ForwardingAllocator(*good), good_(std::move(good)), memory_(memory) {}

 protected:
  Allocator& good() { return *good_; }
  const Allocator& good() const { return *good_; }
  Allocator& memory() { return memory_; }

 private:
  const Owned<Allocator> good_;
  Allocator& memory_;
};

// The same, where resizing is allocating, copying and freeing: for mutants that change either.
class MovingAllocatorDecorator : public AllocatorDecorator {
 public:
  using AllocatorDecorator::AllocatorDecorator;

  bool TryResize(void*, Layout, size_t) noexcept override { return false; }
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override {
    return Allocator::Reallocate(ptr, layout, new_size);
  }
};

// Makes allocators of type Decorator, an AllocatorDecorator, over those of a good factory, which
// outlives it.
template <typename Decorator>
class DecoratingAllocatorFactory final : public AllocatorFactory {
 public:
  explicit DecoratingAllocatorFactory(const AllocatorFactory& good) : good_(good) {}

  absl::string_view name() const noexcept override { return good_.name(); }
  absl::string_view summary() const noexcept override { return good_.summary(); }
  absl::Span<const AllocatorOption> options() const noexcept override { return good_.options(); }
  bool decorates() const noexcept override { return good_.decorates(); }
  absl::Status Probe() const noexcept override { return good_.Probe(); }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    absl::StatusOr<Owned<Allocator>> good = good_.Create(config);
    if (!good.ok()) return good;
    return alloc::MakeAllocator<Decorator>(config.memory, *std::move(good), config.memory);
  }

 private:
  const AllocatorFactory& good_;
};

// For AllocatorMutant::wrap: allocators of type Decorator.
template <typename Decorator>
const AllocatorFactory* Wrap(const AllocatorFactory& good) {
  static const DecoratingAllocatorFactory<Decorator> factory(good);
  return &factory;
}

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_MUTANTS_DECORATOR_H_
