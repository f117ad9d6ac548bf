// What the rules of every facet are given beside their subject.

#ifndef TENON_CONFORMANCE_RULES_FACET_RULE_H_
#define TENON_CONFORMANCE_RULES_FACET_RULE_H_

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/conformance/rules/rule_context.h"

namespace tenon::conformance {

// The surroundings of a rule's run, handed on; see RuleContext for each. The base of LoopRule and
// AllocatorRule, which add what is tested.
class FacetRule {
 public:
  // `context` outlives the rule.
  explicit FacetRule(RuleContext& context) : context_(context) {}
  FacetRule(const FacetRule&) = delete;
  FacetRule& operator=(const FacetRule&) = delete;

  RuleContext& context() { return context_; }
  std::string_view subject() const { return context_.subject(); }
  Allocator& allocator() { return context_.allocator(); }
  alloc::FaultAllocator& faults() { return context_.faults(); }
  TrackingAllocator& tracking() { return context_.tracking(); }
  uint64_t seed() const { return context_.seed(); }
  std::mt19937_64& random() { return context_.random(); }
  const std::string& temporary_directory() const { return context_.temporary_directory(); }
  Ledger& ledger() { return context_.ledger(); }
  void Inconclusive(std::string reason) { context_.Inconclusive(std::move(reason)); }
  void Measured(std::string what) { context_.Measured(std::move(what)); }
  void Unsupported(std::string reason) { context_.Unsupported(std::move(reason)); }

 protected:
  ~FacetRule() = default;

 private:
  RuleContext& context_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_FACET_RULE_H_
