// From the text of a deployment's choice to an allocator.

#ifndef TENON_RUNTIME_OPEN_ALLOCATOR_H_
#define TENON_RUNTIME_OPEN_ALLOCATOR_H_

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/core/memory/owned.h"
#include "tenon/runtime/allocator_spec.h"

namespace tenon::runtime {

// An allocator with all that it decorates.
//
// Ownership: owns every layer; outlives the blocks and whatever was given the allocator. Move-only;
//   moving leaves the allocator where it is.
// Threads: made, moved and destroyed on one thread; the allocator's traits say who may use it.
class AllocatorStack {
 public:
  AllocatorStack() = default;
  AllocatorStack(AllocatorStack&& other) noexcept
      : layers_(std::move(other.layers_)),
        made_(std::exchange(other.made_, 0)),
        outermost_(std::exchange(other.outermost_, nullptr)) {}
  AllocatorStack& operator=(AllocatorStack&& other) noexcept;
  ~AllocatorStack() { Reset(); }

  // False for one without allocators, default-constructed or moved from.
  bool has_value() const { return outermost_ != nullptr; }

  // The outermost. REQUIRES: has_value().
  Allocator& get() const { return *outermost_; }
  Allocator& operator*() const { return get(); }
  Allocator* operator->() const { return &get(); }

  // Destroys the layers, outermost first, and gives their memory back: a layer that waits for the
  // frees under way on other threads (ALC-10) has waited before anything is changed that they may
  // have read. Without layers, it does nothing (ALC-18).
  void Reset() noexcept;

  // Makes the layers of a spec in `memory`, which outlives them and from which comes all that the
  // stack needs. What a spec leaves open is decorated by its last layer: `innermost`, or `system`
  // of the linked set where that is null (NotFound if none that needs no options is linked). Else
  // what an allocator's Probe or Create says, as AllocatorSpec::RefusalOf; ResourceExhausted
  // without a message where there is no memory. Any of these leaves nothing behind.
  static absl::StatusOr<AllocatorStack> Make(const AllocatorSpec& spec, Allocator* innermost,
                                             Allocator& memory) noexcept;

 private:
  // Makes a layer of a spec around the others, where there is room for it in layers_.
  absl::Status Add(const AllocatorSpec& spec, const AllocatorLayer& layer, Allocator* inner,
                   Allocator& memory) noexcept;

  // Innermost first; null from made_ on.
  OwnedArray<Owned<Allocator>> layers_;
  size_t made_ = 0;
  // The last of them, apart from both, which are written before the layer has been destroyed.
  Allocator* outermost_ = nullptr;
};

// Reads a spec of linked allocators (//:allocators) and makes them on the process's heap. As
// AllocatorSpec::Parse and AllocatorStack::Make. Any thread.
//
//   absl::StatusOr<AllocatorStack> allocator = OpenAllocator("tracking(quota(64MiB, jemalloc))");
//   if (!allocator.ok()) return allocator.status();
//   absl::StatusOr<Owned<Loop>> loop = OpenLoop({.allocator = &allocator->get()});
absl::StatusOr<AllocatorStack> OpenAllocator(absl::string_view spec);

}  // namespace tenon::runtime

#endif  // TENON_RUNTIME_OPEN_ALLOCATOR_H_
