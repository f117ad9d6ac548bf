// conform: the conformance suite for the backends and allocators linked into this binary.

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tenon/conformance/runner/allocator_subject.h"
#include "tenon/conformance/runner/loop_subject.h"
#include "tenon/conformance/runner/rule_child.h"
#include "tenon/conformance/runner/runner.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/tools/conform/catalogue.h"
#include "tenon/tools/conform/differential_command.h"
#include "tenon/tools/conform/options.h"
#include "tenon/tools/conform/terminal.h"
#include "tools/cpp/runfiles/runfiles.h"

namespace tenon::conformance {
namespace {

constexpr int kExitMismatch = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;
constexpr std::chrono::seconds kDefaultTimeout{30};

std::vector<Subject> LinkedSubjects() {
  std::vector<Subject> subjects;
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    subjects.push_back(LoopSubject(*factory, {}));
  }
  for (Subject& subject : AllocatorSubjects(runtime::LinkedAllocators())) {
    subjects.push_back(std::move(subject));
  }
  return subjects;
}

// How the user may run this program again.
std::string ReplayProgram(const char* program) {
  const char* const workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");  // set by `bazel run`
  if (workspace == nullptr) return program;
  const bool is_tenon = std::filesystem::exists(absl::StrCat(workspace, "/tools/conform"));
  return is_tenon ? "./bazelw run //tools:conform --" : "bazel run @tenon//tools:conform --";
}

int Complain(const absl::Status& status, int exit_status) {
  absl::FPrintF(stderr, "conform: %s\n", status.message());
  return exit_status;
}

int Print(const Output& output, const absl::StatusOr<std::string>& text) {
  if (!text.ok()) return Complain(text.status(), kExitUsage);
  const absl::Status written = output.Write(*text);
  return written.ok() ? 0 : Complain(written, kExitMismatch);
}

int List(const Options& options, const Output& output) {
  const auto rules = SelectRules(options.selection);
  if (!rules.ok()) return Complain(rules.status(), kExitUsage);
  return Print(output, FormatRules(*rules, options.format));
}

int RunSuite(const Options& options, const Output& output, const char* program) {
  auto subjects = Select(LinkedSubjects(), options.selection);
  if (!subjects.ok()) return Complain(subjects.status(), kExitUsage);
  const RunOptions run = {.jobs = options.jobs,
                          .timeout = options.timeout.value_or(kDefaultTimeout),
                          .seed = options.seed,
                          .replay_program = ReplayProgram(program),
                          .progress = ProgressLine(),
                          .interrupted = InterruptFlag()};
  const absl::StatusOr<Report> report = RunSubjects(*subjects, run);
  ClearProgressLine();
  if (absl::IsCancelled(report.status())) return Complain(report.status(), kExitInterrupted);
  if (!report.ok()) return Complain(report.status(), kExitMismatch);
  const absl::Status written = output.Write(FormatReport(*report, options.format, output.colour()));
  if (!written.ok()) return Complain(written, kExitMismatch);
  return MatchesDeclarations(*report) ? 0 : kExitMismatch;
}

// The mutants are in a binary of their own, because the loop in it has places for mistakes. Returns
// only if that binary cannot be run.
int ExecMutants(char** argv) {
  using bazel::tools::cpp::runfiles::Runfiles;
  constexpr char kBinary[] = "tenon/tools/conform/conform_mutants";
  std::string error;
  const std::unique_ptr<Runfiles> runfiles(Runfiles::Create(argv[0], &error));
  if (runfiles == nullptr) {
    return Complain(absl::NotFoundError(absl::StrCat("mutants: ", error)), kExitMismatch);
  }
  const std::string path = runfiles->Rlocation(kBinary);
  execv(path.c_str(), argv);
  return Complain(
      absl::NotFoundError(absl::StrCat("mutants: cannot run ", path, ": ", std::strerror(errno),
                                       "; it is built with //tools/conform")),
      kExitMismatch);
}

int Main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "differential") {
    return RunDifferential(std::vector<std::string>(argv + 2, argv + argc),
                           runtime::LinkedBackends(), ReplayProgram(argv[0]));
  }
  const absl::StatusOr<Options> options =
      ParseOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options.ok()) return Complain(options.status(), kExitUsage);
  if (options->command == Command::kHelp) {
    absl::PrintF("%s", HelpText());
    return 0;
  }
  // Before a run of minutes, not after it.
  const absl::StatusOr<Output> output = Output::Open(options->out);
  if (!output.ok()) return Complain(output.status(), kExitUsage);
  switch (options->command) {
    case Command::kList:
      return List(*options, *output);
    case Command::kExplain:
      return Print(*output, ExplainRule(options->explain));
    case Command::kMutants:
      return ExecMutants(argv);
    default:
      return RunSuite(*options, *output, argv[0]);
  }
}

}  // namespace
}  // namespace tenon::conformance

int main(int argc, char** argv) {
  using namespace tenon::conformance;
  if (IsRuleChild(argc, argv)) return RunRuleChild(argc, argv, LinkedSubjects);
  return Main(argc, argv);
}
