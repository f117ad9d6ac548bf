// A host that refuses rings is told apart, and told what to change.

#include "tenon/backends/io_uring/refusal.h"

#include <sys/syscall.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/io_uring/io_uring.h"
#include "tenon/conformance/faults/syscall_filter.h"
#include "tenon/core/loop/loop.h"

namespace tenon::io_uring {
namespace {

using testing::HasSubstr;

TEST(SetupRefusedTest, TellsWhoRefused) {
  struct Case {
    int errnum;
    HostFacts facts;
    absl::StatusCode code;
    const char* part;
  };
  const Case cases[] = {
      {EPERM,
       {.io_uring_disabled = 2},
       absl::StatusCode::kPermissionDenied,
       "set sysctl kernel.io_uring_disabled=0"},
      {EPERM,
       {.io_uring_disabled = 1},
       absl::StatusCode::kPermissionDenied,
       "kernel.io_uring_group"},
      {EPERM,
       {.io_uring_disabled = 0, .seccomp_filter = true},
       absl::StatusCode::kPermissionDenied,
       "a seccomp filter forbids it"},
      {EPERM,
       {.io_uring_disabled = -1},
       absl::StatusCode::kPermissionDenied,
       "a security module forbids it"},
      {ENOSYS,
       {.seccomp_filter = true, .kernel_release = "6.1.0"},
       absl::StatusCode::kUnimplemented,
       "a seccomp filter hides it"},
      {ENOSYS,
       {.kernel_release = "4.19.0-27"},
       absl::StatusCode::kUnimplemented,
       "kernel 4.19.0-27 does not have it"},
      {EINVAL,
       {.kernel_release = "5.15.0"},
       absl::StatusCode::kUnimplemented,
       "kernel 5.15.0 does not know what the backend asks for"},
      {ENOMEM,
       {.memlock_bytes = 64 * 1024},
       absl::StatusCode::kResourceExhausted,
       "RLIMIT_MEMLOCK (ulimit -l), now 64 KiB"},
      {ENOMEM,
       {.memlock_bytes = UINT64_MAX},
       absl::StatusCode::kResourceExhausted,
       "now unlimited"},
      {EMFILE, {}, absl::StatusCode::kResourceExhausted, "RLIMIT_NOFILE"},
  };
  for (const Case& c : cases) {
    const absl::Status status = SetupRefused(c.errnum, c.facts);
    EXPECT_EQ(status.code(), c.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("io_uring_setup")) << c.part;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.part));
  }
}

TEST(ReadHostFactsTest, KnowsThisHost) {
  const HostFacts facts = ReadHostFacts();
  EXPECT_GE(facts.io_uring_disabled, -1);
  EXPECT_LE(facts.io_uring_disabled, 2);
  EXPECT_GT(facts.memlock_bytes, 0u);
  EXPECT_THAT(facts.kernel_release, HasSubstr("."));
}

// Probe and Create under a filter that answers `errnum` to io_uring_setup.
void ExpectRefusal(int errnum, absl::StatusCode code, const char* part) {
  const conformance::ChildOutcome outcome =
      conformance::RunWithRefusedSyscalls({{.number = SYS_io_uring_setup, .error = errnum}}, [&] {
        EXPECT_TRUE(ReadHostFacts().seccomp_filter);
        alloc::SystemAllocator allocator;
        const absl::Status probed = Factory().Probe();
        const absl::Status created = Loop::Create(Factory(), {}, allocator).status();
        for (const absl::Status& status : {probed, created}) {
          EXPECT_EQ(status.code(), code) << status;
          EXPECT_THAT(std::string(status.message()), HasSubstr("io_uring_setup"));
          EXPECT_THAT(std::string(status.message()), HasSubstr(part));
        }
        int available = 0;
        Factory().Features([&](const BackendFeature& feature) {
          if (feature.available && feature.without == "the backend cannot run") ++available;
        });
        EXPECT_EQ(available, 0);
        return absl::OkStatus();
      });
  if (absl::IsUnavailable(outcome.status)) GTEST_SKIP() << outcome.status;
  EXPECT_TRUE(outcome.returned) << outcome.Describe();
}

TEST(RefusedRingTest, ByPermission) {
  ExpectRefusal(EPERM, absl::StatusCode::kPermissionDenied, "allow io_uring_setup");
}

TEST(RefusedRingTest, ByAbsence) {
  ExpectRefusal(ENOSYS, absl::StatusCode::kUnimplemented, "a seccomp filter hides it");
}

TEST(RefusedRingTest, InUseOnly) {
  const conformance::ChildOutcome outcome =
      conformance::RunWithRefusedSyscalls({{.number = SYS_io_uring_enter, .error = EPERM}}, [] {
        alloc::SystemAllocator allocator;
        for (const absl::Status& status :
             {Factory().Probe(), Loop::Create(Factory(), {}, allocator).status()}) {
          EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
          EXPECT_THAT(std::string(status.message()), HasSubstr("io_uring_enter"));
        }
        return absl::OkStatus();
      });
  if (absl::IsUnavailable(outcome.status)) GTEST_SKIP() << outcome.status;
  EXPECT_TRUE(outcome.returned) << outcome.Describe();
}

TEST(RefusedRingTest, ForWantOfMemory) {
  ExpectRefusal(ENOMEM, absl::StatusCode::kResourceExhausted, "RLIMIT_MEMLOCK");
}

}  // namespace
}  // namespace tenon::io_uring
