// A decorator that makes chosen allocations fail: the instrument behind every "out of memory" rule.

#ifndef TENON_ALLOC_FAULT_FAULT_ALLOCATOR_H_
#define TENON_ALLOC_FAULT_FAULT_ALLOCATOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "tenon/alloc/threads/frees_under_way.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// Which requests fail. A *request* is a call of Allocate, TryResize or Reallocate; those that the
// second half admits are counted from 1 since the plan was set, over all threads. Of them, one
// fails where any line of the first half says so.
struct FaultPlan {
  uint64_t nth = 0;          // this one, once; 0 is none
  uint64_t from = 0;         // this one and all after it; 0 is none
  uint64_t every = 0;        // each whose number is a multiple; 0 is none
  double probability = 0.0;  // by a generator with the seed; 0 to 1
  uint64_t seed = 0;

  // Allocate; TryResize and Reallocate. To plan the two apart, put one FaultAllocator around
  // another.
  bool allocations = true;
  bool resizes = true;
  // Only those of this many bytes, of the new size where a block is resized.
  size_t min_size = 0;
  size_t max_size = std::numeric_limits<size_t>::max();
  // Only those from an AllocationSite whose file has this in its name, and on this line; null and 0
  // are any, also none. Of static lifetime.
  const char* site_file = nullptr;
  uint32_t site_line = 0;
};

// Forwards to another allocator, except for the requests that it was told to fail.
//
// Ownership: does not own the inner allocator, which must outlive it.
// Threads: as the inner allocator. The plan may be changed from any thread; a request that races
//   the change may see a part of either plan.
// Shutdown: waits for frees that have begun on other threads (ALC-10).
//
//   FaultAllocator fault(system);
//   fault.FailNth(3);             // the third request fails, all others succeed
//   ...
//   if (fault.injected() == 0) {  // fewer than three requests were made
class FaultAllocator final : public Allocator {
 public:
  // No request fails before a plan is set.
  explicit FaultAllocator(Allocator& inner) : inner_(inner) {}
  // REQUIRES: as SetPlan.
  FaultAllocator(Allocator& inner, const FaultPlan& plan) : inner_(inner) { SetPlan(plan); }
  FaultAllocator(const FaultAllocator&) = delete;
  FaultAllocator& operator=(const FaultAllocator&) = delete;
  ~FaultAllocator() override { frees_.Wait(); }

  // Counts anew, by this plan. REQUIRES: 0 <= probability <= 1.
  void SetPlan(const FaultPlan& plan) noexcept;

  // The nth request from now fails, once. REQUIRES: n >= 1.
  void FailNth(uint64_t n) { SetPlan({.nth = n}); }

  // Every request from the nth on fails. REQUIRES: n >= 1.
  void FailFrom(uint64_t n) { SetPlan({.from = n}); }

  // Every nth request fails. REQUIRES: n >= 1.
  void FailEvery(uint64_t n) { SetPlan({.every = n}); }

  // Fails each request with the given probability, by a generator with this seed. Which of two
  // racing requests fails depends on their order; on one thread a seed determines the run.
  // REQUIRES: 0 <= probability <= 1.
  void FailRandomly(double probability, uint64_t seed) {
    SetPlan({.probability = probability, .seed = seed});
  }

  // No request fails any more.
  void Clear() { SetPlan({}); }

  // Requests that the plan admitted, and requests failed, since the last change of plan.
  uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
  uint64_t injected() const { return injected_.load(std::memory_order_relaxed); }

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  // The inner allocator's, where it keeps some, with the calls of Allocate and Reallocate among the
  // failures that failed here by any plan.
  AllocatorStats Stats() const noexcept override;
  AllocatorTraits traits() const noexcept override { return inner_.traits(); }
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    inner_.VisitLive(visit);
  }

 private:
  bool Admits(bool resize, size_t size) const noexcept;
  bool NextFails(bool resize, size_t size) noexcept;
  Block Fail() noexcept {
    failures_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  Allocator& inner_;
  // The plan, field by field, so that it can change while other threads allocate.
  std::atomic<uint64_t> nth_{0};
  std::atomic<uint64_t> from_{0};
  std::atomic<uint64_t> every_{0};
  // A request fails when a 64-bit draw is at most this; 0 is never.
  std::atomic<uint64_t> random_threshold_{0};
  std::atomic<uint64_t> random_state_{0};
  std::atomic<bool> allocations_{true};
  std::atomic<bool> resizes_{true};
  std::atomic<size_t> min_size_{0};
  std::atomic<size_t> max_size_{std::numeric_limits<size_t>::max()};
  std::atomic<const char*> site_file_{nullptr};
  std::atomic<uint32_t> site_line_{0};

  std::atomic<uint64_t> requests_{0};
  std::atomic<uint64_t> injected_{0};
  // Never counted anew.
  std::atomic<uint64_t> failures_{0};
  FreesUnderWay frees_;
};

namespace fault {

// "fault": options named as FaultPlan's fields; a plan by site can be set in C++ only.
const AllocatorFactory& Factory();

}  // namespace fault
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_FAULT_FAULT_ALLOCATOR_H_
