// An inner allocator that keeps a call inside a decorator while a rule does something to that.

#ifndef TENON_CONFORMANCE_ALLOCATOR_STALLING_ALLOCATOR_H_
#define TENON_CONFORMANCE_ALLOCATOR_STALLING_ALLOCATOR_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::conformance {

// An inner allocator in which a call of the chosen thread stalls, until the rule has done what it
// does meanwhile or had time to.
//
// Ownership: does not own `memory`, which outlives it and all blocks.
// Threads: any, whatever it declares.
//
//   std::thread other([&] {
//     inner.StallNext();
//     decorator.Deallocate(ptr, layout);
//     inner.EndCalls();
//   });
//   if (inner.WaitForStall()) {
//     ...  // with the free inside the decorator for certain
//   }
//   EXPECT_FALSE(inner.NoteDone()) << "did not wait for the free";
//   other.join();
class StallingAllocator final : public Allocator {
 public:
  // Which operation stalls, before it reaches `memory`.
  enum class Call { kAllocation, kFree };

  struct Options {
    Call call = Call::kFree;
    // What it declares; `foreign_free` as well.
    bool thread_safe = true;
    // How long a call stalls where NoteDone does not come.
    absl::Duration patience = absl::ZeroDuration();
  };

  StallingAllocator(Allocator& memory, const Options& options)
      : memory_(memory), options_(options) {}

  Block Allocate(Layout layout) noexcept override {
    if (options_.call == Call::kAllocation) Stall();
    return memory_.Allocate(layout);
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (options_.call == Call::kFree) Stall();
    memory_.Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = options_.thread_safe, .foreign_free = options_.thread_safe};
  }

  // The next call of the calling thread stalls; EndCalls: there will be none.
  void StallNext() {
    const absl::MutexLock lock(&mutex_);
    staller_ = std::this_thread::get_id();
  }
  void EndCalls() {
    const absl::MutexLock lock(&mutex_);
    ended_ = true;
  }

  // Waits until a call stalls here. Returns false where all have ended without.
  bool WaitForStall() {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &StallingAllocator::IsInsideOrEnded));
    return inside_;
  }

  // The rule has done what it does meanwhile: the call goes on. Returns whether it was still here.
  bool NoteDone() {
    const absl::MutexLock lock(&mutex_);
    done_ = true;
    return inside_;
  }

 private:
  void Stall() {
    const absl::MutexLock lock(&mutex_);
    if (staller_ != std::this_thread::get_id()) return;
    staller_ = {};
    inside_ = true;
    mutex_.AwaitWithTimeout(absl::Condition(&done_), options_.patience);
    inside_ = false;
  }
  bool IsInsideOrEnded() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return inside_ || ended_; }

  Allocator& memory_;
  const Options options_;
  absl::Mutex mutex_;
  std::thread::id staller_ ABSL_GUARDED_BY(mutex_);
  bool inside_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_STALLING_ALLOCATOR_H_
