// An Allocator for std::pmr containers.

#ifndef TENON_ALLOC_ADAPTERS_MEMORY_RESOURCE_H_
#define TENON_ALLOC_ADAPTERS_MEMORY_RESOURCE_H_

#include <cstddef>
#include <memory_resource>

#include "tenon/core/memory/allocator.h"

namespace tenon::alloc {

// Gives memory from an Allocator to whatever takes a std::pmr::memory_resource. As the standard has
// it, allocate() throws std::bad_alloc where there is none. Two of them are equal exactly if they
// are of the same Allocator.
//
// Ownership: does not own the allocator, which must outlive it.
// Threads: as the allocator.
//
//   MemoryResource resource(allocator);
//   std::pmr::vector<int> numbers(&resource);
class MemoryResource final : public std::pmr::memory_resource {
 public:
  explicit MemoryResource(Allocator& allocator) : allocator_(allocator) {}

  Allocator& allocator() const { return allocator_; }

 private:
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void* ptr, size_t bytes, size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override;

  Allocator& allocator_;
};

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_ADAPTERS_MEMORY_RESOURCE_H_
