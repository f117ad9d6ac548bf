// The rule tables as text.

#ifndef TENON_TOOLS_CONFORM_CATALOGUE_H_
#define TENON_TOOLS_CONFORM_CATALOGUE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/conformance/report/formats.h"
#include "tenon/conformance/rules/rule.h"
#include "tenon/conformance/runner/selection.h"

namespace tenon::conformance {

// Every rule of every facet.
std::vector<const Rule*> AllRules();

// The rules selected; NotFound for a pattern that matches none. Subjects are not looked at.
absl::StatusOr<std::vector<const Rule*>> SelectRules(const Selection& selection);

// A list of rules. REQUIRES: format is not kJunit.
std::string FormatRules(const std::vector<const Rule*>& rules, Format format);

// All about one rule; NotFound, naming the near ones, when there is none of this id.
absl::StatusOr<std::string> ExplainRule(const std::string& id);

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_CATALOGUE_H_
