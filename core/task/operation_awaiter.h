// Awaiting one operation of a loop.

#ifndef TENON_CORE_TASK_OPERATION_AWAITER_H_
#define TENON_CORE_TASK_OPERATION_AWAITER_H_

#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/stop_token.h"

namespace tenon {

// The status of a failed operation, from its negated errno: Cancelled, without a message, for
// -ECANCELED; ResourceExhausted, without a message, for -ENOMEM and -ENOBUFS (INIT-1); else the
// code that fits the errno and "NAME: ERRNO (text): likely cause".
absl::Status OperationError(Opcode opcode, int32_t result);

// How a result is read from a completed operation: one overload for each type of it.
inline void ReadResult(const Operation& operation, absl::Status& result) {
  if (operation.result() < 0) result = OperationError(operation.opcode(), operation.result());
}
template <typename Count>
void ReadResult(const Operation& operation, absl::StatusOr<Count>& result) {
  if (operation.result() < 0) {
    result = OperationError(operation.opcode(), operation.result());
  } else {
    result = Count(operation.result());
  }
}

// Base of awaiters that submit an operation in their own memory, which is the coroutine's frame.
//
// The operation is submitted when it is awaited, and cancelled when the task is asked to stop; the
// task is resumed by its final completion, by one call, whatever happens (CMP-1, CAN-1). A task
// that has been asked to stop already does not submit at all: the result is Cancelled at once.
//
// Ownership: the operation is the frame's, which cannot be destroyed while it is pending (Task).
//   What the parameters refer to lives until the co_await is over.
// Threads: the loop's thread.
class OperationAwaiter : private StopCallback {
 public:
  OperationAwaiter(const OperationAwaiter&) = delete;
  OperationAwaiter& operator=(const OperationAwaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return Begin(awaiting.promise());
  }

 protected:
  OperationAwaiter(Loop& loop, Operation::Callback completed)
      : StopCallback([](StopCallback& callback) {
          auto& awaiter = static_cast<OperationAwaiter&>(callback);
          awaiter.loop_.Cancel(awaiter.operation_);
        }),
        loop_(loop),
        operation_(completed, this) {}

  // The callback of what needs no more than one completion.
  static void Completed(Operation& operation) {
    static_cast<OperationAwaiter*>(operation.context())->Resume();
  }

  // False when the task was asked to stop.
  bool Begin(TaskPromise& awaiting) noexcept {
    const StopToken token = awaiting.context().stop_token();
    if (token.stop_requested()) return false;
    awaiting_ = &awaiting;
    Register(token);
    loop_.Submit(operation_);
    return true;
  }

  // Submits also when the task was asked to stop, and does not cancel when it is.
  void BeginRegardless(TaskPromise& awaiting) noexcept {
    awaiting_ = &awaiting;
    loop_.Submit(operation_);
  }

  void Resume() noexcept {
    Unregister();
    awaiting_->context().queue().Resume(*awaiting_);
  }

  // Whether the operation was submitted; else there is no result to read.
  bool begun() const { return awaiting_ != nullptr; }
  bool stop_requested() const { return awaiting_->context().stop_token().stop_requested(); }
  Loop& loop() const { return loop_; }
  Operation& operation() { return operation_; }

 private:
  Loop& loop_;
  TaskPromise* awaiting_ = nullptr;
  Operation operation_;
};

// Awaits an operation that completes once, for its result: absl::Status, or StatusOr of a count or
// of a descriptor.
template <typename Result>
class [[nodiscard]] OperationResult : public OperationAwaiter {
 public:
  // `prepare(Operation&)` prepares the operation.
  template <typename Prepare>
  OperationResult(Loop& loop, Prepare prepare) : OperationAwaiter(loop, &Completed) {
    prepare(operation());
  }

  Result await_resume() noexcept {
    if (!begun()) return absl::Status(absl::StatusCode::kCancelled, "");
    Result result{};
    ReadResult(operation(), result);
    return result;
  }
};

using StatusResult = OperationResult<absl::Status>;
using CountResult = OperationResult<absl::StatusOr<size_t>>;
using EventsResult = OperationResult<absl::StatusOr<uint32_t>>;
using DescriptorResult = OperationResult<absl::StatusOr<UniqueFd>>;

}  // namespace tenon

#endif  // TENON_CORE_TASK_OPERATION_AWAITER_H_
