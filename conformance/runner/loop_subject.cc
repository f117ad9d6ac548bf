#include "tenon/conformance/runner/loop_subject.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tenon/conformance/rules/loop_rules.h"

namespace tenon::conformance {
namespace {

constexpr LoopRuleBody kBodies[] = {
#define TENON_RULE(name, ...) &loop_rules::name,
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE
};

// Rules that hold, and can be tried, where the backend cannot run.
bool IsAboutRefusal(const Rule& rule) { return rule.id == "INIT-4" || rule.id == "INIT-5"; }

void RunBody(RuleContext& context, LoopRuleBody body, const LoopBackendFactory& factory) {
  LoopRule rule(context, factory);
  if (!IsAboutRefusal(context.rule())) {
    const absl::Status usable = factory.Probe();
    if (!usable.ok()) {
      return rule.Unsupported(absl::StrCat("cannot run here: ", usable.ToString()));
    }
  }
  if (context.rule().level == RuleLevel::kCapability && !rule.Has(context.rule().capability)) {
    return rule.Unsupported(absl::StrCat("does not declare ", context.rule().capability));
  }
  body(rule);
}

}  // namespace

absl::Span<const LoopRuleBody> LoopRuleBodies() { return kBodies; }

BoundRule BindLoopRule(const Rule& rule, LoopRuleBody body, const LoopBackendFactory& factory) {
  return {&rule, [body, &factory](RuleContext& context) { RunBody(context, body, factory); }};
}

Subject LoopSubject(const LoopBackendFactory& factory, KnownFailures known_failures) {
  Subject subject = {.name = std::string(factory.name()),
                     .facet = "loop",
                     .rules = {},
                     .known_failures = std::move(known_failures)};
  const absl::Span<const Rule> rules = LoopRules();
  for (size_t i = 0; i < rules.size(); ++i) {
    subject.rules.push_back(BindLoopRule(rules[i], LoopRuleBodies()[i], factory));
  }
  return subject;
}

}  // namespace tenon::conformance
