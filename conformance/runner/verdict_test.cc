#include "tenon/conformance/runner/verdict.h"

#include <signal.h>

#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/runner/process_end.h"
#include "tenon/conformance/runner/record_pipe.h"

namespace tenon::conformance {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::StartsWith;

constexpr int kExit1 = 1 << 8;

std::string MakeRecord(char type, std::string_view payload) {
  const uint32_t length = static_cast<uint32_t>(payload.size());
  std::string bytes(1, type);
  bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
  return bytes.append(payload);
}

TEST(ParseRecordsTest, LeavesOutWhatWasCutOff) {
  const std::string whole = MakeRecord('F', "one") + MakeRecord('V', "");
  EXPECT_THAT(ParseRecords(whole + MakeRecord('R', "two").substr(0, 6)),
              ElementsAre(AllOf(Field(&Record::type, 'F'), Field(&Record::payload, "one")),
                          AllOf(Field(&Record::type, 'V'), Field(&Record::payload, ""))));
  EXPECT_TRUE(ParseRecords("").empty());
}

TEST(JudgeTest, OnlyAReportedPassWithAGoodEndPasses) {
  ChildEvidence evidence;
  evidence.records = MakeRecord('V', "pass");
  EXPECT_EQ(Judge(evidence).verdict, Verdict::kPass);
  evidence.wait_status = SIGABRT;
  EXPECT_EQ(Judge(evidence).verdict, Verdict::kFail);
  EXPECT_EQ(Judge(evidence).detail, "SIGABRT");
  evidence.wait_status = kExit1;
  EXPECT_EQ(Judge(evidence).detail, "exit 1");
  evidence = {};
  EXPECT_THAT(Judge(evidence).detail, HasSubstr("without having reported a verdict"));
}

TEST(JudgeTest, AFailureOutweighsTheVerdict) {
  ChildEvidence evidence;
  evidence.records = MakeRecord('F', "a.cc:1: wrong") + MakeRecord('V', "pass");
  EXPECT_EQ(Judge(evidence).verdict, Verdict::kFail);
  EXPECT_EQ(Judge(evidence).detail, "a.cc:1: wrong");
}

TEST(JudgeTest, UnknownVerdictsFail) {
  ChildEvidence evidence;
  evidence.records = MakeRecord('V', "splendid");
  EXPECT_EQ(Judge(evidence).verdict, Verdict::kFail);
  // Only the parent may expect a failure.
  evidence.records = MakeRecord('V', "expected_fail");
  EXPECT_EQ(Judge(evidence).verdict, Verdict::kFail);
}

TEST(JudgeTest, LeaksFoundAtExitAreNamed) {
  ChildEvidence evidence;
  evidence.records = MakeRecord('V', "pass");
  evidence.output = "==7==ERROR: LeakSanitizer: detected memory leaks\n\nDirect leak of 8 byte(s)";
  evidence.wait_status = 23 << 8;
  EXPECT_THAT(Judge(evidence).detail, AllOf(StartsWith("LeakSanitizer: detected memory leaks\n"),
                                            HasSubstr("Direct leak")));
}

TEST(JudgeTest, AHangIsNamedWhateverEndedIt) {
  ChildEvidence evidence;
  evidence.records = MakeRecord('V', "pass");
  evidence.wait_status = SIGKILL;
  evidence.killed_after_s = 30;
  EXPECT_EQ(Judge(evidence).detail, "hang after 30 s");
}

TEST(ApplyKnownFailuresTest, ChangesOnlyWhatIsListed) {
  const Rule rule = {.id = "A-1"};
  const KnownFailures known = {{"A-1", "reason"}};
  EXPECT_EQ(ApplyKnownFailures({Verdict::kFail, "x"}, rule, {}).verdict, Verdict::kFail);
  EXPECT_EQ(ApplyKnownFailures({Verdict::kFail, "x"}, rule, known).verdict, Verdict::kExpectedFail);
  EXPECT_EQ(ApplyKnownFailures({Verdict::kPass, ""}, rule, known).verdict, Verdict::kFail);
  EXPECT_EQ(ApplyKnownFailures({Verdict::kInconclusive, "x"}, rule, known).verdict,
            Verdict::kInconclusive);
}

TEST(FindSanitizerReportTest, NamesEachKind) {
  EXPECT_EQ(FindSanitizerReport("x\n==1==ERROR: AddressSanitizer: heap-use-after-free on address "
                                "0x602 at pc 0x4\n"),
            "AddressSanitizer: heap-use-after-free");
  EXPECT_EQ(FindSanitizerReport("==1==ERROR: AddressSanitizer: SEGV on unknown address 0x0"),
            "AddressSanitizer: SEGV");
  EXPECT_EQ(FindSanitizerReport("WARNING: ThreadSanitizer: data race (pid=12)"),
            "ThreadSanitizer: data race");
  EXPECT_EQ(FindSanitizerReport("a.cc:3:5: runtime error: signed integer overflow: 1 + 2"),
            "UndefinedBehaviorSanitizer: signed integer overflow: 1 + 2");
}

TEST(FindSanitizerReportTest, IgnoresOtherErrors) {
  EXPECT_EQ(FindSanitizerReport("ERROR: cannot open\nWARNING: All log messages before\n"), "");
  EXPECT_EQ(FindSanitizerReport("ERROR: the text mentions Sanitizer: only later"), "");
}

}  // namespace
}  // namespace tenon::conformance
