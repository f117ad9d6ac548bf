// The allocator that keeps every rule in the plainest way: what mutants are made of.

#ifndef TENON_CONFORMANCE_ALLOCATOR_MODEL_ALLOCATOR_H_
#define TENON_CONFORMANCE_ALLOCATOR_MODEL_ALLOCATOR_H_

#include <atomic>
#include <cstdint>
#include <source_location>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::conformance {

// Every capability there is, out of a table under one mutex, over another allocator. Its table is
// in the process heap. Dies where a block is freed that is not live, in every build.
//
// Ownership: blocks that are live at its destruction are freed with it.
// Threads: any.
class ModelAllocator final : public Allocator {
 public:
  // `inner` outlives it.
  ModelAllocator(Allocator& inner, uint64_t quota_bytes)
      : inner_(inner), quota_bytes_(quota_bytes) {}
  ~ModelAllocator() override;

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  // Moves the block, and charges the difference meanwhile.
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  // Waits for nobody.
  AllocatorStats Stats() const noexcept override;
  AllocatorTraits traits() const noexcept override;
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override;

 private:
  struct Record {
    Layout layout;
    uint64_t number = 0;
    std::source_location site;
  };

  using Counter = std::atomic<uint64_t>;

  bool Fits(size_t growth) const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return growth <= quota_bytes_ - live_bytes_;
  }
  Block Fail();
  void Add(void* ptr, Layout layout, uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns the block's number.
  uint64_t Remove(void* ptr, Layout layout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Allocator& inner_;
  const uint64_t quota_bytes_;
  mutable absl::Mutex mutex_;
  std::unordered_map<void*, Record> live_ ABSL_GUARDED_BY(mutex_);
  // Written with the mutex held.
  Counter live_bytes_{0};
  Counter live_blocks_{0};
  Counter total_blocks_{0};
  Counter failures_{0};
};

// "model", with the option `bytes`.
const AllocatorFactory& ModelAllocatorFactory();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_MODEL_ALLOCATOR_H_
