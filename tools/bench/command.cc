#include "tenon/tools/bench/command.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/host.h"
#include "tenon/tools/bench/options.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {
namespace {

constexpr int kDefaultRounds = 7;

// A line on the terminal that says what is going on; nothing where standard error is not one.
void ShowProgress(absl::string_view text) {
  if (isatty(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(text.size()), text.data());
  std::fflush(stderr);
}

void ShowNote(absl::string_view text) {
  std::fprintf(stderr, "bench: note: %.*s\n", static_cast<int>(text.size()), text.data());
}

absl::StatusOr<std::vector<size_t>> ChooseSubjects(absl::string_view bench,
                                                   const std::vector<Subject>& subjects,
                                                   const std::vector<std::string>& wanted,
                                                   std::vector<std::string>& notes) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < subjects.size(); ++i) {
    const Subject& subject = subjects[i];
    const bool named = std::count(wanted.begin(), wanted.end(), subject.name) != 0;
    if (!wanted.empty() && !named) continue;
    const absl::Status usable = Probe(subject);
    if (usable.ok()) {
      chosen.push_back(i);
      continue;
    }
    const std::string why =
        absl::StrCat("subject ", subject.name, " cannot run here: ", usable.message());
    if (named) return absl::Status(usable.code(), why);
    notes.push_back(absl::StrCat(bench, ": ", why));
  }
  return chosen;
}

std::vector<std::pair<std::string, std::string>> LibrariesOf(const std::vector<Subject>& subjects) {
  std::vector<std::pair<std::string, std::string>> libraries;
  for (const Subject& subject : subjects) {
    if (!subject.library.empty()) libraries.emplace_back(subject.library, subject.version);
  }
  return libraries;
}

}  // namespace

std::vector<std::string> NamesOf(const std::vector<Subject>& subjects) {
  std::vector<std::string> names;
  for (const Subject& subject : subjects) names.push_back(subject.name);
  return names;
}

absl::StatusOr<Report> RunCommand(absl::string_view bench, const Options& options,
                                  const std::vector<Subject>& subjects, int cancel_fd,
                                  absl::FunctionRef<absl::StatusOr<Report>(
                                      const std::vector<size_t>& chosen, const RunPlan& plan)>
                                      measure) {
  std::vector<std::string> notes = HostNotes();
  absl::StatusOr<std::vector<size_t>> chosen =
      ChooseSubjects(bench, subjects, options.subjects, notes);
  if (!chosen.ok()) return chosen.status();
  for (const std::string& note : notes) ShowNote(note);

  RunPlan plan;
  plan.rounds = options.rounds != 0 ? options.rounds : options.quick ? kMinRounds : kDefaultRounds;
  plan.cancel_fd = cancel_fd;
  plan.progress = &ShowProgress;
  absl::StatusOr<Report> report = measure(*chosen, plan);
  ShowProgress("");
  if (!report.ok()) return report;

  report->host = DescribeHost(LibrariesOf(subjects));
  report->notes.insert(report->notes.begin(), notes.begin(), notes.end());
  const bool ours =
      std::any_of(chosen->begin(), chosen->end(), [&](size_t i) { return subjects[i].ours; });
  if (!ours) {
    report->notes.push_back(
        absl::StrCat(bench, ": none of the subjects is ours, so there are no ratios"));
  }
  return report;
}

}  // namespace tenon::bench
