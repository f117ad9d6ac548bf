// Reading the command line of a benchmark.

#include "tenon/tools/bench/options.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tenon::bench {
namespace {

// The options that take a value.
std::vector<absl::string_view> ValueOptions(const OptionsSpec& spec) {
  std::vector<absl::string_view> names = {"--format", "--out", "--rounds", "--subjects"};
  if (!spec.cases.empty()) names.push_back("--cases");
  if (spec.connections) names.push_back("--connections");
  if (spec.directory) names.push_back("--dir");
  return names;
}

// One argument, taken apart. `has_value` tells `--out=` from `--out`.
struct Argument {
  absl::string_view name;
  absl::string_view value;
  bool has_value = false;
};

Argument TakeApart(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos) return {.name = text, .value = {}, .has_value = false};
  return {.name = text.substr(0, equals), .value = text.substr(equals + 1), .has_value = true};
}

absl::StatusOr<int> ParseBounded(absl::string_view name, absl::string_view text, int min, int max) {
  int value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < min || value > max) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": '", text, "' is not a whole number from ", min, " to ", max));
  }
  return value;
}

absl::Status ParseFormat(absl::string_view text, Options& options) {
  if (text == "table") {
    options.format = Format::kTable;
  } else if (text == "json") {
    options.format = Format::kJson;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("--format: unknown format '", text, "'; valid: table, json"));
  }
  return absl::OkStatus();
}

absl::Status ParseConnections(absl::string_view text, Options& options) {
  options.connections.clear();
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    absl::StatusOr<int> count = ParseBounded("--connections", item, 1, kMaxConnections);
    if (!count.ok()) return count.status();
    if (std::count(options.connections.begin(), options.connections.end(), *count) != 0) {
      return absl::InvalidArgumentError(absl::StrCat("--connections: ", *count, " named twice"));
    }
    options.connections.push_back(*count);
  }
  return absl::OkStatus();
}

// A list of names, each one of `known` and named once.
absl::StatusOr<std::vector<std::string>> ParseNames(const Argument& argument,
                                                    absl::string_view what,
                                                    const std::vector<std::string>& known) {
  std::vector<std::string> names;
  for (absl::string_view item : absl::StrSplit(argument.value, ',')) {
    if (std::count(known.begin(), known.end(), item) == 0) {
      return absl::InvalidArgumentError(absl::StrCat(argument.name, ": unknown ", what, " '", item,
                                                     "'; valid: ", absl::StrJoin(known, ", ")));
    }
    if (std::count(names.begin(), names.end(), item) != 0) {
      return absl::InvalidArgumentError(absl::StrCat(argument.name, ": '", item, "' named twice"));
    }
    names.emplace_back(item);
  }
  return names;
}

absl::Status ParsePath(const Argument& argument, absl::string_view of, std::string& path) {
  if (argument.value.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(argument.name, ": needs the name of a ", of));
  }
  path = std::string(argument.value);
  return absl::OkStatus();
}

// REQUIRES: the argument is one of ValueOptions.
absl::Status ParseValue(const Argument& argument, const OptionsSpec& spec, Options& options) {
  if (argument.name == "--format") return ParseFormat(argument.value, options);
  if (argument.name == "--connections") return ParseConnections(argument.value, options);
  if (argument.name == "--out") return ParsePath(argument, "file", options.out);
  if (argument.name == "--dir") return ParsePath(argument, "directory", options.directory);
  if (argument.name == "--rounds") {
    absl::StatusOr<int> rounds =
        ParseBounded(argument.name, argument.value, kMinRounds, kMaxRounds);
    if (rounds.ok()) options.rounds = *rounds;
    return rounds.status();
  }
  const bool cases = argument.name == "--cases";
  absl::StatusOr<std::vector<std::string>> names =
      ParseNames(argument, cases ? "case" : "subject", cases ? spec.cases : spec.subjects);
  if (names.ok()) (cases ? options.cases : options.subjects) = *std::move(names);
  return names.status();
}

// True for the options that stand alone; sets what they ask for.
bool ParseSwitch(absl::string_view name, Options& options) {
  if (name == "--quick") {
    options.quick = true;
  } else if (name == "--help" || name == "-h") {
    options.help = true;
  } else {
    return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Options> ParseOptions(absl::Span<const absl::string_view> arguments,
                                     const OptionsSpec& spec) {
  const std::vector<absl::string_view> take_value = ValueOptions(spec);
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    Argument argument = TakeApart(arguments[i]);
    if (ParseSwitch(argument.name, options)) {
      if (!argument.has_value) continue;
      return absl::InvalidArgumentError(absl::StrCat(argument.name, ": takes no value"));
    }
    if (std::count(take_value.begin(), take_value.end(), argument.name) == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "unknown ", absl::StartsWith(arguments[i], "-") ? "option" : "argument", " '",
          arguments[i], "'; valid: ", absl::StrJoin(take_value, ", "), ", --quick, --help"));
    }
    if (!argument.has_value) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat(argument.name, ": needs a value"));
      }
      argument.value = arguments[++i];
    }
    absl::Status status = ParseValue(argument, spec, options);
    if (!status.ok()) return status;
  }
  return options;
}

std::string OptionsHelp(const OptionsSpec& spec) {
  std::string text = absl::StrCat(
      "  --format=table|json   how the report is written (table)\n"
      "  --out FILE            where to (standard output)\n"
      "  --quick               shorter rounds, and the fewest allowed\n"
      "  --rounds N            interleaved rounds, from ",
      kMinRounds, " to ", kMaxRounds, "\n");
  if (spec.connections) {
    absl::StrAppend(&text, "  --connections N,…     cases, each from 1 to ", kMaxConnections, "\n");
  }
  if (!spec.cases.empty()) {
    absl::StrAppend(&text, "  --cases NAME,…        subset of ", absl::StrJoin(spec.cases, ", "),
                    "\n");
  }
  if (spec.directory) {
    absl::StrAppend(&text, "  --dir DIRECTORY       where the measured files are made\n");
  }
  return absl::StrCat(text, "  --subjects NAME,…     subset of ",
                      absl::StrJoin(spec.subjects, ", "),
                      "\n"
                      "  --help                this text\n");
}

}  // namespace tenon::bench
