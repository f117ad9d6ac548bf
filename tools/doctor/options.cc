#include "tenon/tools/doctor/options.h"

#include <cstddef>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tenon/runtime/open_loop.h"

namespace tenon::doctor {
namespace {

constexpr absl::string_view kHelp =
    R"(doctor says which of the linked loop backends can run on this machine, and why others cannot.

  doctor [FLAGS]

  --format=table|json        how the report is written (table)
  --require=NAME[,NAME...]   backends that must be able to run; auto stands for any of them
  --help                     this text

Each backend is probed; then a loop is made with it, which does a little of everything.

Exit status: 0 when every required backend can run, 1 when one cannot or the report could not be
written, 2 for arguments that make no sense.
)";

absl::Status ParseFormat(absl::string_view value, Options& options) {
  if (value != "table" && value != "json") {
    return absl::InvalidArgumentError(
        absl::StrCat("--format: \"", value, "\" is neither table nor json"));
  }
  options.format = value == "json" ? Format::kJson : Format::kTable;
  return absl::OkStatus();
}

absl::Status ParseRequired(absl::string_view value, absl::Span<const std::string> linked,
                           Options& options) {
  for (const absl::string_view name : absl::StrSplit(value, ',')) {
    if (name != runtime::kAutomatic && !absl::c_linear_search(linked, name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--require: backend \"", name, "\" is not linked into this binary; linked: ",
                       linked.empty() ? "none" : absl::StrJoin(linked, ", ")));
    }
    if (!absl::c_linear_search(options.required, name)) options.required.emplace_back(name);
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view HelpText() { return kHelp; }

absl::StatusOr<Options> ParseOptions(absl::Span<const absl::string_view> arguments,
                                     absl::Span<const std::string> linked) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const size_t equals = arguments[i].find('=');
    const bool has_value = equals != absl::string_view::npos;
    const absl::string_view flag = arguments[i].substr(0, equals);
    if ((flag == "--help" || flag == "-h") && !has_value) {
      options.help = true;
      continue;
    }
    if (flag != "--format" && flag != "--require") {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown ", absl::StartsWith(flag, "-") ? "flag" : "argument", " \"",
                       arguments[i], "\"; there are --format, --require and --help"));
    }
    if (!has_value && i + 1 == arguments.size()) {
      return absl::InvalidArgumentError(absl::StrCat(flag, " wants a value; see --help"));
    }
    const absl::string_view value = has_value ? arguments[i].substr(equals + 1) : arguments[++i];
    const absl::Status status =
        flag == "--format" ? ParseFormat(value, options) : ParseRequired(value, linked, options);
    if (!status.ok()) return status;
  }
  return options;
}

}  // namespace tenon::doctor
