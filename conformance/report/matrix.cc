#include "tenon/conformance/report/matrix.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tenon::conformance {
namespace {

Matrix& FindOrAdd(std::vector<Matrix>& matrices, const std::string& facet) {
  for (Matrix& matrix : matrices) {
    if (matrix.facet == facet) return matrix;
  }
  matrices.push_back({facet, {}, {}});
  return matrices.back();
}

Matrix::Row& FindOrAdd(std::vector<Matrix::Row>& rows, const Rule* rule) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const Matrix::Row& row) { return row.rule->id == rule->id; });
  if (found != rows.end()) return *found;
  rows.push_back({rule, {}});
  return rows.back();
}

}  // namespace

std::vector<Matrix> MakeMatrices(const Report& report) {
  std::vector<Matrix> matrices;
  for (const SubjectReport& subject : report.subjects) {
    Matrix& matrix = FindOrAdd(matrices, subject.facet);
    matrix.subjects.push_back(&subject);
    for (const RuleResult& result : subject.rules) {
      Matrix::Row& row = FindOrAdd(matrix.rows, result.rule);
      row.results.resize(matrix.subjects.size());
      row.results.back() = &result;
    }
  }
  for (Matrix& matrix : matrices) {
    for (Matrix::Row& row : matrix.rows) row.results.resize(matrix.subjects.size());
  }
  return matrices;
}

std::string SummaryText(const Summary& summary) {
  std::vector<std::string> parts;
  for (const auto& [count, name] :
       {std::pair(summary.pass, "pass"), std::pair(summary.fail, "fail"),
        std::pair(summary.expected_fail, "expected fail"),
        std::pair(summary.unsupported, "unsupported"),
        std::pair(summary.inconclusive, "inconclusive")}) {
    if (count > 0) parts.push_back(absl::StrCat(count, " ", name));
  }
  return parts.empty() ? "nothing was run" : absl::StrJoin(parts, ", ");
}

}  // namespace tenon::conformance
