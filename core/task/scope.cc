#include "tenon/core/task/scope.h"

#include <utility>

#include "absl/log/check.h"

namespace tenon {

Scope::~Scope() {
  CHECK_EQ(running_, 0u) << "SUB-6: a Scope is destroyed while tasks run in it; co_await Join() on "
                            "every way out of its coroutine";
}

absl::Status Scope::Spawn(Task<absl::Status> task) noexcept {
  if (!task.has_frame()) return task.TakeResult();
  TaskPromise& promise = *task.promise();
  task.Release();
  ++running_;
  promise.Start(context_.context(), &TaskDone, this);
  context_.context().queue().Resume(promise);
  return absl::OkStatus();
}

TaskPromise* Scope::TaskDone(TaskPromise& task, void* scope) {
  Scope& self = *static_cast<Scope*>(scope);
  absl::Status status = static_cast<Task<absl::Status>::Promise&>(task).TakeResult();
  task.handle().destroy();
  --self.running_;
  const bool expected = absl::IsCancelled(status) && self.stop_requested();
  if (!status.ok() && !expected) {
    self.first_error_.Update(std::move(status));
    if (self.on_error_ == ScopeOnError::kCancelOthers) self.Cancel();
  }
  if (self.running_ > 0) return nullptr;
  return std::exchange(self.joining_, nullptr);
}

}  // namespace tenon
