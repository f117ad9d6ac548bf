#include "tenon/conformance/rules/rule.h"

#include "absl/strings/str_cat.h"

namespace tenon::conformance {

std::string LevelName(const Rule& rule) {
  switch (rule.level) {
    case RuleLevel::kRequired:
      return "required";
    case RuleLevel::kRecommended:
      return "recommended";
    case RuleLevel::kCapability:
      return absl::StrCat("capability:", rule.capability);
  }
  return "unknown";
}

}  // namespace tenon::conformance
