// conform mutants: the suite against good backends made wrong. In a binary of its own, over a
// core/loop that has places for mistakes; conform executes it with its own arguments.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tenon/conformance/runner/rule_child.h"
#include "tenon/conformance/runner/runner.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/mutation.h"
#include "tenon/tools/conform/catalogue.h"
#include "tenon/tools/conform/mutants.h"
#include "tenon/tools/conform/options.h"
#include "tenon/tools/conform/terminal.h"

#ifndef TENON_LOOP_MUTATIONS
#error "Built by with_loop_mutations() alone; see BUILD.bazel."
#endif

namespace tenon::conformance {
namespace {

constexpr int kExitAlive = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;
// Many mutants show by a hang, and a rule takes a small part of this.
constexpr std::chrono::seconds kDefaultTimeout{10};
// How a rule's process learns on which backend its subject is based.
constexpr char kBaseVariable[] = "TENON_CONFORM_MUTANTS_BASE";

int Complain(const absl::Status& status, int exit_status) {
  absl::FPrintF(stderr, "conform: %s\n", status.message());
  return exit_status;
}

// The backend to make wrong: the first one linked that is selected and can run here.
absl::StatusOr<const LoopBackendFactory*> ChooseBase(const std::vector<std::string>& patterns) {
  std::vector<std::string> names;
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    names.emplace_back(factory->name());
  }
  const absl::Status known = CheckPatterns("subject", patterns, names);
  if (!known.ok()) return known;
  absl::Status reason = absl::NotFoundError("no backend is linked");
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    if (!Selected(patterns, factory->name())) continue;
    const absl::Status usable = factory->Probe();
    if (usable.ok()) return factory;
    reason = absl::FailedPreconditionError(
        absl::StrCat(factory->name(), " cannot run here: ", usable.message()));
  }
  return reason;
}

std::vector<Subject> ChildSubjects() {
  const char* const name = std::getenv(kBaseVariable);
  const auto base = ChooseBase({name == nullptr ? "*" : name});
  return base.ok() ? MutantSubjects(**base, {}) : std::vector<Subject>();
}

int Main(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Options> options = ParseOptions(arguments);
  if (!options.ok()) return Complain(options.status(), kExitUsage);
  const auto rules = SelectRules(options->selection);
  if (!rules.ok()) return Complain(rules.status(), kExitUsage);
  const auto base = ChooseBase(options->selection.subjects);
  if (!base.ok()) return Complain(base.status(), kExitUsage);
  const absl::StatusOr<Output> output = Output::Open(options->out);
  if (!output.ok()) return Complain(output.status(), kExitUsage);
  setenv(kBaseVariable, std::string((*base)->name()).c_str(), 1);

  const RunOptions run = {.jobs = options->jobs,
                          .timeout = options->timeout.value_or(kDefaultTimeout),
                          .seed = options->seed,
                          .replay_program = "conform mutants",
                          .progress = ProgressLine(),
                          .interrupted = InterruptFlag()};
  const absl::StatusOr<Report> report =
      RunSubjects(MutantSubjects(**base, options->selection.rules), run);
  ClearProgressLine();
  if (absl::IsCancelled(report.status())) return Complain(report.status(), kExitInterrupted);
  if (!report.ok()) return Complain(report.status(), kExitAlive);
  const MutantReport judged = JudgeMutants(*report);
  const absl::Status written = output->Write(
      options->format == Format::kJson ? FormatMutantJson(judged) : FormatMutantTable(judged));
  if (!written.ok()) return Complain(written, kExitAlive);
  return AllCaught(judged) ? 0 : kExitAlive;
}

}  // namespace
}  // namespace tenon::conformance

int main(int argc, char** argv) {
  using namespace tenon::conformance;
  if (IsRuleChild(argc, argv)) return RunRuleChild(argc, argv, ChildSubjects);
  return Main(std::vector<std::string>(argv + 1, argv + argc));
}
