#include "tenon/conformance/runner/allocator_subject.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/conformance/rules/allocator_rules.h"
#include "tenon/conformance/runner/bind_rule.h"
#include "tenon/runtime/allocator_spec.h"
#include "tenon/runtime/composed_factory.h"

namespace tenon::conformance {
namespace {

constexpr AllocatorRuleBody kBodies[] = {
#define TENON_RULE(name, ...) &allocator_rules::name,
#include "tenon/conformance/rules/allocator_rules.inc"
#undef TENON_RULE
};

// Each decorator over something, what is for several threads over what is for one, and the orders
// in which decorators see each other's blocks.
constexpr std::string_view kCompositions[] = {
    "tracking(system)",         "tracking(concurrent)",     "guarded(arena)",
    "guarded(tracking(arena))", "quota(64MiB,system)",      "quota(64MiB,tracking(jemalloc))",
    "quota(64MiB,concurrent)",  "tracking(jemalloc_arena)", "poison(system)",
    "counting(concurrent)",     "fault(tracking(system))",  "tracking(quota(64MiB,system))",
};

bool NeedsTheAllocator(const Rule& /*rule*/) { return false; }

}  // namespace

absl::Span<const AllocatorRuleBody> AllocatorRuleBodies() { return kBodies; }

BoundRule BindAllocatorRule(const Rule& rule, AllocatorRuleBody body,
                            const AllocatorFactory& factory) {
  return BindRule(rule, body, factory, &NeedsTheAllocator);
}

Subject AllocatorSubject(const AllocatorFactory& factory, KnownFailures known_failures) {
  return MakeSubject(std::string(factory.name()), "allocator", AllocatorRules(),
                     AllocatorRuleBodies(), std::move(known_failures),
                     [&](const Rule& rule, AllocatorRuleBody body) {
                       return BindAllocatorRule(rule, body, factory);
                     });
}

std::vector<Subject> AllocatorSubjects(absl::Span<const AllocatorFactory* const> linked) {
  std::vector<Subject> subjects;
  for (const AllocatorFactory* factory : linked) {
    subjects.push_back(AllocatorSubject(*factory, {}));
  }
  for (const std::string_view text : kCompositions) {
    auto spec = runtime::AllocatorSpec::Parse(text, linked);
    if (!spec.ok()) continue;  // not linked
    const auto composed =
        std::make_shared<const runtime::ComposedFactory>(std::string(text), *std::move(spec));
    Subject subject = AllocatorSubject(*composed, {});
    // The bodies keep it.
    for (BoundRule& bound : subject.rules) {
      bound.body = [composed, body = std::move(bound.body)](RuleContext& context) {
        body(context);
      };
    }
    subjects.push_back(std::move(subject));
  }
  return subjects;
}

}  // namespace tenon::conformance
