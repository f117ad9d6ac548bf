// Reading the command line of a benchmark.

#include "tenon/tools/bench/options.h"

#include <algorithm>
#include <cstddef>
#include <string>
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

constexpr absl::string_view kValidOptions =
    "--format, --out, --quick, --rounds, --connections, --subjects, --help";

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

absl::Status ParseSubjects(absl::string_view text,
                           absl::Span<const absl::string_view> known_subjects, Options& options) {
  options.subjects.clear();
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    if (std::count(known_subjects.begin(), known_subjects.end(), item) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--subjects: unknown subject '", item,
                       "'; valid: ", absl::StrJoin(known_subjects, ", ")));
    }
    if (std::count(options.subjects.begin(), options.subjects.end(), item) != 0) {
      return absl::InvalidArgumentError(absl::StrCat("--subjects: '", item, "' named twice"));
    }
    options.subjects.emplace_back(item);
  }
  return absl::OkStatus();
}

absl::Status ParseValue(const Argument& argument,
                        absl::Span<const absl::string_view> known_subjects, Options& options) {
  if (argument.name == "--format") return ParseFormat(argument.value, options);
  if (argument.name == "--connections") return ParseConnections(argument.value, options);
  if (argument.name == "--subjects") return ParseSubjects(argument.value, known_subjects, options);
  if (argument.name == "--rounds") {
    absl::StatusOr<int> rounds =
        ParseBounded(argument.name, argument.value, kMinRounds, kMaxRounds);
    if (!rounds.ok()) return rounds.status();
    options.rounds = *rounds;
    return absl::OkStatus();
  }
  if (argument.value.empty()) return absl::InvalidArgumentError("--out: needs the name of a file");
  options.out = std::string(argument.value);
  return absl::OkStatus();
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

bool TakesValue(absl::string_view name) {
  return name == "--format" || name == "--out" || name == "--rounds" || name == "--connections" ||
         name == "--subjects";
}

}  // namespace

absl::StatusOr<Options> ParseOptions(absl::Span<const absl::string_view> arguments,
                                     absl::Span<const absl::string_view> known_subjects) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    Argument argument = TakeApart(arguments[i]);
    if (ParseSwitch(argument.name, options)) {
      if (!argument.has_value) continue;
      return absl::InvalidArgumentError(absl::StrCat(argument.name, ": takes no value"));
    }
    if (!TakesValue(argument.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown ", absl::StartsWith(arguments[i], "-") ? "option" : "argument",
                       " '", arguments[i], "'; valid: ", kValidOptions));
    }
    if (!argument.has_value) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat(argument.name, ": needs a value"));
      }
      argument.value = arguments[++i];
    }
    absl::Status status = ParseValue(argument, known_subjects, options);
    if (!status.ok()) return status;
  }
  return options;
}

std::string OptionsHelp(absl::Span<const absl::string_view> known_subjects) {
  return absl::StrCat(
      "  --format=table|json   how the report is written (table)\n"
      "  --out FILE            where to (standard output)\n"
      "  --quick               shorter rounds, and the fewest allowed\n"
      "  --rounds N            interleaved rounds, from ",
      kMinRounds, " to ", kMaxRounds,
      "\n"
      "  --connections N,…     cases, each from 1 to ",
      kMaxConnections,
      "\n"
      "  --subjects NAME,…     subset of ",
      absl::StrJoin(known_subjects, ", "),
      "\n"
      "  --help                this text\n");
}

}  // namespace tenon::bench
