#include "tenon/tools/conform/mutants.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tenon/conformance/report/escape.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/conformance/rules/loop_rules.h"
#include "tenon/conformance/runner/loop_subject.h"
#include "tenon/conformance/runner/selection.h"
#include "tenon/tools/conform/cheaters.h"

namespace tenon::conformance {
namespace {

constexpr std::string_view kGood = "good";
constexpr std::string_view kMutantPrefix = "mutant-";
constexpr std::string_view kCheaterPrefix = "cheater-";

// Rules that no backend can pass which does not do the work.
constexpr std::string_view kCheaterRules[] = {"CMP-3", "CMP-5", "CAN-1"};

void SwitchOn([[maybe_unused]] const LoopMutant& mutant) {
#ifdef TENON_LOOP_MUTATIONS
  if (mutant.loop_mutation.has_value()) SetLoopMutation(*mutant.loop_mutation);
#endif
}

// The rule on the mutant, which is made in the process that runs it.
BoundRule BindMutant(const Rule& rule, LoopRuleBody body, const LoopMutant& mutant,
                     const LoopBackendFactory& base) {
  return {&rule, [&rule, body, mutant, &base](RuleContext& context) {
            SwitchOn(mutant);
            const LoopBackendFactory& wrong = mutant.wrap != nullptr ? *mutant.wrap(base) : base;
            BindLoopRule(rule, body, wrong).body(context);
          }};
}

const RuleResult* Find(const Report& report, std::string_view subject, std::string_view rule) {
  for (const SubjectReport& candidate : report.subjects) {
    if (candidate.name != subject) continue;
    for (const RuleResult& result : candidate.rules) {
      if (result.rule->id == rule) return &result;
    }
  }
  return nullptr;
}

MutantResult JudgeMutant(const LoopMutant& mutant, const RuleResult& wrong,
                         const RuleResult* good) {
  MutantResult result = {.rule = wrong.rule, .mutant = mutant.name, .verdict = wrong.verdict};
  if (good == nullptr || good->verdict != Verdict::kPass) {
    result.reason = absl::StrCat("the good backend does not pass: ",
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

std::vector<LoopMutant> LoopMutants() {
  return {
#define TENON_RULE(name, ...) loop_mutants::name(),
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE
  };
}

std::vector<Subject> MutantSubjects(const LoopBackendFactory& base,
                                    const std::vector<std::string>& patterns) {
  const absl::Span<const Rule> rules = LoopRules();
  const std::vector<LoopMutant> mutants = LoopMutants();
  Subject good = {.name = std::string(kGood), .facet = "loop", .rules = {}, .known_failures = {}};
  std::vector<Subject> subjects;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (!Selected(patterns, rules[i].id)) continue;
    good.rules.push_back(BindLoopRule(rules[i], LoopRuleBodies()[i], base));
    subjects.push_back({.name = absl::StrCat(kMutantPrefix, rules[i].id),
                        .facet = "loop",
                        .rules = {BindMutant(rules[i], LoopRuleBodies()[i], mutants[i], base)},
                        .known_failures = {}});
  }
  subjects.push_back(std::move(good));
  for (const Cheater& cheater : LoopCheaters()) {
    Subject subject = {.name = absl::StrCat(kCheaterPrefix, cheater.name),
                       .facet = "loop",
                       .rules = {},
                       .known_failures = {}};
    for (size_t i = 0; i < rules.size(); ++i) {
      if (std::find(std::begin(kCheaterRules), std::end(kCheaterRules), rules[i].id) ==
          std::end(kCheaterRules)) {
        continue;
      }
      subject.rules.push_back(BindLoopRule(rules[i], LoopRuleBodies()[i], *cheater.factory));
    }
    subjects.push_back(std::move(subject));
  }
  return subjects;
}

MutantReport JudgeMutants(const Report& report) {
  MutantReport judged;
  const absl::Span<const Rule> rules = LoopRules();
  const std::vector<LoopMutant> mutants = LoopMutants();
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string subject = absl::StrCat(kMutantPrefix, rules[i].id);
    const RuleResult* const wrong = Find(report, subject, rules[i].id);
    if (mutants[i].rule != rules[i].id ||
        (mutants[i].wrap == nullptr && !mutants[i].loop_mutation.has_value())) {
      judged.rules_without_mutant.emplace_back(rules[i].id);
    } else if (wrong != nullptr) {
      judged.mutants.push_back(JudgeMutant(mutants[i], *wrong, Find(report, kGood, rules[i].id)));
    }
  }
  for (const SubjectReport& subject : report.subjects) {
    std::string_view name = subject.name;
    if (!absl::ConsumePrefix(&name, kCheaterPrefix)) continue;
    for (const RuleResult& result : subject.rules) {
      judged.cheaters.push_back(
          {std::string(name), result.rule, result.verdict, Headline(result.detail)});
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
