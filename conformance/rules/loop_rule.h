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

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/conformance/rules/rule_context.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance {

// A run of a loop rule against one backend.
class LoopRule {
 public:
  // Both outlive the rule.
  LoopRule(RuleContext& context, const LoopBackendFactory& factory)
      : context_(context), factory_(factory) {}
  LoopRule(const LoopRule&) = delete;
  LoopRule& operator=(const LoopRule&) = delete;

  // What is tested. The suites see the backend through it and in no other way.
  const LoopBackendFactory& factory() const { return factory_; }

  // What the backend declares. The first call makes one, outside allocator(), to ask it; a backend
  // that cannot be made is a failure of the rule and declares nothing.
  const BackendCapabilities& capabilities();
  // The same by the name that the rule table uses: "native_files", "multishot", "provided_buffers".
  // REQUIRES: it is one of them.
  bool Has(std::string_view capability);

  // See RuleContext.
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
  void Unsupported(std::string reason) { context_.Unsupported(std::move(reason)); }

 private:
  RuleContext& context_;
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
