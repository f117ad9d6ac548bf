#include "tenon/pool/engine/stages.h"

#include <utility>

#include "absl/log/check.h"
#include "tenon/core/task/with_stop_token.h"

namespace tenon::pool {

Task<> Stages::Create(Slot& slot) {
  absl::Status status = co_await policy_.CreateIn(slot.scope, slot.resource);
  if (status.ok()) {
    slot.scope.Forget();
    co_return status;
  }
  while (slot.scope.steps() > 0) {
    // What it could not undo it has nobody to tell but its own log: the creation's error counts.
    (co_await WithStopToken(cleanup_stop_.token(), slot.scope.TakeLast())).IgnoreError();
  }
  co_return status;
}

Task<> Stages::MakeTask(Slot& slot) noexcept {
  switch (slot.state) {
    case SlotState::kCreating:
      policy_.ConstructIn(slot.resource);
      slot.destroy.emplace(policy_.DestroyIn(stage_, slot.resource));
      // Without it there is nothing to be made that could not be ended: its error is the result.
      if (!slot.destroy->has_frame()) return std::exchange(slot.destroy, std::nullopt).value();
      return Create(slot);
    case SlotState::kValidating:
      return policy_.ValidateIn(stage_, slot.resource);
    case SlotState::kResetting:
      return policy_.ResetIn(stage_, slot.resource);
    default: {
      CHECK(slot.state == SlotState::kDestroying) << SlotStateName(slot.state);
      Task<> task = *std::move(slot.destroy);
      slot.destroy.reset();
      return task;
    }
  }
}

void Stages::Begin(Slot& slot) noexcept {
  Task<> task = MakeTask(slot);
  if (!task.has_frame()) {
    End(slot, task.TakeResult());
    return;
  }
  const bool cleanup = slot.state == SlotState::kDestroying;
  TaskPromise& promise = *task.promise();
  task.Release();
  slot.stages = this;
  promise.Start(cleanup ? cleanup_context_ : work_context_, &TaskDone, &slot);
  queue_.Resume(promise);
}

TaskPromise* Stages::TaskDone(TaskPromise& task, void* slot) {
  auto& self = *static_cast<Slot*>(slot);
  absl::Status status = static_cast<Task<>::Promise&>(task).TakeResult();
  task.handle().destroy();
  self.stages->End(self, std::move(status));
  return nullptr;
}

void Stages::End(Slot& slot, absl::Status status) noexcept {
  const bool gone =
      slot.state == SlotState::kDestroying || (slot.state == SlotState::kCreating && !status.ok());
  if (gone) {
    slot.destroy.reset();
    policy_.DestructIn(slot.resource);
  }
  listener_.StageEnded(slot, std::move(status));
}

}  // namespace tenon::pool
