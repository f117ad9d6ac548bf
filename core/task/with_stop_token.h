// Running a task under another stop token than its parent's.

#ifndef TENON_CORE_TASK_WITH_STOP_TOKEN_H_
#define TENON_CORE_TASK_WITH_STOP_TOKEN_H_

#include <coroutine>
#include <optional>
#include <utility>

#include "tenon/core/task/context.h"
#include "tenon/core/task/stop_token.h"
#include "tenon/core/task/task.h"

namespace tenon {

// Awaits a task in a context of its own. Made by WithStopToken.
template <typename T>
class [[nodiscard]] StopTokenAwaiter {
 public:
  StopTokenAwaiter(StopToken token, Task<T> task) : token_(token), task_(std::move(task)) {}
  StopTokenAwaiter(const StopTokenAwaiter&) = delete;
  StopTokenAwaiter& operator=(const StopTokenAwaiter&) = delete;

  bool await_ready() const noexcept { return !task_.has_frame(); }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    const TaskContext& parent = awaiting.promise().context();
    context_.emplace(parent.loop(), parent.queue(), token_);
    task_.promise()->Start(*context_, awaiting.promise());
    parent.queue().TransferTo(task_.promise());
  }
  T await_resume() noexcept { return task_.TakeResult(); }

 private:
  const StopToken token_;
  std::optional<TaskContext> context_;
  Task<T> task_;
};

// Runs `task` with `token` in place of the token of the task that awaits it: a stop of that one
// does not reach it. With `StopToken()` it is never asked to stop, for what has to be done in any
// case, such as telling the peer that one is leaving; give it a deadline. Results in what the task
// does. The token's source outlives the task.
template <typename T>
StopTokenAwaiter<T> WithStopToken(StopToken token, Task<T> task) {
  return StopTokenAwaiter<T>(token, std::move(task));
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_WITH_STOP_TOKEN_H_
