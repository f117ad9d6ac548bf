// From the text of a deployment's choice to an allocator.

#ifndef TENON_RUNTIME_OPEN_ALLOCATOR_H_
#define TENON_RUNTIME_OPEN_ALLOCATOR_H_

#include <utility>
#include <vector>

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
      : layers_(std::move(other.layers_)), outermost_(std::exchange(other.outermost_, nullptr)) {}
  AllocatorStack& operator=(AllocatorStack&& other) noexcept;
  ~AllocatorStack() { Reset(); }

  // False for one without allocators, default-constructed or moved from.
  bool has_value() const { return outermost_ != nullptr; }

  // The outermost. REQUIRES: has_value().
  Allocator& get() const { return *outermost_; }
  Allocator& operator*() const { return get(); }
  Allocator* operator->() const { return &get(); }

  // Destroys the layers, outermost first: a layer that waits for the frees under way on other
  // threads (ALC-10) has waited before anything is changed that they may have read.
  void Reset();

  // Makes the layers of a spec in `memory`, which outlives the result. What a spec leaves open is
  // decorated by its last layer: `innermost`, or `system` of the linked set where that is null
  // (NotFound if it is not linked). Else what an allocator's Probe and Create say, with its name,
  // and nothing left behind.
  static absl::StatusOr<AllocatorStack> Make(const AllocatorSpec& spec, Allocator* innermost,
                                             Allocator& memory);

 private:
  // Adds a layer around the others.
  void Push(Owned<Allocator> layer);

  // Innermost first.
  std::vector<Owned<Allocator>> layers_;
  // The last of them, apart from the vector, which is written before the layer has been destroyed.
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
