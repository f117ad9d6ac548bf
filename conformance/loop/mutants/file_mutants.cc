// Mutants of the rules about files.

#include "tenon/conformance/rules/loop_mutant.h"

namespace tenon::conformance::loop_mutants {

LoopMutant FIL_1() {
  return {.name = "offsets lose their upper half",
          .rule = "FIL-1",
          .expected_reason = "is not where pread finds it",
          .loop_mutation = LoopMutation::kTruncateOffset};
}

LoopMutant FIL_2() {
  return {.name = "a cancelled write that took effect reports cancelled",
          .rule = "FIL-2",
          .expected_reason = "a Write that took effect reports -ECANCELED",
          .loop_mutation = LoopMutation::kCancelFileInHalf};
}

}  // namespace tenon::conformance::loop_mutants
