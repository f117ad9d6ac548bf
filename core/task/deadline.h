// Ending a task that takes too long.

#ifndef TENON_CORE_TASK_DEADLINE_H_
#define TENON_CORE_TASK_DEADLINE_H_

#include <coroutine>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/task.h"

namespace tenon {

class Loop;

// The part of WithDeadline that does not depend on the result: a timer, and the task that it asks
// to stop. Resumes the awaiting task when both have ended.
class Deadline {
 public:
  Deadline(Loop& loop, int64_t deadline_ns);

  // Starts the timer, and the task as the next to run.
  void Begin(TaskPromise& awaiting, TaskPromise& task) noexcept;

  // Whether the deadline passed before the task ended.
  bool expired() const { return expired_; }

 private:
  static TaskPromise* TaskDone(TaskPromise& task, void* self);
  static void TimerDone(Operation& operation);

  void Expire() noexcept;

  Loop& loop_;
  const int64_t deadline_ns_;
  Operation timer_;
  TaskPromise* awaiting_ = nullptr;
  bool task_done_ = false;
  bool expired_ = false;
  // Filled when it begins; its parent is known only then.
  std::optional<ChildContext> context_;
};

// Awaits a task until a deadline. Made by WithDeadline.
template <typename T>
class [[nodiscard]] DeadlineAwaiter {
 public:
  DeadlineAwaiter(Loop& loop, int64_t deadline_ns, Task<T> task)
      : deadline_(loop, deadline_ns), task_(std::move(task)) {}
  DeadlineAwaiter(const DeadlineAwaiter&) = delete;
  DeadlineAwaiter& operator=(const DeadlineAwaiter&) = delete;

  bool await_ready() const noexcept { return !task_.has_frame(); }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    deadline_.Begin(awaiting.promise(), *task_.promise());
  }
  T await_resume() noexcept {
    T result = task_.TakeResult();
    if (deadline_.expired() && absl::IsCancelled(StatusOf(result))) {
      return absl::Status(absl::StatusCode::kDeadlineExceeded, "");
    }
    return result;
  }

 private:
  static const absl::Status& StatusOf(const absl::Status& result) { return result; }
  template <typename U>
  static const absl::Status& StatusOf(const absl::StatusOr<U>& result) {
    return result.status();
  }

  Deadline deadline_;
  Task<T> task_;
};

// Runs `task`, asks it to stop when the time of `loop` reaches `deadline_ns`, and awaits its end
// in any case: nothing of it is left behind. Results in what the task does, or in DeadlineExceeded,
// without a message, where the deadline passed and the task ended as Cancelled. A task that
// succeeds or fails all the same after the deadline has its own result (CAN-3). A deadline that has
// passed already stops the task before its first operation; kForeverNs never comes. Allocates
// nothing.
//
//   int64_t deadline_ns = DeadlineAfter(loop.Now(), 5 * kSecondNs);
//   absl::StatusOr<Reply> reply = co_await WithDeadline(loop, deadline_ns, Ask(loop, server));
template <typename T>
DeadlineAwaiter<T> WithDeadline(Loop& loop, int64_t deadline_ns, Task<T> task) {
  return DeadlineAwaiter<T>(loop, deadline_ns, std::move(task));
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_DEADLINE_H_
