// Proving the suite: good backends made wrong, which it must fail.

#ifndef TENON_TOOLS_CONFORM_MUTANTS_H_
#define TENON_TOOLS_CONFORM_MUTANTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/conformance/rules/loop_mutant.h"
#include "tenon/conformance/runner/report.h"
#include "tenon/conformance/runner/subject.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance {

// The mutant of each of LoopRules(), in the same order.
std::vector<LoopMutant> LoopMutants();

// Subjects of the rules selected by `patterns`, on `base`: for each rule one that is good ("good")
// and one mutant ("mutant-TD-4"); and the cheaters ("cheater-hangs"), each on the same few rules.
// `base` outlives the result.
std::vector<Subject> MutantSubjects(const LoopBackendFactory& base,
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

// Judges the report of a run of MutantSubjects.
MutantReport JudgeMutants(const Report& report);

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
