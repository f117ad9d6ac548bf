#include "tenon/tools/conform/mutants.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tenon/conformance/report/escape.h"
#include "tenon/conformance/runner/selection.h"

namespace tenon::conformance {
namespace {

constexpr std::string_view kGood = "good";
constexpr std::string_view kMutantPrefix = "mutant-";
constexpr std::string_view kCheaterPrefix = "cheater-";

const RuleResult* Find(const Report& report, std::string_view subject, std::string_view rule) {
  for (const SubjectReport& candidate : report.subjects) {
    if (candidate.name != subject) continue;
    for (const RuleResult& result : candidate.rules) {
      if (result.rule->id == rule) return &result;
    }
  }
  return nullptr;
}

MutantResult JudgeMutant(const BoundMutant& mutant, const RuleResult& wrong,
                         const RuleResult* good) {
  MutantResult result = {.rule = wrong.rule, .mutant = mutant.name, .verdict = wrong.verdict};
  if (good == nullptr || good->verdict != Verdict::kPass) {
    result.reason = absl::StrCat("the good one does not pass: ",
                                 good == nullptr ? "not run" : Headline(good->detail));
  } else if (wrong.verdict != Verdict::kFail) {
    result.reason = absl::StrCat("not failed: ", VerdictName(wrong.verdict),
                                 wrong.detail.empty() ? "" : ": ", Headline(wrong.detail));
  } else if (mutant.expected_reason.empty() ||
             !absl::StrContains(wrong.detail, mutant.expected_reason)) {
    result.reason = absl::StrCat("failed, but not for \"", mutant.expected_reason,
                                 "\": ", Headline(wrong.detail));
  } else {
    result.killed = true;
    result.reason = Headline(wrong.detail);
  }
  return result;
}

// The subject of each mutant: by its rule, and by a number from the second one of a rule on.
std::vector<std::string> SubjectNames(const std::vector<BoundMutant>& mutants) {
  std::map<std::string_view, int> seen;
  std::vector<std::string> names;
  for (const BoundMutant& mutant : mutants) {
    const int number = ++seen[mutant.rule];
    names.push_back(number == 1 ? absl::StrCat(kMutantPrefix, mutant.rule)
                                : absl::StrCat(kMutantPrefix, mutant.rule, "-", number));
  }
  return names;
}

// The rule of this id; null if the suite has none.
const Rule* FindRule(const MutantSuite& suite, std::string_view id) {
  for (const BoundRule& bound : suite.good) {
    if (bound.rule->id == id) return bound.rule;
  }
  return nullptr;
}

Subject MakeSubject(const MutantSuite& suite, std::string name, std::vector<BoundRule> rules) {
  return {.name = std::move(name),
          .facet = suite.facet,
          .rules = std::move(rules),
          .known_failures = {}};
}

void AddSubjects(const MutantSuite& suite, const std::vector<std::string>& patterns,
                 std::vector<Subject>& subjects) {
  const std::vector<std::string> names = SubjectNames(suite.mutants);
  std::vector<BoundRule> selected;
  for (const BoundRule& bound : suite.good) {
    if (Selected(patterns, bound.rule->id)) selected.push_back(bound);
  }
  if (selected.empty()) return;
  for (size_t i = 0; i < suite.mutants.size(); ++i) {
    const BoundMutant& mutant = suite.mutants[i];
    const Rule* const rule = FindRule(suite, mutant.rule);
    CHECK(rule != nullptr) << "a mutant of " << mutant.rule << ", which is no rule";
    if (!Selected(patterns, rule->id) || !mutant.body) continue;
    subjects.push_back(MakeSubject(suite, names[i], {{rule, mutant.body}}));
  }
  subjects.push_back(MakeSubject(suite, std::string(kGood), std::move(selected)));
  for (const BoundCheater& cheater : suite.cheaters) {
    subjects.push_back(
        MakeSubject(suite, absl::StrCat(kCheaterPrefix, cheater.name), cheater.rules));
  }
}

void JudgeSuite(const Report& report, const MutantSuite& suite, MutantReport& judged) {
  std::set<std::string_view> with_mutant;
  const std::vector<std::string> names = SubjectNames(suite.mutants);
  for (size_t i = 0; i < suite.mutants.size(); ++i) {
    const BoundMutant& mutant = suite.mutants[i];
    if (!mutant.body) continue;
    with_mutant.insert(mutant.rule);
    const RuleResult* const wrong = Find(report, names[i], mutant.rule);
    if (wrong == nullptr) continue;
    judged.mutants.push_back(JudgeMutant(mutant, *wrong, Find(report, kGood, mutant.rule)));
  }
  for (const BoundRule& bound : suite.good) {
    if (!with_mutant.contains(bound.rule->id)) {
      judged.rules_without_mutant.emplace_back(bound.rule->id);
    }
  }
}

size_t CountKilled(const MutantReport& report) {
  return std::count_if(report.mutants.begin(), report.mutants.end(),
                       [](const MutantResult& result) { return result.killed; });
}

std::string Padded(std::string_view text, size_t width) {
  std::string padded(text);
  padded.resize(std::max(width, text.size()), ' ');
  return padded;
}

}  // namespace

size_t IndexOf(std::string_view id, absl::Span<const Rule> rules) {
  return static_cast<size_t>(
      std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) { return rule.id == id; }) -
      rules.begin());
}

