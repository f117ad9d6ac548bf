#include "tenon/conformance/runner/rule_child.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/log/initialize.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "tenon/conformance/runner/crash_reporter.h"
#include "tenon/conformance/runner/record_pipe.h"
#include "tenon/conformance/runner/report.h"

namespace tenon::conformance {
namespace {

constexpr char kChildFlag[] = "--run-rule-in-this-process";
constexpr int kArgumentCount = 8;

// Runs of a body whose only finding is anonymous memory, before that counts as a leak.
constexpr int kMaxRuns = 3;

// Sends each failure when it happens, so that it is known even if the process then dies.
class FailureSender : public testing::EmptyTestEventListener {
 public:
  explicit FailureSender(int fd) : fd_(fd), owner_(getpid()) {}

  void OnTestPartResult(const testing::TestPartResult& result) override {
    // What a rule forks reports by other means.
    if (!result.failed() || getpid() != owner_) return;
    std::string_view text = absl::StripAsciiWhitespace(result.message());
    // What GoogleTest puts before the text of ADD_FAILURE().
    absl::ConsumePrefix(&text, "Failed\n");
    const std::string message =
        result.line_number() < 0
            ? std::string(text)
            : absl::StrCat(result.file_name(), ":", result.line_number(), ": ", text);
    absl::FPrintF(stderr, "%s\n", message);
    WriteRecord(fd_, kFailureRecord, message);
  }

 private:
  const int fd_;
  const pid_t owner_;
};

// One GoogleTest test: the body, and the ledger around it.
class RuleTest : public testing::Test {
 public:
  // All outlive the test.
  RuleTest(const BoundRule& bound, const ChildRequest& request, int report_fd)
      : bound_(bound), request_(request), report_fd_(report_fd) {}

  void TestBody() override {
    bool again = true;
    for (int run = 1; again; ++run) again = RunOnce(run);
    const Verdict verdict = HasFailure() ? Verdict::kFail : verdict_;
    WriteRecord(report_fd_, kReasonRecord, reason_);
    WriteRecord(report_fd_, kVerdictRecord, VerdictName(verdict));
  }

 private:
  // Returns whether the body is to be run again.
  bool RunOnce(int run) {
    const std::string directory = absl::StrCat(request_.temporary_directory, "/", run);
    mkdir(directory.c_str(), 0700);
    RuleContext context({.rule = bound_.rule,
                         .subject = request_.subject,
                         .seed = request_.seed,
                         .temporary_directory = directory});
    context.ledger().Mark();
    bound_.body(context);
    context.faults().Clear();
    Conclude(context);
    if (HasFailure()) return false;
    const std::vector<std::string> differences = context.ledger().Differences();
    if (!differences.empty()) {
      Fail(absl::StrCat("left behind: ", absl::StrJoin(differences, "; ")));
      return false;
    }
    if (context.keeps_freed_memory()) return false;
    const std::vector<std::string> grown = context.ledger().NewAnonymousMemory();
    if (grown.empty()) return false;
    if (run < kMaxRuns) return true;
    Fail(absl::StrCat("left behind by each of ", kMaxRuns, " runs: ", absl::StrJoin(grown, "; ")));
    return false;
  }

  void Conclude(const RuleContext& context) {
    switch (context.outcome()) {
      case RuleContext::Outcome::kJudged:
        verdict_ = Verdict::kPass;
        break;
      case RuleContext::Outcome::kUnsupported:
        verdict_ = Verdict::kUnsupported;
        break;
      case RuleContext::Outcome::kInconclusive:
        verdict_ = Verdict::kInconclusive;
        break;
    }
    reason_ = context.reason();
  }

  // A failure of the rule as a whole, which has no line.
  static void Fail(const std::string& message) {
    GTEST_MESSAGE_AT_(nullptr, -1, message.c_str(), testing::TestPartResult::kNonFatalFailure);
  }

  const BoundRule& bound_;
  const ChildRequest& request_;
  const int report_fd_;
  Verdict verdict_ = Verdict::kInconclusive;
  std::string reason_;
};

const BoundRule* FindRule(const std::vector<Subject>& subjects, const ChildRequest& request) {
  for (const Subject& subject : subjects) {
    if (subject.name != request.subject || subject.facet != request.facet) continue;
    for (const BoundRule& bound : subject.rules) {
      if (bound.rule->id == request.rule) return &bound;
    }
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> ChildArguments(const ChildRequest& request, int report_fd) {
  return {kChildFlag,
          absl::StrCat(report_fd),
          request.facet,
          request.subject,
          request.rule,
          absl::StrCat(request.seed),
          request.temporary_directory};
}

bool IsRuleChild(int argc, char** argv) {
  return argc == kArgumentCount && std::string_view(argv[1]) == kChildFlag;
}

int RunRuleChild(int argc, char** argv, absl::FunctionRef<std::vector<Subject>()> make_subjects) {
  int report_fd = -1;
  ChildRequest request = {.facet = argv[3], .subject = argv[4], .rule = argv[5]};
  request.temporary_directory = argv[7];
  if (argc != kArgumentCount || !absl::SimpleAtoi(argv[2], &report_fd) ||
      !absl::SimpleAtoi(argv[6], &request.seed)) {
    absl::FPrintF(stderr, "malformed arguments of %s\n", kChildFlag);
    return 2;
  }
  // What the rule executes must not be able to report for it.
  fcntl(report_fd, F_SETFD, FD_CLOEXEC);
  absl::InitializeLog();
  InstallCrashReporter(argv[0]);

  const std::vector<Subject> subjects = make_subjects();
  const BoundRule* const bound = FindRule(subjects, request);
  if (bound == nullptr) {
    absl::FPrintF(stderr, "no rule %s of subject %s\n", request.rule, request.subject);
    return 2;
  }
  int test_argc = 1;
  testing::InitGoogleTest(&test_argc, argv);
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new FailureSender(report_fd));  // owned by GoogleTest
  testing::RegisterTest(
      "Rule", "Body", nullptr, nullptr, __FILE__, __LINE__,
      [&]() -> testing::Test* { return new RuleTest(*bound, request, report_fd); });
  // The binary may have tests of its own.
  GTEST_FLAG_SET(filter, "Rule.Body");
  // Its result says no more than the records do.
  [[maybe_unused]] const int failed = RUN_ALL_TESTS();
  return 0;
}

}  // namespace tenon::conformance
