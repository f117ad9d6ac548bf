// The mutants of CAN-1 to CAN-7.

#include <cerrno>

#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/loop/mutants/intercepting_backend.h"
#include "tenon/conformance/loop/mutants/late_writer.h"
#include "tenon/conformance/rules/loop_mutant.h"
#include "tenon/core/loop/perform.h"

namespace tenon::conformance::loop_mutants {
namespace {

// Lets a Recv go on that was cancelled.
class IgnoresCancel final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  void Cancel(Operation& operation, CompletionSink& sink) noexcept override {
    if (operation.opcode() != Opcode::kRecv) BackendDecorator::Cancel(operation, sink);
  }
};

// Takes the bytes of a Recv while it is being cancelled, and tells nobody.
class SwallowsBytes final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

 protected:
  bool PassesCancel(Operation& operation) noexcept override {
    if (operation.opcode() == Opcode::kRecv && !operation.pooled_buffer()) {
      PerformNonBlocking(operation, DescriptorKind::kTcpSocket);
    }
    return true;
  }
};

}  // namespace

LoopMutant CAN_1() {
  return {.name = "a cancel is ignored",
          .rule = "CAN-1",
          .expected_reason = "a cancelled Recv, multishot does not complete",
          .wrap = &Wrap<IgnoresCancel>};
}

LoopMutant CAN_2() {
  return {.name = "a cancel changes the result of a finished operation",
          .rule = "CAN-2",
          .expected_reason = "a cancel changed the result of an operation that was finished",
          .loop_mutation = LoopMutation::kCancelTwice};
}

LoopMutant CAN_3() {
  return {.name = "an operation that had moved bytes reports cancelled",
          .rule = "CAN-3",
          .expected_reason = "bytes were taken by an operation that reports otherwise",
          .wrap = &Wrap<SwallowsBytes>};
}

LoopMutant CAN_4() {
  return {.name = "a cancel is dropped when the queue is full",
          .rule = "CAN-4",
          .expected_reason = "a cancel while it was queued behind a full queue had no effect",
          .loop_mutation = LoopMutation::kDropQueuedCancel};
}

LoopMutant CAN_5() {
  return {.name = "a late descriptor is discarded without being closed",
          .rule = "CAN-5",
          .expected_reason = "the connection of an Accept that was cancelled too late stays open",
          .loop_mutation = LoopMutation::kLeakCancelledAccept};
}

LoopMutant CAN_6() {
  return {.name = "a cancel takes every operation of the handle with it",
          .rule = "CAN-6",
          .expected_reason = "disturbed another operation of the handle",
          .loop_mutation = LoopMutation::kCancelNeighbours};
}

LoopMutant CAN_7() {
  return {.name = "a cancelled operation completes while its buffer is still in use",
          .rule = "CAN-7",
          .expected_reason =
              "the buffer of a cancelled operation was written to after its final completion",
          .wrap = &Wrap<LateWriter<LateWhen::kCancelled>>};
}

}  // namespace tenon::conformance::loop_mutants
