// Reports as text, for people and for programs.

#ifndef TENON_CONFORMANCE_REPORT_FORMATS_H_
#define TENON_CONFORMANCE_REPORT_FORMATS_H_

#include <optional>
#include <string>
#include <string_view>

#include "tenon/conformance/runner/report.h"

namespace tenon::conformance {

enum class Format { kTable, kJson, kJunit, kMarkdown };

// By name: "table", "json", "junit", "markdown".
std::optional<Format> ParseFormat(std::string_view name);

// For a terminal: for each facet a matrix of rules and subjects, then what did not pass with its
// detail and how to replay it, what was measured, then the counts. `colour` adds ANSI colours.
std::string FormatTable(const Report& report, bool colour);

// {"tool","version","host":{...},"subjects":[{"name","facet","rules":[{"id","level","verdict","ms",
// "detail","replay"}]}],"summary":{"pass","fail","expected_fail","unsupported","inconclusive"}}
std::string FormatJson(const Report& report);

// The XML that continuous integration systems read: a test suite for each subject, a test case for
// each rule. Inconclusive is a failure; unsupported and expected failures are skipped tests.
std::string FormatJunit(const Report& report);

// The matrix and the findings as Markdown.
std::string FormatMarkdown(const Report& report);

// By `format`; `colour` applies to tables.
std::string FormatReport(const Report& report, Format format, bool colour);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_REPORT_FORMATS_H_
