// The differential test: one script on several backends, and what they did differently.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_DIFFERENTIAL_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_DIFFERENTIAL_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/conformance/differential/compare.h"
#include "tenon/conformance/differential/history.h"
#include "tenon/conformance/differential/process.h"
#include "tenon/conformance/differential/script.h"
#include "tenon/conformance/differential/shrink.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance::differential {

// A backend that takes part. The factory outlives everything here.
struct Participant {
  std::string name;
  const LoopBackendFactory* factory = nullptr;
};

// What two participants did differently.
struct Finding {
  Participant first;
  Participant second;
  Difference difference;
  Script script;
  // The two runs in which it showed.
  History first_history;
  History second_history;
};

// Compares backends by scripts.
//
// Threads: a process with one thread, since every run forks; see RunInProcess.
class Differential {
 public:
  // Asks each participant what it declares, in a process of its own. InvalidArgument for fewer than
  // two; the status of one that cannot make a backend here.
  static absl::StatusOr<Differential> Create(std::vector<Participant> participants,
                                             ProcessOptions options);

  // Runs a script on every participant; the first difference from the first of them, or nothing.
  std::optional<Finding> Run(const Script& script) const;

  // The same difference, or another between the same two, by a script as short as can be found.
  Finding Minimise(Finding finding, const ShrinkLimits& limits) const;

  // For people: the difference, the script, both histories, and in how many of some more runs the
  // script shows a difference again.
  std::string Describe(const Finding& finding) const;

  const std::vector<Participant>& participants() const { return participants_; }

 private:
  Differential(std::vector<Participant> participants, ProcessOptions options)
      : participants_(std::move(participants)), options_(options) {}

  std::vector<Participant> participants_;
  ProcessOptions options_;
};

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_DIFFERENTIAL_H_
