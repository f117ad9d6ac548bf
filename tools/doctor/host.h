// What the machine allows: kernel, limits, settings, filters.

#ifndef TENON_TOOLS_DOCTOR_HOST_H_
#define TENON_TOOLS_DOCTOR_HOST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tenon/tools/doctor/findings.h"

namespace tenon::doctor {

// Looks at this host. Files of /proc and /sys are read below `root`, which is empty but in tests.
// What cannot be read is left unknown; nothing fails.
HostFindings ReadHost(const std::string& root = "");

// What a host is better changed in, as one sentence with the remedy for each.
std::vector<std::string> Advise(const HostFindings& host);

}  // namespace tenon::doctor

#endif  // TENON_TOOLS_DOCTOR_HOST_H_
