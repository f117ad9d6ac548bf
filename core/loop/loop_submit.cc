// The way of an operation into the loop: checked, pinned to its handles, and put where it belongs.

#include <fcntl.h>
#include <poll.h>

#include <cerrno>

#include "absl/log/check.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/mutation.h"

namespace tenon {
namespace {

bool TakesPath(Opcode opcode) {
  switch (opcode) {
    case Opcode::kOpenAt:
    case Opcode::kStatx:
    case Opcode::kRename:
    case Opcode::kUnlink:
    case Opcode::kMkdir:
      return true;
    default:
      return false;
  }
}

bool IsForSockets(Opcode opcode) {
  switch (opcode) {
    case Opcode::kAccept:
    case Opcode::kConnect:
    case Opcode::kRecv:
    case Opcode::kSend:
    case Opcode::kRecvMsg:
    case Opcode::kSendMsg:
    case Opcode::kShutdown:
      return true;
    default:
      return false;
  }
}

bool IsHandleless(Opcode opcode) {
  return opcode == Opcode::kNop || opcode == Opcode::kTimer || opcode == Opcode::kWork;
}

}  // namespace

void Loop::Submit(Operation& operation) noexcept {
  CheckUsable();
  CHECK(operation.idle()) << "SUB-6: " << OpcodeName(operation.opcode_)
                          << " is submitted while it is pending";
  ++pending_;
  ++stats_.submitted[static_cast<size_t>(operation.opcode_)];
  operation.state_ = OperationState::kQueued;
  operation.cancel_requested_ = false;
  operation.holds_direction_ = false;
  operation.result_ = 0;
  operation.completion_flags_ = 0;
  operation.fd_ = Operation::kNoDescriptor;
  if (observer_ != nullptr) observer_->OnSubmit(operation);
  NoteCallFromOutside();
  if (Mutated(LoopMutation::kInlineCallback) && operation.opcode_ == Opcode::kNop) {
    unbound_.Add(operation);
    operation.state_ = OperationState::kReady;
    Deliver(operation);
    return;
  }
  if (Mutated(LoopMutation::kDropResubmitted) && delivering_ == &operation) {
    unbound_.Add(operation);
  } else if (draining_) {
    unbound_.Add(operation);
    Finish(operation, -ECANCELED);
  } else if (!Pin(operation)) {
    unbound_.Add(operation);
    if (!Mutated(LoopMutation::kDropStale)) Finish(operation, -EBADF);
  } else {
    Route(operation);
  }
}

// Resolves the handles of an operation, keeps their descriptors open for it, and records it where
// Close and Drain find it. False, with nothing done, when a handle is stale.
bool Loop::Pin(Operation& operation) {
  const Opcode opcode = operation.opcode_;
  if (IsHandleless(opcode)) {
    unbound_.Add(operation);
    return true;
  }
  const bool current = TakesPath(opcode) && operation.handle_ == kCurrentDirectory;
  HandleSlot* const slot = current ? nullptr : handles_.Find(operation.handle_);
  if (slot == nullptr && !current) return false;
  if (!operation.names_two_handles()) {
    operation.fd_ = current ? AT_FDCWD : slot->fd;
    if (opcode == Opcode::kClose || slot == nullptr) {
      unbound_.Add(operation);
    } else {
      slot->pending.Add(operation);
    }
    // A Close waits for the others on its handle, not for itself.
    if (slot != nullptr && opcode != Opcode::kClose) ++slot->in_flight;
    return true;
  }
  const Handle second_handle = operation.second_handle();
  const bool second_current = TakesPath(opcode) && second_handle == kCurrentDirectory;
  HandleSlot* const second = second_current ? nullptr : handles_.Find(second_handle);
  if (second == nullptr && !second_current) return false;
  operation.fd_ = slot == nullptr ? AT_FDCWD : slot->fd;
  operation.second_fd_ = second == nullptr ? AT_FDCWD : second->fd;
  unbound_.Add(operation);
  for (HandleSlot* pinned : {slot, second}) {
    if (pinned == nullptr) continue;
    ++pinned->in_flight;
    ++pinned->in_flight_unbound;
  }
  return true;
}

// Undoes Pin for one handle, and closes it if it waited for this operation.
void Loop::Unpin(Handle handle, bool bound) {
  if (handle.index == Handle::kNoIndex) return;
  HandleSlot& slot = handles_[handle.index];
  --slot.in_flight;
  if (!bound) --slot.in_flight_unbound;
  FinishCloseIfQuiet(handle.index);
}

// The list in which Pin recorded an operation.
PendingList& Loop::PendingListOf(const Operation& operation) {
  const bool bound = operation.pinned() && !operation.names_two_handles() &&
                     operation.opcode_ != Opcode::kClose &&
                     operation.handle_.index != Handle::kNoIndex;
  return bound ? handles_[operation.handle_.index].pending : unbound_;
}

void Loop::Route(Operation& operation) {
  switch (operation.opcode_) {
    case Opcode::kNop:
      Finish(operation, 0);
      return;
    case Opcode::kTimer:
      ArmTimer(operation);
      return;
    case Opcode::kClose:
      handles_[operation.handle_.index].close_operation = &operation;
      BeginClose(operation.handle_.index);
      return;
    case Opcode::kFsync:
    case Opcode::kOpenAt:
    case Opcode::kStatx:
    case Opcode::kRename:
    case Opcode::kUnlink:
    case Opcode::kMkdir:
      (capabilities_.native_files ? queued_ : work_queued_).PushBack(operation);
      return;
    case Opcode::kWork:
      work_queued_.PushBack(operation);
      return;
    default:
      RouteToHandle(operation);
  }
}

void Loop::ArmTimer(Operation& operation) {
  auto& timer = operation.parameters_.timer;
  if (timer.relative) {
    int64_t delay_ns = timer.when_ns;
    if (Mutated(LoopMutation::kTimerEarly)) delay_ns -= kMillisecondNs / 2;
    if (Mutated(LoopMutation::kZeroTimerLate) && delay_ns == 0) delay_ns = 10 * kMillisecondNs;
    const int64_t now_ns = Now();
    timer.when_ns = DeadlineAfter(now_ns, delay_ns);
    if (Mutated(LoopMutation::kTimerWraps) && timer.when_ns == kForeverNs) timer.when_ns = 0;
    timer.relative = false;
  }
  if (Mutated(LoopMutation::kDropRearmedTimer) && delivering_ == &operation) return;
  operation.state_ = OperationState::kTimer;
  timers_.Insert(operation);
}

void Loop::RouteToHandle(Operation& operation) {
  HandleSlot& slot = handles_[operation.handle_.index];
  if (slot.kind == DescriptorKind::kFile) return RouteToFile(operation, slot);
  // Here and not in the kernel, which backends ask at different times.
  const bool socket =
      slot.kind == DescriptorKind::kTcpSocket || slot.kind == DescriptorKind::kOtherSocket;
  if (!socket && IsForSockets(operation.opcode_)) return Finish(operation, -ENOTSOCK);

  if ((operation.multishot_ && !capabilities_.multishot) ||
      (operation.pooled_buffer_ && !buffers_.ok())) {
    return Finish(operation, -EOPNOTSUPP);
  }
  const bool seeks = (operation.opcode_ == Opcode::kRead || operation.opcode_ == Opcode::kWrite) &&
                     operation.parameters_.buffer.offset != kCurrentOffset;
  if (seeks) return Finish(operation, -ESPIPE);
  TakeDirection(operation, slot);
}

// What can be done with something that is always ready and cannot be polled.
void Loop::RouteToFile(Operation& operation, HandleSlot& slot) {
  switch (operation.opcode_) {
    case Opcode::kPoll: {
      constexpr uint32_t kAlwaysReady = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
      const uint32_t ready = operation.parameters_.poll_events & kAlwaysReady;
      return Finish(operation, ready != 0 ? static_cast<int32_t>(ready) : -EINVAL);
    }
    case Opcode::kRead:
    case Opcode::kWrite:
      if (Mutated(LoopMutation::kTruncateOffset) &&
          operation.parameters_.buffer.offset != kCurrentOffset) {
        operation.parameters_.buffer.offset &= 0xffffffff;
      }
      // Those at the descriptor's own position follow one another; others need no order.
      if (operation.parameters_.buffer.offset == kCurrentOffset) {
        return TakeDirection(operation, slot);
      }
      QueueFor(slot).PushBack(operation);
      return;
    case Opcode::kSplice: {
      const HandleSlot& to = handles_[operation.parameters_.splice.to.index];
      (to.kind == DescriptorKind::kFile ? work_queued_ : queued_).PushBack(operation);
      return;
    }
    default:
      return Finish(operation, -ENOTSOCK);
  }
}

// Where operations on a handle go next: the backend, or the blocking threads.
IntrusiveList<Operation>& Loop::QueueFor(const HandleSlot& slot) {
  const bool blocking = slot.kind == DescriptorKind::kFile && !slot.attached;
  return blocking ? work_queued_ : queued_;
}

// Queues an operation, behind those before it of the same direction on the same handle (SUB-2).
void Loop::TakeDirection(Operation& operation, HandleSlot& slot) {
  const Direction direction = DirectionOf(operation.opcode_);
  if (direction != Direction::kNone) {
    DirectionQueue& queue = direction == Direction::kRead ? slot.reading : slot.writing;
    if (queue.busy) {
      if (Mutated(LoopMutation::kRefuseSecondRead)) return Finish(operation, -EBUSY);
      if (Mutated(LoopMutation::kReverseQueue)) return queue.waiting.PushFront(operation);
      queue.waiting.PushBack(operation);
      return;
    }
    queue.busy = true;
    operation.holds_direction_ = true;
  }
  if (operation.opcode_ == Opcode::kAccept && accept_not_before_ns_ != 0) {
    HoldAccept(operation);
  } else {
    QueueFor(slot).PushBack(operation);
  }
}

// Lets the next operation of a direction go when the one before it is done.
void Loop::PassDirectionOn(Operation& operation) {
  if (!operation.holds_direction_) return;
  operation.holds_direction_ = false;
  HandleSlot& slot = handles_[operation.handle_.index];
  const bool reads = DirectionOf(operation.opcode_) == Direction::kRead;
  DirectionQueue& queue = reads ? slot.reading : slot.writing;
  queue.busy = false;
  if (Operation* next = queue.waiting.PopFront(); next != nullptr) TakeDirection(*next, slot);
}

// Keeps an Accept back for a while after the descriptor limit was met (HDL-6).
void Loop::HoldAccept(Operation& operation) {
  held_accepts_.PushBack(operation);
  if (accept_not_before_ns_ <= Now() || Mutated(LoopMutation::kAcceptSpins)) {
    return ReleaseHeldAccepts();
  }
  if (accept_timer_.state_ == OperationState::kTimer) return;
  accept_timer_.opcode_ = Opcode::kTimer;
  accept_timer_.state_ = OperationState::kTimer;
  accept_timer_.parameters_.timer.when_ns = accept_not_before_ns_;
  timers_.Insert(accept_timer_);
}

void Loop::ReleaseHeldAccepts() {
  if (accept_timer_.state_ == OperationState::kTimer) timers_.Remove(accept_timer_);
  accept_timer_.state_ = OperationState::kIdle;
  accept_not_before_ns_ = 0;
  queued_.Append(held_accepts_);
}

void Loop::Cancel(Operation& operation) noexcept {
  CheckUsable();
  if (Mutated(LoopMutation::kCancelTwice) && operation.state_ == OperationState::kReady) {
    operation.result_ = -ECANCELED;
  }
  if (operation.idle() || operation.cancel_requested_) return;
  // What has begun to close will be closed.
  if (operation.opcode_ == Opcode::kClose) return;
  operation.cancel_requested_ = true;
  NoteCallFromOutside();
  switch (operation.state_) {
    case OperationState::kQueued:
      if (Mutated(LoopMutation::kDropQueuedCancel)) return;
      IntrusiveList<Operation>::Remove(operation);
      Finish(operation, -ECANCELED);
      return;
    case OperationState::kTimer:
      timers_.Remove(operation);
      Finish(operation, -ECANCELED);
      return;
    case OperationState::kAtWork:
      if (work_pool_.TryRemove(operation)) Finish(operation, -ECANCELED);
      return;
    case OperationState::kInFlight:
      backend_->Cancel(operation, sink_);
      if (Mutated(LoopMutation::kCancelNeighbours)) {
        HandleSlot* const slot = handles_.Find(operation.handle_);
        if (slot != nullptr) slot->pending.ForEach([this](Operation& other) { Cancel(other); });
      }
      return;
    case OperationState::kReady:  // Its result stands; see DropDescriptorIfCancelled.
    case OperationState::kIdle:
      return;
  }
}

// Ends an operation that no backend knows of.
void Loop::Finish(Operation& operation, int32_t result) {
  operation.result_ = result;
  operation.state_ = OperationState::kReady;
  ready_.PushBack(operation);
}

}  // namespace tenon
