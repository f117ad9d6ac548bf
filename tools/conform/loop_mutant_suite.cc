#include "tenon/tools/conform/loop_mutant_suite.h"

#include <string_view>
#include <utility>

#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/conformance/rules/loop_rules.h"
#include "tenon/conformance/runner/loop_subject.h"
#include "tenon/tools/conform/cheaters.h"

namespace tenon::conformance {
namespace {

// Rules that no backend can pass which does not do the work.
constexpr std::string_view kCheaterRules[] = {"CMP-3", "CMP-5", "CAN-1"};

void SwitchOn([[maybe_unused]] const LoopMutant& mutant) {
#ifdef TENON_LOOP_MUTATIONS
  if (mutant.loop_mutation.has_value()) SetLoopMutation(*mutant.loop_mutation);
#endif
}

BoundMutant Bind(const LoopMutant& mutant, const LoopBackendFactory& base) {
  BoundMutant bound = {.name = mutant.name,
                       .rule = mutant.rule,
                       .expected_reason = mutant.expected_reason,
                       .body = nullptr};
  const size_t index = IndexOf(mutant.rule, LoopRules());
  const bool does_something = mutant.wrap != nullptr || mutant.loop_mutation.has_value();
  if (!does_something || index == LoopRules().size()) return bound;
  bound.body = [mutant, index, &base](RuleContext& context) {
    SwitchOn(mutant);
    const LoopBackendFactory& wrong = mutant.wrap != nullptr ? *mutant.wrap(base) : base;
    BindLoopRule(LoopRules()[index], LoopRuleBodies()[index], wrong).body(context);
  };
  return bound;
}

}  // namespace

std::vector<LoopMutant> LoopMutants() {
  return {
#define TENON_RULE(name, ...) loop_mutants::name(),
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE
  };
}

MutantSuite LoopMutantSuite(const LoopBackendFactory& base,
                            const std::vector<LoopMutant>& mutants) {
  MutantSuite suite = {
      .facet = "loop", .good = LoopSubject(base, {}).rules, .mutants = {}, .cheaters = {}};
  for (const LoopMutant& mutant : mutants) suite.mutants.push_back(Bind(mutant, base));
  for (const Cheater& cheater : LoopCheaters()) {
    BoundCheater bound = {.name = cheater.name, .rules = {}};
    for (const std::string_view id : kCheaterRules) {
      const size_t index = IndexOf(id, LoopRules());
      bound.rules.push_back(
          BindLoopRule(LoopRules()[index], LoopRuleBodies()[index], *cheater.factory));
    }
    suite.cheaters.push_back(std::move(bound));
  }
  return suite;
}

}  // namespace tenon::conformance
