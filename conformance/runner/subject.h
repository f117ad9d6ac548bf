// What is run: subjects, each an implementation bound to the rules of its facet.

#ifndef TENON_CONFORMANCE_RUNNER_SUBJECT_H_
#define TENON_CONFORMANCE_RUNNER_SUBJECT_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tenon/conformance/rules/rule.h"
#include "tenon/conformance/rules/rule_context.h"

namespace tenon::conformance {

// A rule and its body, bound to one implementation.
struct BoundRule {
  // Outlives the program's main().
  const Rule* rule = nullptr;
  std::function<void(RuleContext& context)> body;
};

// Rule id -> why it is known to fail.
using KnownFailures = std::map<std::string, std::string>;

// One implementation of one facet.
struct Subject {
  std::string name;
  std::string facet;
  // In the order of the catalogue.
  std::vector<BoundRule> rules;
  KnownFailures known_failures;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_SUBJECT_H_
