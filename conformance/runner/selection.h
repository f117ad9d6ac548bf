// Choosing what to run by patterns, and helping those who mistyped.

#ifndef TENON_CONFORMANCE_RUNNER_SELECTION_H_
#define TENON_CONFORMANCE_RUNNER_SELECTION_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/conformance/runner/subject.h"

namespace tenon::conformance {

// Whether `text` as a whole matches `pattern`, in which '*' stands for any characters and '?' for
// one. Case is ignored for ASCII letters.
bool MatchesGlob(std::string_view pattern, std::string_view text);

// Those of `names` that are nearest to `name`, nearest first, at most three; none when nothing is
// near.
std::vector<std::string> NearNames(std::string_view name, const std::vector<std::string>& names);

// Patterns for each of three things; an empty list stands for all.
struct Selection {
  std::vector<std::string> facets;
  std::vector<std::string> subjects;
  std::vector<std::string> rules;
};

// OK when every pattern matches one of `names`; else NotFound that names the pattern, the near
// names or all of them. `kind` is "rule", "subject" or "facet".
absl::Status CheckPatterns(std::string_view kind, const std::vector<std::string>& patterns,
                           const std::vector<std::string>& names);

// Whether `name` matches one of `patterns`, or there are none.
bool Selected(const std::vector<std::string>& patterns, std::string_view name);

// The subjects and rules selected; subjects without a selected rule are left out. NotFound for a
// pattern that matches nothing, as by CheckPatterns.
absl::StatusOr<std::vector<Subject>> Select(std::vector<Subject> subjects,
                                            const Selection& selection);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_SELECTION_H_
