// Mutants of the rules about teardown.

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <utility>

#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/rules/loop_mutant.h"

namespace tenon::conformance::loop_mutants {
namespace {

// Completes a Recv at the cancel, while something goes on writing into its buffer: what is left of
// a ring that was closed with a read under way.
class WritesAfterCancel final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;
  ~WritesAfterCancel() override {
    over_ = true;
    if (writer_.joinable()) writer_.join();
  }

  void Cancel(Operation& operation, CompletionSink& sink) noexcept override {
    const bool writes = operation.opcode() == Opcode::kRecv && !operation.pooled_buffer();
    char* const data = writes ? operation.parameters().buffer.data : nullptr;
    good().Cancel(operation, sink);
    if (!writes || writer_.joinable()) return;
    writer_ = std::thread([this, data] {
      volatile char* const byte = data;
      for (char value = 'w'; !over_; value ^= 1) *byte = value;
    });
  }

 private:
  std::atomic<bool> over_{false};
  std::thread writer_;
};

// Keeps a block of the loop's allocator.
class KeepsBlock final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    absl::StatusOr<Owned<LoopBackend>> backend = good().Create(options, allocator);
    if (!backend.ok()) return backend;
    const Block kept = allocator.Allocate({.size = 64, .alignment = alignof(std::max_align_t)});
    if (kept.ptr == nullptr) return OutOfMemory();
    return backend;
  }
};

}  // namespace

LoopMutant TD_1() {
  return {.name = "Drain does not cancel operations without a handle",
          .rule = "TD-1",
          .expected_reason = "pending Drain did not end in five seconds",
          .loop_mutation = LoopMutation::kDrainForgetsUnbound};
}

LoopMutant TD_2() {
  return {.name = "what Drain cancels completes with success",
          .rule = "TD-2",
          .expected_reason = "that Drain gave up completed with 0 instead of -125",
          .loop_mutation = LoopMutation::kDrainReportsSuccess};
}

LoopMutant TD_3() {
  return {.name = "a cancelled Recv goes on writing",
          .rule = "TD-3",
          .expected_reason = "was written to after Drain",
          .wrap = &Wrap<WritesAfterCancel>};
}

LoopMutant TD_4() {
  return {.name = "Drain leaves descriptors open",
          .rule = "TD-4",
          .expected_reason = "is still open after Drain",
          .loop_mutation = LoopMutation::kDrainSkipsHandles};
}

LoopMutant TD_5() {
  return {.name = "owners do not learn that their loop is gone",
          .rule = "TD-5",
          .expected_reason = "an OwnedHandle names its handle after its loop has gone",
          .loop_mutation = LoopMutation::kOwnerDangles};
}

LoopMutant TD_6() {
  return {.name = "past its deadline the loop counts as drained",
          .rule = "TD-6",
          .expected_reason = "a second Drain, with the Work still in flight, reports OK",
          .loop_mutation = LoopMutation::kDrainGivesUp};
}

LoopMutant TD_7() {
  return {.name = "Drain inside a callback goes ahead",
          .rule = "TD-7",
          .expected_reason = "was not refused",
          .loop_mutation = LoopMutation::kDrainInCallback};
}

LoopMutant TD_8() {
  return {.name = "the backend keeps a block",
          .rule = "TD-8",
          .expected_reason = "bytes of the loop's allocator are live after the loop was destroyed",
          .wrap = &WrapFactory<KeepsBlock>};
}

}  // namespace tenon::conformance::loop_mutants
