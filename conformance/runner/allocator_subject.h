// Allocators as subjects.

#ifndef TENON_CONFORMANCE_RUNNER_ALLOCATOR_SUBJECT_H_
#define TENON_CONFORMANCE_RUNNER_ALLOCATOR_SUBJECT_H_

#include <vector>

#include "absl/types/span.h"
#include "tenon/conformance/rules/allocator_rule.h"
#include "tenon/conformance/runner/subject.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::conformance {

// `rule` with its body, on the allocators of `factory`, which outlives the subject. An allocator
// that its own probe says cannot run here is unsupported, with that reason, and so is a rule of a
// capability that is not declared.
BoundRule BindAllocatorRule(const Rule& rule, AllocatorRuleBody body,
                            const AllocatorFactory& factory);

// The subject of an allocator: every rule of the allocator facet.
Subject AllocatorSubject(const AllocatorFactory& factory, KnownFailures known_failures);

// A subject for each of `linked`, and for compositions of them: those of the suite's list of which
// all is linked, such as "tracking(concurrent)"; and each decorator that the list does not know,
// such as a vendor's, over each of `linked` that decorates nothing. `linked` outlives the subjects.
std::vector<Subject> AllocatorSubjects(absl::Span<const AllocatorFactory* const> linked);

// The body of each of AllocatorRules(), in the same order.
absl::Span<const AllocatorRuleBody> AllocatorRuleBodies();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_ALLOCATOR_SUBJECT_H_
