#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tenon/conformance/report/escape.h"
#include "tenon/conformance/report/formats.h"
#include "tenon/conformance/report/matrix.h"

namespace tenon::conformance {
namespace {

// What stands for a verdict in a cell, and its ANSI colour.
struct Glyph {
  std::string_view text;
  std::string_view colour;
};

constexpr std::string_view kReset = "\x1b[0m";

Glyph GlyphOf(const RuleResult* result) {
  if (result == nullptr) return {"", ""};
  switch (result->verdict) {
    case Verdict::kPass:
      return {"ok", "\x1b[32m"};
    case Verdict::kFail:
      return {"FAIL", "\x1b[1;31m"};
    case Verdict::kUnsupported:
      return {"-", "\x1b[2m"};
    case Verdict::kExpectedFail:
      return {"known", "\x1b[33m"};
    case Verdict::kInconclusive:
      return {"?", "\x1b[1;33m"};
  }
  return {"?", ""};
}

std::string Padded(std::string_view text, size_t width) {
  std::string padded(text);
  padded.resize(std::max(width, text.size()), ' ');
  return padded;
}

std::string Coloured(Glyph glyph, size_t width, bool colour) {
  const std::string padded = Padded(glyph.text, width);
  if (!colour || glyph.colour.empty()) return padded;
  return absl::StrCat(glyph.colour, padded, kReset);
}

// The start of the rule's text, so that a table can be read without the catalogue.
std::string Caption(const Rule& rule) {
  constexpr size_t kWidth = 64;
  std::string caption(rule.text);
  if (caption.size() <= kWidth) return caption;
  caption.resize(caption.rfind(' ', kWidth - 3));
  return caption + "...";
}

// Of the longest name of a subject.
size_t NameWidth(const Report& report) {
  size_t width = 0;
  for (const SubjectReport& subject : report.subjects) width = std::max(width, subject.name.size());
  return width;
}

std::string MatrixText(const Matrix& matrix, bool colour) {
  constexpr size_t kMinWidth = 5;
  const size_t id_width = std::max(size_t{9}, matrix.facet.size() + 2);
  std::string text = Padded(matrix.facet, id_width);
  for (const SubjectReport* subject : matrix.subjects) {
    absl::StrAppend(&text, Padded(subject->name, kMinWidth), "  ");
  }
  text += "\n";
  for (const Matrix::Row& row : matrix.rows) {
    text += Padded(row.rule->id, id_width);
    for (size_t i = 0; i < row.results.size(); ++i) {
      const size_t width = std::max(matrix.subjects[i]->name.size(), kMinWidth);
      absl::StrAppend(&text, Coloured(GlyphOf(row.results[i]), width, colour), "  ");
    }
    absl::StrAppend(&text, Caption(*row.rule), "\n");
  }
  return text;
}

// What does not apply, a line for each subject. Reasons that many rules share are said once.
std::string Unsupported(const Report& report, bool colour) {
  std::string text;
  for (const SubjectReport& subject : report.subjects) {
    std::vector<std::string_view> said;
    std::vector<std::string> reasons;
    const RuleResult* last = nullptr;
    for (const RuleResult& result : subject.rules) {
      if (result.verdict != Verdict::kUnsupported) continue;
      last = &result;
      if (std::find(said.begin(), said.end(), result.detail) != said.end()) continue;
      said.push_back(result.detail);
      reasons.push_back(absl::StrCat(result.rule->id, " ", Headline(result.detail)));
    }
    if (last == nullptr) continue;
    absl::StrAppend(&text, text.empty() ? "\n" : "", Coloured(GlyphOf(last), 0, colour), " ",
                    subject.name, ": ", absl::StrJoin(reasons, "; "), "\n");
  }
  return text;
}

// What else did not pass, one paragraph each.
std::string Findings(const Report& report, bool colour) {
  std::string text;
  for (const SubjectReport& subject : report.subjects) {
    for (const RuleResult& result : subject.rules) {
      if (result.verdict == Verdict::kPass || result.verdict == Verdict::kUnsupported) continue;
      const bool wanted = result.verdict != Verdict::kExpectedFail;
      const std::string detail = wanted ? result.detail : Headline(result.detail);
      absl::StrAppend(&text, "\n", Coloured(GlyphOf(&result), 0, colour), " ", subject.name, " ",
                      result.rule->id, ": ", absl::StrReplaceAll(detail, {{"\n", "\n    "}}), "\n");
      if (wanted) absl::StrAppend(&text, "    replay: ", result.replay, "\n");
    }
  }
  return text;
}

// What passed and was measured, a line each.
std::string Measurements(const Report& report) {
  constexpr size_t kIdWidth = 9;
  const size_t width = NameWidth(report);
  std::string text;
  for (const SubjectReport& subject : report.subjects) {
    for (const RuleResult& result : subject.rules) {
      if (result.verdict != Verdict::kPass || result.detail.empty()) continue;
      absl::StrAppend(&text, text.empty() ? "\nmeasured\n" : "", Padded(result.rule->id, kIdWidth),
                      Padded(subject.name, width + 2), Headline(result.detail), "\n");
    }
  }
  return text;
}

}  // namespace

std::string FormatTable(const Report& report, bool colour) {
  std::string text;
  for (const Matrix& matrix : MakeMatrices(report)) {
    if (!text.empty()) text += "\n";
    text += MatrixText(matrix, colour);
  }
  text += Measurements(report);
  text += Unsupported(report, colour);
  text += Findings(report, colour);
  text += "\n";
  const size_t width = NameWidth(report);
  for (const SubjectReport& subject : report.subjects) {
    absl::StrAppend(&text, Padded(subject.name, width), "  ", SummaryText(Summarize(subject)),
                    "\n");
  }
  return text;
}

std::optional<Format> ParseFormat(std::string_view name) {
  if (name == "table") return Format::kTable;
  if (name == "json") return Format::kJson;
  if (name == "junit") return Format::kJunit;
  if (name == "markdown") return Format::kMarkdown;
  return std::nullopt;
}

std::string FormatReport(const Report& report, Format format, bool colour) {
  switch (format) {
    case Format::kTable:
      return FormatTable(report, colour);
    case Format::kJson:
      return FormatJson(report);
    case Format::kJunit:
      return FormatJunit(report);
    case Format::kMarkdown:
      return FormatMarkdown(report);
  }
  return "";
}

}  // namespace tenon::conformance
