#include "tenon/conformance/rules/allocator_rules.h"

namespace tenon::conformance {
namespace {

constexpr Rule kAllocatorRules[] = {
#define TENON_RULE(name, id, level, capability, text, why, origin, mutant, since) \
  {id, "allocator", RuleLevel::level, capability, text, why, origin, mutant, since},
#include "tenon/conformance/rules/allocator_rules.inc"
#undef TENON_RULE
};

}  // namespace

absl::Span<const Rule> AllocatorRules() { return kAllocatorRules; }

}  // namespace tenon::conformance
