#include "tenon/conformance/runner/allocator_subject.h"

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/log/check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "tenon/conformance/rules/allocator_rules.h"
#include "tenon/conformance/rules/option_values.h"
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

// What is for several threads over what is for one, and the orders in which decorators see each
// other's blocks. Most are open: over the suite's own allocator, refusals and frees that take their
// time reach through all layers. The others are what deployments choose.
constexpr std::string_view kCompositions[] = {
    "concurrent(counting)",     "counting(concurrent)",
    "fault(tracking)",          "guarded(arena)",
    "guarded(tracking(arena))", "poison(concurrent)",
    "poison(tracking)",         "quota(64MiB,concurrent)",
    "quota(64MiB,tracking)",    "tracking(concurrent)",
    "tracking(quota(64MiB))",   "concurrent(jemalloc)",
    "tracking(jemalloc_arena)", "tracking(quota(64MiB,jemalloc))",
};

// The allocators that a spec names.
std::set<std::string_view> NamesIn(std::string_view spec) {
  std::set<std::string_view> names;
  for (const std::string_view word : absl::StrSplit(spec, absl::ByAnyChar("(),"))) {
    if (!word.empty() && absl::ascii_isalpha(word.front())) names.insert(word);
  }
  return names;
}

// Of kCompositions those whose every allocator is linked; and what no composition names, over
// each linked allocator that decorates nothing.
std::vector<std::string> Compositions(absl::Span<const AllocatorFactory* const> linked) {
  std::set<std::string_view> linked_names;
  for (const AllocatorFactory* factory : linked) linked_names.insert(factory->name());
  std::set<std::string_view> composed;
  std::vector<std::string> specs;
  for (const std::string_view spec : kCompositions) {
    const std::set<std::string_view> names = NamesIn(spec);
    composed.insert(names.begin(), names.end());
    if (absl::c_includes(linked_names, names)) specs.emplace_back(spec);
  }
  for (const AllocatorFactory* outer : linked) {
    if (!outer->decorates() || composed.contains(outer->name())) continue;
    for (const AllocatorFactory* inner : linked) {
      if (!inner->decorates()) specs.push_back(ConformanceSpec(*outer, inner->name()));
    }
  }
  return specs;
}

// No rule of this facet can be tried where the allocator cannot be made.
bool TriedWithoutAllocator(const Rule& /*rule*/) { return false; }

}  // namespace

absl::Span<const AllocatorRuleBody> AllocatorRuleBodies() { return kBodies; }

BoundRule BindAllocatorRule(const Rule& rule, AllocatorRuleBody body,
                            const AllocatorFactory& factory) {
  return BindRule(rule, body, factory, &TriedWithoutAllocator);
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
  for (const std::string& text : Compositions(linked)) {
    auto spec = runtime::AllocatorSpec::Parse(text, linked);
    CHECK_OK(spec);
    const auto composed = std::make_shared<const runtime::ComposedFactory>(text, *std::move(spec));
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
