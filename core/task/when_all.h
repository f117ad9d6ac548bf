// Running several tasks at the same time, and awaiting all of them.

#ifndef TENON_CORE_TASK_WHEN_ALL_H_
#define TENON_CORE_TASK_WHEN_ALL_H_

#include <coroutine>
#include <cstddef>
#include <tuple>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/task.h"

namespace tenon {

// Counts tasks down to the last, whose end resumes the task that awaits them.
class TaskCountdown {
 public:
  TaskCountdown() = default;
  TaskCountdown(const TaskCountdown&) = delete;
  TaskCountdown& operator=(const TaskCountdown&) = delete;

  void Begin(TaskPromise& awaiting) { awaiting_ = &awaiting; }

  // Starts a task, if it has a frame, to run when the awaiting one has suspended.
  void Start(TaskPromise* task, TaskContext& context) {
    if (task == nullptr) return;
    ++remaining_;
    task->Start(context, &TaskDone, this);
    context.queue().Resume(*task);
  }

 private:
  static TaskPromise* TaskDone(TaskPromise&, void* self) {
    auto& countdown = *static_cast<TaskCountdown*>(self);
    return --countdown.remaining_ == 0 ? countdown.awaiting_ : nullptr;
  }

  TaskPromise* awaiting_ = nullptr;
  size_t remaining_ = 0;
};

// Awaits some tasks. Made by WhenAll.
template <typename... Ts>
class [[nodiscard]] WhenAllAwaiter {
 public:
  explicit WhenAllAwaiter(Task<Ts>... tasks) : tasks_(std::move(tasks)...) {}
  WhenAllAwaiter(const WhenAllAwaiter&) = delete;
  WhenAllAwaiter& operator=(const WhenAllAwaiter&) = delete;

  bool await_ready() const noexcept {
    return std::apply([](const auto&... task) { return (!task.has_frame() && ...); }, tasks_);
  }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    TaskContext& context = awaiting.promise().context();
    countdown_.Begin(awaiting.promise());
    std::apply([&](auto&... task) { (countdown_.Start(task.promise(), context), ...); }, tasks_);
  }
  std::tuple<Ts...> await_resume() noexcept {
    return std::apply([](auto&... task) { return std::tuple<Ts...>(task.TakeResult()...); },
                      tasks_);
  }

 private:
  std::tuple<Task<Ts>...> tasks_;
  TaskCountdown countdown_;
};

// Awaits the tasks of a span. Made by WhenAll.
template <typename T>
class [[nodiscard]] WhenAllSpanAwaiter {
 public:
  WhenAllSpanAwaiter(absl::Span<Task<T>> tasks, absl::Span<T> results)
      : tasks_(tasks), results_(results) {
    CHECK_EQ(tasks.size(), results.size());
  }
  WhenAllSpanAwaiter(const WhenAllSpanAwaiter&) = delete;
  WhenAllSpanAwaiter& operator=(const WhenAllSpanAwaiter&) = delete;

  bool await_ready() const noexcept {
    for (const Task<T>& task : tasks_) {
      if (task.has_frame()) return false;
    }
    return true;
  }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    TaskContext& context = awaiting.promise().context();
    countdown_.Begin(awaiting.promise());
    for (Task<T>& task : tasks_) countdown_.Start(task.promise(), context);
  }
  void await_resume() noexcept {
    for (size_t i = 0; i < tasks_.size(); ++i) results_[i] = tasks_[i].TakeResult();
  }

 private:
  const absl::Span<Task<T>> tasks_;
  const absl::Span<T> results_;
  TaskCountdown countdown_;
};

// Runs the tasks at the same time, and results in a tuple of what they do when all have ended. None
// is asked to stop because another failed; Scope does that. They begin in order, under the token of
// the awaiting task. A task without a frame results in ResourceExhausted, and the others run.
// Allocates nothing.
//
//   auto [user, group] = co_await WhenAll(FindUser(loop, id), FindGroup(loop, id));
template <typename... Ts>
WhenAllAwaiter<Ts...> WhenAll(Task<Ts>... tasks) {
  return WhenAllAwaiter<Ts...>(std::move(tasks)...);
}

// The same for any number of tasks of one type: `results[i]` is assigned what `tasks[i]` results
// in. Both are the caller's and live until then. The frames are freed with the tasks. REQUIRES: as
// many results as tasks.
template <typename T>
WhenAllSpanAwaiter<T> WhenAll(absl::Span<Task<T>> tasks, absl::Span<T> results) {
  return WhenAllSpanAwaiter<T>(tasks, results);
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_WHEN_ALL_H_
