#include "tenon/conformance/runner/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace tenon::conformance {
namespace {

constexpr std::string_view kBuild =
#if defined(NDEBUG)
    "release";
#else
    "debug";
#endif

constexpr std::string_view kSanitizer =
#if defined(__SANITIZE_ADDRESS__)
    " address";
#elif defined(__SANITIZE_THREAD__)
    " thread";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
        " address";
#elif __has_feature(thread_sanitizer)
        " thread";
#else
        "";
#endif
#else
        "";
#endif

constexpr std::string_view kCompiler =
#if defined(__clang__)
    "clang " __clang_version__;
#else
    "gcc " __VERSION__;
#endif

void Count(const SubjectReport& subject, Summary& summary) {
  for (const RuleResult& result : subject.rules) {
    switch (result.verdict) {
      case Verdict::kPass:
        ++summary.pass;
        break;
      case Verdict::kFail:
        ++summary.fail;
        break;
      case Verdict::kUnsupported:
        ++summary.unsupported;
        break;
      case Verdict::kExpectedFail:
        ++summary.expected_fail;
        break;
      case Verdict::kInconclusive:
        ++summary.inconclusive;
        break;
    }
  }
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "fail";
    case Verdict::kUnsupported:
      return "unsupported";
    case Verdict::kExpectedFail:
      return "expected_fail";
    case Verdict::kInconclusive:
      return "inconclusive";
  }
  return "unknown";
}

Host ThisHost() {
  utsname name = {};
  uname(&name);
  return {.system = name.sysname,
          .kernel = name.release,
          .machine = name.machine,
          .processors = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)),
          .compiler = std::string(kCompiler),
          .build = absl::StrCat(kBuild, kSanitizer)};
}

std::string_view Version() { return "0.1.0"; }

Summary Summarize(const SubjectReport& subject) {
  Summary summary;
  Count(subject, summary);
  return summary;
}

Summary Summarize(const Report& report) {
  Summary summary;
  for (const SubjectReport& subject : report.subjects) Count(subject, summary);
  return summary;
}

bool MatchesDeclarations(const Report& report) {
  const Summary summary = Summarize(report);
  return summary.fail == 0 && summary.inconclusive == 0 && summary.pass + summary.expected_fail > 0;
}

}  // namespace tenon::conformance
