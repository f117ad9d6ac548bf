// Mutants of the rules about time.

#include <cstdint>

#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/rules/loop_mutant.h"
#include "tenon/core/loop/time.h"

namespace tenon::conformance::loop_mutants {
namespace {

// Rounds a wait of less than a millisecond down to none.
class DoesNotSleepShortly final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    const bool is_short = deadline_ns - Now() < kMillisecondNs;
    good().Wait(is_short ? 0 : deadline_ns, sink);
  }
};

// Waits for the length that it computed when it first heard of a deadline, after each interruption
// again.
class StartsWaitAgain final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    const int64_t now_ns = Now();
    if (deadline_ns <= now_ns || deadline_ns == kForeverNs) return good().Wait(deadline_ns, sink);
    if (deadline_ns != deadline_ns_) {
      deadline_ns_ = deadline_ns;
      length_ns_ = deadline_ns - now_ns;
    }
    good().Wait(DeadlineAfter(now_ns, length_ns_), sink);
  }

 private:
  int64_t deadline_ns_ = 0;
  int64_t length_ns_ = 0;
};

}  // namespace

LoopMutant TIM_1() {
  return {.name = "fires half a millisecond early",
          .rule = "TIM-1",
          .expected_reason = "ns before its deadline",
          .loop_mutation = LoopMutation::kTimerEarly};
}

LoopMutant TIM_2() {
  return {.name = "a short wait does not sleep",
          .rule = "TIM-2",
          .expected_reason = "waiting for them is a spin",
          .wrap = &Wrap<DoesNotSleepShortly>};
}

LoopMutant TIM_3() {
  return {.name = "zero counts as ten milliseconds",
          .rule = "TIM-3",
          .expected_reason = "a timer of zero did not fire in the next turn",
          .loop_mutation = LoopMutation::kZeroTimerLate};
}

LoopMutant TIM_4() {
  return {.name = "a far deadline overflows into the past",
          .rule = "TIM-4",
          .expected_reason = "a timer in the far future fired",
          .loop_mutation = LoopMutation::kTimerWraps};
}

LoopMutant TIM_5() {
  return {.name = "equal deadlines fire newest first",
          .rule = "TIM-5",
          .expected_reason = "in order of submission fired as number",
          .loop_mutation = LoopMutation::kTimerTiesReversed};
}

LoopMutant TIM_6() {
  return {.name = "an interrupted wait starts again with its full length",
          .rule = "TIM-6",
          .expected_reason = "postponed a deadline",
          .wrap = &Wrap<StartsWaitAgain>};
}

LoopMutant TIM_7() {
  return {.name = "a timer armed in its own callback is lost",
          .rule = "TIM-7",
          .expected_reason = "a timer armed again from its own callback fired 1 times",
          .loop_mutation = LoopMutation::kDropRearmedTimer};
}

}  // namespace tenon::conformance::loop_mutants
