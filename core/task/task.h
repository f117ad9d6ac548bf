// Coroutines over a loop.

#ifndef TENON_CORE_TASK_TASK_H_
#define TENON_CORE_TASK_TASK_H_

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/frame_memory.h"

namespace tenon {

template <typename T>
inline constexpr bool kIsStatusOr = false;
template <typename T>
inline constexpr bool kIsStatusOr<absl::StatusOr<T>> = true;

// What a task can result in. A frame may fail to be allocated, and the result is where that is
// said: a task of any other type could only abort, or make its caller ask twice.
template <typename T>
concept TaskResult = std::same_as<T, absl::Status> || kIsStatusOr<T>;

// The work of a coroutine, which begins when it is awaited and results in a T: absl::Status or
// absl::StatusOr<U>.
//
// Ownership: a task owns its coroutine, and so the frame with all that is in it; awaiting it hands
//   the frame to the awaiting coroutine, which frees it at the end of the full expression. The
//   frame comes from the allocator in the coroutine's first parameter (FrameMemory), which outlives
//   it, as does whatever the coroutine's parameters refer to: a lambda's captures are the lambda's,
//   not the task's. Where the frame cannot be allocated, the body does not run and the result is
//   ResourceExhausted without a message (INIT-1).
// Threads: that of the loop, throughout.
// Reentrancy: a coroutine runs when nothing else of its root does (ResumeQueue); until its first
//   suspension it runs without interruption by others. Awaiting never recurses: a chain of awaits
//   of any length, whether it completes at once or later, keeps the stack flat (CMP-7).
// Shutdown: dropping a task that was never awaited is fine. One that is suspended cannot be
//   dropped, since the loop may be writing into its frame: that is a CHECK (SUB-6). Ask it to stop,
//   through its StopToken, and await it; or drain the loop, which ends what it waits for with
//   absl::StatusCode::kCancelled (TD-2), and it then has to end on its own.
//
// Errors are values: an exception that leaves a coroutine's body is std::terminate.
//
//   Task<absl::StatusOr<size_t>> ReadGreeting(Loop& loop, Handle socket, absl::Span<char> buffer) {
//     if (absl::Status status = co_await SendAll(loop, socket, "HELLO\n"); !status.ok()) {
//       co_return status;
//     }
//     co_return co_await Recv(loop, socket, buffer);
//   }
template <typename T = absl::Status>
class [[nodiscard]] Task {
 public:
  static_assert(TaskResult<T>,
                "Task<T>: T must be absl::Status or absl::StatusOr<U>, so that a frame that cannot "
                "be allocated is an error result");

  class Promise;
  using promise_type = Promise;  // NOLINT(readability-identifier-naming): the language's name.
  using Result = T;

  Task(Task&& other) noexcept
      : promise_(std::exchange(other.promise_, nullptr)),
        has_no_frame_(std::exchange(other.has_no_frame_, false)) {}
  Task& operator=(Task&& other) noexcept {
    if (this == &other) return *this;
    Destroy();
    promise_ = std::exchange(other.promise_, nullptr);
    has_no_frame_ = std::exchange(other.has_no_frame_, false);
    return *this;
  }
  ~Task() { Destroy(); }

  // False when there was no memory for the frame: the task results in ResourceExhausted then. Need
  // not be asked; whoever awaits it is told.
  bool has_frame() const { return promise_ != nullptr; }

  // Runs the task: `co_await MakeTask()` or `co_await std::move(task)` gives its result.
  // REQUIRES: not awaited before, not moved from.
  auto operator co_await() && noexcept;

  // ---- For what awaits tasks in other ways than co_await: Scope, WhenAll, RunToCompletion. ----

  // Null when there is no frame.
  TaskPromise* promise() const { return promise_; }
  // Takes the result. REQUIRES: the task is done or has no frame; called once.
  T TakeResult() noexcept;
  // Gives up ownership of the frame, which its DoneFunction then destroys.
  void Release() { promise_ = nullptr; }

 private:
  struct NoFrame {};

  explicit Task(Promise& promise) : promise_(&promise) {}
  explicit Task(NoFrame) : has_no_frame_(true) {}

  void Destroy() {
    if (promise_ == nullptr) return;
    CHECK(!promise_->started() || promise_->done())
        << "SUB-6: a Task is destroyed while it is suspended in an operation or in another task; "
        << "request its stop and await it";
    promise_->handle().destroy();
  }

  Promise* promise_ = nullptr;
  bool has_no_frame_ = false;
};

// What a finished coroutine does: it says who is next. Runs nobody itself.
class FinishTask {
 public:
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> finished) const noexcept {
    TaskPromise& promise = finished.promise();
    ResumeQueue& queue = promise.context().queue();
    // Finish may destroy the frame, and this with it.
    queue.TransferTo(promise.Finish());
  }
  void await_resume() const noexcept {}
};

template <typename T>
class Task<T>::Promise final : public TaskPromise, public FrameMemory {
 public:
  Promise() : TaskPromise(std::coroutine_handle<Promise>::from_promise(*this)) {}

  Task get_return_object() noexcept { return Task(*this); }
  static Task get_return_object_on_allocation_failure() noexcept { return Task(NoFrame{}); }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinishTask final_suspend() const noexcept { return {}; }

  template <std::convertible_to<T> Value = T>
  void return_value(Value&& value) noexcept {
    result_.emplace(std::forward<Value>(value));
  }
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

  T TakeResult() noexcept {
    CHECK(result_.has_value()) << "a Task has no result: it is not done, or has no co_return";
    return *std::move(result_);
  }

 private:
  std::optional<T> result_;
};

template <typename T>
T Task<T>::TakeResult() noexcept {
  if (promise_ != nullptr) return promise_->TakeResult();
  CHECK(has_no_frame_) << "a Task is awaited that was moved from";
  return absl::Status(absl::StatusCode::kResourceExhausted, "");
}

// Runs a task from another and resumes that with the result.
template <typename T>
class [[nodiscard]] TaskAwaiter {
 public:
  explicit TaskAwaiter(Task<T>&& task) noexcept : task_(std::move(task)) {}
  TaskAwaiter(TaskAwaiter&&) = delete;

  bool await_ready() const noexcept { return !task_.has_frame(); }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    TaskContext& context = awaiting.promise().context();
    TaskPromise* const task = task_.promise();
    task->Start(context, awaiting.promise());
    context.queue().TransferTo(task);
  }
  T await_resume() noexcept { return task_.TakeResult(); }

 private:
  Task<T> task_;
};

template <typename T>
auto Task<T>::operator co_await() && noexcept {
  return TaskAwaiter<T>(std::move(*this));
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_TASK_H_
