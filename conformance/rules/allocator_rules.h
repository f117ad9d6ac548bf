// The rule table of the allocator facet, without the bodies.

#ifndef TENON_CONFORMANCE_RULES_ALLOCATOR_RULES_H_
#define TENON_CONFORMANCE_RULES_ALLOCATOR_RULES_H_

#include "absl/types/span.h"
#include "tenon/conformance/rules/rule.h"

namespace tenon::conformance {

// Every rule of the allocator facet, in the order of the catalogue.
absl::Span<const Rule> AllocatorRules();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_ALLOCATOR_RULES_H_
