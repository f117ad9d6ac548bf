#include "tenon/tools/doctor/report.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/tools/doctor/doctor.h"

namespace tenon::doctor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Findings MadeUp() {
  Findings findings;
  findings.host = {
      .kernel = "Linux 6.1.0",
      .machine = "x86_64",
      .processors = 2,
      .filter = SystemCallFilter::kFilter,
      .control_group = {.memory_bytes = 256 << 20, .threads = kUnlimited},
      .limits = {{.name = "RLIMIT_MEMLOCK",
                  .soft = (8 << 20) + 512 * 1024,
                  .hard = kUnlimited,
                  .unit = "bytes",
                  .what = "locked memory"}},
      .settings = {{.name = "kernel.io_uring_disabled", .value = std::nullopt, .what = "who may"},
                   {.name = "fs.file-max", .value = "12345", .what = "open files"}}};
  BackendFindings works;
  works.name = "epoll";
  works.capabilities = {.multishot = true, .provided_buffers = true};
  works.embeddable = true;
  works.cost = LoopCost{.descriptors = 2,
                        .embedding_descriptors = 3,
                        .threads = 4,
                        .reserved_bytes = 3 << 20,
                        .resident_bytes = 1000};
  BackendFindings refused;
  refused.name = "io_uring";
  refused.failed_step = "probe";
  refused.status = absl::PermissionDeniedError("io_uring_setup: EPERM: \"why\"; change\tthis");
  refused.features = {{.name = "multishot receive",
                       .since = "Linux 6.0",
                       .available = false,
                       .without = "the backend cannot run"}};
  findings.backends = {works, refused};
  findings.automatic.backend = "epoll";
  findings.advice = {"raise it"};
  return findings;
}

TEST(FormatTableTest, SaysEverythingOnce) {
  EXPECT_EQ(FormatTable(MadeUp()),
            R"(kernel              Linux 6.1.0
machine             x86_64, 2 processors
system call filter  seccomp filter
cgroup              memory 256 MiB, threads unlimited

limit           soft     hard
RLIMIT_MEMLOCK  8.5 MiB  unlimited  locked memory

sysctl                    value
kernel.io_uring_disabled  absent  who may
fs.file-max               12345   open files

backend   runs  descriptors  embedding  threads  reserved  resident  capabilities
epoll     yes   2            +3         4        3 MiB     1000 B    multishot, provided_buffers
io_uring  no    -            -          -        -         -         -

io_uring: kernel feature  since      here  without it
multishot receive         Linux 6.0  no    the backend cannot run

io_uring cannot run (probe): io_uring_setup: EPERM: "why"; change	this

auto takes epoll
advice: raise it
)");
}

TEST(FormatTableTest, SaysWhatIsNotKnownAndWhatIsNotThere) {
  Findings findings;
  findings.automatic.status = absl::NotFoundError("no loop backend is linked");
  const std::string table = FormatTable(findings);
  EXPECT_THAT(table, AllOf(HasSubstr("kernel              unknown\n"),
                           HasSubstr("system call filter  unknown\n"),
                           HasSubstr("memory unknown, threads unknown\n"),
                           HasSubstr("no backend is linked; point the label_flag"),
                           HasSubstr("auto takes none: no loop backend is linked\n")));
  EXPECT_THAT(table, Not(HasSubstr("cannot run")));
}

TEST(FormatTableTest, NamesTheStepOfABackendThatFailedLater) {
  Findings findings = MadeUp();
  findings.backends[0].status = absl::ResourceExhaustedError("");
  findings.backends[0].failed_step = "create";
  findings.backends[0].cost = std::nullopt;
  EXPECT_THAT(FormatTable(findings), HasSubstr("epoll cannot run (create): out of memory; raise"));
}

TEST(FormatJsonTest, HasTheSameAsValidJson) {
  EXPECT_EQ(FormatJson(MadeUp()), R"({
  "tool":"doctor",
  "host":{"kernel":"Linux 6.1.0","machine":"x86_64","processors":2,"system_call_filter":"filter",)"
                                  R"("cgroup":{"memory_bytes":268435456,"threads":"unlimited"},)"
                                  R"("limits":[
    {"name":"RLIMIT_MEMLOCK","soft":8912896,"hard":"unlimited","unit":"bytes","what":"locked memory"}
  ],"settings":[
    {"name":"kernel.io_uring_disabled","value":null,"what":"who may"},
    {"name":"fs.file-max","value":"12345","what":"open files"}
  ]},
  "backends":[
    {"name":"epoll","runs":true,"failed_step":null,"code":"OK","reason":null,)"
                                  R"("capabilities":{"native_files":false,"multishot":true,)"
                                  R"("provided_buffers":true,"zero_copy_send":false},)"
                                  R"("embeddable":true,"cost":{"descriptors":2,)"
                                  R"("embedding_descriptors":3,"threads":4,)"
                                  R"("reserved_bytes":3145728,"resident_bytes":1000},"features":[]},
    {"name":"io_uring","runs":false,"failed_step":"probe","code":"PERMISSION_DENIED",)"
                                  R"("reason":"io_uring_setup: EPERM: \"why\"; change\tthis",)"
                                  R"("capabilities":null,"embeddable":null,"cost":null,"features":[
    {"name":"multishot receive","since":"Linux 6.0","available":false,)"
                                  R"("without":"the backend cannot run"}
  ]}
  ],
  "automatic":{"backend":"epoll","reason":null},
  "advice":[
    "raise it"
  ]
}
)");
}

TEST(FormatJsonTest, HasNullForWhatIsNotKnown) {
  Findings findings;
  findings.automatic.status = absl::UnavailableError("none can run");
  EXPECT_THAT(FormatJson(findings),
              AllOf(HasSubstr(R"("system_call_filter":null,"cgroup":{"memory_bytes":null,)"),
                    HasSubstr(R"("backends":[])"),
                    HasSubstr(R"("automatic":{"backend":null,"reason":"none can run"})")));
}

TEST(MissingRequirementsTest, NamesEachThatCannotRun) {
  Findings findings = MadeUp();
  EXPECT_EQ(MissingRequirements(findings, {}), "");
  EXPECT_EQ(MissingRequirements(findings, {"epoll", "auto"}), "");
  EXPECT_EQ(MissingRequirements(findings, {"epoll", "io_uring"}),
            "doctor: required backend io_uring cannot run: io_uring_setup: EPERM: \"why\"; "
            "change\tthis\n");
  findings.automatic.status = absl::UnavailableError("none");
  EXPECT_EQ(MissingRequirements(findings, {"auto"}),
            "doctor: required backend auto cannot run: none\n");
}

}  // namespace
}  // namespace tenon::doctor
