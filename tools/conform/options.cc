#include "tenon/tools/conform/options.h"

#include <random>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tenon/conformance/runner/runner.h"

namespace tenon::conformance {
namespace {

constexpr std::string_view kHelp =
    R"(conform runs the conformance suite against the backends and allocators it is linked with.

  conform [FLAGS]            runs every rule on every subject, each in a process of its own
  conform --list             lists the rules
  conform --explain RULE     says what a rule demands, why, where it comes from, and its mutant
  conform mutants [FLAGS]    proves the suite: each rule must fail on its mutant
  conform differential [FLAGS]
                             runs random scripts on several backends and compares them; has a
                             --help of its own

  --facet GLOB[,GLOB...]     facets to run: loop, allocator
  --subject GLOB[,GLOB...]   backends and allocators to run; for mutants, what is made wrong
  --rule GLOB[,GLOB...]      rules to run, such as TD-4 or 'CAN-*'
  --format FORMAT            table, json, junit or markdown; --list: no junit; mutants: table, json
  --out FILE                 writes there instead of to standard output
  --jobs N                   rules running at once; as many as there are processors by default
  --seed N                   for every random choice; a random one by default, shown in each replay
  --timeout SECONDS          after which a rule is killed; 30 by default, 10 for mutants
  --help                     this text

Exit status: 0 when every subject is as it declares to be (mutants: all were caught), 1 when not,
2 for arguments that make no sense, 130 when interrupted.
)";

const std::vector<std::string>& FlagNames() {
  static const auto* const names = new std::vector<std::string>{
      "--facet", "--subject", "--rule", "--list",    "--explain", "--format",
      "--out",   "--jobs",    "--seed", "--timeout", "--help"};
  return *names;
}

// Splits at the commas that are in no parentheses: "system,quota(64MiB,system)" is two.
std::vector<std::string_view> SplitList(std::string_view value) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '(') ++depth;
    if (value[i] == ')') --depth;
    if (value[i] != ',' || depth > 0) continue;
    parts.push_back(value.substr(begin, i - begin));
    begin = i + 1;
  }
  parts.push_back(value.substr(begin));
  return parts;
}

absl::Status AddPatterns(std::string_view flag, std::string_view value,
                         std::vector<std::string>& patterns) {
  for (const std::string_view pattern : SplitList(value)) {
    if (pattern.empty()) return absl::InvalidArgumentError(absl::StrCat(flag, ": an empty name"));
    patterns.emplace_back(pattern);
  }
  return absl::OkStatus();
}

absl::StatusOr<int> ParseCount(std::string_view flag, std::string_view value) {
  constexpr int kMax = 86'400;
  int count = 0;
  if (!absl::SimpleAtoi(value, &count) || count < 1 || count > kMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": \"", value, "\" is not a number from 1 to ", kMax));
  }
  return count;
}

absl::Status SetFormat(std::string_view value, Options& options) {
  const std::optional<Format> format = ParseFormat(value);
  if (!format.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--format: \"", value, "\" is none of table, json, junit, markdown"));
  }
  options.format = *format;
  return absl::OkStatus();
}

// Flags that take a value.
absl::Status SetValue(std::string_view flag, std::string_view value, Options& options) {
  if (flag == "--facet") return AddPatterns(flag, value, options.selection.facets);
  if (flag == "--subject") return AddPatterns(flag, value, options.selection.subjects);
  if (flag == "--rule") return AddPatterns(flag, value, options.selection.rules);
  if (flag == "--format") return SetFormat(value, options);
  if (flag == "--explain") {
    options.command = Command::kExplain;
    options.explain = value;
  } else if (flag == "--out") {
    if (value.empty()) return absl::InvalidArgumentError("--out: no file given");
    options.out = value;
  } else if (flag == "--seed") {
    if (!absl::SimpleAtoi(value, &options.seed)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--seed: \"", value, "\" is not a number from 0 to 2^64-1"));
    }
  } else {
    const absl::StatusOr<int> count = ParseCount(flag, value);
    if (!count.ok()) return count.status();
    if (flag == "--jobs") options.jobs = *count;
    if (flag == "--timeout") options.timeout = std::chrono::seconds(*count);
  }
  return absl::OkStatus();
}

absl::Status UnknownFlag(std::string_view flag) {
  const std::vector<std::string> near = NearNames(flag, FlagNames());
  return absl::InvalidArgumentError(
      absl::StrCat("unknown flag ", flag,
                   near.empty() ? "; see --help"
                                : absl::StrCat("; did you mean ", absl::StrJoin(near, ", "), "?")));
}

absl::Status CheckFormat(const Options& options) {
  const bool junit = options.format == Format::kJunit;
  if (options.command == Command::kList && junit) {
    return absl::InvalidArgumentError("--list has no junit format: table, json or markdown");
  }
  if (options.command == Command::kMutants && (junit || options.format == Format::kMarkdown)) {
    return absl::InvalidArgumentError("mutants has the formats table and json");
  }
  return absl::OkStatus();
}

absl::Status ParseWord(std::string_view word, size_t position, Options& options) {
  if (position == 0 && word == "mutants") {
    options.command = Command::kMutants;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", word,
                   "\" is no command; there are: mutants, differential. "
                   "Rules are chosen by --rule"));
}

}  // namespace

std::string_view HelpText() { return kHelp; }

absl::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  options.jobs = DefaultJobs();
  options.seed = std::random_device()();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::pair<std::string_view, std::string_view> parts =
        absl::StrSplit(arguments[i], absl::MaxSplits('=', 1));
    const bool has_value = absl::StrContains(arguments[i], '=');
    const std::string_view flag = parts.first;
    absl::Status status;
    if (!absl::StartsWith(flag, "-")) {
      status = ParseWord(arguments[i], i, options);
    } else if (flag == "--help" || flag == "-h") {
      options.command = Command::kHelp;
      return options;
    } else if (flag == "--list" && !has_value) {
      options.command = Command::kList;
    } else if (absl::c_find(FlagNames(), flag) == FlagNames().end() || flag == "--list") {
      status = flag == "--list" ? absl::InvalidArgumentError("--list takes no value")
                                : UnknownFlag(flag);
    } else if (has_value) {
      status = SetValue(flag, parts.second, options);
    } else if (i + 1 == arguments.size()) {
      status = absl::InvalidArgumentError(absl::StrCat(flag, " wants a value; see --help"));
    } else {
      status = SetValue(flag, arguments[++i], options);
    }
    if (!status.ok()) return status;
  }
  const absl::Status format = CheckFormat(options);
  if (!format.ok()) return format;
  return options;
}

}  // namespace tenon::conformance
