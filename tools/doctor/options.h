// The command line of doctor.

#ifndef TENON_TOOLS_DOCTOR_OPTIONS_H_
#define TENON_TOOLS_DOCTOR_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tenon::doctor {

enum class Format { kTable, kJson };

struct Options {
  Format format = Format::kTable;
  // Names that must be able to run, each linked or "auto" and named once.
  std::vector<std::string> required;
  bool help = false;
};

// Reads the arguments after the program's name: `--flag=value` or `--flag value`; lists are
// separated by commas and may be repeated. `linked` are the names --require may have, beside
// "auto". InvalidArgument, naming the argument and what would be valid, for anything else.
absl::StatusOr<Options> ParseOptions(absl::Span<const absl::string_view> arguments,
                                     absl::Span<const std::string> linked);

// The text of --help.
absl::string_view HelpText();

}  // namespace tenon::doctor

#endif  // TENON_TOOLS_DOCTOR_OPTIONS_H_
