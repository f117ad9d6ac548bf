#include "tenon/conformance/runner/loop_subject.h"

#include <string>
#include <utility>

#include "tenon/conformance/rules/loop_rules.h"
#include "tenon/conformance/runner/bind_rule.h"

namespace tenon::conformance {
namespace {

constexpr LoopRuleBody kBodies[] = {
#define TENON_RULE(name, ...) &loop_rules::name,
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE
};

bool IsAboutRefusal(const Rule& rule) { return rule.id == "INIT-4" || rule.id == "INIT-5"; }

}  // namespace

absl::Span<const LoopRuleBody> LoopRuleBodies() { return kBodies; }

BoundRule BindLoopRule(const Rule& rule, LoopRuleBody body, const LoopBackendFactory& factory) {
  return BindRule(rule, body, factory, &IsAboutRefusal);
}

Subject LoopSubject(const LoopBackendFactory& factory, KnownFailures known_failures) {
  return MakeSubject(
      std::string(factory.name()), "loop", LoopRules(), LoopRuleBodies(), std::move(known_failures),
      [&](const Rule& rule, LoopRuleBody body) { return BindLoopRule(rule, body, factory); });
}

}  // namespace tenon::conformance
