// Two histories of one script, compared up to the declared nondeterminism.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_COMPARE_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_COMPARE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tenon/conformance/differential/history.h"

namespace tenon::conformance::differential {

struct Difference {
  // The phase in which it shows, from 1; 0 where it belongs to none.
  size_t phase = 0;
  // One sentence, with both names and what each did.
  std::string text;
};

// The first difference between what the backends `first_name` and `second_name` did, up to
// kTolerances (nondeterminism.h); none when there is none. What is wrong with either alone counts
// too; see FindViolation.
std::optional<Difference> Compare(std::string_view first_name, const History& first,
                                  std::string_view second_name, const History& second);

// What is wrong with a history alone: its violations, and an early end.
std::optional<Difference> FindViolation(std::string_view name, const History& history);

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_COMPARE_H_
