#include "tenon/conformance/runner/runner.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/runner/rule_child.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

// Rules that do one thing each, on a subject called "fake".
struct FakeRule {
  Rule rule;
  void (*body)(RuleContext& rule);
};

void WaitForEver() {
  while (true) pause();
}

// Where the parent can see what a rule's process did after the rule's directory is gone.
std::string MarkerPath() { return std::string(getenv("TMPDIR")) + "/conform-runner-test-marker"; }

const FakeRule kFakeRules[] = {
    {{.id = "PASS-1", .facet = "fake"}, [](RuleContext&) {}},
    {{.id = "FAIL-1", .facet = "fake"},
     [](RuleContext&) {
       EXPECT_EQ(1, 2) << "the first message";
       EXPECT_EQ(3, 4) << "the second message";
     }},
    {{.id = "FATAL-1", .facet = "fake"},
     [](RuleContext&) { ASSERT_TRUE(false) << "a fatal message"; }},
    {{.id = "ABORT-1", .facet = "fake"},
     [](RuleContext&) {
       std::fputs("last words\n", stderr);
       std::abort();
     }},
    {{.id = "FAILABORT-1", .facet = "fake"},
     [](RuleContext&) {
       ADD_FAILURE() << "before the crash";
       std::abort();
     }},
    {{.id = "SEGV-1", .facet = "fake"}, [](RuleContext&) { raise(SIGSEGV); }},
    {{.id = "HANG-1", .facet = "fake"}, [](RuleContext&) { WaitForEver(); }},
    {{.id = "STUBBORN-1", .facet = "fake"},
     [](RuleContext&) {
       signal(SIGABRT, SIG_IGN);
       WaitForEver();
     }},
    {{.id = "EXIT0-1", .facet = "fake"}, [](RuleContext&) { _exit(0); }},
    {{.id = "EXIT3-1", .facet = "fake"}, [](RuleContext&) { exit(3); }},
    {{.id = "THROW-1", .facet = "fake"}, [](RuleContext&) { throw std::string("thrown"); }},
    {{.id = "SANITIZER-1", .facet = "fake"},
     [](RuleContext&) {
       std::fputs("==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1\n", stderr);
     }},
    {{.id = "INCONCLUSIVE-1", .facet = "fake"},
     [](RuleContext& rule) { rule.Inconclusive("could not arrange it"); }},
    {{.id = "UNSUPPORTED-1", .facet = "fake"},
     [](RuleContext& rule) { rule.Unsupported("declared away"); }},
    {{.id = "LEAKFD-1", .facet = "fake"},
     [](RuleContext&) { EXPECT_GE(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 0); }},
    {{.id = "LEAKBYTES-1", .facet = "fake"},
     [](RuleContext& rule) { (void)rule.allocator().Allocate({.size = 77}); }},
    {{.id = "LEAKMEMORY-1", .facet = "fake"},
     [](RuleContext&) {
       EXPECT_NE(mmap(nullptr, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
     }},
    {{.id = "CACHE-1", .facet = "fake"},
     [](RuleContext&) {
       static void* const cache =
           mmap(nullptr, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       EXPECT_NE(cache, MAP_FAILED);
     }},
    {{.id = "SEED-1", .facet = "fake"},
     [](RuleContext& rule) { ADD_FAILURE() << "seed " << rule.seed() << "."; }},
    {{.id = "DIRECTORY-1", .facet = "fake"},
     [](RuleContext& rule) {
       EXPECT_TRUE(std::filesystem::is_empty(rule.temporary_directory()));
       std::ofstream(rule.temporary_directory() + "/file") << "content";
       std::ofstream(MarkerPath()) << rule.temporary_directory();
     }},
    {{.id = "STRAY-1", .facet = "fake"},
     [](RuleContext&) {
       const pid_t stray = fork();
       if (stray == 0) WaitForEver();
       std::ofstream(MarkerPath()) << stray;
     }},
};

std::vector<Subject> Subjects(const std::vector<std::string>& ids) {
  Subject subject = {.name = "fake", .facet = "fake", .rules = {}, .known_failures = {}};
  for (const FakeRule& fake : kFakeRules) {
    const bool wanted = ids.empty() || std::find(ids.begin(), ids.end(), fake.rule.id) != ids.end();
    if (wanted) subject.rules.push_back({&fake.rule, fake.body});
  }
  return {subject};
}

RunOptions Options() {
  RunOptions options;
  options.seed = 42;
  options.replay_program = "conform";
  return options;
}

RuleResult RunOne(const std::string& id, KnownFailures known = {}) {
  std::vector<Subject> subjects = Subjects({id});
  subjects[0].known_failures = std::move(known);
  RunOptions options = Options();
  options.timeout = std::chrono::seconds(60);
  const absl::StatusOr<Report> report = RunSubjects(subjects, options);
  EXPECT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->subjects.size(), 1u);
  EXPECT_EQ(report->subjects[0].rules.size(), 1u);
  return report->subjects[0].rules[0];
}

std::string ReadMarker() {
  std::ifstream file(MarkerPath());
  std::string text;
  std::getline(file, text);
  std::filesystem::remove(MarkerPath());
  return text;
}

TEST(RunnerTest, APassIsAPass) {
  const RuleResult result = RunOne("PASS-1");
  EXPECT_EQ(result.verdict, Verdict::kPass) << result.detail;
  EXPECT_EQ(result.detail, "");
  EXPECT_EQ(result.replay, "conform --rule=PASS-1 --subject=fake --seed=42");
}

TEST(RunnerTest, TheFirstFailureIsTheDetail) {
  const RuleResult result = RunOne("FAIL-1");
  EXPECT_EQ(result.verdict, Verdict::kFail);
  EXPECT_THAT(result.detail, AllOf(HasSubstr("runner_test.cc:"), HasSubstr("the first message"),
                                   HasSubstr("the second message")));
  EXPECT_LT(result.detail.find("first message"), result.detail.find("second message"));
  EXPECT_THAT(RunOne("FATAL-1").detail, HasSubstr("a fatal message"));
}

TEST(RunnerTest, ACrashIsAFailureWithANameAndTheOutput) {
  const RuleResult result = RunOne("ABORT-1");
  EXPECT_EQ(result.verdict, Verdict::kFail);
  EXPECT_THAT(result.detail, AllOf(StartsWith("SIGABRT\n"), HasSubstr("last words")));
  // By a sanitizer, where there is one.
  EXPECT_THAT(RunOne("SEGV-1").detail,
              AnyOf(StartsWith("SIGSEGV\n"), StartsWith("AddressSanitizer: SEGV\n"),
                    StartsWith("ThreadSanitizer: SEGV\n")));
}

TEST(RunnerTest, AFailureBeforeACrashIsKept) {
  EXPECT_THAT(RunOne("FAILABORT-1").detail,
              AllOf(StartsWith("SIGABRT\n"), HasSubstr("before the crash")));
}

TEST(RunnerTest, AHangIsAFailure) {
  for (const char* id : {"HANG-1", "STUBBORN-1"}) {
    RunOptions options = Options();
    options.timeout = std::chrono::seconds(1);
    const absl::StatusOr<Report> report = RunSubjects(Subjects({id}), options);
    ASSERT_TRUE(report.ok()) << report.status();
    const RuleResult& result = report->subjects[0].rules[0];
    EXPECT_EQ(result.verdict, Verdict::kFail);
    EXPECT_THAT(result.detail, StartsWith("hang after 1 s")) << id;
  }
}

TEST(RunnerTest, AnExitIsNoVerdict) {
  EXPECT_EQ(RunOne("EXIT0-1").verdict, Verdict::kFail);
  EXPECT_THAT(RunOne("EXIT0-1").detail, HasSubstr("without having reported a verdict"));
  EXPECT_THAT(RunOne("EXIT3-1").detail, StartsWith("exit 3"));
}

TEST(RunnerTest, AnExceptionIsAFailure) { EXPECT_EQ(RunOne("THROW-1").verdict, Verdict::kFail); }

TEST(RunnerTest, ASanitizerReportIsAFailureEvenIfTheProcessPasses) {
  const RuleResult result = RunOne("SANITIZER-1");
  EXPECT_EQ(result.verdict, Verdict::kFail);
  EXPECT_THAT(result.detail, StartsWith("AddressSanitizer: heap-use-after-free\n"));
}

TEST(RunnerTest, WhatIsNotJudgedSaysWhy) {
  const RuleResult inconclusive = RunOne("INCONCLUSIVE-1");
  EXPECT_EQ(inconclusive.verdict, Verdict::kInconclusive);
  EXPECT_EQ(inconclusive.detail, "could not arrange it");
  const RuleResult unsupported = RunOne("UNSUPPORTED-1");
  EXPECT_EQ(unsupported.verdict, Verdict::kUnsupported);
  EXPECT_EQ(unsupported.detail, "declared away");
}

TEST(RunnerTest, LeaksAreFailures) {
  EXPECT_THAT(RunOne("LEAKFD-1").detail,
              AllOf(StartsWith("left behind: descriptor "), HasSubstr("socket:[")));
  EXPECT_THAT(RunOne("LEAKBYTES-1").detail, HasSubstr("1 blocks (77 bytes)"));
}

TEST(RunnerTest, AnonymousMemoryIsALeakWhenItGrowsEveryTime) {
  if (TakeSnapshot(nullptr).anonymous.empty()) return;  // a sanitizer's look the same
  EXPECT_THAT(RunOne("LEAKMEMORY-1").detail,
              HasSubstr("left behind by each of 3 runs: 1048576 bytes of anonymous memory"));
  EXPECT_EQ(RunOne("CACHE-1").verdict, Verdict::kPass);
}

TEST(RunnerTest, KnownFailuresAreExpected) {
  const RuleResult known = RunOne("FAIL-1", {{"FAIL-1", "being worked on"}});
  EXPECT_EQ(known.verdict, Verdict::kExpectedFail);
  EXPECT_THAT(known.detail, AllOf(StartsWith("being worked on\n"), HasSubstr("first message")));
  const RuleResult unexpected = RunOne("PASS-1", {{"PASS-1", "being worked on"}});
  EXPECT_EQ(unexpected.verdict, Verdict::kFail);
  EXPECT_THAT(unexpected.detail, HasSubstr("listed as a known failure: being worked on"));
}

TEST(RunnerTest, TheSeedReachesTheRule) {
  EXPECT_THAT(RunOne("SEED-1").detail, HasSubstr("seed 42."));
}

TEST(RunnerTest, TheTemporaryDirectoryIsRemoved) {
  EXPECT_EQ(RunOne("DIRECTORY-1").verdict, Verdict::kPass);
  const std::string directory = ReadMarker();
  EXPECT_THAT(directory, HasSubstr("/conform-"));
  EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST(RunnerTest, StrayProcessesAreKilled) {
  EXPECT_EQ(RunOne("STRAY-1").verdict, Verdict::kPass);
  const pid_t stray = std::stoi(ReadMarker());
  // Killed is not yet gone: wait for its end, which would never come by itself.
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, stray, 0)));
  if (!process.ok()) return;
  pollfd ended = {.fd = process.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&ended, 1, -1), 1);
}

