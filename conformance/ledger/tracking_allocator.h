// The allocator that rules hand to what they test: it knows every live block.

#ifndef TENON_CONFORMANCE_LEDGER_TRACKING_ALLOCATOR_H_
#define TENON_CONFORMANCE_LEDGER_TRACKING_ALLOCATOR_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::conformance {

// Forwards to the process heap, checks every block that comes back, and counts what is live. Made
// for finding mistakes, not for speed: a table under one mutex.
//
// A wrong Deallocate (a block freed twice, a pointer from elsewhere, another size or alignment than
// it was allocated with) is recorded, not executed, so that the rule can report it. New memory is
// filled with 0xCD and freed memory with 0xDD, so that what relies on either shows.
//
// Ownership: blocks that are live at its destruction are freed with it.
// Threads: any (`thread_safe`, `foreign_free`).
class TrackingAllocator final : public Allocator {
 public:
  TrackingAllocator() = default;
  ~TrackingAllocator() override;

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  AllocatorStats Stats() const noexcept override;
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true, .foreign_free = true, .bulk_release = true};
  }

  // One sentence for each wrong Deallocate so far.
  std::vector<std::string> Misuses() const;

  // One phrase for each live block that was allocated after `total_blocks` others, at most `limit`:
  // "block 17 of 192 bytes".
  std::vector<std::string> LiveSince(uint64_t total_blocks, size_t limit) const;

 private:
  struct Record {
    Layout layout;
    uint64_t number = 0;
  };

  mutable absl::Mutex mutex_;
  std::unordered_map<void*, Record> live_ ABSL_GUARDED_BY(mutex_);
  std::unordered_set<void*> freed_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> misuses_ ABSL_GUARDED_BY(mutex_);
  AllocatorStats stats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LEDGER_TRACKING_ALLOCATOR_H_
