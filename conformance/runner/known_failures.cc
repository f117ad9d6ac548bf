#include "tenon/conformance/runner/known_failures.h"

#include <fstream>
#include <sstream>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tenon/conformance/runner/selection.h"

namespace tenon::conformance {

absl::StatusOr<KnownFailures> ParseKnownFailures(std::string_view text, std::string_view file,
                                                 absl::Span<const Rule> rules) {
  std::vector<std::string> ids;
  for (const Rule& rule : rules) ids.emplace_back(rule.id);
  KnownFailures known;
  int number = 0;
  for (const std::string_view raw : absl::StrSplit(text, '\n')) {
    ++number;
    const std::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || absl::StartsWith(line, "#")) continue;
    const auto error = [&](std::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(file, ":", number, ": ", what));
    };
    const size_t end = line.find_first_of(" \t");
    const std::string id(line.substr(0, end));
    if (absl::StrContains(id, '*') || absl::StrContains(id, '?')) {
      return error(absl::StrCat("\"", id, "\" is a pattern; list each rule with its reason"));
    }
    const absl::Status exists = CheckPatterns("rule", {id}, ids);
    if (!exists.ok()) return error(exists.message());
    if (end == std::string_view::npos) {
      return error(absl::StrCat(id, " has no reason: write `", id, "  why it fails`"));
    }
    const std::string_view reason = absl::StripLeadingAsciiWhitespace(line.substr(end));
    if (!known.emplace(id, reason).second) return error(absl::StrCat(id, " is listed twice"));
  }
  return known;
}

absl::StatusOr<KnownFailures> ReadKnownFailures(const std::string& file,
                                                absl::Span<const Rule> rules) {
  std::ifstream stream(file);
  if (!stream) return absl::NotFoundError(absl::StrCat("known failures: cannot read ", file));
  std::stringstream text;
  text << stream.rdbuf();
  return ParseKnownFailures(text.str(), file, rules);
}

}  // namespace tenon::conformance
