// Loops that take operations on wrongly: SUB-1 … SUB-6.

#include "tenon/conformance/rules/loop_mutant.h"

namespace tenon::conformance::loop_mutants {

LoopMutant SUB_1() {
  return {.name = "a callback runs inside Submit",
          .rule = "SUB-1",
          .expected_reason = "ran before Submit returned",
          .loop_mutation = LoopMutation::kInlineCallback};
}

LoopMutant SUB_2() {
  return {.name = "the newest waiting operation goes first",
          .rule = "SUB-2",
          .expected_reason = "were reordered",
          .loop_mutation = LoopMutation::kReverseQueue};
}

LoopMutant SUB_3() {
  return {.name = "an operation on a stale handle never completes",
          .rule = "SUB-3",
          .expected_reason = "on a handle that was closed never completed",
          .loop_mutation = LoopMutation::kDropStale};
}

LoopMutant SUB_4() {
  return {.name = "a second read fails as busy",
          .rule = "SUB-4",
          .expected_reason = "completed before its turn",
          .loop_mutation = LoopMutation::kRefuseSecondRead};
}

LoopMutant SUB_5() {
  return {.name = "what a callback submits again is lost",
          .rule = "SUB-5",
          .expected_reason = "submitted again from its own callback, was lost",
          .loop_mutation = LoopMutation::kDropResubmitted};
}

LoopMutant SUB_6() {
  return {.name = "use from a foreign thread goes unnoticed",
          .rule = "SUB-6",
          .expected_reason = "on a foreign thread went unnoticed",
          .loop_mutation = LoopMutation::kNoThreadCheck};
}

}  // namespace tenon::conformance::loop_mutants
