// Says where allocations come from, for the reports of tracking allocators.

#ifndef TENON_CORE_MEMORY_ALLOCATION_SITE_H_
#define TENON_CORE_MEMORY_ALLOCATION_SITE_H_

#include <source_location>

namespace tenon {

// Names the place that the calling thread's allocations are attributed to while it is in scope; the
// innermost one counts. Costs two stores: it is read only by allocators that track.
//
//   AllocationSite site;  // here
//   connection = MakeOwned<Connection>(allocator);
//
// Threads: one, on whose stack it stands. Scopes are left in the reverse order of entering them: it
// does not belong into a coroutine that is suspended in its scope.
class AllocationSite {
 public:
  explicit AllocationSite(std::source_location where = std::source_location::current()) noexcept
      : where_(where), outer_(current_) {
    current_ = this;
  }
  AllocationSite(const AllocationSite&) = delete;
  AllocationSite& operator=(const AllocationSite&) = delete;
  ~AllocationSite() { current_ = outer_; }

  // The place that counts now on the calling thread; its line is 0 where there is none.
  static std::source_location Current() noexcept {
    return current_ == nullptr ? std::source_location() : current_->where_;
  }

 private:
  inline static thread_local constinit const AllocationSite* current_ = nullptr;

  const std::source_location where_;
  const AllocationSite* const outer_;
};

}  // namespace tenon

#endif  // TENON_CORE_MEMORY_ALLOCATION_SITE_H_
