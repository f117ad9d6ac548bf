#include "tenon/conformance/rules/rule_context.h"

#include <utility>

namespace tenon::conformance {

RuleContext::RuleContext(Settings settings)
    : settings_(std::move(settings)),
      faults_(tracking_),
      random_(settings_.seed),
      ledger_(&tracking_) {}

void RuleContext::Inconclusive(std::string reason) {
  outcome_ = Outcome::kInconclusive;
  reason_ = std::move(reason);
}

void RuleContext::Measured(std::string what) { measured_ = std::move(what); }

void RuleContext::Unsupported(std::string reason) {
  outcome_ = Outcome::kUnsupported;
  reason_ = std::move(reason);
}

}  // namespace tenon::conformance
