// What the factories of allocators have in common.

#ifndef TENON_ALLOC_FACTORY_MAKE_ALLOCATOR_H_
#define TENON_ALLOC_FACTORY_MAKE_ALLOCATOR_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::alloc {

// Constructs a T in `memory`: the last step of AllocatorFactory::Create. ResourceExhausted without
// a message where there is no memory.
template <typename T, typename... Args>
absl::StatusOr<Owned<Allocator>> MakeAllocator(Allocator& memory, Args&&... args) noexcept {
  Owned<T> made = MakeOwned<T>(memory, std::forward<Args>(args)...);
  if (made == nullptr) return absl::ResourceExhaustedError("");
  return Owned<Allocator>(std::move(made));
}

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_FACTORY_MAKE_ALLOCATOR_H_
