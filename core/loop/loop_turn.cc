// The turn of the loop, and the way of a completion out to its callback.

#include <algorithm>
#include <cerrno>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/mutation.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon {
namespace {

// How often a turn goes from callbacks to the operations they submit, and to their callbacks,
// before it asks the kernel again: enough that an exchange of a request and its answer needs one
// wait, few enough that chains of operations which complete at once cannot starve others.
constexpr int kRoundsPerTurn = 4;

bool MakesDescriptor(Opcode opcode) {
  return opcode == Opcode::kAccept || opcode == Opcode::kOpenAt;
}

bool IsDescriptorLimit(int32_t result) {
  return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}

}  // namespace

void Loop::Run(RunUntil until) noexcept {
  CheckUsable();
  CHECK(!in_turn_) << "TD-7: a loop is run inside one of its callbacks";
  while (!stop_requested_.exchange(false, std::memory_order_seq_cst)) {
    if (until == RunUntil::kIdle && Idle()) return;
    RunOnce();
  }
  // Nobody knows when the loop is run again.
  backend_->Flush();
}

bool Loop::Idle() const { return pending_ == 0 && closing_ == 0 && posted_.empty(); }

uint64_t Loop::RunOnce(int64_t deadline_ns) noexcept {
  CheckUsable();
  CHECK(!in_turn_) << "TD-7: a loop is run inside one of its callbacks";
  in_turn_ = true;
  ++stats_.turns;
  if (observer_ != nullptr) observer_->OnTurn();
  // Between turns the queue is empty, unless somebody submitted from outside or a backend was full.
  if (!queued_.empty() || !work_queued_.empty()) StartQueued();
  const bool ready = !ready_.empty() || !queued_.empty() || backend_has_more_;
  WaitForEvents(ready ? 0 : std::min(deadline_ns, timers_.next_deadline_ns()));
  ReapWork();
  ExpireTimers();
  uint64_t ran = RunPosted();
  for (int round = 0; round < kRoundsPerTurn; ++round) {
    StartQueued();
    if (ready_.empty()) break;
    ran += DeliverReady();
  }
  in_turn_ = false;
  if (poll_descriptor_.ok()) ArmPollDescriptor();
  return ran;
}

absl::StatusOr<int> Loop::PollFd() noexcept {
  CheckUsable();
  if (!poll_descriptor_.ok()) {
    const absl::StatusOr<int> backend_fd = backend_->PollFd();
    if (!backend_fd.ok()) return backend_fd.status();
    absl::Status status = poll_descriptor_.Init(*backend_fd);
    if (!status.ok()) return status;
    ArmPollDescriptor();
  }
  return poll_descriptor_.get();
}

// Tells the foreign loop when to come back. The loop counts as asleep meanwhile, so that posts
// reach the backend, whose descriptor it watches.
void Loop::ArmPollDescriptor() {
  const int64_t backend_ns = backend_->Flush();
  sleeping_.store(true, std::memory_order_seq_cst);
  const bool at_once = !ready_.empty() || !queued_.empty() || !work_queued_.empty() ||
                       backend_has_more_ || SomethingArrived();
  poll_descriptor_.ArmAt(at_once ? 0 : std::min(timers_.next_deadline_ns(), backend_ns));
}

// What the foreign loop does to this one between two polls needs another.
void Loop::NoteCallFromOutside() {
  if (!in_turn_ && poll_descriptor_.ok()) poll_descriptor_.ArmAt(0);
}

// Whether another thread left something for this one.
bool Loop::SomethingArrived() const {
  return !posted_.empty() || wake_requested_.load(std::memory_order_seq_cst) ||
         work_pool_.HasDone();
}

void Loop::WaitForEvents(int64_t deadline_ns) {
  const int64_t before_ns = Now();
  if (last_wait_end_ns_ != 0) stats_.running_ns += before_ns - last_wait_end_ns_;
  sleeping_.store(true, std::memory_order_seq_cst);
  // Whatever was written before somebody could see this loop asleep is seen here (WAK-1).
  if (SomethingArrived()) deadline_ns = 0;
  backend_->Wait(deadline_ns, sink_);
  backend_has_more_ = false;
  sleeping_.store(false, std::memory_order_seq_cst);
  wake_requested_.store(false, std::memory_order_seq_cst);
  last_wait_end_ns_ = Now();
  stats_.waiting_ns += last_wait_end_ns_ - before_ns;
}

uint64_t Loop::RunPosted() {
  if (posted_.empty()) return 0;
  const uint64_t ran = posted_.RunAll();
  stats_.posted_tasks += ran;
  return ran;
}

