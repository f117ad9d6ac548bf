#include "tenon/tools/conform/differential_options.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tenon/conformance/differential/generate.h"
#include "tenon/conformance/runner/selection.h"

namespace tenon::conformance {
namespace {

constexpr uint64_t kDefaultSeeds = 200;
constexpr uint64_t kMostSeeds = 1'000'000'000;
constexpr uint64_t kLongestSeconds = 86'400;

constexpr std::string_view kHelp =
    R"(conform differential runs random scripts of operations on several backends and compares what
they did.

  conform differential [FLAGS]

  --backends NAME[,NAME...]  which; every one that can run by default. NAME,NAME compares one
                             with itself
  --seeds N                  scripts; 200 by default
  --first_seed N             from this one on; 1 by default
  --steps N                  of each script, 1 to 1000; 40 by default
  --time_limit SECONDS       begins no more scripts after this time
  --timeout SECONDS          after which one run of a script counts as hanging; 30 by default
  --script FILE              runs the script in FILE, "-" for standard input, and no others
  --shrink yes|no            whether to look for a shorter script that fails, too; yes by default
  --out FILE                 writes the shortest script that fails there, too
  --help                     this text

The first difference ends the run, and is printed with its script, both histories and a line that replays it.

Exit status: 0 when all did the same, 1 when not, 2 for arguments that make no sense, 130 when interrupted.
)";

const std::vector<std::string>& FlagNames() {
  static const auto* const names = new std::vector<std::string>{
      "--backends", "--seeds",  "--first_seed", "--steps", "--time_limit",
      "--timeout",  "--script", "--shrink",     "--out",   "--help"};
  return *names;
}

absl::StatusOr<uint64_t> ParseNumber(std::string_view flag, std::string_view value, uint64_t least,
                                     uint64_t most) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number < least || number > most) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": \"", value, "\" is not a number from ", least, " to ", most));
  }
  return number;
}

absl::Status SetNumber(std::string_view flag, std::string_view value,
                       DifferentialOptions& options) {
  uint64_t least = 1;
  uint64_t most = kLongestSeconds;
  if (flag == "--first_seed") least = 0;
  if (flag == "--first_seed" || flag == "--seeds") most = kMostSeeds;
  if (flag == "--steps") most = differential::kMaxSteps;
  const absl::StatusOr<uint64_t> number = ParseNumber(flag, value, least, most);
  if (!number.ok()) return number.status();
  if (flag == "--first_seed") options.first_seed = *number;
  if (flag == "--seeds") options.seeds = *number;
  if (flag == "--steps") options.steps = static_cast<int>(*number);
  if (flag == "--time_limit") options.time_limit = std::chrono::seconds(*number);
  if (flag == "--timeout") options.timeout = std::chrono::seconds(*number);
  return absl::OkStatus();
}

absl::Status SetValue(std::string_view flag, std::string_view value, DifferentialOptions& options) {
  if (flag == "--backends") {
    for (const std::string_view name : absl::StrSplit(value, ',')) {
      if (name.empty()) return absl::InvalidArgumentError("--backends: an empty name");
      options.backends.emplace_back(name);
    }
    return absl::OkStatus();
  }
  if (flag == "--script" || flag == "--out") {
    if (value.empty()) return absl::InvalidArgumentError(absl::StrCat(flag, ": no file given"));
    (flag == "--script" ? options.script : options.out) = std::string(value);
    return absl::OkStatus();
  }
  if (flag == "--shrink") {
    options.shrink = value == "yes";
    if (options.shrink || value == "no") return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("--shrink: \"", value, "\" is not yes or no"));
  }
  return SetNumber(flag, value, options);
}

absl::Status UnknownFlag(std::string_view flag) {
  const std::vector<std::string> near = NearNames(flag, FlagNames());
  return absl::InvalidArgumentError(
      absl::StrCat("differential: unknown flag ", flag,
                   near.empty() ? "; see differential --help"
                                : absl::StrCat("; did you mean ", absl::StrJoin(near, ", "), "?")));
}

absl::Status CheckTogether(const DifferentialOptions& options, bool seeded) {
  if (!options.script.empty() && seeded) {
    return absl::InvalidArgumentError(
        "differential: --script runs one script; --seeds, --first_seed and --steps make others");
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view DifferentialHelpText() { return kHelp; }

absl::StatusOr<DifferentialOptions> ParseDifferentialOptions(
    const std::vector<std::string>& arguments) {
  DifferentialOptions options;
  options.seeds = kDefaultSeeds;
  options.steps = differential::kDefaultSteps;
  bool seeded = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(arguments[i], absl::MaxSplits('=', 1));
    const std::string& flag = parts.first;
    const bool known = std::find(FlagNames().begin(), FlagNames().end(), flag) != FlagNames().end();
    if (flag == "--help" || flag == "-h") {
      options.help = true;
      return options;
    }
    if (!known) return UnknownFlag(flag);
    const bool has_value = absl::StrContains(arguments[i], '=');
    if (!has_value && i + 1 == arguments.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " wants a value; see differential --help"));
    }
    const absl::Status status = SetValue(flag, has_value ? parts.second : arguments[++i], options);
    if (!status.ok()) return status;
    seeded = seeded || flag == "--seeds" || flag == "--first_seed" || flag == "--steps";
  }
  const absl::Status together = CheckTogether(options, seeded);
  if (!together.ok()) return together;
  return options;
}

}  // namespace tenon::conformance
