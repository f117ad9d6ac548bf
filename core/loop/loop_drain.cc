// Closing handles, and ending the loop.

#include <unistd.h>

#include <new>
#include <string>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/mutation.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon {

void Loop::Close(Handle handle) noexcept {
  CheckUsable();
  if (Mutated(LoopMutation::kDropCloseWhenFull) && !queued_.empty()) return;
  if (handles_.Find(handle) != nullptr) BeginClose(handle.index);
}

void Loop::BeginClose(uint32_t index) {
  HandleSlot& slot = handles_[index];
  DCHECK(slot.state == HandleSlot::State::kOpen);
  slot.state = HandleSlot::State::kClosing;
  ++closing_;
  NoteCallFromOutside();
  if (slot.owner != nullptr && !Mutated(LoopMutation::kOwnerDangles)) slot.owner->loop_ = nullptr;
  slot.owner = nullptr;
  if (Mutated(LoopMutation::kCloseBeforeComplete)) ::close(slot.fd);
  slot.pending.ForEach([this](Operation& operation) { Cancel(operation); });
  if (slot.in_flight_unbound > 0) {
    unbound_.ForEach([this, index](Operation& operation) {
      if (!operation.pinned()) return;
      if (operation.handle_.index == index || operation.second_handle().index == index) {
        Cancel(operation);
      }
    });
  }
  FinishCloseIfQuiet(index);
}

// Closes a descriptor once nothing refers to it any more.
void Loop::FinishCloseIfQuiet(uint32_t index) {
  HandleSlot& slot = handles_[index];
  if (slot.state != HandleSlot::State::kClosing || slot.in_flight != 0) return;
  if (slot.attached) backend_->Detach(index, slot.fd);
  UniqueFd(slot.fd).Reset();
  --closing_;
  Operation* const close_operation = slot.close_operation;
  handles_.Free(index);
  if (close_operation != nullptr) Finish(*close_operation, 0);
  // There is a descriptor to be had now.
  if (accept_not_before_ns_ != 0) ReleaseHeldAccepts();
}

absl::Status Loop::Drain(int64_t deadline_ns) noexcept {
  if (fork_guard_.InChild()) {
    return StatusOf(absl::StatusCode::kFailedPrecondition,
                    "Drain: the loop belongs to the parent process");
  }
  CheckUsable();
  if (in_turn_ && !Mutated(LoopMutation::kDrainInCallback)) {
    return StatusOf(absl::StatusCode::kFailedPrecondition,
                    "Drain: called inside a callback; stop the loop and drain it outside");
  }
  // What was submitted or posted since an earlier Drain is completed by this one.
  if (drained_ && (Idle() || Mutated(LoopMutation::kDrainGivesUp))) return absl::OkStatus();
  draining_ = true;
  CancelEverything();
  CloseEverything();
  while (!Idle() && !(Mutated(LoopMutation::kPostedDuringDrainLost) && pending_ == 0)) {
    RunOnce(deadline_ns);
    if (!Idle() && deadline_ns != kForeverNs && Now() >= deadline_ns) {
      drained_ = Mutated(LoopMutation::kDrainGivesUp);
      return StillInFlight();
    }
  }
  ReleaseHeldAccepts();  // There are none; disarms their timer.
  work_pool_.Join();
  drained_ = true;
  return absl::OkStatus();
}

void Loop::CancelEverything() {
  if (!Mutated(LoopMutation::kDrainForgetsUnbound)) {
    unbound_.ForEach([this](Operation& operation) { Cancel(operation); });
  }
  for (uint32_t index = 0; index < handles_.used(); ++index) {
    handles_[index].pending.ForEach([this](Operation& operation) { Cancel(operation); });
  }
}

void Loop::CloseEverything() {
  if (Mutated(LoopMutation::kDrainSkipsHandles)) return;
  for (uint32_t index = 0; index < handles_.used(); ++index) {
    if (handles_[index].state == HandleSlot::State::kOpen) BeginClose(index);
  }
}

// Names what keeps a loop from being drained.
absl::Status Loop::StillInFlight() const {
  std::array<uint32_t, kOpcodeCount> counts = {};
  const auto count = [&counts](const Operation& operation) {
    ++counts[static_cast<size_t>(operation.opcode_)];
  };
  unbound_.ForEach(count);
  for (uint32_t index = 0; index < handles_.used(); ++index) {
    handles_[index].pending.ForEach(count);
  }
  try {
    std::string text = absl::StrCat("Drain: still in flight: ", pending_, " operations");
    for (size_t opcode = 0; opcode < kOpcodeCount; ++opcode) {
      if (counts[opcode] == 0) continue;
      absl::StrAppend(&text, ", ", OpcodeName(static_cast<Opcode>(opcode)), " x ", counts[opcode]);
    }
    return absl::DeadlineExceededError(text);
  } catch (const std::bad_alloc&) {
    return absl::Status(absl::StatusCode::kDeadlineExceeded, "");
  }
}

// In a forked child: the kernel objects are the parent's, so nothing is completed or cancelled.
// Operations become idle, in no list of the loop or of its backend, and owners empty, so that the
// child can destroy them all.
void Loop::AbandonInChild() {
  const auto forget = [](Operation& operation) {
    // The lists of the blocking threads may have been changing when the process forked.
    const bool listed = operation.state_ != OperationState::kAtWork &&
                        IntrusiveList<Operation>::Contains(operation);
    if (listed) IntrusiveList<Operation>::Remove(operation);
    operation.state_ = OperationState::kIdle;
    operation.undelivered_ = false;
  };
  unbound_.ForEach(forget);
  accept_timer_.state_ = OperationState::kIdle;
  for (uint32_t index = 0; index < handles_.used(); ++index) {
    HandleSlot& slot = handles_[index];
    slot.pending.ForEach(forget);
    if (slot.owner != nullptr) slot.owner->loop_ = nullptr;
    UniqueFd(slot.fd).Reset();
  }
  posted_.AbandonInChild();
  work_pool_.AbandonInChild();
}

}  // namespace tenon
