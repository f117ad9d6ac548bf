#include "tenon/conformance/faults/sweep.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

constexpr Rule kRule = {.id = "T-1", .facet = "test"};

// Allocates `count` blocks and frees them; an error at the first refusal.
absl::Status AllocateAll(Allocator& allocator, int count) {
  std::vector<void*> blocks;
  absl::Status status;
  for (int i = 0; i < count && status.ok(); ++i) {
    void* const ptr = allocator.Allocate({.size = 8}).ptr;
    if (ptr == nullptr) {
      status = absl::ResourceExhaustedError("");
    } else {
      blocks.push_back(ptr);
    }
  }
  for (void* const ptr : blocks) allocator.Deallocate(ptr, {.size = 8});
  return status;
}

class SweepTest : public testing::Test {
 protected:
  RuleContext rule_{{.rule = &kRule, .subject = "test", .seed = 0, .temporary_directory = ""}};
};

TEST_F(SweepTest, TriesEveryAllocationInBothModes) {
  const SweepResult result =
      SweepAllocations(rule_, {}, [&] { return AllocateAll(rule_.allocator(), 3); });
  EXPECT_EQ(result.struck, 6u);
  EXPECT_EQ(result.swallowed, 0u);
  EXPECT_EQ(result.attempts, 2 * (3 + 1) + 1u);
  EXPECT_EQ(rule_.outcome(), RuleContext::Outcome::kJudged);
  EXPECT_EQ(rule_.faults().injected(), 0u);
}

TEST_F(SweepTest, StickyFaultsStrikeTheFallbackToo) {
  // Survives one refusal, not two in a row.
  const auto attempt = [&] {
    const absl::Status first = AllocateAll(rule_.allocator(), 1);
    return first.ok() ? first : AllocateAll(rule_.allocator(), 1);
  };
  const SweepResult result = SweepAllocations(rule_, {.may_swallow = true}, attempt);
  EXPECT_EQ(result.struck, 2u);
  EXPECT_EQ(result.swallowed, 1u);
}

TEST_F(SweepTest, ASwallowedFaultIsAFailure) {
  static RuleContext* rule;
  rule = &rule_;
  EXPECT_NONFATAL_FAILURE(SweepAllocations(*rule, {},
                                           [] {
                                             (void)AllocateAll(rule->allocator(), 1);
                                             return absl::OkStatus();
                                           }),
                          "the failure was swallowed");
}

TEST_F(SweepTest, FailuresNameTheFault) {
  static RuleContext* rule;
  rule = &rule_;
  EXPECT_NONFATAL_FAILURE(SweepAllocations(*rule, {.sticky = false},
                                           [] {
                                             const auto status = AllocateAll(rule->allocator(), 2);
                                             return status.ok() ? status
                                                                : absl::InternalError("odd");
                                           }),
                          "INTERNAL: odd, expected RESOURCE_EXHAUSTED");
}

TEST_F(SweepTest, WhatAnAttemptLeavesBehindIsAFailure) {
  static RuleContext* rule;
  rule = &rule_;
  EXPECT_NONFATAL_FAILURE(SweepAllocations(*rule, {.sticky = false},
                                           [] {
                                             if (rule->allocator().Allocate({.size = 5}).ptr &&
                                                 rule->allocator().Allocate({.size = 6}).ptr) {
                                               return absl::OkStatus();
                                             }
                                             return absl::ResourceExhaustedError("");
                                           }),
                          "left behind: 1 blocks (5 bytes)");
}

TEST_F(SweepTest, ASweepThatStrikesNothingIsInconclusive) {
  const SweepResult result = SweepAllocations(rule_, {}, [] { return absl::OkStatus(); });
  EXPECT_EQ(result.struck, 0u);
  EXPECT_EQ(rule_.outcome(), RuleContext::Outcome::kInconclusive);
  EXPECT_EQ(rule_.reason(), "no allocation was asked for, so none could fail");
}

TEST_F(SweepTest, AnErrorWithoutAFaultIsAFailure) {
  static RuleContext* rule;
  rule = &rule_;
  EXPECT_NONFATAL_FAILURE(
      SweepAllocations(*rule, {}, [] { return absl::ResourceExhaustedError("always"); }),
      "none of them failed, and yet");
}

TEST_F(SweepTest, TheMessageCanBeRequired) {
  static RuleContext* rule;
  rule = &rule_;
  EXPECT_NONFATAL_FAILURE(SweepAllocations(*rule, {.expected_message = "watcher table"},
                                           [] { return AllocateAll(rule->allocator(), 1); }),
                          "does not mention \"watcher table\"");
}

TEST_F(SweepTest, IsBounded) {
  static RuleContext* rule;
  rule = &rule_;
  EXPECT_NONFATAL_FAILURE(SweepAllocations(*rule, {.check_ledger = false, .limit = 5},
                                           [] { return AllocateAll(rule->allocator(), 100); }),
                          "still struck after 5 attempts");
}

}  // namespace
}  // namespace tenon::conformance
