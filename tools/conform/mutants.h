// Proving the suite: good backends made wrong, which it must fail.

#ifndef TENON_TOOLS_CONFORM_MUTANTS_H_
#define TENON_TOOLS_CONFORM_MUTANTS_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "tenon/conformance/rules/rule.h"
#include "tenon/conformance/runner/report.h"
#include "tenon/conformance/runner/subject.h"

namespace tenon::conformance {

// A mutant, ready to run.
struct BoundMutant {
  // See LoopMutant.
  std::string_view name;
  std::string_view rule;
  std::string_view expected_reason;
  // Makes the mutant, in the process that runs it, and then the rule on it. Empty where the mutant
  // does nothing wrong.
  std::function<void(RuleContext& context)> body;
};

// An implementation that does not do the work, and rules that none can pass without.
struct BoundCheater {
  std::string_view name;
  std::vector<BoundRule> rules;
};

// All that proves the rules of one facet.
struct MutantSuite {
  std::string facet;
  // Every rule of the facet, in the order of the catalogue, on the good implementation.
  std::vector<BoundRule> good;
  std::vector<BoundMutant> mutants;
  std::vector<BoundCheater> cheaters;
};

// The place of a rule in `rules`, or their number if it is not one.
size_t IndexOf(std::string_view id, absl::Span<const Rule> rules);

// Subjects of the rules selected by `patterns`: for each suite one that is good ("good"), for each
// mutant one ("mutant-TD-4", and for a second one of the rule "mutant-TD-4-2"), and the cheaters
// ("cheater-hangs"), on all their rules unless none of the suite's is selected.
std::vector<Subject> MutantSubjects(const std::vector<MutantSuite>& suites,
                                    const std::vector<std::string>& patterns);

// What became of one mutant.
struct MutantResult {
  const Rule* rule = nullptr;
  std::string_view mutant = {};
  Verdict verdict = Verdict::kInconclusive;
  // The rule passes on the good backend, fails on the mutant, and for the expected reason.
  bool killed = false;
  // Why it counts as killed or not, in words.
  std::string reason = {};
};

// What became of one cheater on one rule.
struct CheaterResult {
  // "loop: hangs".
  std::string cheater;
  const Rule* rule = nullptr;
  Verdict verdict = Verdict::kInconclusive;
  std::string reason;
};

struct MutantReport {
  std::vector<MutantResult> mutants;
  std::vector<std::string> rules_without_mutant;
  std::vector<CheaterResult> cheaters;
};

// Judges the report of a run of MutantSubjects of the same suites.
MutantReport JudgeMutants(const Report& report, const std::vector<MutantSuite>& suites);

// Cheaters, and those of them that are red: some rule failed on them, none passed.
int CountCheaters(const MutantReport& report);
int CountRedCheaters(const MutantReport& report);

// Whether there are mutants and cheaters, every mutant was killed and every cheater is red.
bool AllCaught(const MutantReport& report);

std::string FormatMutantTable(const MutantReport& report);
// {"mutants","killed","rules_without_mutant","cheaters","cheaters_red","results":[...],
// "cheater_results":[...]}
std::string FormatMutantJson(const MutantReport& report);

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_MUTANTS_H_
