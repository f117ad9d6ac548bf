#include "tenon/tools/conform/allocator_mutant_suite.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/conformance/rules/allocator_rule.h"
#include "tenon/conformance/rules/allocator_rules.h"
#include "tenon/conformance/runner/allocator_subject.h"

namespace tenon::conformance {
namespace {

// Rules that no allocator can pass which does not do the work.
constexpr std::string_view kCheaterRules[] = {"ALC-1", "ALC-3"};

enum class Cheat { kHasNone, kSameBlock, kHangs, kCrashes };

class CheatingAllocator final : public Allocator {
 public:
  explicit CheatingAllocator(Cheat cheat) : cheat_(cheat) {}

  Block Allocate(Layout layout) noexcept override {
    while (cheat_ == Cheat::kHangs) pause();
    if (cheat_ == Cheat::kCrashes) std::abort();
    return cheat_ == Cheat::kHasNone ? Block{} : Block{block_, layout.size};
  }
  void Deallocate(void*, Layout) noexcept override {}
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  const Cheat cheat_;
  // As large and as aligned as any that those rules ask for.
  alignas(4096) char block_[64 * 1024] = {};
};

class CheatingFactory final : public AllocatorFactory {
 public:
  explicit constexpr CheatingFactory(Cheat cheat) : cheat_(cheat) {}

  absl::string_view name() const noexcept override { return "cheater"; }
  absl::string_view summary() const noexcept override { return "does not do the work"; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    Owned<CheatingAllocator> made = MakeOwned<CheatingAllocator>(config.memory, cheat_);
    if (made == nullptr) return absl::ResourceExhaustedError("");
    return Owned<Allocator>(std::move(made));
  }

 private:
  const Cheat cheat_;
};

constexpr CheatingFactory kHasNone(Cheat::kHasNone);
constexpr CheatingFactory kSameBlock(Cheat::kSameBlock);
constexpr CheatingFactory kHangs(Cheat::kHangs);
constexpr CheatingFactory kCrashes(Cheat::kCrashes);

constexpr std::pair<std::string_view, const CheatingFactory*> kCheaters[] = {
    {"has-none", &kHasNone},
    {"always-the-same-block", &kSameBlock},
    {"hangs", &kHangs},
    {"crashes", &kCrashes}};

BoundMutant Bind(const AllocatorMutant& mutant, const AllocatorFactory& base) {
  BoundMutant bound = {.name = mutant.name,
                       .rule = mutant.rule,
                       .expected_reason = mutant.expected_reason,
                       .body = nullptr};
  const size_t index = IndexOf(mutant.rule, AllocatorRules());
  if (mutant.wrap == nullptr || index == AllocatorRules().size()) return bound;
  bound.body = [mutant, index, &base](RuleContext& context) {
    BindAllocatorRule(AllocatorRules()[index], AllocatorRuleBodies()[index], *mutant.wrap(base))
        .body(context);
  };
  return bound;
}

}  // namespace

std::vector<AllocatorMutant> AllocatorMutants() {
  return {
#define TENON_RULE(name, ...) allocator_mutants::name(),
#include "tenon/conformance/rules/allocator_rules.inc"
#undef TENON_RULE
      allocator_mutants::SecondOfALC_10(),
      allocator_mutants::SecondOfALC_11(),
      allocator_mutants::SecondOfALC_12(),
      allocator_mutants::SecondOfALC_17(),
  };
}

MutantSuite AllocatorMutantSuite(const AllocatorFactory& base,
                                 const std::vector<AllocatorMutant>& mutants) {
  MutantSuite suite = {.facet = "allocator",
                       .good = AllocatorSubject(base, {}).rules,
                       .mutants = {},
                       .cheaters = {}};
  for (const AllocatorMutant& mutant : mutants) suite.mutants.push_back(Bind(mutant, base));
  for (const auto& [name, factory] : kCheaters) {
    BoundCheater bound = {.name = name, .rules = {}};
    for (const std::string_view id : kCheaterRules) {
      const size_t index = IndexOf(id, AllocatorRules());
      bound.rules.push_back(
          BindAllocatorRule(AllocatorRules()[index], AllocatorRuleBodies()[index], *factory));
    }
    suite.cheaters.push_back(std::move(bound));
  }
  return suite;
}

}  // namespace tenon::conformance
