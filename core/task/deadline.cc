#include "tenon/core/task/deadline.h"

#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/time.h"

namespace tenon {

Deadline::Deadline(Loop& loop, int64_t deadline_ns)
    : loop_(loop), deadline_ns_(deadline_ns), timer_(&TimerDone, this) {}

void Deadline::Begin(TaskPromise& awaiting, TaskPromise& task) noexcept {
  awaiting_ = &awaiting;
  const TaskContext& parent = awaiting.context();
  context_.emplace(parent);
  if (deadline_ns_ <= loop_.Now()) {
    Expire();
  } else if (deadline_ns_ != kForeverNs) {
    timer_.PrepareTimerAt(deadline_ns_);
    loop_.Submit(timer_);
  }
  task.Start(context_->context(), &TaskDone, this);
  parent.queue().TransferTo(&task);
}

TaskPromise* Deadline::TaskDone(TaskPromise&, void* self) {
  auto& deadline = *static_cast<Deadline*>(self);
  deadline.task_done_ = true;
  if (deadline.timer_.idle()) return deadline.awaiting_;
  // The timer is in the frame of whoever awaits: that goes on when the loop has let go of it.
  deadline.loop_.Cancel(deadline.timer_);
  return nullptr;
}

void Deadline::TimerDone(Operation& operation) {
  auto& deadline = *static_cast<Deadline*>(operation.context());
  if (deadline.task_done_) {
    deadline.awaiting_->context().queue().Resume(*deadline.awaiting_);
  } else if (operation.result() == 0) {
    deadline.Expire();
  }
}

void Deadline::Expire() noexcept {
  expired_ = true;
  context_->RequestStop();
}

}  // namespace tenon
