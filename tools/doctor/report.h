// Findings as text, for people and for programs.

#ifndef TENON_TOOLS_DOCTOR_REPORT_H_
#define TENON_TOOLS_DOCTOR_REPORT_H_

#include <string>

#include "absl/status/status.h"
#include "tenon/tools/doctor/findings.h"

namespace tenon::doctor {

// For a terminal: the host, its limits and settings; a line for each backend, then what it found of
// the kernel's features; why those that cannot run cannot; what "auto" takes; advice.
std::string FormatTable(const Findings& findings);

// {"tool","host":{"kernel","machine","processors","system_call_filter","cgroup":{"memory_bytes",
// "threads"},"limits":[{"name","soft","hard","unit","what"}],"settings":[{"name","value","what"}]},
// "backends":[{"name","runs","failed_step","code","reason","capabilities":{...},"embeddable",
// "cost":{...},"features":[{"name","since","available","without"}]}],
// "automatic":{"backend","reason"},"advice":[]}. Numbers without a limit are "unlimited"; what is
// not known is null.
std::string FormatJson(const Findings& findings);

// What a status says: its message, or, where there was no memory for one, that there was none.
std::string Reason(const absl::Status& status);

}  // namespace tenon::doctor

#endif  // TENON_TOOLS_DOCTOR_REPORT_H_
