// A decorator that makes chosen allocations fail: the instrument behind every "out of memory" rule.

#ifndef TENON_ALLOC_FAULT_FAULT_ALLOCATOR_H_
#define TENON_ALLOC_FAULT_FAULT_ALLOCATOR_H_

#include <atomic>
#include <cstdint>

#include "tenon/core/memory/allocator.h"

namespace tenon::alloc {

// Forwards to another allocator, except for the requests that it was told to fail.
//
// A *request* is a call of Allocate, TryResize or Reallocate; requests are counted from 1 since the
// last change of plan, over all threads.
//
// Ownership: does not own the inner allocator, which must outlive it.
// Threads: as the inner allocator. The plan may be changed from any thread; a request that races
// the
//   change sees either plan.
//
//   FaultAllocator fault(system);
//   fault.FailNth(3);             // the third request fails, all others succeed
//   ...
//   if (fault.injected() == 0) {  // fewer than three requests were made
class FaultAllocator final : public Allocator {
 public:
  explicit FaultAllocator(Allocator& inner) : inner_(inner) {}

  // The nth request from now fails, once. REQUIRES: n >= 1.
  void FailNth(uint64_t n) { SetPlan(n, n); }

  // Every request from the nth on fails. REQUIRES: n >= 1.
  void FailFrom(uint64_t n) { SetPlan(n, UINT64_MAX); }

  // Fails each request with the given probability, by a generator with this seed. Which of two
  // racing requests fails depends on their order; on one thread a seed determines the run.
  // REQUIRES: 0 <= probability <= 1.
  void FailRandomly(double probability, uint64_t seed);

  // No request fails any more.
  void Clear() { SetPlan(0, 0); }

  // Requests seen, and requests failed, since the last change of plan.
  uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
  uint64_t injected() const { return injected_.load(std::memory_order_relaxed); }

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  AllocatorStats Stats() const noexcept override;
  AllocatorTraits traits() const noexcept override { return inner_.traits(); }

 private:
  void SetPlan(uint64_t first, uint64_t last);
  bool NextFails() noexcept;

  Allocator& inner_;
  // The requests from first_ to last_ fail; 0, 0 is none.
  std::atomic<uint64_t> first_{0};
  std::atomic<uint64_t> last_{0};
  // A request fails when a 64-bit draw is below this; 0 is never.
  std::atomic<uint64_t> random_threshold_{0};
  std::atomic<uint64_t> random_state_{0};
  std::atomic<uint64_t> requests_{0};
  std::atomic<uint64_t> injected_{0};
};

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_FAULT_FAULT_ALLOCATOR_H_
