// From what a child left to a verdict.

#ifndef TENON_CONFORMANCE_RUNNER_VERDICT_H_
#define TENON_CONFORMANCE_RUNNER_VERDICT_H_

#include <cstdint>
#include <string>

#include "tenon/conformance/runner/report.h"
#include "tenon/conformance/runner/subject.h"

namespace tenon::conformance {

// All that is known of a child that ran a rule.
struct ChildEvidence {
  // What it sent over its pipe.
  std::string records;
  // The tail of its standard output and error.
  std::string output;
  // As of waitpid(2).
  int wait_status = 0;
  // When not zero: it was killed after so many seconds without an end.
  int64_t killed_after_s = 0;
};

struct Judgement {
  Verdict verdict = Verdict::kInconclusive;
  std::string detail;
};

// Judges a child by itself. Whatever is not an explicit pass of a process that then ended well is
// none: a death, a hang and a sanitizer report are failures named after themselves, with the tail
// of the output; an exit with status 0 that reported no verdict is a failure too.
Judgement Judge(const ChildEvidence& evidence);

// Turns the judgement of `rule` into that of a subject with these known failures: a failure that is
// listed is expected, a pass that is listed is a failure.
Judgement ApplyKnownFailures(Judgement judgement, const Rule& rule, const KnownFailures& known);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_VERDICT_H_
