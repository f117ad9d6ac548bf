#include "tenon/conformance/rules/loop_rules.h"

namespace tenon::conformance {
namespace {

constexpr Rule kLoopRules[] = {
#define TENON_RULE(name, id, level, capability, text, why, origin, mutant, since) \
  {id, "loop", RuleLevel::level, capability, text, why, origin, mutant, since},
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE
};

}  // namespace

absl::Span<const Rule> LoopRules() { return kLoopRules; }

}  // namespace tenon::conformance
