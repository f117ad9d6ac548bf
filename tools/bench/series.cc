#include "tenon/tools/bench/series.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/report.h"

namespace tenon::bench {
namespace {

// What had its processor for less than this share of the time was waiting for something else: then
// the number of operations a second is not its own.
constexpr double kSaturated = 0.95;

// Above this share of the time, another process has visibly disturbed it.
constexpr double kDisplaced = 0.03;

using Value = absl::FunctionRef<double(const Figures&)>;

double Divide(int64_t a, int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }
double CpuPerOperation(const Figures& round) { return Divide(round.cpu_ns, round.operations); }
double Throughput(const Figures& round) { return Divide(round.operations, round.wall_ns) * 1e9; }
double Busy(const Figures& round) { return Divide(round.cpu_ns, round.wall_ns); }
double Displaced(const Figures& round) { return Divide(round.displaced_ns, round.wall_ns); }

// Which share of the CPU time was spent in user mode, over all rounds, from 0 to 1.
double UserShare(const Series& series) {
  int64_t user = 0;
  int64_t all = 0;
  for (const Figures& round : series.rounds) {
    user += round.user_part;
    all += round.user_part + round.system_part;
  }
  return all > 0 ? Divide(user, all) : 0;
}

double Median(const Series& series, Value value) {
  std::vector<double> values;
  for (const Figures& round : series.rounds) values.push_back(value(round));
  absl::StatusOr<Summary> summary = Summarize(std::move(values));
  return summary.ok() ? summary->median : 0;
}

bool HasLatency(const std::vector<Series>& all) {
  return !all.front().rounds.empty() && all.front().rounds.front().p50_ns > 0;
}

// Adds the results of one series, one metric after another.
class ResultAdder {
 public:
  ResultAdder(absl::string_view bench, absl::string_view case_name, const Series& series,
              Report& report)
      : bench_(bench), case_name_(case_name), series_(series), report_(report) {}

  void Add(const char* metric, const char* unit, Value value) {
    std::vector<double> values;
    for (const Figures& round : series_.rounds) values.push_back(value(round));
    Push(metric, unit, std::move(values));
  }

  void AddCounted() {
    if (series_.counted.operations == 0) return;
    Push("syscalls_per_op", "calls",
         {Divide(series_.counted.system_calls, series_.counted.operations)});
  }

  // The first error, or OK.
  const absl::Status& status() const { return status_; }

 private:
  void Push(const char* metric, const char* unit, std::vector<double> values) {
    absl::StatusOr<Summary> summary = Summarize(std::move(values));
    if (!summary.ok()) {
      status_.Update(summary.status());
      return;
    }
    report_.results.push_back({.bench = std::string(bench_),
                               .case_name = std::string(case_name_),
                               .subject = series_.subject,
                               .metric = metric,
                               .unit = unit,
                               .summary = *summary});
  }

  const absl::string_view bench_;
  const absl::string_view case_name_;
  const Series& series_;
  Report& report_;
  absl::Status status_;
};

absl::Status AddResults(absl::string_view bench, absl::string_view case_name, const Series& series,
                        bool has_latency, Report& report) {
  ResultAdder results(bench, case_name, series, report);
  const double user = UserShare(series);
  results.Add("cpu_per_op", "ns", &CpuPerOperation);
  results.Add("user_cpu_per_op", "ns",
              [&](const Figures& round) { return CpuPerOperation(round) * user; });
  results.Add("sys_cpu_per_op", "ns",
              [&](const Figures& round) { return CpuPerOperation(round) * (1 - user); });
  results.Add("throughput", "op/s", &Throughput);
  if (has_latency) {
    results.Add("latency_p50", "us", [](const Figures& round) { return round.p50_ns / 1e3; });
    results.Add("latency_p99", "us", [](const Figures& round) { return round.p99_ns / 1e3; });
    results.Add("latency_p99.9", "us", [](const Figures& round) { return round.p999_ns / 1e3; });
  }
  if (!series.rounds.empty() && series.rounds.front().peak_rss_bytes > 0) {
    results.Add("peak_rss", "MiB",
                [](const Figures& round) { return Divide(round.peak_rss_bytes, 1 << 20); });
  }
  results.AddCounted();
  return results.status();
}

bool IsBusy(const Series& series) { return Median(series, &Busy) >= kSaturated; }

bool ThroughputCounts(const Case& which, const Series& ours, const Series& peer) {
  if (which.throughput == ThroughputRatio::kIfBusy) return IsBusy(ours) && IsBusy(peer);
  return which.throughput == ThroughputRatio::kAlways;
}

absl::Status AddRatios(absl::string_view bench, const Case& which, const Series& ours,
                       const Series& peer, bool has_latency, Report& report) {
  const auto add = [&](absl::string_view metric) {
    return AddRatio(report, bench, which.name, ours.subject, peer.subject, metric);
  };
  absl::Status status = add("cpu_per_op");
  if (status.ok() && ThroughputCounts(which, ours, peer)) status = add("throughput");
  if (status.ok() && has_latency) status = add("latency_p99");
  return status;
}

// `name 37 %` for each series for which `applies`.
std::string Shares(const std::vector<Series>& all, Value value,
                   absl::FunctionRef<bool(const Series&)> applies) {
  std::vector<std::string> shares;
  for (const Series& series : all) {
    if (!applies(series)) continue;
    shares.push_back(absl::StrFormat("%s %.0f %%", series.subject, Median(series, value) * 100));
  }
  return absl::StrJoin(shares, ", ");
}

void AddNotes(absl::string_view bench, const Case& which, const std::vector<Series>& all,
              Report& report) {
  const std::string displaced = Shares(all, &Displaced, [](const Series& series) {
    return Median(series, &Displaced) > kDisplaced;
  });
  if (!displaced.empty()) {
    report.notes.push_back(absl::StrCat(bench, " ", which.name,
                                        ": other processes took the processor for part of the time "
                                        "(",
                                        displaced,
                                        "): all its figures are noisy; repeat on an idle machine"));
  }
  const std::string idle = Shares(all, &Busy, [](const Series& series) { return !IsBusy(series); });
  if (idle.empty()) return;
  report.notes.push_back(
      absl::StrCat(bench, " ", which.name,
                   ": throughput is not the subject's own where it was not busy all the "
                   "time (busy: ",
                   idle, "): ", which.idle_means,
                   displaced.empty() ? "" : ", or other processes were in the way",
                   "; such throughput is in no ratio. cpu_per_op does not depend on it."));
}

}  // namespace

absl::Status AddCase(absl::string_view bench, const Case& which, const std::vector<Series>& all,
                     Report& report) {
  if (all.empty()) return absl::InvalidArgumentError("no series to report");
  const bool has_latency = HasLatency(all);
  for (const Series& series : all) {
    absl::Status status = AddResults(bench, which.name, series, has_latency, report);
    if (!status.ok()) return status;
  }
  for (const Series& ours : all) {
    for (const Series& peer : all) {
      if (!ours.ours || peer.ours) continue;
      absl::Status status = AddRatios(bench, which, ours, peer, has_latency, report);
      if (!status.ok()) return status;
    }
  }
  if (which.throughput == ThroughputRatio::kIfBusy) AddNotes(bench, which, all, report);
  return absl::OkStatus();
}

}  // namespace tenon::bench
