// A report for people: for each benchmark a table with a row for each case and subject and a column
// for each metric, and one of ratios with a column for each peer.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/text/table.h"

namespace tenon::bench {
namespace {

using text::AlignColumns;
using Cells = std::vector<std::string>;

// The metric that is given with its lowest and its highest round.
constexpr absl::string_view kSpreadMetric = "cpu_per_op";

// Three digits that count, none behind the point that do not.
std::string Figure(double value) {
  const double size = std::abs(value);
  return absl::StrFormat("%.*f", size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3, value);
}

// Appends `value` unless it is there already: distinct ones in the order of their appearance.
template <typename T>
void AddOnce(std::vector<T>& values, const T& value) {
  if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
}

std::string ResultTable(const Report& report, absl::string_view bench) {
  std::vector<std::pair<std::string, std::string>> metrics;
  std::vector<std::pair<std::string, std::string>> subjects;
  for (const Result& result : report.results) {
    if (result.bench != bench) continue;
    AddOnce(metrics, {result.metric, result.unit});
    AddOnce(subjects, {result.case_name, result.subject});
  }
  Cells names = {std::string(bench), ""};
  Cells units = {"case", "subject"};
  for (const auto& [metric, unit] : metrics) {
    names.push_back(metric);
    units.push_back(unit);
    if (metric != kSpreadMetric) continue;
    names.insert(names.end(), {"lowest", "highest"});
    units.insert(units.end(), {unit, unit});
  }
  std::vector<Cells> rows = {names, units};
  for (const auto& [case_name, subject] : subjects) {
    Cells row = {case_name, subject};
    for (const auto& [metric, unit] : metrics) {
      const Result* result = FindResult(report, bench, case_name, subject, metric);
      row.push_back(result == nullptr ? "-" : Figure(result->summary.median));
      if (metric != kSpreadMetric) continue;
      row.push_back(result == nullptr ? "-" : Figure(result->summary.min));
      row.push_back(result == nullptr ? "-" : Figure(result->summary.max));
    }
    rows.push_back(std::move(row));
  }
  return AlignColumns(rows, 2);
}

const Ratio* FindRatio(const Report& report, const Ratio& row, absl::string_view peer) {
  for (const Ratio& ratio : report.ratios) {
    if (ratio.bench == row.bench && ratio.case_name == row.case_name &&
        ratio.subject == row.subject && ratio.metric == row.metric && ratio.peer == peer) {
      return &ratio;
    }
  }
  return nullptr;
}

std::string RatioTable(const Report& report, absl::string_view bench) {
  std::vector<std::string> peers;
  // One of each row.
  std::vector<const Ratio*> firsts;
  for (const Ratio& ratio : report.ratios) {
    if (ratio.bench != bench) continue;
    AddOnce(peers, ratio.peer);
    const bool known = std::any_of(firsts.begin(), firsts.end(), [&](const Ratio* first) {
      return first->case_name == ratio.case_name && first->subject == ratio.subject &&
             first->metric == ratio.metric;
    });
    if (!known) firsts.push_back(&ratio);
  }
  if (firsts.empty()) return "";
  std::vector<Cells> rows = {{"ratio of", "", ""}};
  for (const std::string& peer : peers) rows[0].push_back(absl::StrCat("to ", peer));
  for (const Ratio* first : firsts) {
    Cells row = {first->case_name, first->subject, first->metric};
    for (const std::string& peer : peers) {
      const Ratio* ratio = FindRatio(report, *first, peer);
      row.push_back(ratio == nullptr ? "-" : absl::StrFormat("%.3f", ratio->ratio));
    }
    rows.push_back(std::move(row));
  }
  return absl::StrCat("\n", AlignColumns(rows, 3));
}

}  // namespace

std::string ToTable(const Report& report) {
  const Host& host = report.host;
  std::string out = absl::StrCat("host: kernel ", host.kernel, "; ", host.cpu_model, ", ",
                                 host.cores, " cores; ", host.compiler, ", ", host.build_mode);
  for (const auto& [library, version] : host.versions) {
    absl::StrAppend(&out, "; ", library, " ", version);
  }
  absl::StrAppend(&out, "\n");
  std::vector<std::string> benches;
  for (const Result& result : report.results) AddOnce(benches, result.bench);
  for (const std::string& bench : benches) {
    absl::StrAppend(&out, "\n", ResultTable(report, bench), RatioTable(report, bench));
  }
  if (!report.results.empty()) {
    absl::StrAppend(&out, "\nmedians of ", report.results.front().summary.rounds, " rounds\n");
  }
  for (const std::string& note : report.notes) absl::StrAppend(&out, "note: ", note, "\n");
  return out;
}

}  // namespace tenon::bench
