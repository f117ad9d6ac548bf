#include "tenon/tools/doctor/doctor.h"

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/tools/doctor/examination.h"
#include "tenon/tools/doctor/options.h"
#include "tenon/tools/doctor/report.h"

namespace tenon::doctor {

std::string MissingRequirements(const Findings& findings, absl::Span<const std::string> required) {
  std::string missing;
  const auto check = [&](const std::string& name, const absl::Status& status) {
    if (status.ok()) return;
    absl::StrAppend(&missing, "doctor: required backend ", name, " cannot run: ", Reason(status),
                    "\n");
  };
  for (const std::string& name : required) {
    if (name == runtime::kAutomatic) check(name, findings.automatic.status);
    for (const BackendFindings& backend : findings.backends) {
      if (backend.name == name) check(name, backend.status);
    }
  }
  return missing;
}

Outcome RunDoctor(absl::Span<const absl::string_view> arguments) {
  std::vector<std::string> linked;
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    linked.emplace_back(factory->name());
  }
  const absl::StatusOr<Options> options = ParseOptions(arguments, linked);
  if (!options.ok()) {
    return {.status = kUsage,
            .output = "",
            .errors = absl::StrCat("doctor: ", options.status().message(), "\n")};
  }
  if (options->help) {
    return {.status = kSuccess, .output = std::string(HelpText()), .errors = ""};
  }
  const Findings findings = Examine();
  std::string missing = MissingRequirements(findings, options->required);
  return {.status = missing.empty() ? kSuccess : kRequiredCannotRun,
          .output = options->format == Format::kJson ? FormatJson(findings) : FormatTable(findings),
          .errors = std::move(missing)};
}

}  // namespace tenon::doctor
