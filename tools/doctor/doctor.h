// doctor as a function: from a command line to an exit status.

#ifndef TENON_TOOLS_DOCTOR_DOCTOR_H_
#define TENON_TOOLS_DOCTOR_DOCTOR_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/tools/doctor/findings.h"

namespace tenon::doctor {

enum ExitStatus { kSuccess = 0, kRequiredCannotRun = 1, kUsage = 2 };

struct Outcome {
  ExitStatus status = kSuccess;
  // For standard output and for standard error.
  std::string output;
  std::string errors;
};

// Does what the arguments after the program's name ask for, with the backends of this binary.
Outcome RunDoctor(absl::Span<const absl::string_view> arguments);

// One sentence for each required name, a backend's or "auto", that cannot run; empty if all can.
// REQUIRES: each is one of the findings' or "auto".
std::string MissingRequirements(const Findings& findings, absl::Span<const std::string> required);

}  // namespace tenon::doctor

#endif  // TENON_TOOLS_DOCTOR_DOCTOR_H_
