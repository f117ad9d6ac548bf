// Loop backends as subjects.

#ifndef TENON_CONFORMANCE_RUNNER_LOOP_SUBJECT_H_
#define TENON_CONFORMANCE_RUNNER_LOOP_SUBJECT_H_

#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/conformance/runner/subject.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance {

// `rule` with its body, on the backends of `factory`, which outlives the subject. A backend that
// its own probe says cannot run here is unsupported, with that reason, except for the rules about
// being refused (INIT-4, INIT-5). A rule of a capability that is not declared is unsupported as
// well.
BoundRule BindLoopRule(const Rule& rule, LoopRuleBody body, const LoopBackendFactory& factory);

// The subject of a backend: every rule of the loop facet.
Subject LoopSubject(const LoopBackendFactory& factory, KnownFailures known_failures);

// The body of each of LoopRules(), in the same order.
absl::Span<const LoopRuleBody> LoopRuleBodies();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_LOOP_SUBJECT_H_
