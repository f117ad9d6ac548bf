#include "tenon/conformance/faults/sweep.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

std::string Label(const FaultSource& source, uint64_t n, FaultMode mode) {
  return absl::StrFormat("%s %d %s", source.name(), n,
                         mode == FaultMode::kTransient ? "failing" : "and all after it failing");
}

// What an attempt came to.
enum class Attempted { kStruck, kNotStruck, kFailed };

// What is wrong with the result of an attempt that met a fault; empty for nothing. Counts swallowed
// faults.
std::string JudgeStruck(const absl::Status& status, const SweepOptions& options,
                        SweepResult& result) {
  if (status.ok()) {
    ++result.swallowed;
    return options.may_swallow ? "" : "the failure was swallowed: success was reported";
  }
  if (options.expected_code.has_value() && status.code() != *options.expected_code) {
    return absl::StrCat("reported as ", status.ToString(), ", expected ",
                        absl::StatusCodeToString(*options.expected_code));
  }
  if (!absl::StrContains(status.message(), options.expected_message)) {
    return absl::StrCat("reported as ", status.ToString(), ", which does not mention \"",
                        options.expected_message, "\"");
  }
  return "";
}

// One attempt with the nth use failing.
Attempted Attempt(RuleContext& rule, FaultSource& source, uint64_t n, FaultMode mode,
                  const SweepOptions& options, absl::FunctionRef<absl::Status()> attempt,
                  SweepResult& result) {
  const std::string label = Label(source, n, mode);
  SCOPED_TRACE(label);
  const Ledger ledger(&rule.tracking());
  source.Arm(n, mode);
  const absl::Status status = attempt();
  const uint64_t failed = source.Disarm();
  ++result.attempts;
  const bool struck = source.Observable() ? failed > 0 : !status.ok();
  std::string wrong;
  if (struck) {
    ++result.struck;
    wrong = JudgeStruck(status, options, result);
  } else if (!status.ok()) {
    wrong = absl::StrCat("none of them failed, and yet: ", status.ToString());
  }
  if (wrong.empty() && options.check_ledger) {
    const std::vector<std::string> differences = ledger.Differences();
    if (!differences.empty()) {
      wrong = absl::StrCat("left behind: ", absl::StrJoin(differences, "; "));
    }
  }
  if (!wrong.empty()) ADD_FAILURE() << "with " << label << ": " << wrong;
  if (!wrong.empty() || testing::Test::HasFailure()) return Attempted::kFailed;
  return struck ? Attempted::kStruck : Attempted::kNotStruck;
}

}  // namespace

void AllocationFaults::Arm(uint64_t n, FaultMode mode) {
  if (mode == FaultMode::kTransient) {
    faults_.FailNth(n);
  } else {
    faults_.FailFrom(n);
  }
}

uint64_t AllocationFaults::Disarm() {
  const uint64_t injected = faults_.injected();
  faults_.Clear();
  return injected;
}

SweepResult Sweep(RuleContext& rule, FaultSource& source, const SweepOptions& options,
                  absl::FunctionRef<absl::Status()> attempt) {
  SweepResult result;
  for (const FaultMode mode : {FaultMode::kTransient, FaultMode::kSticky}) {
    const bool wanted = mode == FaultMode::kTransient ? options.transient : options.sticky;
    if (!wanted || !source.Supports(mode)) continue;
    Attempted attempted = Attempted::kStruck;
    for (uint64_t n = 1; attempted == Attempted::kStruck; ++n) {
      if (n > options.limit) {
        ADD_FAILURE() << "with " << Label(source, n, mode) << ": still struck after "
                      << options.limit << " attempts";
        return result;
      }
      attempted = Attempt(rule, source, n, mode, options, attempt, result);
    }
    if (attempted == Attempted::kFailed) return result;
  }
  const absl::Status status = attempt();
  ++result.attempts;
  if (!status.ok()) {
    ADD_FAILURE() << "after the sweep, with no " << source.name() << " failing: " << status;
  } else if (result.struck == 0) {
    rule.Inconclusive(absl::StrCat("no ", source.name(), " was asked for, so none could fail"));
  }
  return result;
}

SweepResult SweepAllocations(RuleContext& rule, const SweepOptions& options,
                             absl::FunctionRef<absl::Status()> attempt) {
  AllocationFaults faults(rule.faults());
  return Sweep(rule, faults, options, attempt);
}

}  // namespace tenon::conformance
