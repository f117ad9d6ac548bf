// The rule table of the loop facet, without the bodies.

#ifndef TENON_CONFORMANCE_RULES_LOOP_RULES_H_
#define TENON_CONFORMANCE_RULES_LOOP_RULES_H_

#include "absl/types/span.h"
#include "tenon/conformance/rules/rule.h"

namespace tenon::conformance {

// Every rule of the loop facet, in the order of the catalogue.
absl::Span<const Rule> LoopRules();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_LOOP_RULES_H_
