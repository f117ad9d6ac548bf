// What a mutant of a loop rule is, and the declaration of every one.
//
// A mutant is a good implementation made wrong in exactly one way: its rule must fail on it, for
// the expected reason, or the rule proves nothing. One is defined for each rule under
// conformance/loop/mutants, as
//
//   namespace tenon::conformance::loop_mutants {
//   LoopMutant TIM_1() {
//     return {.name = "fires early", .rule = "TIM-1", .expected_reason = "before its deadline",
//             .loop_mutation = LoopMutation::kTimerEarly};
//   }
//   }  // namespace tenon::conformance::loop_mutants
//
// A rule of the table without one does not link.

#ifndef TENON_CONFORMANCE_RULES_LOOP_MUTANT_H_
#define TENON_CONFORMANCE_RULES_LOOP_MUTANT_H_

#include <optional>
#include <string_view>

#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/mutation.h"

namespace tenon::conformance {

// How to make a good loop wrong. At least one of `wrap` and `loop_mutation` is set.
struct LoopMutant {
  // What it does wrong, in a few words.
  std::string_view name;
  // The rule that must fail on it.
  std::string_view rule;
  // A part of the failure's detail: of an EXPECT's message, or of a verdict's name ("SIGABRT",
  // "hang after"). A mutant that fails its rule for another reason counts as alive.
  std::string_view expected_reason;
  // A factory whose backends are those of `good`, but for the mistake. The result lives until the
  // process ends; so does `good`. Called at most once in a process, which runs one rule.
  const LoopBackendFactory* (*wrap)(const LoopBackendFactory& good) = nullptr;
  // A place inside the Loop itself, switched on before the rule's body.
  std::optional<LoopMutation> loop_mutation = std::nullopt;
};

namespace loop_mutants {

#define TENON_RULE(name, ...) LoopMutant name();
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE

}  // namespace loop_mutants

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_LOOP_MUTANT_H_
