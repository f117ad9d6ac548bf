// Awaiting a call that blocks.

#ifndef TENON_CORE_TASK_WORK_H_
#define TENON_CORE_TASK_WORK_H_

#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/task/operation_awaiter.h"
#include "tenon/core/task/task.h"

namespace tenon {

// What Work results in: a callable's Status or StatusOr as it is, another R as StatusOr<R>, nothing
// as Status.
template <typename R>
struct WorkResultOf {
  using Type = absl::StatusOr<R>;
};
template <TaskResult R>
struct WorkResultOf<R> {
  using Type = R;
};
template <>
struct WorkResultOf<void> {
  using Type = absl::Status;
};

// Awaits a callable that runs on one of the loop's blocking threads. Made by Work.
template <typename Callable>
class [[nodiscard]] WorkResult : public OperationAwaiter {
 public:
  using Returned = std::invoke_result_t<Callable&>;
  using Result = typename WorkResultOf<Returned>::Type;

  WorkResult(Loop& loop, Callable callable)
      : OperationAwaiter(loop, &Completed), callable_(std::move(callable)) {
    operation().PrepareWork(&Run, this);
  }

  Result await_resume() noexcept {
    // Cancelled before it began.
    if (!result_.has_value()) return absl::Status(absl::StatusCode::kCancelled, "");
    return *std::move(result_);
  }

 private:
  static int32_t Run(void* self) noexcept {
    auto& work = *static_cast<WorkResult*>(self);
    if constexpr (std::is_void_v<Returned>) {
      work.callable_();
      work.result_.emplace();
    } else {
      work.result_.emplace(work.callable_());
    }
    return 0;
  }

  Callable callable_;
  std::optional<Result> result_;
};

// Calls `callable()` on one of the loop's blocking threads, of which there are
// LoopOptions::work_threads, and results in what it returned. No memory is allocated: the callable
// lives in the frame. Asked to stop before a thread has taken it up, it is never called and the
// result is Cancelled; afterwards it runs to its end. It may not touch the loop, nor throw.
template <typename Callable>
WorkResult<Callable> Work(Loop& loop, Callable callable) {
  return WorkResult<Callable>(loop, std::move(callable));
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_WORK_H_
