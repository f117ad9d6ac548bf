#include "tenon/tools/conform/differential_command.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tenon/conformance/differential/differential.h"
#include "tenon/conformance/differential/generate.h"
#include "tenon/conformance/runner/selection.h"
#include "tenon/tools/conform/differential_options.h"
#include "tenon/tools/conform/terminal.h"

namespace tenon::conformance {
namespace {

using differential::Differential;
using differential::Finding;
using differential::Participant;
using differential::Script;

constexpr int kExitDifferent = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

int Complain(const absl::Status& status, int exit_status) {
  absl::FPrintF(stderr, "conform: %s\n", status.message());
  return exit_status;
}

void Add(const LoopBackendFactory& factory, std::vector<Participant>& participants) {
  const std::string name(factory.name());
  const bool again = std::any_of(participants.begin(), participants.end(),
                                 [&](const Participant& each) { return each.name == name; });
  participants.push_back(
      {.name = again ? absl::StrCat(name, " again") : name, .factory = &factory});
}

// All that can run. One alone is compared with itself.
std::vector<Participant> All(absl::Span<const LoopBackendFactory* const> linked) {
  std::vector<Participant> participants;
  for (const LoopBackendFactory* factory : linked) {
    if (factory->Probe().ok()) Add(*factory, participants);
  }
  if (participants.size() == 1) Add(*participants[0].factory, participants);
  return participants;
}

// Those named, of which each must be able to run.
absl::StatusOr<std::vector<Participant>> Choose(
    const std::vector<std::string>& names, absl::Span<const LoopBackendFactory* const> linked) {
  std::vector<std::string> linked_names;
  for (const LoopBackendFactory* factory : linked) linked_names.emplace_back(factory->name());
  if (absl::Status known = CheckPatterns("backend", names, linked_names); !known.ok()) return known;
  std::vector<Participant> participants;
  for (const std::string& name : names) {
    for (const LoopBackendFactory* factory : linked) {
      if (!Selected({name}, factory->name())) continue;
      const absl::Status usable = factory->Probe();
      if (!usable.ok()) {
        return absl::FailedPreconditionError(
            absl::StrCat(factory->name(), " cannot run here: ", usable.message()));
      }
      Add(*factory, participants);
    }
  }
  if (participants.size() >= 2) return participants;
  return absl::InvalidArgumentError(absl::StrCat(
      "differential: two backends are to be compared; linked: ", absl::StrJoin(linked_names, ", "),
      ". --backends=NAME,NAME compares one with itself"));
}

// A relative name is meant from where the user is; see Output.
absl::StatusOr<std::string> ReadFile(const std::string& file) {
  if (file == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
  }
  std::filesystem::path path = file;
  const char* const directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (path.is_relative() && directory != nullptr) path = std::filesystem::path(directory) / path;
  std::ifstream stream(path);
  std::string text(std::istreambuf_iterator<char>(stream), {});
  if (!stream) {
    return absl::NotFoundError(absl::StrCat("--script: cannot read ", path.string()));
  }
  return text;
}

void ShowProgress(uint64_t done, uint64_t all, std::string_view what) {
  if (isatty(STDERR_FILENO) == 0) return;
  absl::FPrintF(stderr, "\r\x1b[K%d of %d  %s", done, all, what);
  std::fflush(stderr);
}

class Campaign {
 public:
  Campaign(DifferentialOptions options, Differential differential, std::string replay_program)
      : options_(std::move(options)),
        differential_(std::move(differential)),
        replay_program_(std::move(replay_program)) {}

  int RunScript(const std::string& text) {
    const absl::StatusOr<Script> script = differential::ParseScript(text);
    if (!script.ok()) {
      return Complain(absl::InvalidArgumentError(
                          absl::StrCat(options_.script, ": ", script.status().message())),
                      kExitUsage);
    }
    std::optional<Finding> finding = differential_.Run(*script);
    if (finding.has_value()) {
      return Report("the script", *std::move(finding), absl::StrCat("--script=", options_.script));
    }
    absl::PrintF("%s did the same\n", Names());
    return 0;
  }

