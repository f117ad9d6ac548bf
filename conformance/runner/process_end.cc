#include "tenon/conformance/runner/process_end.h"

#include <string.h>
#include <sys/wait.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tenon::conformance {
namespace {

// The text after the second colon-separated word on, up to what differs from run to run.
std::string_view WithoutAddresses(std::string_view text) {
  for (const std::string_view end : {" on address", " on unknown address", " (pid=", " at pc"}) {
    text = text.substr(0, text.find(end));
  }
  return absl::StripAsciiWhitespace(text);
}

}  // namespace

std::string DescribeProcessEnd(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const char* const name = sigabbrev_np(WTERMSIG(wait_status));
    return name != nullptr ? absl::StrCat("SIG", name)
                           : absl::StrCat("signal ", WTERMSIG(wait_status));
  }
  if (WEXITSTATUS(wait_status) == 0) return "";
  return absl::StrCat("exit ", WEXITSTATUS(wait_status));
}

std::string FindSanitizerReport(std::string_view standard_error) {
  for (const std::string_view line : absl::StrSplit(standard_error, '\n')) {
    for (const std::string_view marker : {"ERROR: ", "WARNING: ", "FATAL: "}) {
      const size_t found = line.find(marker);
      if (found == std::string_view::npos) continue;
      const std::string_view report = line.substr(found + marker.size());
      const size_t colon = report.find("Sanitizer: ");
      if (colon == std::string_view::npos || report.find(' ') < colon) continue;
      return std::string(WithoutAddresses(report));
    }
    const size_t undefined = line.find(": runtime error: ");
    if (undefined != std::string_view::npos) {
      return absl::StrCat("UndefinedBehaviorSanitizer: ",
                          absl::StripAsciiWhitespace(line.substr(
                              undefined + std::string_view(": runtime error: ").size())));
    }
  }
  return "";
}

}  // namespace tenon::conformance
