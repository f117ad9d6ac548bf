// Structured concurrency: tasks that run beside the one that started them, and end before it.

#ifndef TENON_CORE_TASK_SCOPE_H_
#define TENON_CORE_TASK_SCOPE_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/task.h"

namespace tenon {

// What a scope does when one of its tasks fails.
enum class ScopeOnError : uint8_t {
  kCancelOthers,  // asks the others to stop: they were parts of one undertaking
  kContinue,      // lets them go on: they have nothing to do with each other
};

// A place for tasks to run in at the same time. Whoever opens it awaits them all with Join before
// it ends.
//
// The first error, by time, is what Join results in. A task that ends as Cancelled after the scope
// was asked to stop is no error.
//
// Ownership: owns the tasks given to Spawn, whose frames are freed as each of them ends; nothing is
//   allocated beside them. Lives in the frame of a coroutine, and may not be destroyed while a task
//   runs, which is a CHECK (SUB-6): every way out of the coroutine leads over Join.
// Threads: the loop's thread.
// Reentrancy: Spawn and Cancel may be called from the tasks of the scope, also while Join is
//   awaited. Neither runs a task inline when called from a task: spawned tasks begin when the
//   running one suspends.
// Shutdown: a stop of the token of the coroutine that opened it stops the scope's tasks, which it
//   still awaits.
//
//   Task<> Serve(Loop& loop, Handle listener) {
//     Scope scope(co_await CurrentContext(), ScopeOnError::kContinue);
//     absl::Status status;
//     while (status.ok()) {
//       absl::StatusOr<UniqueFd> fd = co_await Accept(loop, listener);
//       status = fd.ok() ? scope.Spawn(Talk(loop, *std::move(fd))) : fd.status();
//     }
//     scope.Cancel();
//     status.Update(co_await scope.Join());
//     co_return status;
//   }
class Scope {
 public:
  // Tasks inherit from `parent`, the context of the coroutine that the scope lives in.
  explicit Scope(TaskContext& parent, ScopeOnError on_error = ScopeOnError::kCancelOthers)
      : context_(parent), on_error_(on_error) {}
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // Takes a task and starts it soon. ResourceExhausted, without a message, where the task has no
  // frame: nothing runs then, and the scope is as before. After a stop it is started all the same,
  // and finds out by its first operation.
  // REQUIRES: the task has not been awaited.
  [[nodiscard]] absl::Status Spawn(Task<absl::Status> task) noexcept;

  // Asks every task to stop, and those to come. Harmless twice (CAN-2).
  void Cancel() noexcept { context_.RequestStop(); }
  bool stop_requested() const { return context_.stop_requested(); }

  // How many tasks have been spawned and have not ended.
  size_t running() const { return running_; }

  class [[nodiscard]] JoinAwaiter;
  // `co_await scope.Join()` results in OK or the first error when no task runs any more. Not cut
  // short by a stop. May be awaited again, after more has been spawned; by one coroutine at a time.
  JoinAwaiter Join() noexcept;

 private:
  static TaskPromise* TaskDone(TaskPromise& task, void* scope);

  ChildContext context_;
  const ScopeOnError on_error_;
  size_t running_ = 0;
  absl::Status first_error_;
  TaskPromise* joining_ = nullptr;
};

class Scope::JoinAwaiter {
 public:
  bool await_ready() const noexcept { return scope_.running_ == 0; }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    CHECK(scope_.joining_ == nullptr) << "a Scope is joined by two coroutines at once";
    scope_.joining_ = &awaiting.promise();
  }
  absl::Status await_resume() const noexcept { return scope_.first_error_; }

 private:
  friend class Scope;

  explicit JoinAwaiter(Scope& scope) : scope_(scope) {}

  Scope& scope_;
};

inline Scope::JoinAwaiter Scope::Join() noexcept { return JoinAwaiter(*this); }

}  // namespace tenon

#endif  // TENON_CORE_TASK_SCOPE_H_
