#include "tenon/tools/doctor/doctor.h"

#include <sys/syscall.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/syscall_filter.h"
#include "tenon/runtime/open_loop.h"

namespace tenon::doctor {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(DoctorTest, ExplainsItself) {
  const Outcome outcome = RunDoctor({"--help"});
  EXPECT_EQ(outcome.status, kSuccess);
  EXPECT_THAT(outcome.output, HasSubstr("--require=NAME"));
  EXPECT_EQ(outcome.errors, "");
}

TEST(DoctorTest, RefusesNamesThatAreNotLinkedAndListsThoseThatAre) {
  const Outcome outcome = RunDoctor({"--require=nosuch"});
  EXPECT_EQ(outcome.status, kUsage);
  EXPECT_EQ(outcome.output, "");
  EXPECT_THAT(outcome.errors, StartsWith("doctor: --require: backend \"nosuch\" is not linked"));
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    EXPECT_THAT(outcome.errors, HasSubstr(std::string(factory->name())));
  }
}

TEST(DoctorTest, SaysOfEachLinkedBackendWhetherItRuns) {
  const Outcome outcome = RunDoctor({"--format=json"});
  EXPECT_EQ(outcome.status, kSuccess) << outcome.errors;
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    EXPECT_THAT(outcome.output,
                HasSubstr("{\"name\":\"" + std::string(factory->name()) +
                          "\",\"runs\":" + (factory->Probe().ok() ? "true" : "false")));
  }
}

// A host that refuses a system call, as old kernels, containers and sandboxes do.
class RefusedRingTest : public testing::TestWithParam<int> {
 protected:
  // Runs the body in a child to which the ring is refused.
  void WithRefusedRing(absl::FunctionRef<void()> body) {
    if (!runtime::FindBackend("io_uring").ok() || !runtime::FindBackend("epoll").ok()) {
      GTEST_SKIP() << "links another set of backends than //backends:default_set";
    }
    const conformance::ChildOutcome outcome =
        conformance::RunWithRefusedSyscalls({{SYS_io_uring_setup, GetParam()}}, [&] {
          body();
          return absl::OkStatus();
        });
    if (absl::IsUnavailable(outcome.status)) GTEST_SKIP() << outcome.status;
    EXPECT_TRUE(outcome.returned && outcome.status.ok()) << outcome.Describe();
  }
};

TEST_P(RefusedRingTest, IsNamedWithReasonAndRemedy) {
  WithRefusedRing([] {
    const Outcome outcome = RunDoctor({"--require=epoll,io_uring"});
    EXPECT_EQ(outcome.status, kRequiredCannotRun);
    EXPECT_THAT(outcome.errors,
                StartsWith("doctor: required backend io_uring cannot run: io_uring_setup: " +
                           std::string(strerrorname_np(GetParam()))));
    // A seccomp filter or a sysctl: whatever the host has.
    EXPECT_THAT(outcome.errors, AnyOf(HasSubstr("allow io_uring_setup"), HasSubstr("sysctl"),
                                      HasSubstr("raise RLIMIT_MEMLOCK")));
    EXPECT_THAT(outcome.output, AllOf(HasSubstr("system call filter  seccomp filter\n"),
                                      HasSubstr("\nio_uring cannot run (probe): io_uring_setup: "),
                                      HasSubstr("\nauto takes epoll\n")));
  });
}

TEST_P(RefusedRingTest, CostsNoOtherBackendAnything) {
  WithRefusedRing([] {
    const Outcome outcome = RunDoctor({"--require", "epoll", "--format", "json"});
    EXPECT_EQ(outcome.status, kSuccess) << outcome.errors;
    EXPECT_EQ(outcome.errors, "");
    EXPECT_THAT(outcome.output, HasSubstr(R"({"name":"epoll","runs":true)"));
    EXPECT_THAT(outcome.output, HasSubstr(R"({"name":"io_uring","runs":false)"));
    EXPECT_EQ(RunDoctor({"--require=auto"}).status, kSuccess);
  });
}

INSTANTIATE_TEST_SUITE_P(Errors, RefusedRingTest, testing::Values(EPERM, ENOSYS, ENOMEM),
                         [](const testing::TestParamInfo<int>& info) {
                           return std::string(strerrorname_np(info.param));
                         });

TEST(DoctorTest, NothingRunsWhereEverythingIsRefused) {
  const conformance::ChildOutcome outcome = conformance::RunWithRefusedSyscalls(
      {{SYS_io_uring_setup, EPERM}, {SYS_epoll_create1, EPERM}}, [&] {
        const Outcome refused = RunDoctor({"--require=auto"});
        EXPECT_EQ(refused.status, kRequiredCannotRun);
        EXPECT_THAT(refused.errors, HasSubstr("required backend auto cannot run: no linked loop"));
        EXPECT_THAT(refused.output, HasSubstr("\nauto takes none: no linked loop backend can"));
        return absl::OkStatus();
      });
  if (absl::IsUnavailable(outcome.status)) GTEST_SKIP() << outcome.status;
  EXPECT_TRUE(outcome.returned && outcome.status.ok()) << outcome.Describe();
}

}  // namespace
}  // namespace tenon::doctor
