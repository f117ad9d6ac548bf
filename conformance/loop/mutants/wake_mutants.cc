// Mutants of the rules about wakes and posted tasks.

#include <atomic>
#include <cstdint>

#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/rules/loop_mutant.h"

namespace tenon::conformance::loop_mutants {
namespace {

// Looks for events first, and takes wakes only when it then sleeps.
class ForgetsWakeWhenNotAsleep final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    if (deadline_ns <= 0) return good().Wait(deadline_ns, sink);
    good().Wait(0, sink);
    asleep_ = true;
    good().Wait(deadline_ns, sink);
    asleep_ = false;
  }
  void Wake() noexcept override {
    if (asleep_) good().Wake();
  }

 private:
  std::atomic<bool> asleep_{false};
};

class SwallowsEverySecondWake final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  void Wake() noexcept override {
    if (wakes_.fetch_add(1) % 2 == 0) good().Wake();
  }

 private:
  std::atomic<uint32_t> wakes_{0};
};

}  // namespace

LoopMutant WAK_1() {
  return {
      .name = "a wake is forgotten when the loop is not yet asleep",
      .rule = "WAK-1",
      .expected_reason = "was lost that came between the loop's decision to sleep and its sleep",
      .wrap = &Wrap<ForgetsWakeWhenNotAsleep>};
}

LoopMutant WAK_2() {
  return {.name = "destruction does not await a wake under way",
          .rule = "WAK-2",
          .expected_reason = "the loop was destroyed while a Wake was under way",
          .loop_mutation = LoopMutation::kDestroyedDuringWake};
}

LoopMutant WAK_3() {
  return {.name = "every second wake is swallowed",
          .rule = "WAK-3",
          .expected_reason = "no turn followed a Wake",
          .wrap = &Wrap<SwallowsEverySecondWake>};
}

LoopMutant WAK_4() {
  return {.name = "Drain returns with tasks unrun",
          .rule = "WAK-4",
          .expected_reason = "before Drain returned, of a task posted by",
          .loop_mutation = LoopMutation::kPostedDuringDrainLost};
}

}  // namespace tenon::conformance::loop_mutants
