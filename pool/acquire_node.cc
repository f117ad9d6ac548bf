#include "tenon/pool/acquire_node.h"

#include <utility>

#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/time.h"
#include "tenon/pool/pool_core.h"

namespace tenon::pool {
namespace {

absl::Status Cancelled() { return absl::Status(absl::StatusCode::kCancelled, ""); }

}  // namespace

AcquireNode::AcquireNode(PoolCore& pool, int64_t deadline_ns, std::source_location site)
    : StopCallback([](StopCallback& callback) { static_cast<AcquireNode&>(callback).Stop(); }),
      pool_(pool),
      deadline_ns_(deadline_ns),
      site_(site),
      timer_([](Operation& op) { static_cast<AcquireNode*>(op.context())->TimerDone(); }, this),
      posted_([](PostedTask& task) { static_cast<AcquireNode*>(task.context())->Woken(); }, this) {}

bool AcquireNode::Begin(TaskPromise& awaiting) noexcept {
  const StopToken token = awaiting.context().stop_token();
  if (token.stop_requested()) {
    status_ = Cancelled();
    return false;
  }
  awaiting_ = &awaiting;
  if (pool_.Acquire(*this)) return false;
  Register(token);
  if (deadline_ns_ == kPoolTimeout) {
    deadline_ns_ = DeadlineAfter(loop().Now(), pool_.acquire_timeout_ns());
  }
  ArmTimer();
  return true;
}

void AcquireNode::ArmTimer() noexcept {
  timer_.PrepareTimerAt(deadline_ns_);
  loop().Submit(timer_);
}

void AcquireNode::Post() noexcept { loop().Post(posted_); }

void AcquireNode::Woken() noexcept {
  woken_ = true;
  if (timer_.idle()) {
    Finish();
  } else {
    loop().Cancel(timer_);
  }
}

void AcquireNode::Stop() noexcept {
  AcquireDiagnosis why;
  if (!pool_.Withdraw(*this, WithdrawReason::kCancelled, why)) return;
  status_ = Cancelled();
  if (!wake_pending_) Woken();
}

void AcquireNode::TimerDone() noexcept {
  if (!woken_) {
    // Its result is 0 for the deadline, or -ECANCELED where the loop is drained.
    const bool expired = timer_.result() == 0;
    AcquireDiagnosis why;
    const auto reason = expired ? WithdrawReason::kDeadline : WithdrawReason::kCancelled;
    // Where it has been answered meanwhile the wake is on its way.
    if (!pool_.Withdraw(*this, reason, why)) return;
    status_ = expired ? why.ToStatus() : Cancelled();
    if (wake_pending_) return;
  }
  Finish();
}

void AcquireNode::Finish() noexcept {
  if (pool_.Take(*this)) {
    ResumeTask();
    return;
  }
  // The answer was taken back: it waits again. A stop that came in between has been let pass.
  woken_ = false;
  AcquireDiagnosis why;
  if (awaiting_->context().stop_token().stop_requested() &&
      pool_.Withdraw(*this, WithdrawReason::kCancelled, why)) {
    status_ = Cancelled();
    // Once more, to take leave of the pool.
    if (!wake_pending_) Finish();
    return;
  }
  ArmTimer();
}

void AcquireNode::ResumeTask() noexcept {
  Unregister();
  awaiting_->context().queue().Resume(*awaiting_);
}

}  // namespace tenon::pool
