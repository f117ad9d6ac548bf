// What `conform differential` is asked to do.

#ifndef TENON_TOOLS_CONFORM_DIFFERENTIAL_OPTIONS_H_
#define TENON_TOOLS_CONFORM_DIFFERENTIAL_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tenon::conformance {

struct DifferentialOptions {
  bool help = false;
  // As given; empty for every backend that can run. A name may come twice.
  std::vector<std::string> backends;
  uint64_t first_seed = 1;
  uint64_t seeds = 0;
  int steps = 0;
  // A script to run instead of seeds; "-" for standard input, empty for none.
  std::string script;
  // Where the shortest script goes; empty for nowhere but the report.
  std::string out;
  // After which no more seeds are begun.
  std::optional<std::chrono::seconds> time_limit;
  // After which one run counts as hanging.
  std::chrono::seconds timeout{30};
  bool shrink = true;
};

// Reads the arguments after the word "differential". InvalidArgument, in words for the user, for
// anything not understood.
absl::StatusOr<DifferentialOptions> ParseDifferentialOptions(
    const std::vector<std::string>& arguments);

// The text of --help.
std::string_view DifferentialHelpText();

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_DIFFERENTIAL_OPTIONS_H_