  int RunSeeds() {
    const auto begin = std::chrono::steady_clock::now();
    const std::atomic<bool>& interrupted = *InterruptFlag();
    uint64_t done = 0;
    for (; done < options_.seeds; ++done) {
      const uint64_t seed = options_.first_seed + done;
      const auto spent = std::chrono::steady_clock::now() - begin;
      if (options_.time_limit.has_value() && spent >= *options_.time_limit) break;
      ShowProgress(done, options_.seeds, absl::StrCat("seed ", seed));
      std::optional<Finding> finding =
          differential_.Run(differential::Generate(seed, options_.steps));
      if (interrupted) return Interrupted();
      if (!finding.has_value()) continue;
      return Report(absl::StrCat("seed ", seed), *std::move(finding),
                    absl::StrCat("--first_seed=", seed, " --seeds=1 --steps=", options_.steps));
    }
    ClearProgressLine();
    if (done == 0) {
      return Complain(absl::DeadlineExceededError("differential: no script was run"),
                      kExitDifferent);
    }
    absl::PrintF("%s did the same in %d scripts of %d steps, seeds %d to %d\n", Names(), done,
                 options_.steps, options_.first_seed, options_.first_seed + done - 1);
    return 0;
  }

 private:
  static int Interrupted() {
    ClearProgressLine();
    return Complain(absl::CancelledError("interrupted"), kExitInterrupted);
  }

  std::string Names() const {
    return absl::StrJoin(differential_.participants(), " and ",
                         [](std::string* out, const Participant& each) { *out += each.name; });
  }

  int Report(const std::string& what, Finding finding, const std::string& replay) {
    if (options_.shrink) {
      ShowProgress(0, 1, "looking for a shorter script");
      finding = differential_.Minimise(std::move(finding), {});
    }
    ClearProgressLine();
    const std::string backends =
        absl::StrCat(finding.first.factory->name(), ",", finding.second.factory->name());
    absl::PrintF("%s shows a difference.\n\n%s\nreplay: %s differential --backends=%s %s\n", what,
                 differential_.Describe(finding), replay_program_, backends, replay);
    if (options_.out.empty()) return kExitDifferent;
    const absl::StatusOr<Output> output = Output::Open(options_.out);
    const absl::Status written =
        output.ok() ? output->Write(differential::ScriptText(finding.script)) : output.status();
    return written.ok() ? kExitDifferent : Complain(written, kExitDifferent);
  }

  const DifferentialOptions options_;
  const Differential differential_;
  const std::string replay_program_;
};

}  // namespace

int RunDifferential(const std::vector<std::string>& arguments,
                    absl::Span<const LoopBackendFactory* const> linked,
                    const std::string& replay_program) {
  const absl::StatusOr<DifferentialOptions> options = ParseDifferentialOptions(arguments);
  if (!options.ok()) return Complain(options.status(), kExitUsage);
  if (options->help) {
    absl::PrintF("%s", DifferentialHelpText());
    return 0;
  }
  // Before a run of minutes, not after it.
  const absl::StatusOr<Output> output = Output::Open(options->out);
  if (!output.ok()) return Complain(output.status(), kExitUsage);
  std::string text;
  if (!options->script.empty()) {
    absl::StatusOr<std::string> read = ReadFile(options->script);
    if (!read.ok()) return Complain(read.status(), kExitUsage);
    text = *std::move(read);
  }
  absl::StatusOr<std::vector<Participant>> participants =
      options->backends.empty() ? All(linked) : Choose(options->backends, linked);
  if (!participants.ok()) return Complain(participants.status(), kExitUsage);
  differential::ProcessOptions process;
  process.watchdog = options->timeout;
  absl::StatusOr<Differential> differential =
      Differential::Create(*std::move(participants), process);
  if (!differential.ok()) return Complain(differential.status(), kExitDifferent);
  Campaign campaign(*options, *std::move(differential), replay_program);
  return options->script.empty() ? campaign.RunSeeds() : campaign.RunScript(text);
}

}  // namespace tenon::conformance
