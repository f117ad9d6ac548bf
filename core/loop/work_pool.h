// The threads on which a loop runs what would block it.

#ifndef TENON_CORE_LOOP_WORK_POOL_H_
#define TENON_CORE_LOOP_WORK_POOL_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon {

// A fixed number of threads, a queue of operations for them, and a queue of those that are done.
// The queues are links in the operations: nothing allocates after Start.
//
// Threads: the loop's thread, save where stated. All signals are blocked on the pool's threads.
class WorkPool {
 public:
  // Runs an operation on a pool thread and returns its result.
  using Perform = int32_t (*)(Operation& operation);
  // Tells the loop that something is done. Called on pool threads.
  using Notify = void (*)(void* context);

  WorkPool() = default;
  // REQUIRES: joined, never started, or in a forked child.
  ~WorkPool() = default;
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // Starts `count` threads. On failure (ResourceExhausted without a message for want of memory, or
  // the kernel's refusal of a thread) none remains.
  absl::Status Start(Allocator& allocator, uint32_t count, Perform perform, Notify notify,
                     void* context);

  // Queues all of `operations` and wakes threads for them.
  void Submit(IntrusiveList<Operation>& operations, uint32_t count);

  // Takes back an operation that no thread has begun; false when it is too late.
  // REQUIRES: it was submitted and has not come out of TakeDone.
  bool TryRemove(Operation& operation);

  // Moves the operations that are done to the end of `done`; their results are set.
  void TakeDone(IntrusiveList<Operation>& done);
  bool HasDone() const { return has_done_.load(std::memory_order_seq_cst); }

  // Ends the threads after what they are doing. REQUIRES: nothing is queued.
  void Join();

  // In a forked child, where the threads do not exist and the lock may be held for ever: forgets
  // both.
  void AbandonInChild() ABSL_NO_THREAD_SAFETY_ANALYSIS;

 private:
  enum class Stage : uint8_t { kWaiting, kRunning, kDone };
  // Kept in the operation's scratch, guarded by mutex_.
  struct Progress {
    Stage stage;
  };

  static void* ThreadMain(void* pool);
  void RunThread();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !waiting_.empty();
  }

  Perform perform_ = nullptr;
  Notify notify_ = nullptr;
  void* notify_context_ = nullptr;
  OwnedArray<pthread_t> threads_;
  uint32_t started_ = 0;

  absl::Mutex mutex_;
  absl::CondVar work_available_;
  IntrusiveList<Operation> waiting_ ABSL_GUARDED_BY(mutex_);
  IntrusiveList<Operation> done_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Whether done_ is not empty, for a look without the lock.
  std::atomic<bool> has_done_{false};
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_WORK_POOL_H_