std::vector<Subject> MutantSubjects(const std::vector<MutantSuite>& suites,
                                    const std::vector<std::string>& patterns) {
  std::vector<Subject> subjects;
  for (const MutantSuite& suite : suites) AddSubjects(suite, patterns, subjects);
  return subjects;
}

MutantReport JudgeMutants(const Report& report, const std::vector<MutantSuite>& suites) {
  MutantReport judged;
  for (const MutantSuite& suite : suites) JudgeSuite(report, suite, judged);
  for (const SubjectReport& subject : report.subjects) {
    std::string_view name = subject.name;
    if (!absl::ConsumePrefix(&name, kCheaterPrefix)) continue;
    for (const RuleResult& result : subject.rules) {
      judged.cheaters.push_back({absl::StrCat(subject.facet, ": ", name), result.rule,
                                 result.verdict, Headline(result.detail)});
    }
  }
  return judged;
}

int CountCheaters(const MutantReport& report) {
  std::set<std::string_view> names;
  for (const CheaterResult& result : report.cheaters) names.insert(result.cheater);
  return static_cast<int>(names.size());
}

int CountRedCheaters(const MutantReport& report) {
  std::set<std::string_view> failed, passed;
  for (const CheaterResult& result : report.cheaters) {
    if (result.verdict == Verdict::kFail) failed.insert(result.cheater);
    if (result.verdict == Verdict::kPass) passed.insert(result.cheater);
  }
  return static_cast<int>(std::count_if(
      failed.begin(), failed.end(), [&](std::string_view name) { return !passed.contains(name); }));
}

bool AllCaught(const MutantReport& report) {
  const int cheaters = CountCheaters(report);
  return !report.mutants.empty() && CountKilled(report) == report.mutants.size() &&
         report.rules_without_mutant.empty() && cheaters > 0 &&
         CountRedCheaters(report) == cheaters;
}

std::string FormatMutantTable(const MutantReport& report) {
  constexpr size_t kIdWidth = 9;
  constexpr size_t kVerdictWidth = 10;
  std::string text;
  for (const MutantResult& result : report.mutants) {
    absl::StrAppend(&text, Padded(result.rule->id, kIdWidth),
                    Padded(result.killed ? "killed" : "ALIVE", kVerdictWidth), result.mutant,
                    "\n                   ", result.reason, "\n");
  }
  for (const CheaterResult& result : report.cheaters) {
    absl::StrAppend(&text, Padded(result.rule->id, kIdWidth),
                    Padded(result.verdict == Verdict::kPass ? "GREEN" : VerdictName(result.verdict),
                           kVerdictWidth + 4),
                    "cheater: ", result.cheater, "\n                   ", result.reason, "\n");
  }
  for (const std::string& rule : report.rules_without_mutant) {
    absl::StrAppend(&text, Padded(rule, kIdWidth), "has no mutant\n");
  }
  absl::StrAppend(&text, "\n", CountKilled(report), " of ", report.mutants.size(),
                  " mutants killed, ", CountRedCheaters(report), " of ", CountCheaters(report),
                  " cheaters red\n");
  return text;
}

std::string FormatMutantJson(const MutantReport& report) {
  std::string json =
      absl::StrCat("{\n  \"mutants\": ", report.mutants.size(),
                   ",\n  \"killed\": ", CountKilled(report), ",\n  \"rules_without_mutant\": [");
  const char* separator = "";
  for (const std::string& rule : report.rules_without_mutant) {
    absl::StrAppend(&json, separator, JsonString(rule));
    separator = ", ";
  }
  absl::StrAppend(&json, "],\n  \"cheaters\": ", CountCheaters(report),
                  ",\n  \"cheaters_red\": ", CountRedCheaters(report), ",\n  \"results\": [");
  separator = "\n";
  for (const MutantResult& result : report.mutants) {
    absl::StrAppend(&json, separator, "    {\"rule\": ", JsonString(result.rule->id),
                    ", \"mutant\": ", JsonString(result.mutant),
                    ", \"verdict\": ", JsonString(VerdictName(result.verdict)),
                    ", \"killed\": ", result.killed ? "true" : "false",
                    ", \"reason\": ", JsonString(result.reason), "}");
    separator = ",\n";
  }
  absl::StrAppend(&json, "\n  ],\n  \"cheater_results\": [");
  separator = "\n";
  for (const CheaterResult& result : report.cheaters) {
    absl::StrAppend(&json, separator, "    {\"rule\": ", JsonString(result.rule->id),
                    ", \"cheater\": ", JsonString(result.cheater),
                    ", \"verdict\": ", JsonString(VerdictName(result.verdict)),
                    ", \"reason\": ", JsonString(result.reason), "}");
    separator = ",\n";
  }
  return absl::StrCat(json, "\n  ]\n}\n");
}

}  // namespace tenon::conformance
