// What binding a rule to an implementation is for every facet.

#ifndef TENON_CONFORMANCE_RUNNER_BIND_RULE_H_
#define TENON_CONFORMANCE_RUNNER_BIND_RULE_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "tenon/conformance/rules/rule.h"
#include "tenon/conformance/runner/subject.h"

namespace tenon::conformance {

// Whether a rule holds, and can be tried, where the implementation says that it cannot run.
using RuleFilter = bool (*)(const Rule& rule);

// `rule` with its body, on what `factory` makes. An implementation that its own probe says cannot
// run here is unsupported, with that reason, except for rules that are `tried_without` it. A rule
// of a capability that is not declared is unsupported as well. FacetRuleType is LoopRule or
// AllocatorRule. `factory` outlives the result.
template <typename FacetRuleType, typename Factory>
BoundRule BindRule(const Rule& rule, void (*body)(FacetRuleType&), const Factory& factory,
                   RuleFilter tried_without) {
  return {&rule, [body, &factory, tried_without](RuleContext& context) {
            FacetRuleType run(context, factory);
            const Rule& rule = context.rule();
            if (!tried_without(rule)) {
              const absl::Status usable = factory.Probe();
              if (!usable.ok()) {
                return run.Unsupported(absl::StrCat("cannot run here: ", usable.ToString()));
              }
            }
            if (rule.level == RuleLevel::kCapability && !run.Has(rule.capability)) {
              return run.Unsupported(absl::StrCat("does not declare ", rule.capability));
            }
            body(run);
          }};
}

// A subject of every rule of a facet. `bind` makes a BoundRule of a rule and its body; the bodies
// are in the order of the rules.
template <typename Body, typename Bind>
Subject MakeSubject(std::string name, std::string_view facet, absl::Span<const Rule> rules,
                    absl::Span<const Body> bodies, KnownFailures known_failures, Bind bind) {
  Subject subject = {.name = std::move(name),
                     .facet = std::string(facet),
                     .rules = {},
                     .known_failures = std::move(known_failures)};
  for (size_t i = 0; i < rules.size(); ++i) {
    subject.rules.push_back(bind(rules[i], bodies[i]));
  }
  return subject;
}

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_BIND_RULE_H_
