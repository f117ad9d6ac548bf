// Where tasks begin: a root on a loop, and running one to its end.

#ifndef TENON_CORE_TASK_RUN_H_
#define TENON_CORE_TASK_RUN_H_

#include <utility>

#include "absl/log/check.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/stop_token.h"
#include "tenon/core/task/task.h"

namespace tenon {

// A task that no other awaits, on a loop that somebody else runs.
//
// Ownership: owns the task, its context and its stop source; destroying it while the task runs is
//   a CHECK (SUB-6). There is no way to start a task and forget it: who starts it owns it.
// Threads: the loop's thread.
// Reentrancy: Start and RequestStop may be called from callbacks and tasks; neither may destroy the
//   root, also not the done function.
// Shutdown: Loop::Drain ends what the task waits for with Cancelled; run the loop until done().
//
//   TaskRoot<absl::Status> root(loop, Serve(loop, listener));
//   root.Start();
//   loop.Run();
//   absl::Status status = root.TakeResult();
template <typename T = absl::Status>
class TaskRoot {
 public:
  TaskRoot(Loop& loop, Task<T> task)
      : context_(loop, queue_, stop_source_.token()), task_(std::move(task)) {}
  ~TaskRoot() {
    CHECK(!started_ || done_) << "SUB-6: a TaskRoot is destroyed while its task runs; request its "
                                 "stop, or drain the loop, and wait until it is done";
  }
  TaskRoot(const TaskRoot&) = delete;
  TaskRoot& operator=(const TaskRoot&) = delete;

  // Runs the task until it first suspends. When it is done, `done(argument)` is called, if given.
  // Without a frame it is done at once. REQUIRES: not started before.
  void Start(void (*done)(void* argument) = nullptr, void* argument = nullptr) noexcept {
    CHECK(!started_) << "a TaskRoot is started twice";
    started_ = true;
    done_function_ = done;
    done_argument_ = argument;
    TaskPromise* const task = task_.promise();
    if (task == nullptr) {
      Done();
      return;
    }
    task->Start(context_, &TaskDone, this);
    queue_.Resume(*task);
  }

  // Asks the task to stop. Harmless when it is done, and twice (CAN-2).
  void RequestStop() noexcept { stop_source_.RequestStop(); }

  bool done() const { return done_; }

  // The task's result. REQUIRES: done(); called once.
  T TakeResult() noexcept {
    CHECK(done_) << "a TaskRoot is asked for its result before it is done";
    return task_.TakeResult();
  }

 private:
  static TaskPromise* TaskDone(TaskPromise&, void* owner) {
    static_cast<TaskRoot*>(owner)->Done();
    return nullptr;
  }
  void Done() {
    done_ = true;
    if (done_function_ != nullptr) done_function_(done_argument_);
  }

  ResumeQueue queue_;
  StopSource stop_source_;
  TaskContext context_;
  Task<T> task_;
  void (*done_function_)(void*) = nullptr;
  void* done_argument_ = nullptr;
  bool started_ = false;
  bool done_ = false;
};

// Runs a loop until a task on it is done, for main functions and tests, and returns the task's
// result. Loop::Stop, from any thread, asks the task to stop, and the call returns when it has: a
// task that does not end keeps it from returning. Other operations on the loop are performed as
// well, and may be pending afterwards.
// REQUIRES: outside callbacks of the loop (TD-7).
template <typename T>
T RunToCompletion(Loop& loop, Task<T> task) noexcept {
  struct Progress {
    Loop& loop;
    bool running = false;
  } progress{loop};
  TaskRoot<T> root(loop, std::move(task));
  root.Start(
      [](void* argument) {
        auto& progress = *static_cast<Progress*>(argument);
        if (progress.running) progress.loop.Stop();
      },
      &progress);
  progress.running = true;
  while (!root.done()) {
    loop.Run(RunUntil::kStopped);
    if (!root.done()) root.RequestStop();
  }
  return root.TakeResult();
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_RUN_H_
