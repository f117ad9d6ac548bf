#include "tenon/pool/drain.h"

#include <algorithm>
#include <new>
#include <string>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/time.h"
#include "tenon/pool/slot.h"

namespace tenon::pool {

void DrainReport::Add(const Slot& slot, int64_t now_ns) {
  if (abandoned_count < abandoned.size()) {
    const bool leased = slot.state == SlotState::kLeased;
    abandoned[abandoned_count] = {
        .state = slot.state,
        .site = slot.site,
        .held_ns = leased ? now_ns - slot.leased_at_ns : 0,
    };
  }
  ++abandoned_count;
}

std::string DrainReport::Text() const {
  constexpr size_t kNamed = 3;
  std::string text = absl::StrCat("the pool still has ", abandoned_count, " resources");
  for (size_t i = 0; i < std::min({abandoned.size(), abandoned_count, kNamed}); ++i) {
    const AbandonedSlot& slot = abandoned[i];
    absl::StrAppend(&text, i == 0 ? ": " : ", ", SlotStateName(slot.state));
    if (slot.site.line() == 0) continue;
    absl::StrAppend(&text, " by ", slot.site.file_name(), ":", slot.site.line());
    if (slot.state != SlotState::kLeased) continue;
    absl::StrAppend(&text, " for ", slot.held_ns / kMillisecondNs, " ms");
  }
  if (acquirer_count > 0) {
    absl::StrAppend(&text, "; ", acquirer_count,
                    " acquirers have their answer, and their loops have not turned since");
  }
  return absl::StrCat(text, "; end the leases and drain it again");
}

void DrainReport::Describe() noexcept {
  try {
    status = absl::DeadlineExceededError(Text());
  } catch (const std::bad_alloc&) {
    status = absl::Status(absl::StatusCode::kDeadlineExceeded, "");
  }
}

DrainNode::DrainNode(PoolCore& pool, int64_t deadline_ns)
    : pool_(pool),
      deadline_ns_(deadline_ns),
      timer_([](Operation& op) { static_cast<DrainNode*>(op.context())->TimerDone(); }, this) {}

void DrainNode::Begin(TaskPromise& awaiting) noexcept {
  CHECK(&awaiting.context().loop() == &pool_.loop()) << "a pool is drained on its home loop";
  awaiting_ = &awaiting;
  timer_.PrepareTimerAt(deadline_ns_);
  awaiting.context().loop().Submit(timer_);
  pool_.BeginDrain(*this);
}

void DrainNode::Drained() noexcept {
  drained_ = true;
  if (timer_.idle()) {
    ResumeTask();
  } else {
    awaiting_->context().loop().Cancel(timer_);
  }
}

void DrainNode::TimerDone() noexcept {
  if (drained_) {
    ResumeTask();
  } else if (timer_.result() == 0) {
    if (pool_.AbandonDrain(*this, report_)) ResumeTask();
  }
  // Else the loop is being drained, which ends the policy's tasks and those of the holders: that is
  // what remains to be waited for.
}

}  // namespace tenon::pool
