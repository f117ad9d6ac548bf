// How operations pass between the loop and its backend: handed over in a SubmissionBatch, reported
// into a CompletionSink.

#ifndef TENON_CORE_LOOP_COMPLETION_SINK_H_
#define TENON_CORE_LOOP_COMPLETION_SINK_H_

#include <cstddef>
#include <cstdint>

#include "absl/log/check.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/operation.h"

namespace tenon {

// The operations that wait to be started, oldest first. What a backend does not pop stays queued in
// the loop and is offered again in the next turn (SUB-2).
//
// Threads: the loop's thread.
class SubmissionBatch {
 public:
  explicit SubmissionBatch(IntrusiveList<Operation>& queued) : queued_(queued) {}

  bool empty() const { return queued_.empty(); }

  // Takes the oldest operation: it is in flight from now on, and owes a final completion.
  // REQUIRES: not empty.
  Operation& Pop() {
    Operation& operation = *queued_.PopFront();
    operation.state_ = OperationState::kInFlight;
    ++popped_;
    return operation;
  }

  // How many were popped.
  size_t popped() const { return popped_; }

 private:
  IntrusiveList<Operation>& queued_;
  size_t popped_ = 0;
};

// Takes completions from a backend; the loop runs the callbacks later, when the backend has
// returned. Nothing here allocates or fails.
//
// Threads: the loop's thread.
class CompletionSink {
 public:
  // Whether Complete(operation, ..., kMore) may be called now. False while an earlier completion
  // of the operation waits for its callback; the backend then keeps the event and tries again in
  // its next Start or Wait, before which the callback has run.
  bool CanTakeMore(const Operation& operation) const { return !operation.undelivered_; }

  // Reports a completion: `result` is a count or a value (>= 0) or a negated errno. Without kMore
  // in `flags` it is the final one: the operation is the loop's again, and the backend forgets
  // it (CMP-1). A final completion may be reported at any time.
  // REQUIRES: the operation is in flight; CanTakeMore() if kMore is in `flags`; `buffer_id` is
  // meant only with kBuffer, and a lent buffer is reported at most once.
  void Complete(Operation& operation, int32_t result, uint8_t flags = 0, uint16_t buffer_id = 0);

 private:
  friend class Loop;

  explicit CompletionSink(IntrusiveList<Operation>& ready) : ready_(ready) {}

  IntrusiveList<Operation>& ready_;
};

inline void CompletionSink::Complete(Operation& operation, int32_t result, uint8_t flags,
                                     uint16_t buffer_id) {
  CHECK(operation.state_ == OperationState::kInFlight)
      << "CMP-1: " << OpcodeName(operation.opcode_) << " completed twice";
  const bool final = (flags & kMore) == 0;
  if (operation.undelivered_) {
    CHECK(final && (flags & kBuffer) == 0) << "a completion of " << OpcodeName(operation.opcode_)
                                           << " is reported while another awaits its callback";
    // Finished, as far as the backend is concerned; Loop::DeliverMore sees to the rest.
    operation.final_result_ = result;
    operation.state_ = OperationState::kReady;
    return;
  }
  operation.result_ = result;
  operation.completion_flags_ = flags;
  operation.buffer_id_ = buffer_id;
  if (final) {
    operation.state_ = OperationState::kReady;
  } else {
    operation.undelivered_ = true;
  }
  ready_.PushBack(operation);
}

}  // namespace tenon

#endif  // TENON_CORE_LOOP_COMPLETION_SINK_H_
