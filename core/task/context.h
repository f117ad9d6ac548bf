// What a task knows of where it runs: its loop, its stop token, and the queue that resumes it.

#ifndef TENON_CORE_TASK_CONTEXT_H_
#define TENON_CORE_TASK_CONTEXT_H_

#include <coroutine>

#include "absl/log/check.h"
#include "tenon/core/task/stop_token.h"

namespace tenon {

class Loop;
class TaskContext;

// The part of a coroutine's promise that does not depend on its result.
//
// Threads: the loop's thread.
class TaskPromise {
 public:
  // Told that a task has finished; returns whom to resume next, or null. It may destroy the task.
  using DoneFunction = TaskPromise* (*)(TaskPromise& done, void* owner);

  TaskPromise(const TaskPromise&) = delete;
  TaskPromise& operator=(const TaskPromise&) = delete;

  // Where the task runs. REQUIRES: it has been started.
  TaskContext& context() const { return *context_; }
  bool started() const { return context_ != nullptr; }
  bool done() const { return handle_.done(); }

  // Sets where the task runs and what follows its end: `awaiting` is resumed, or `done` called.
  void Start(TaskContext& context, TaskPromise& awaiting) {
    DCHECK(!started());
    context_ = &context;
    owner_ = &awaiting;
  }
  void Start(TaskContext& context, DoneFunction done, void* owner) {
    DCHECK(!started());
    context_ = &context;
    done_ = done;
    owner_ = owner;
  }

  // Calls DoneFunction, or returns the awaiting task.
  TaskPromise* Finish() {
    return done_ == nullptr ? static_cast<TaskPromise*>(owner_) : done_(*this, owner_);
  }

  std::coroutine_handle<> handle() const { return handle_; }

 protected:
  explicit TaskPromise(std::coroutine_handle<> handle) : handle_(handle) {}

 private:
  friend class ResumeQueue;

  std::coroutine_handle<> handle_;
  TaskContext* context_ = nullptr;
  void* owner_ = nullptr;
  DoneFunction done_ = nullptr;
  TaskPromise* next_ = nullptr;
};

// Resumes the tasks of one root, one after the other and never one inside another: a task that
// awaits or finishes says who is next and returns to the queue. The stack is therefore as deep
// after a hundred thousand awaits as after one (CMP-7). The compiler's symmetric transfer promises
// that only where it makes tail calls, which GCC does not do without optimisation or under
// sanitizers.
//
// Ownership: of nothing; tasks are linked through their promises. Unbounded, as those are the
//   callers' memory.
// Threads: the loop's thread.
// Reentrancy: all but the destructor may be called from tasks that it resumes.
class ResumeQueue {
 public:
  ResumeQueue() = default;
  ~ResumeQueue() { DCHECK(!running_ && next_ == nullptr && first_ == nullptr); }
  ResumeQueue(const ResumeQueue&) = delete;
  ResumeQueue& operator=(const ResumeQueue&) = delete;

  // Resumes a task: at once where nothing runs, else when the running task has suspended and those
  // before it have run.
  void Resume(TaskPromise& task) noexcept {
    if (running_) {
      Append(task);
    } else {
      Run(&task);
    }
  }

  // Says who runs when the running task suspends, which it is about to do; null for none in
  // particular. REQUIRES: called by the running task, once before it suspends.
  void TransferTo(TaskPromise* task) noexcept {
    DCHECK(running_ && next_ == nullptr);
    next_ = task;
  }

 private:
  void Append(TaskPromise& task) {
    DCHECK(task.next_ == nullptr && last_ != &task);
    (last_ == nullptr ? first_ : last_->next_) = &task;
    last_ = &task;
  }

  void Run(TaskPromise* task) {
    running_ = true;
    while (task != nullptr) {
      task->handle_.resume();
      task = next_;
      next_ = nullptr;
      if (task == nullptr) task = PopFirst();
    }
    running_ = false;
  }

  TaskPromise* PopFirst() {
    TaskPromise* const task = first_;
    if (task == nullptr) return nullptr;
    first_ = task->next_;
    task->next_ = nullptr;
    if (first_ == nullptr) last_ = nullptr;
    return task;
  }

  bool running_ = false;
  TaskPromise* next_ = nullptr;
  TaskPromise* first_ = nullptr;
  TaskPromise* last_ = nullptr;
};

// What a task inherits from the one that awaits it, by reference: a child's token is its parent's
// unless something between them (Scope, WithDeadline, WhenAny, WithStopToken) replaced it.
//
// Ownership: outlives the tasks that run in it; the loop, the queue and the token's source outlive
//   it.
// Threads: the loop's thread.
class TaskContext {
 public:
  TaskContext(Loop& loop, ResumeQueue& queue, StopToken stop_token)
      : loop_(loop), queue_(queue), stop_token_(stop_token) {}
  TaskContext(const TaskContext&) = delete;
  TaskContext& operator=(const TaskContext&) = delete;

  Loop& loop() const { return loop_; }
  ResumeQueue& queue() const { return queue_; }
  StopToken stop_token() const { return stop_token_; }

 private:
  Loop& loop_;
  ResumeQueue& queue_;
  const StopToken stop_token_;
};

// A context with a stop source of its own, which is stopped as well when the parent's token is.
// Ownership, Threads: as TaskContext.
class ChildContext : private StopCallback {
 public:
  explicit ChildContext(const TaskContext& parent)
      : StopCallback([](StopCallback& callback) {
          static_cast<ChildContext&>(callback).source_.RequestStop();
        }),
        context_(parent.loop(), parent.queue(), source_.token()) {
    Register(parent.stop_token());
  }

  TaskContext& context() { return context_; }
  void RequestStop() noexcept { source_.RequestStop(); }
  bool stop_requested() const { return source_.stop_requested(); }

 private:
  StopSource source_;
  TaskContext context_;
};

// `co_await CurrentContext()` gives the context of the task that says so. Does not suspend.
class [[nodiscard]] CurrentContext {
 public:
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    context_ = &awaiting.promise().context();
    return false;
  }
  TaskContext& await_resume() const noexcept { return *context_; }

 private:
  TaskContext* context_ = nullptr;
};

}  // namespace tenon

#endif  // TENON_CORE_TASK_CONTEXT_H_
