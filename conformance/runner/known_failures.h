// Lists of rules that an implementation is known to fail.

#ifndef TENON_CONFORMANCE_RUNNER_KNOWN_FAILURES_H_
#define TENON_CONFORMANCE_RUNNER_KNOWN_FAILURES_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/conformance/rules/rule.h"
#include "tenon/conformance/runner/subject.h"

namespace tenon::conformance {

// Reads lines of the form `RULE-ID  reason`; empty lines and those that begin with '#' are skipped.
// InvalidArgument, naming `file` and the line, for a line without a reason, a rule that is not one
// of `rules`, and a rule listed twice.
absl::StatusOr<KnownFailures> ParseKnownFailures(std::string_view text, std::string_view file,
                                                 absl::Span<const Rule> rules);

// The same from a file. NotFound when it cannot be read.
absl::StatusOr<KnownFailures> ReadKnownFailures(const std::string& file,
                                                absl::Span<const Rule> rules);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_KNOWN_FAILURES_H_
