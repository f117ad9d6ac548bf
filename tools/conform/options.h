// What conform is asked to do.

#ifndef TENON_TOOLS_CONFORM_OPTIONS_H_
#define TENON_TOOLS_CONFORM_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/conformance/report/formats.h"
#include "tenon/conformance/runner/selection.h"

namespace tenon::conformance {

enum class Command { kRun, kList, kExplain, kHelp, kMutants };

struct Options {
  Command command = Command::kRun;
  Selection selection;
  // The rule of kExplain.
  std::string explain;
  Format format = Format::kTable;
  // File to write to; empty for standard output.
  std::string out;
  int jobs = 1;
  uint64_t seed = 0;
  // As given; each command has its own default.
  std::optional<std::chrono::seconds> timeout;
};

// Reads the arguments after the program's name. `--flag=value` and `--flag value` mean the same;
// lists are separated by commas, and the flag may be repeated. Jobs default to the processors, the
// seed to a random one. InvalidArgument, in words for the user, for anything not understood.
absl::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments);

// The text of --help.
std::string_view HelpText();

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_OPTIONS_H_
