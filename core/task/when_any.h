// Running several tasks at the same time until one of them ends.

#ifndef TENON_CORE_TASK_WHEN_ANY_H_
#define TENON_CORE_TASK_WHEN_ANY_H_

#include <coroutine>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/log/check.h"
#include "absl/types/span.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/task.h"

namespace tenon {

// What WhenAny results in: which task was the first to end, and with what. `Value` is the tasks'
// result where they have one type, and a variant of them by index otherwise.
template <typename Value>
struct FirstResult {
  size_t index;
  Value result;
};

// The race itself: stops the others when one ends, and resumes the awaiting task when all have.
class TaskRace {
 public:
  TaskRace() = default;
  TaskRace(const TaskRace&) = delete;
  TaskRace& operator=(const TaskRace&) = delete;

  void Begin(TaskPromise& awaiting) {
    awaiting_ = &awaiting;
    context_.emplace(awaiting.context());
  }

  // Starts a task, to run when the awaiting one has suspended.
  void Start(TaskPromise& task) {
    ++remaining_;
    task.Start(context_->context(), &TaskDone, this);
    context_->context().queue().Resume(task);
  }

  // Who ended first; null before, and where nobody was started.
  TaskPromise* winner() const { return winner_; }

 private:
  static TaskPromise* TaskDone(TaskPromise& task, void* self) {
    auto& race = *static_cast<TaskRace*>(self);
    if (race.winner_ == nullptr) {
      race.winner_ = &task;
      race.context_->RequestStop();
    }
    return --race.remaining_ == 0 ? race.awaiting_ : nullptr;
  }

  TaskPromise* awaiting_ = nullptr;
  TaskPromise* winner_ = nullptr;
  size_t remaining_ = 0;
  // Filled when it begins; its parent is known only then.
  std::optional<ChildContext> context_;
};

// Awaits the first of some tasks. Made by WhenAny.
template <typename T, typename... Ts>
class [[nodiscard]] WhenAnyAwaiter {
 public:
  static constexpr bool kOneType = (std::is_same_v<T, Ts> && ...);
  using Value = std::conditional_t<kOneType, T, std::variant<T, Ts...>>;

  explicit WhenAnyAwaiter(Task<T> task, Task<Ts>... tasks)
      : tasks_(std::move(task), std::move(tasks)...) {}
  WhenAnyAwaiter(const WhenAnyAwaiter&) = delete;
  WhenAnyAwaiter& operator=(const WhenAnyAwaiter&) = delete;

  // A task without a frame has ended already: none is started then.
  bool await_ready() const noexcept {
    return std::apply([](const auto&... task) { return (!task.has_frame() || ...); }, tasks_);
  }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    race_.Begin(awaiting.promise());
    std::apply([&](auto&... task) { (race_.Start(*task.promise()), ...); }, tasks_);
  }
  FirstResult<Value> await_resume() noexcept { return Take<0>(); }

 private:
  template <size_t kIndex>
  FirstResult<Value> Take() noexcept {
    auto& task = std::get<kIndex>(tasks_);
    if constexpr (kIndex < sizeof...(Ts)) {
      if (task.promise() != race_.winner()) return Take<kIndex + 1>();
    }
    if constexpr (kOneType) {
      return {kIndex, task.TakeResult()};
    } else {
      return {kIndex, Value(std::in_place_index<kIndex>, task.TakeResult())};
    }
  }

  std::tuple<Task<T>, Task<Ts>...> tasks_;
  TaskRace race_;
};

// Awaits the first of the tasks of a span. Made by WhenAny.
template <typename T>
class [[nodiscard]] WhenAnySpanAwaiter {
 public:
  explicit WhenAnySpanAwaiter(absl::Span<Task<T>> tasks) : tasks_(tasks) { CHECK(!tasks.empty()); }
  WhenAnySpanAwaiter(const WhenAnySpanAwaiter&) = delete;
  WhenAnySpanAwaiter& operator=(const WhenAnySpanAwaiter&) = delete;

  bool await_ready() const noexcept {
    for (const Task<T>& task : tasks_) {
      if (!task.has_frame()) return true;
    }
    return false;
  }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    race_.Begin(awaiting.promise());
    for (Task<T>& task : tasks_) race_.Start(*task.promise());
  }
  FirstResult<T> await_resume() noexcept {
    size_t index = 0;
    while (tasks_[index].promise() != race_.winner()) ++index;
    return {index, tasks_[index].TakeResult()};
  }

 private:
  const absl::Span<Task<T>> tasks_;
  TaskRace race_;
};

// Runs the tasks at the same time; when the first of them ends, well or badly, asks the others to
// stop, awaits them too, and results in the first one's index and result. What the others result in
// is destroyed. They begin in order, under a token of their own, which a stop of the awaiting
// task's reaches. Where one has no frame, none runs, and that one is the first, with
// ResourceExhausted. Allocates nothing.
//
//   auto [index, status] = co_await WhenAny(Serve(loop), AwaitSignal(loop));
template <typename T, typename... Ts>
WhenAnyAwaiter<T, Ts...> WhenAny(Task<T> task, Task<Ts>... tasks) {
  return WhenAnyAwaiter<T, Ts...>(std::move(task), std::move(tasks)...);
}

// The same for any number of tasks of one type, which are the caller's and live until then.
// REQUIRES: at least one.
template <typename T>
WhenAnySpanAwaiter<T> WhenAny(absl::Span<Task<T>> tasks) {
  return WhenAnySpanAwaiter<T>(tasks);
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_WHEN_ANY_H_
