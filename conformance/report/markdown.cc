#include <string>

#include "absl/strings/str_cat.h"
#include "tenon/conformance/report/escape.h"
#include "tenon/conformance/report/formats.h"
#include "tenon/conformance/report/matrix.h"

namespace tenon::conformance {
namespace {

std::string_view CellOf(const RuleResult* result) {
  if (result == nullptr) return "";
  switch (result->verdict) {
    case Verdict::kPass:
      return "ok";
    case Verdict::kFail:
      return "**FAIL**";
    case Verdict::kUnsupported:
      return "-";
    case Verdict::kExpectedFail:
      return "known";
    case Verdict::kInconclusive:
      return "**?**";
  }
  return "?";
}

std::string MatrixMarkdown(const Matrix& matrix) {
  std::string header = absl::StrCat("| ", matrix.facet, " |");
  std::string rule = "|---|";
  for (const SubjectReport* subject : matrix.subjects) {
    absl::StrAppend(&header, " ", MarkdownCell(subject->name), " |");
    rule += "---|";
  }
  std::string text = absl::StrCat(header, " |\n", rule, "---|\n");
  for (const Matrix::Row& row : matrix.rows) {
    absl::StrAppend(&text, "| ", row.rule->id, " |");
    for (const RuleResult* result : row.results) absl::StrAppend(&text, " ", CellOf(result), " |");
    absl::StrAppend(&text, " ", MarkdownCell(row.rule->text), " |\n");
  }
  return text;
}

std::string Findings(const Report& report) {
  std::string text;
  for (const SubjectReport& subject : report.subjects) {
    for (const RuleResult& result : subject.rules) {
      if (result.verdict == Verdict::kPass) continue;
      absl::StrAppend(&text, "| ", MarkdownCell(subject.name), " | ", result.rule->id, " | ",
                      VerdictName(result.verdict), " | ", MarkdownCell(Headline(result.detail)),
                      " | `", result.replay, "` |\n");
    }
  }
  if (text.empty()) return "";
  return absl::StrCat("\n| subject | rule | verdict | detail | replay |\n|---|---|---|---|---|\n",
                      text);
}

}  // namespace

std::string FormatMarkdown(const Report& report) {
  const Host& host = report.host;
  std::string text =
      absl::StrCat("conform ", Version(), " on ", host.system, " ", host.kernel, " ", host.machine,
                   ", ", host.processors, " processors, ", host.compiler, ", ", host.build, "\n\n");
  for (const Matrix& matrix : MakeMatrices(report)) text += MatrixMarkdown(matrix);
  text += Findings(report);
  text += "\n";
  for (const SubjectReport& subject : report.subjects) {
    absl::StrAppend(&text, "- ", subject.name, ": ", SummaryText(Summarize(subject)), "\n");
  }
  return text;
}

}  // namespace tenon::conformance
