#include "tenon/core/loop/os_error.h"

#include <cerrno>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/loop/time.h"

namespace tenon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(OsErrorTest, NamesResourceErrnoCauseAndRemedy) {
  const absl::Status status = OsError(EMFILE, "epoll_create1");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("epoll_create1: EMFILE"), HasSubstr("RLIMIT_NOFILE")));
}

TEST(OsErrorTest, CodesFitTheErrno) {
  EXPECT_EQ(OsError(EPERM, "x").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(OsError(ENOSYS, "x").code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(OsError(ENOMEM, "x").code(), absl::StatusCode::kResourceExhausted);
}

TEST(OsErrorTest, AHintReplacesTheCause) {
  const std::string message(OsError(EPERM, "bind", "ask the operator").message());
  EXPECT_THAT(message, HasSubstr("ask the operator"));
  EXPECT_THAT(message, testing::Not(HasSubstr("seccomp")));
}

TEST(OsErrorTest, AnUnknownErrnoIsStillSaid) {
  EXPECT_THAT(std::string(OsError(9999, "x").message()), HasSubstr("9999"));
}

TEST(OsErrorTest, WantOfMemoryHasNoMessage) {
  EXPECT_EQ(OutOfMemory().message(), "");
  EXPECT_EQ(OutOfMemory().code(), absl::StatusCode::kResourceExhausted);
}

TEST(LoopOptionsTest, NamesTheFieldTheValueAndTheRange) {
  EXPECT_TRUE(LoopOptions().Validate().ok());
  LoopOptions options;
  options.queue_depth = 40'000;
  EXPECT_THAT(std::string(options.Validate().message()),
              HasSubstr("LoopOptions.queue_depth is 40000; it must be from 1 to 32768"));
  options = {};
  options.work_threads = 0;
  EXPECT_FALSE(options.Validate().ok());
  options = {};
  options.accept_backoff_ns = -1;
  EXPECT_FALSE(options.Validate().ok());
}

TEST(TimeTest, DeadlinesSaturate) {
  EXPECT_EQ(DeadlineAfter(100, 5), 105);
  EXPECT_EQ(DeadlineAfter(100, -5), 100);
  EXPECT_EQ(DeadlineAfter(100, kForeverNs), kForeverNs);
  EXPECT_EQ(DeadlineAfter(100, kForeverNs - 100), kForeverNs);
  EXPECT_EQ(DeadlineAfter(100, kForeverNs - 101), kForeverNs - 1);
}

}  // namespace
}  // namespace tenon
