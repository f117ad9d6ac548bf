#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tenon/conformance/report/escape.h"
#include "tenon/conformance/report/formats.h"

namespace tenon::conformance {
namespace {

std::string Seconds(int64_t milliseconds) {
  return absl::StrFormat("%d.%03d", milliseconds / 1000, milliseconds % 1000);
}

std::string Element(std::string_view name, const RuleResult& result) {
  return absl::StrCat("      <", name, " message=\"", XmlText(Headline(result.detail)), "\">",
                      XmlText(result.detail), "&#10;replay: ", XmlText(result.replay), "</", name,
                      ">\n");
}

std::string TestCase(const SubjectReport& subject, const RuleResult& result) {
  std::string xml = absl::StrCat(
      "    <testcase name=\"", XmlText(result.rule->id), "\" classname=\"", XmlText(subject.facet),
      ".", XmlText(subject.name), "\" time=\"", Seconds(result.milliseconds), "\">\n");
  switch (result.verdict) {
    case Verdict::kPass:
      break;
    case Verdict::kFail:
    case Verdict::kInconclusive:
      xml += Element("failure", result);
      break;
    case Verdict::kUnsupported:
    case Verdict::kExpectedFail:
      absl::StrAppend(&xml, "      <skipped message=\"", VerdictName(result.verdict), ": ",
                      XmlText(Headline(result.detail)), "\"/>\n");
      break;
  }
  return xml + "    </testcase>\n";
}

// The attributes of a suite, or of all: counts and time.
std::string Counts(const Summary& summary, int64_t milliseconds) {
  const int skipped = summary.unsupported + summary.expected_fail;
  const int failures = summary.fail + summary.inconclusive;
  return absl::StrCat("tests=\"", summary.pass + failures + skipped, "\" failures=\"", failures,
                      "\" errors=\"0\" skipped=\"", skipped, "\" time=\"", Seconds(milliseconds),
                      "\"");
}

int64_t TotalMilliseconds(const SubjectReport& subject) {
  int64_t total = 0;
  for (const RuleResult& result : subject.rules) total += result.milliseconds;
  return total;
}

}  // namespace

std::string FormatJunit(const Report& report) {
  int64_t total = 0;
  for (const SubjectReport& subject : report.subjects) total += TotalMilliseconds(subject);
  std::string xml =
      absl::StrCat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"conform\" ",
                   Counts(Summarize(report), total), ">\n");
  for (const SubjectReport& subject : report.subjects) {
    absl::StrAppend(&xml, "  <testsuite name=\"", XmlText(subject.facet), ".",
                    XmlText(subject.name), "\" ",
                    Counts(Summarize(subject), TotalMilliseconds(subject)), ">\n");
    for (const RuleResult& result : subject.rules) xml += TestCase(subject, result);
    xml += "  </testsuite>\n";
  }
  return xml + "</testsuites>\n";
}

}  // namespace tenon::conformance
