#include "tenon/conformance/runner/selection.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tenon::conformance {
namespace {

constexpr size_t kMaxNearNames = 3;

// Levenshtein's distance, ignoring case.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = absl::ascii_tolower(a[i - 1]) == absl::ascii_tolower(b[j - 1]);
      const size_t replaced = diagonal + (same ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::vector<std::string> Sorted(const std::set<std::string>& names) {
  return {names.begin(), names.end()};
}

}  // namespace

bool MatchesGlob(std::string_view pattern, std::string_view text) {
  // Where to try again: just after the last '*', and the text it has swallowed so far.
  size_t p = 0, t = 0, star = std::string_view::npos, swallowed = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      swallowed = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || absl::ascii_tolower(pattern[p]) ==
                                                               absl::ascii_tolower(text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++swallowed;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::vector<std::string> NearNames(std::string_view name, const std::vector<std::string>& names) {
  // Further than this from what was typed is another word.
  const size_t limit = std::max<size_t>(2, name.size() / 3);
  std::multimap<size_t, std::string> near;
  for (const std::string& candidate : names) {
    const size_t distance = EditDistance(name, candidate);
    if (distance <= limit) near.emplace(distance, candidate);
  }
  std::vector<std::string> nearest;
  for (const auto& [distance, candidate] : near) {
    if (nearest.size() < kMaxNearNames) nearest.push_back(candidate);
  }
  return nearest;
}

absl::Status CheckPatterns(std::string_view kind, const std::vector<std::string>& patterns,
                           const std::vector<std::string>& names) {
  for (const std::string& pattern : patterns) {
    const bool found = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return MatchesGlob(pattern, name);
    });
    if (found) continue;
    std::string message = absl::StrCat("no ", kind, " matches \"", pattern, "\"");
    const std::vector<std::string> near = NearNames(pattern, names);
    if (!near.empty()) {
      absl::StrAppend(&message, "; did you mean ", absl::StrJoin(near, ", "), "?");
    } else {
      absl::StrAppend(&message, "; there are: ", absl::StrJoin(names, ", "));
    }
    return absl::NotFoundError(message);
  }
  return absl::OkStatus();
}

bool Selected(const std::vector<std::string>& patterns, std::string_view name) {
  if (patterns.empty()) return true;
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return MatchesGlob(pattern, name); });
}

absl::StatusOr<std::vector<Subject>> Select(std::vector<Subject> subjects,
                                            const Selection& selection) {
  std::set<std::string> facet_names, subject_names;
  std::vector<std::string> rule_names;
  for (const Subject& subject : subjects) {
    facet_names.insert(subject.facet);
    subject_names.insert(subject.name);
    for (const BoundRule& bound : subject.rules) {
      const std::string id(bound.rule->id);
      if (std::find(rule_names.begin(), rule_names.end(), id) == rule_names.end()) {
        rule_names.push_back(id);
      }
    }
  }
  for (const absl::Status& status :
       {CheckPatterns("facet", selection.facets, Sorted(facet_names)),
        CheckPatterns("subject", selection.subjects, Sorted(subject_names)),
        CheckPatterns("rule", selection.rules, rule_names)}) {
    if (!status.ok()) return status;
  }
  std::vector<Subject> selected;
  for (Subject& subject : subjects) {
    if (!Selected(selection.facets, subject.facet)) continue;
    if (!Selected(selection.subjects, subject.name)) continue;
    std::erase_if(subject.rules, [&](const BoundRule& bound) {
      return !Selected(selection.rules, bound.rule->id);
    });
    if (!subject.rules.empty()) selected.push_back(std::move(subject));
  }
  return selected;
}

}  // namespace tenon::conformance
