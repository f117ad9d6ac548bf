// A decorator that limits how many bytes are live at once.

#ifndef TENON_ALLOC_QUOTA_QUOTA_ALLOCATOR_H_
#define TENON_ALLOC_QUOTA_QUOTA_ALLOCATOR_H_

#include <atomic>
#include <cstdint>

#include "tenon/alloc/threads/frees_under_way.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// Charges each block with the bytes that were asked for, and refuses what would go beyond a limit.
// Exact with any number of threads in what is charged: bytes are charged before the inner allocator
// is asked, and given back once it has taken the block, so that no more are live than the limit,
// and none stay charged for what was refused, by the quota or by the inner allocator (ALC-17). The
// inner allocator may hold more for a moment: while Reallocate moves a block, the old one and the
// new one.
//
// Quotas nest: one for each tenant around one for all of them, each with its own limit.
//
// Ownership: does not own the inner allocator, which must outlive it.
// Threads: as the inner allocator; used(), limit() and SetLimit() any.
// Shutdown: waits for frees that have begun on other threads (ALC-10).
//
//   QuotaAllocator all(system, 1 << 30);
//   QuotaAllocator tenant(all, 64 << 20);
class QuotaAllocator final : public Allocator {
 public:
  // REQUIRES: limit_bytes >= 1.
  QuotaAllocator(Allocator& inner, uint64_t limit_bytes);
  QuotaAllocator(const QuotaAllocator&) = delete;
  QuotaAllocator& operator=(const QuotaAllocator&) = delete;
  ~QuotaAllocator() override { frees_.Wait(); }

  // Bytes charged now, including those of requests under way.
  uint64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  uint64_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  // Calls of Allocate and Reallocate refused by the limit.
  uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

  // Changes the limit, for requests that come later. One below used() takes nothing away; it
  // refuses until enough is freed. REQUIRES: limit_bytes >= 1.
  void SetLimit(uint64_t limit_bytes) noexcept;

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  // Resizing charges or gives back the difference.
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  // The inner allocator's, where it keeps some, with the requests refused here among the failures.
  AllocatorStats Stats() const noexcept override;
  // The inner allocator's, with the smaller limit of the two; `exact_quota`, unless there is one
  // within that is not.
  AllocatorTraits traits() const noexcept override;
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    inner_.VisitLive(visit);
  }

 private:
  // False, with nothing charged, where that would go beyond the limit.
  bool Charge(uint64_t bytes) noexcept;
  Block Refuse() noexcept {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  void GiveBack(uint64_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_release); }

  Allocator& inner_;
  std::atomic<uint64_t> limit_;
  std::atomic<uint64_t> used_{0};
  std::atomic<uint64_t> refused_{0};
  FreesUnderWay frees_;
};

namespace quota {

// "quota": option `bytes`, the limit.
const AllocatorFactory& Factory();

}  // namespace quota
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_QUOTA_QUOTA_ALLOCATOR_H_
