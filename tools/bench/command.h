// One sub-command of `bench`, and what all of them do around their measuring.

#ifndef TENON_TOOLS_BENCH_COMMAND_H_
#define TENON_TOOLS_BENCH_COMMAND_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/options.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {

inline constexpr int64_t kMillisecond = 1'000'000;

struct Command {
  std::string name;
  std::string summary;
  OptionsSpec options;
  // `cancel_fd` can be read once the user wants it to end: then it returns Cancelled.
  std::function<absl::StatusOr<Report>(const Options& options, int cancel_fd)> run;
};

// The names of subjects, in order.
std::vector<std::string> NamesOf(const std::vector<Subject>& subjects);

// Chooses among `subjects`: those asked for, each of which has to be usable, or else all that are
// usable. Says on standard error what makes the figures doubtful before they take their time; has
// `measure` measure the subjects with the chosen indices; completes its report with the host and
// the notes, in which every subject that was left out stands with the reason.
absl::StatusOr<Report> RunCommand(absl::string_view bench, const Options& options,
                                  const std::vector<Subject>& subjects, int cancel_fd,
                                  absl::FunctionRef<absl::StatusOr<Report>(
                                      const std::vector<size_t>& chosen, const RunPlan& plan)>
                                      measure);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_COMMAND_H_
