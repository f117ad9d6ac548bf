#include "tenon/conformance/differential/differential.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tenon::conformance::differential {

absl::StatusOr<Differential> Differential::Create(std::vector<Participant> participants,
                                                  ProcessOptions options) {
  if (participants.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("a comparison takes two backends at least, not ", participants.size()));
  }
  options.execution.multishot = true;
  options.execution.provided_buffers = true;
  for (const Participant& participant : participants) {
    const absl::StatusOr<BackendCapabilities> declared =
        CapabilitiesInProcess(*participant.factory, options);
    if (!declared.ok()) {
      return absl::Status(declared.status().code(),
                          absl::StrCat(participant.name, ": ", declared.status().message()));
    }
    options.execution.multishot &= declared->multishot;
    options.execution.provided_buffers &= declared->provided_buffers;
  }
  return Differential(std::move(participants), options);
}

std::optional<Finding> Differential::Run(const Script& script) const {
  std::vector<History> histories;
  for (const Participant& participant : participants_) {
    histories.push_back(RunInProcess(script, *participant.factory, options_));
  }
  for (size_t i = 1; i < participants_.size(); ++i) {
    std::optional<Difference> difference =
        Compare(participants_[0].name, histories[0], participants_[i].name, histories[i]);
    if (!difference.has_value()) continue;
    return Finding{.first = participants_[0],
                   .second = participants_[i],
                   .difference = *std::move(difference),
                   .script = script,
                   .first_history = std::move(histories[0]),
                   .second_history = std::move(histories[i])};
  }
  return std::nullopt;
}

Finding Differential::Minimise(Finding finding, const ShrinkLimits& limits) const {
  // What stalls is known to, and is waited for in every run.
  ProcessOptions options = options_;
  options.execution.patience_ns = std::min(options.execution.patience_ns, kSecondNs);
  const Differential pair({finding.first, finding.second}, options);
  const auto fails = [&](const Script& candidate) {
    std::optional<Finding> found = pair.Run(candidate);
    if (!found.has_value()) return false;
    finding = *std::move(found);
    return true;
  };
  Shrink(finding.script, fails, limits);
  return finding;
}

std::string Differential::Describe(const Finding& finding) const {
  constexpr int kRuns = 5;
  const Differential pair({finding.first, finding.second}, options_);
  int again = 0;
  for (int run = 0; run < kRuns; ++run) again += pair.Run(finding.script).has_value() ? 1 : 0;
  std::string text = absl::StrCat(finding.difference.text, "\n\nscript, ", finding.script.size(),
                                  " steps, which shows a difference in ", again, " of ", kRuns,
                                  " more runs:\n", ScriptText(finding.script));
  for (const auto& [name, history] : {std::pair(&finding.first.name, &finding.first_history),
                                      std::pair(&finding.second.name, &finding.second_history)}) {
    absl::StrAppend(&text, "\n", *name, ":\n");
    for (const std::string_view line :
         absl::StrSplit(HistoryText(*history), '\n', absl::SkipEmpty())) {
      absl::StrAppend(&text, "  ", line, "\n");
    }
  }
  return text;
}

}  // namespace tenon::conformance::differential
