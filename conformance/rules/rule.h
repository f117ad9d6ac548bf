// What a rule is: one line of a facet's rule table.

#ifndef TENON_CONFORMANCE_RULES_RULE_H_
#define TENON_CONFORMANCE_RULES_RULE_H_

#include <string>
#include <string_view>

namespace tenon::conformance {

enum class RuleLevel {
  // Every implementation.
  kRequired,
  // Every implementation that has no reason not to; a failure is one all the same.
  kRecommended,
  // Every implementation that declares the rule's capability.
  kCapability,
};

// One promise of an interface. All members outlive the program's main().
struct Rule {
  // "TD-4".
  std::string_view id = {};
  // The interface that promises it: "loop".
  std::string_view facet = {};
  RuleLevel level = RuleLevel::kRequired;
  // "multishot"; empty unless the level is kCapability.
  std::string_view capability = {};
  // What holds; what goes wrong otherwise; who met it.
  std::string_view text = {};
  std::string_view why = {};
  std::string_view origin = {};
  // What the implementation that must fail this rule does wrong.
  std::string_view mutant = {};
  // First version with this rule; empty when not released.
  std::string_view since = {};
};

// "required", "recommended" or "capability:multishot".
std::string LevelName(const Rule& rule);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_RULE_H_
