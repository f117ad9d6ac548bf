// What a benchmark has to say, and how it is written: as JSON for programs, as a table for people.

#ifndef TENON_TOOLS_BENCH_REPORT_H_
#define TENON_TOOLS_BENCH_REPORT_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tenon::bench {

// One figure over all the rounds of a run.
struct Summary {
  double median = 0;
  double min = 0;
  double max = 0;
  size_t rounds = 0;
};

// One figure of one subject. Printed with the name `case` for `case_name`.
struct Result {
  std::string bench;
  std::string case_name;
  std::string subject;
  std::string metric;
  std::string unit;
  Summary summary;
};

// median(subject) / median(peer) of one metric of one case.
struct Ratio {
  std::string bench;
  std::string case_name;
  std::string subject;
  std::string peer;
  std::string metric;
  double ratio = 0;
};

// Where the figures come from. Figures of two hosts cannot be compared.
struct Host {
  std::string kernel;
  std::string cpu_model;
  int cores = 0;
  std::string compiler;
  std::string build_mode;
  // Library and version, in the order in which they are printed.
  std::vector<std::pair<std::string, std::string>> versions;
};

struct Report {
  Host host;
  std::vector<Result> results;
  std::vector<Ratio> ratios;
  // What a reader must know before believing the figures.
  std::vector<std::string> notes;
};

// Median, smallest and largest of `samples`; with an even number of samples the median is the mean
// of the middle two. InvalidArgument if there are none, or if one is not a finite number.
absl::StatusOr<Summary> Summarize(std::vector<double> samples);

// The result of `report` with these names, or null. The pointer is valid until `report.results`
// changes.
const Result* FindResult(const Report& report, absl::string_view bench, absl::string_view case_name,
                         absl::string_view subject, absl::string_view metric);

// Appends to `report.ratios` the ratio of two results that `report` already holds: a ratio is made
// of figures of one run and of nothing else. NotFound if it does not hold both; FailedPrecondition
// if the peer's median is not above 0 or the two have been measured in different units.
absl::Status AddRatio(Report& report, absl::string_view bench, absl::string_view case_name,
                      absl::string_view subject, absl::string_view peer, absl::string_view metric);

// One JSON object, one result a line, with a newline at the end.
std::string ToJson(const Report& report);

// A row of medians for each case and subject, and one of ratios for each metric of ours; with a
// newline at the end.
std::string ToTable(const Report& report);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_REPORT_H_
