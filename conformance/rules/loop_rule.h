// What the body of a loop rule is given, and the declaration of every such body.
//
// A body is defined under conformance/loop, as
//
//   namespace tenon::conformance::loop_rules {
//   void TD_4(LoopRule& rule) {
//     ...
//     EXPECT_THAT(ledger.Differences(), testing::IsEmpty());
//   }
//   }  // namespace tenon::conformance::loop_rules
//
// A rule of the table without one does not link.

#ifndef TENON_CONFORMANCE_RULES_LOOP_RULE_H_
#define TENON_CONFORMANCE_RULES_LOOP_RULE_H_

#include <optional>
#include <string_view>

#include "tenon/conformance/rules/facet_rule.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance {

// A run of a loop rule against one backend.
class LoopRule : public FacetRule {
 public:
  // Both outlive the rule.
  LoopRule(RuleContext& context, const LoopBackendFactory& factory)
      : FacetRule(context), factory_(factory) {}

  // What is tested. The suites see the backend through it and in no other way.
  const LoopBackendFactory& factory() const { return factory_; }

  // What the backend declares. The first call makes one, outside allocator(), to ask it; a backend
  // that cannot be made is a failure of the rule and declares nothing.
  const BackendCapabilities& capabilities();
  // The same by the name that the rule table uses: "native_files", "multishot", "provided_buffers".
  // REQUIRES: it is one of them.
  bool Has(std::string_view capability);

 private:
  const LoopBackendFactory& factory_;
  std::optional<BackendCapabilities> capabilities_;
};

using LoopRuleBody = void (*)(LoopRule& rule);

namespace loop_rules {

#define TENON_RULE(name, ...) void name(LoopRule& rule);
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE

}  // namespace loop_rules

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_LOOP_RULE_H_
