#include "tenon/conformance/runner/test_program.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "tenon/conformance/report/formats.h"
#include "tenon/conformance/runner/known_failures.h"
#include "tenon/conformance/runner/rule_child.h"
#include "tenon/conformance/runner/runner.h"
#include "tenon/conformance/runner/selection.h"

namespace tenon::conformance {
namespace {

struct Flags {
  std::string known_failures;
  std::vector<std::string> rules;
  std::vector<std::string> subjects;
  RunOptions run;
};

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::Status ParseFlag(std::string_view argument, Flags& flags) {
  int64_t timeout_s = 0;
  if (absl::ConsumePrefix(&argument, "--known_failures=")) {
    flags.known_failures = argument;
  } else if (absl::ConsumePrefix(&argument, "--rule=")) {
    for (const std::string_view rule : absl::StrSplit(argument, ','))
      flags.rules.emplace_back(rule);
  } else if (absl::ConsumePrefix(&argument, "--subject=")) {
    flags.subjects.emplace_back(argument);
  } else if (absl::ConsumePrefix(&argument, "--seed=")) {
    if (!absl::SimpleAtoi(argument, &flags.run.seed)) {
      return absl::InvalidArgumentError(absl::StrCat("--seed: not a number: ", argument));
    }
  } else if (absl::ConsumePrefix(&argument, "--timeout=")) {
    if (!absl::SimpleAtoi(argument, &timeout_s) || timeout_s < 1) {
      return absl::InvalidArgumentError(absl::StrCat("--timeout: not seconds: ", argument));
    }
    flags.run.timeout = std::chrono::seconds(timeout_s);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown argument ", argument,
                     "; there are --rule=GLOB[,GLOB], --subject=NAME, --seed=N, --timeout=SECONDS, "
                     "--known_failures=FILE"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Flags> ParseFlags(int argc, char** argv) {
  Flags flags;
  flags.run.jobs = 1;  // Bazel runs shards and other tests beside it
  flags.run.seed = std::random_device()();
  for (int i = 1; i < argc; ++i) {
    const absl::Status status = ParseFlag(argv[i], flags);
    if (!status.ok()) return status;
  }
  const std::string filter = Environment("TESTBRIDGE_TEST_ONLY");
  if (!filter.empty()) {
    for (const std::string_view rule : absl::StrSplit(filter, absl::ByAnyChar(",:"))) {
      flags.rules.emplace_back(rule);
    }
  }
  std::string label = Environment("TEST_TARGET");
  if (label.empty()) {
    flags.run.replay_program = argv[0];
  } else {
    flags.run.replay_program = absl::StrCat("bazel run ", label, " --");
  }
  return flags;
}

// Keeps every nth rule, as Bazel asks of its shards (bazel.build, "test encyclopedia").
void KeepShard(std::vector<Subject>& subjects) {
  size_t total = 0, index = 0;
  if (!absl::SimpleAtoi(Environment("TEST_TOTAL_SHARDS"), &total) || total == 0) return;
  if (!absl::SimpleAtoi(Environment("TEST_SHARD_INDEX"), &index)) return;
  // Its existence says that this test knows how to shard.
  const std::string status_file = Environment("TEST_SHARD_STATUS_FILE");
  if (!status_file.empty()) std::ofstream(status_file).put('\n');
  size_t number = 0;
  for (Subject& subject : subjects) {
    std::erase_if(subject.rules,
                  [&](const BoundRule& /*rule*/) { return number++ % total != index; });
  }
  std::erase_if(subjects, [](const Subject& subject) { return subject.rules.empty(); });
}

void PrintProgress(const Progress& progress) {
  if (progress.result == nullptr) {
    absl::PrintF("[ RUN          ] %s\n", progress.current);
  } else {
    const RuleResult& result = *progress.result;
    absl::PrintF("[%13s ] %s (%d ms)\n", VerdictName(result.verdict), progress.current,
                 result.milliseconds);
    if (!result.detail.empty()) absl::PrintF("%s\n", result.detail);
    if (result.verdict == Verdict::kFail) absl::PrintF("replay: %s\n", result.replay);
  }
  std::fflush(stdout);
}

absl::StatusOr<std::vector<Subject>> SelectSubjects(const Flags& flags,
                                                    std::vector<Subject> subjects,
                                                    absl::Span<const Rule> rules) {
  if (!flags.known_failures.empty()) {
    auto known = ReadKnownFailures(flags.known_failures, rules);
    if (!known.ok()) return known.status();
    for (Subject& subject : subjects) subject.known_failures = *known;
  }
  return Select(std::move(subjects),
                {.facets = {}, .subjects = flags.subjects, .rules = flags.rules});
}

int RunTest(int argc, char** argv, std::vector<Subject> linked, absl::Span<const Rule> rules) {
  absl::StatusOr<Flags> flags = ParseFlags(argc, argv);
  if (!flags.ok()) {
    absl::FPrintF(stderr, "%s\n", flags.status().message());
    return 2;
  }
  absl::StatusOr<std::vector<Subject>> subjects = SelectSubjects(*flags, std::move(linked), rules);
  if (!subjects.ok()) {
    absl::FPrintF(stderr, "%s\n", subjects.status().message());
    return 2;
  }
  KeepShard(*subjects);
  if (subjects->empty() && !Environment("TEST_TOTAL_SHARDS").empty()) {
    absl::PrintF("more shards than rules: none for this one\n");
    return 0;
  }
  absl::PrintF("seed %d\n", flags->run.seed);
  flags->run.progress = PrintProgress;
  const absl::StatusOr<Report> report = RunSubjects(*subjects, flags->run);
  if (!report.ok()) {
    absl::FPrintF(stderr, "%s\n", report.status().message());
    return 1;
  }
  const std::string xml_file = Environment("XML_OUTPUT_FILE");
  if (!xml_file.empty()) std::ofstream(xml_file) << FormatJunit(*report);
  absl::PrintF("\n%s", FormatTable(*report, false));
  return MatchesDeclarations(*report) ? 0 : 1;
}

}  // namespace

int RunTestProgram(int argc, char** argv, absl::Span<const Rule> rules,
                   absl::FunctionRef<std::vector<Subject>()> make_subjects) {
  if (IsRuleChild(argc, argv)) return RunRuleChild(argc, argv, make_subjects);
  return RunTest(argc, argv, make_subjects(), rules);
}

}  // namespace tenon::conformance