TEST(RunnerTest, ResultsKeepTheirOrderWhateverRunsAtOnce) {
  RunOptions options = Options();
  options.jobs = 4;
  size_t calls = 0, last_done = 0;
  options.progress = [&](const Progress& progress) {
    ++calls;
    EXPECT_EQ(progress.total, 3u);
    last_done = progress.done;
  };
  const absl::StatusOr<Report> report =
      RunSubjects(Subjects({"PASS-1", "FAIL-1", "INCONCLUSIVE-1"}), options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->subjects[0].rules[0].rule->id, "PASS-1");
  EXPECT_EQ(report->subjects[0].rules[1].rule->id, "FAIL-1");
  EXPECT_EQ(report->subjects[0].rules[2].rule->id, "INCONCLUSIVE-1");
  EXPECT_EQ(calls, 6u);
  EXPECT_EQ(last_done, 3u);
  EXPECT_FALSE(MatchesDeclarations(*report));
}

TEST(RunnerTest, NothingToRunIsAnError) {
  EXPECT_EQ(RunSubjects({}, Options()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(MatchesDeclarations(Report()));
}

TEST(RunnerTest, OnlyUnsupportedProvesNothing) {
  const absl::StatusOr<Report> report = RunSubjects(Subjects({"UNSUPPORTED-1"}), Options());
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(MatchesDeclarations(*report));
}

TEST(RunnerTest, AnInterruptEndsTheRun) {
  static std::atomic<bool> interrupted;
  RunOptions options = Options();
  options.interrupted = &interrupted;
  options.progress = [](const Progress&) { interrupted = true; };
  EXPECT_EQ(RunSubjects(Subjects({"HANG-1"}), options).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace tenon::conformance

int main(int argc, char** argv) {
  using tenon::conformance::IsRuleChild;
  using tenon::conformance::RunRuleChild;
  if (IsRuleChild(argc, argv)) {
    return RunRuleChild(argc, argv, [] { return tenon::conformance::Subjects({}); });
  }
  // The rules' processes do not see Bazel's variables.
  if (const char* directory = getenv("TEST_TMPDIR")) setenv("TMPDIR", directory, 1);
  setenv("TMPDIR", "/tmp", 0);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
