// conform mutants: the suite against good implementations made wrong. In a binary of its own, over
// a core/loop that has places for mistakes; conform executes it with its own arguments.

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
#include "absl/types/span.h"
#include "tenon/backends/io_uring/io_uring.h"
#include "tenon/conformance/allocator/model_allocator.h"
#include "tenon/conformance/runner/rule_child.h"
#include "tenon/conformance/runner/runner.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/mutation.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/tools/conform/allocator_mutant_suite.h"
#include "tenon/tools/conform/catalogue.h"
#include "tenon/tools/conform/loop_mutant_suite.h"
#include "tenon/tools/conform/mutants.h"
#include "tenon/tools/conform/options.h"
#include "tenon/tools/conform/ring_mutants.h"
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
// How a rule's process learns on what its subject is based.
constexpr char kBackendVariable[] = "TENON_CONFORM_MUTANTS_BACKEND";
constexpr char kAllocatorVariable[] = "TENON_CONFORM_MUTANTS_ALLOCATOR";

int Complain(const absl::Status& status, int exit_status) {
  absl::FPrintF(stderr, "conform: %s\n", status.message());
  return exit_status;
}

// What is made wrong; null in a facet that is left out.
struct Bases {
  const LoopBackendFactory* backend = nullptr;
  const AllocatorFactory* allocator = nullptr;
};

// The allocators to choose from: the one that keeps every rule first.
std::vector<const AllocatorFactory*> Allocators() {
  std::vector<const AllocatorFactory*> allocators = {&ModelAllocatorFactory()};
  for (const AllocatorFactory* factory : runtime::LinkedAllocators()) allocators.push_back(factory);
  return allocators;
}

// The first of `factories` that is selected and can run here; null, which is no error, if none is
// selected.
template <typename Factories>
absl::StatusOr<typename Factories::value_type> ChooseBase(
    const Factories& factories, const std::vector<std::string>& patterns) {
  absl::Status reason = absl::OkStatus();
  for (const auto* factory : factories) {
    const std::string name(factory->name());
    if (!Selected(patterns, name)) continue;
    const absl::Status usable = factory->Probe();
    if (usable.ok()) return factory;
    reason =
        absl::FailedPreconditionError(absl::StrCat(name, " cannot run here: ", usable.message()));
  }
  if (!reason.ok()) return reason;
  return nullptr;
}

absl::StatusOr<Bases> ChooseBases(const Selection& selection) {
  std::vector<std::string> names;
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    names.emplace_back(factory->name());
  }
  for (const AllocatorFactory* factory : Allocators()) names.emplace_back(factory->name());
  const absl::Status known = CheckPatterns("subject", selection.subjects, names);
  if (!known.ok()) return known;
  Bases bases;
  if (Selected(selection.facets, "loop")) {
    const auto backend = ChooseBase(runtime::LinkedBackends(), selection.subjects);
    if (!backend.ok()) return backend.status();
    bases.backend = *backend;
  }
  if (Selected(selection.facets, "allocator")) {
    const auto allocator = ChooseBase(Allocators(), selection.subjects);
    if (!allocator.ok()) return allocator.status();
    bases.allocator = *allocator;
  }
  return bases;
}

// The mutants of the suite, and those of the base's own pitfalls.
std::vector<LoopMutant> MutantsOf(const LoopBackendFactory& base) {
  std::vector<LoopMutant> mutants = LoopMutants();
  if (&base == &io_uring::Factory()) {
    const absl::Span<const LoopMutant> own = RingMutants();
    mutants.insert(mutants.end(), own.begin(), own.end());
  }
  return mutants;
}

std::vector<MutantSuite> SuitesOf(const Bases& bases) {
  std::vector<MutantSuite> suites;
  if (bases.backend != nullptr) {
    suites.push_back(LoopMutantSuite(*bases.backend, MutantsOf(*bases.backend)));
  }
  if (bases.allocator != nullptr) {
    suites.push_back(AllocatorMutantSuite(*bases.allocator, AllocatorMutants()));
  }
  return suites;
}

template <typename Factory>
void Tell(const char* variable, const Factory* base) {
  setenv(variable, base == nullptr ? "" : std::string(base->name()).c_str(), 1);
}

template <typename Factories>
typename Factories::value_type Told(const char* variable, const Factories& factories) {
  const char* const name = std::getenv(variable);
  if (name == nullptr || *name == '\0') return nullptr;
  const auto base = ChooseBase(factories, {name});
  return base.ok() ? *base : nullptr;
}

std::vector<Subject> ChildSubjects() {
  return MutantSubjects(SuitesOf({.backend = Told(kBackendVariable, runtime::LinkedBackends()),
                                  .allocator = Told(kAllocatorVariable, Allocators())}),
                        {});
}

int Main(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Options> options = ParseOptions(arguments);
  if (!options.ok()) return Complain(options.status(), kExitUsage);
  const auto rules = SelectRules(options->selection);
  if (!rules.ok()) return Complain(rules.status(), kExitUsage);
  const absl::StatusOr<Bases> bases = ChooseBases(options->selection);
  if (!bases.ok()) return Complain(bases.status(), kExitUsage);
  const absl::StatusOr<Output> output = Output::Open(options->out);
  if (!output.ok()) return Complain(output.status(), kExitUsage);
  Tell(kBackendVariable, bases->backend);
  Tell(kAllocatorVariable, bases->allocator);

  const RunOptions run = {.jobs = options->jobs,
                          .timeout = options->timeout.value_or(kDefaultTimeout),
                          .seed = options->seed,
                          .replay_program = "conform mutants",
                          .progress = ProgressLine(),
                          .interrupted = InterruptFlag()};
  const std::vector<MutantSuite> suites = SuitesOf(*bases);
  const absl::StatusOr<Report> report =
      RunSubjects(MutantSubjects(suites, options->selection.rules), run);
  ClearProgressLine();
  if (absl::IsCancelled(report.status())) return Complain(report.status(), kExitInterrupted);
  if (!report.ok()) return Complain(report.status(), kExitAlive);
  const MutantReport judged = JudgeMutants(*report, suites);
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
