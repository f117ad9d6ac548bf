// Runs the tasks of a policy: one for each slot that has something to be done to it.

#ifndef TENON_POOL_ENGINE_STAGES_H_
#define TENON_POOL_ENGINE_STAGES_H_

#include "absl/status/status.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/stop_token.h"
#include "tenon/core/task/task.h"
#include "tenon/pool/policy.h"
#include "tenon/pool/slot.h"

namespace tenon::pool {

// Who is told that a task has ended.
class StageListener {
 public:
  // What it does not do: begin another task, or destroy the Stages.
  virtual void StageEnded(Slot& slot, absl::Status status) noexcept = 0;

 protected:
  ~StageListener() = default;
};

// The tasks belong to the pool, never to an acquirer: whoever waited may be gone, and the slot is
// still somebody's (POOL-1, POOL-14).
//
// Ownership: of the tasks that run, which have ended before it is destroyed. The rest outlives it.
// Threads: the loop's thread.
// Reentrancy: Begin may run code of the application, which may call everything of the pool.
class Stages {
 public:
  Stages(Loop& loop, Allocator& allocator, ResourcePolicy& policy, StageListener& listener)
      : stage_(loop, allocator),
        policy_(policy),
        listener_(listener),
        work_context_(loop, queue_, work_stop_.token()),
        cleanup_context_(loop, queue_, cleanup_stop_.token()) {}
  Stages(const Stages&) = delete;
  Stages& operator=(const Stages&) = delete;

  // Begins the task that the slot's state asks for. Its end is told once, possibly before Begin
  // returns: with what it resulted in, or ResourceExhausted where it had no frame.
  // REQUIRES: the state is kCreating, kValidating, kResetting or kDestroying; not inside a task.
  void Begin(Slot& slot) noexcept;

  // Asks Create, Validate and Reset to stop, those to come included.
  void StopWork() noexcept { work_stop_.RequestStop(); }
  // The same for Destroy and for what undoes a creation.
  void StopCleanup() noexcept { cleanup_stop_.RequestStop(); }

  Allocator& allocator() const { return stage_.allocator(); }

 private:
  // Creates, and where that fails undoes what had been done, the last first (POOL-2).
  Task<> Create(Slot& slot);
  Task<> MakeTask(Slot& slot) noexcept;
  static TaskPromise* TaskDone(TaskPromise& task, void* slot);
  void End(Slot& slot, absl::Status status) noexcept;

  PoolStage stage_;
  ResourcePolicy& policy_;
  StageListener& listener_;
  ResumeQueue queue_;
  StopSource work_stop_;
  StopSource cleanup_stop_;
  TaskContext work_context_;
  TaskContext cleanup_context_;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_ENGINE_STAGES_H_