void Loop::StartQueued() {
  if (!work_queued_.empty()) {
    uint32_t count = 0;
    work_queued_.ForEach([&](Operation& operation) {
      operation.state_ = OperationState::kAtWork;
      ++count;
    });
    work_pool_.Submit(work_queued_, count);
  }
  if (queued_.empty() && !backend_has_more_) return;
  SubmissionBatch batch(queued_);
  backend_has_more_ = backend_->Start(batch, sink_);
}

void Loop::ReapWork() {
  if (!work_pool_.HasDone()) return;
  IntrusiveList<Operation> done;
  work_pool_.TakeDone(done);
  while (Operation* operation = done.PopFront()) {
    Finish(*operation, operation->result_);
  }
}

void Loop::ExpireTimers() {
  while (Operation* timer = timers_.PopExpired(last_wait_end_ns_)) {
    if (timer == &accept_timer_) {
      accept_timer_.state_ = OperationState::kIdle;
      ReleaseHeldAccepts();
    } else {
      Finish(*timer, 0);
    }
  }
}

// Runs the callbacks of what is ready now; what they make ready waits for the next round, so that
// the stack does not grow with a chain (CMP-7).
uint64_t Loop::DeliverReady() {
  IntrusiveList<Operation> batch;
  batch.Append(ready_);
  uint64_t delivered = 0;
  while (Operation* operation = batch.PopFront()) {
    Deliver(*operation);
    ++delivered;
  }
  return delivered;
}

void Loop::Deliver(Operation& operation) {
  if (operation.undelivered_) return DeliverMore(operation);
  // The operation is the caller's as soon as its callback begins: whatever comes afterwards is kept
  // aside.
  const Opcode opcode = operation.opcode_;
  const bool pins = operation.pinned() && opcode != Opcode::kClose;
  const bool bound = !operation.names_two_handles();
  const Handle handle = pins ? operation.handle_ : Handle{};
  const Handle second = pins ? operation.second_handle() : Handle{};
  DropDescriptorIfCancelled(operation);
  if (opcode == Opcode::kAccept && IsDescriptorLimit(operation.result_)) {
    accept_not_before_ns_ = DeadlineAfter(Now(), options_.accept_backoff_ns);
  }
  if (Mutated(LoopMutation::kCancelFileInHalf) && operation.cancel_requested_ &&
      opcode == Opcode::kWrite && operation.result_ > 0) {
    operation.result_ = -ECANCELED;
  }
  PassDirectionOn(operation);
  PendingListOf(operation).Remove(operation);
  --pending_;
  ++stats_.completed[static_cast<size_t>(opcode)];
  operation.state_ = OperationState::kIdle;
  if (Mutated(LoopMutation::kFinalFlaggedMore) && operation.multishot_) {
    operation.completion_flags_ |= kMore;
  }
  if (Mutated(LoopMutation::kDeliverTwice) && opcode == Opcode::kRecv) RunCallback(operation);
  RunCallback(operation);
  Unpin(handle, bound);
  Unpin(second, bound);
  if (Mutated(LoopMutation::kRecurse)) {
    StartQueued();
    DeliverReady();
  }
}

// Delivers a completion with kMore; the operation stays in flight.
void Loop::DeliverMore(Operation& operation) {
  if (operation.zero_copy_) {
    // Its bytes are on their way; the caller hears when they are its own again.
    PassDirectionOn(operation);
  } else if (!DropDescriptorIfCancelled(operation)) {
    // A connection that was dropped for a Cancel is not reported.
    RunCallback(operation);
  }
  // Not before: a final completion that the callback brings about, by a Cancel, must not replace
  // what the callback reads.
  operation.undelivered_ = false;
  // The backend may have kept back an event that it could not report.
  backend_has_more_ = true;
  if (operation.state_ != OperationState::kReady) return;
  operation.completion_flags_ = 0;
  Finish(operation, operation.final_result_);
}

// A descriptor that nobody will take is closed: its Accept or OpenAt was cancelled (CAN-5). Returns
// whether it was.
bool Loop::DropDescriptorIfCancelled(Operation& operation) {
  if (!operation.cancel_requested_ || !MakesDescriptor(operation.opcode_)) return false;
  if (operation.result_ < 0) return false;
  if (!Mutated(LoopMutation::kLeakCancelledAccept)) UniqueFd(operation.result_).Reset();
  operation.result_ = -ECANCELED;
  return true;
}

void Loop::RunCallback(Operation& operation) {
  if (Mutated(LoopMutation::kDrainReportsSuccess) && draining_ && operation.result_ < 0) {
    operation.result_ = 0;
  }
  if (observer_ != nullptr) observer_->OnComplete(operation);
  delivering_ = &operation;
  operation.callback_(operation);
  delivering_ = nullptr;
}

}  // namespace tenon
