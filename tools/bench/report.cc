// The arithmetic of a report.

#include "tenon/tools/bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tenon::bench {

absl::StatusOr<Summary> Summarize(std::vector<double> samples) {
  if (samples.empty()) return absl::InvalidArgumentError("no samples to summarize");
  for (double sample : samples) {
    if (!std::isfinite(sample)) {
      return absl::InvalidArgumentError(absl::StrCat("sample is not a finite number: ", sample));
    }
  }
  std::sort(samples.begin(), samples.end());
  const size_t middle = samples.size() / 2;
  Summary summary = {.min = samples.front(), .max = samples.back(), .rounds = samples.size()};
  summary.median = samples.size() % 2 == 1
                       ? samples[middle]
                       : samples[middle - 1] + (samples[middle] - samples[middle - 1]) / 2;
  return summary;
}

const Result* FindResult(const Report& report, absl::string_view bench, absl::string_view case_name,
                         absl::string_view subject, absl::string_view metric) {
  for (const Result& result : report.results) {
    if (result.bench == bench && result.case_name == case_name && result.subject == subject &&
        result.metric == metric) {
      return &result;
    }
  }
  return nullptr;
}

absl::Status AddRatio(Report& report, absl::string_view bench, absl::string_view case_name,
                      absl::string_view subject, absl::string_view peer, absl::string_view metric) {
  const Result* numerator = FindResult(report, bench, case_name, subject, metric);
  const Result* denominator = FindResult(report, bench, case_name, peer, metric);
  if (numerator == nullptr || denominator == nullptr) {
    return absl::NotFoundError(absl::StrCat("no ", metric, " of ",
                                            numerator == nullptr ? subject : peer, " in this run (",
                                            bench, ", ", case_name, ")"));
  }
  if (numerator->unit != denominator->unit) {
    return absl::FailedPreconditionError(absl::StrCat(metric, " of ", subject, " is in ",
                                                      numerator->unit, ", that of ", peer, " in ",
                                                      denominator->unit));
  }
  if (!(denominator->summary.median > 0)) {
    return absl::FailedPreconditionError(
        absl::StrCat(metric, " of ", peer, " is not above 0: no ratio to it"));
  }
  report.ratios.push_back({.bench = std::string(bench),
                           .case_name = std::string(case_name),
                           .subject = std::string(subject),
                           .peer = std::string(peer),
                           .metric = std::string(metric),
                           .ratio = numerator->summary.median / denominator->summary.median});
  return absl::OkStatus();
}

}  // namespace tenon::bench
