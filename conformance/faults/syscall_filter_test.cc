#include "tenon/conformance/faults/syscall_filter.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include <cerrno>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

absl::Status CreateEpoll() {
  return epoll_create1(EPOLL_CLOEXEC) >= 0 ? absl::OkStatus()
                                           : absl::ErrnoToStatus(errno, "epoll_create1");
}

absl::Status CreateEventfd() {
  return eventfd(0, EFD_CLOEXEC) >= 0 ? absl::OkStatus() : absl::ErrnoToStatus(errno, "eventfd");
}

TEST(SyscallFilterTest, RefusesWithTheErrorGiven) {
  const ChildOutcome outcome = RunWithRefusedSyscalls({{SYS_epoll_create1, ENOMEM}}, CreateEpoll);
  ASSERT_TRUE(outcome.returned) << outcome.Describe();
  EXPECT_EQ(outcome.status, absl::ErrnoToStatus(ENOMEM, "epoll_create1"));
}

TEST(SyscallFilterTest, LeavesOtherCallsAlone) {
  const ChildOutcome outcome = RunWithRefusedSyscalls(
      {{SYS_epoll_create1, EPERM}, {SYS_timerfd_create, EPERM}}, CreateEventfd);
  EXPECT_TRUE(outcome.returned && outcome.status.ok()) << outcome.Describe();
}

TEST(SyscallFilterTest, RefusesEachOfSeveral) {
  const ChildOutcome outcome =
      RunWithRefusedSyscalls({{SYS_epoll_create1, EPERM}, {SYS_eventfd2, ENOSYS}}, CreateEventfd);
  EXPECT_EQ(outcome.status, absl::ErrnoToStatus(ENOSYS, "eventfd")) << outcome.Describe();
}

TEST(SyscallFilterTest, DoesNotReachTheParent) {
  (void)RunWithRefusedSyscalls({{SYS_epoll_create1, EPERM}}, [] { return absl::OkStatus(); });
  EXPECT_TRUE(CreateEpoll().ok());
}

}  // namespace
}  // namespace tenon::conformance
