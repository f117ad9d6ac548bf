#include "tenon/tools/doctor/host.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::doctor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A made-up /proc and /sys.
class HostTest : public testing::Test {
 protected:
  HostTest() : root_(testing::TempDir() + "/host_test") { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::string file = root_ + path;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file) << text;
  }

  std::optional<std::string> Setting(const std::string& name) {
    for (const KernelSetting& setting : ReadHost(root_).settings) {
      if (setting.name == name) return setting.value;
    }
    ADD_FAILURE() << name << " is not read";
    return std::nullopt;
  }

  const std::string root_;
};

TEST_F(HostTest, LeavesUnknownWhatCannotBeRead) {
  const HostFindings host = ReadHost(root_);
  EXPECT_EQ(host.filter, SystemCallFilter::kUnknown);
  EXPECT_EQ(host.control_group.memory_bytes, std::nullopt);
  EXPECT_EQ(host.control_group.threads, std::nullopt);
  for (const KernelSetting& setting : host.settings) EXPECT_EQ(setting.value, std::nullopt);
  EXPECT_THAT(host.kernel, HasSubstr("Linux "));
  EXPECT_GE(host.processors, 1);
}

TEST_F(HostTest, ReadsSettings) {
  Write("/proc/sys/kernel/io_uring_disabled", "2\n");
  Write("/proc/sys/fs/epoll/max_user_watches", "5000\n");
  Write("/proc/sys/kernel/io_uring_group", "-1\n");
  EXPECT_EQ(Setting("kernel.io_uring_disabled"), "2");
  EXPECT_EQ(Setting("fs.epoll.max_user_watches"), "5000");
  EXPECT_EQ(Setting("kernel.io_uring_group"), "-1");
  EXPECT_EQ(Setting("net.core.somaxconn"), std::nullopt);
}

TEST_F(HostTest, TellsFilters) {
  for (const auto& [mode, filter] :
       {std::pair("0", SystemCallFilter::kNone), std::pair("1", SystemCallFilter::kStrict),
        std::pair("2", SystemCallFilter::kFilter), std::pair("7", SystemCallFilter::kUnknown)}) {
    Write("/proc/self/status",
          std::string("Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t") + mode + "\nSeccomp_filters:\t0\n");
    EXPECT_EQ(ReadHost(root_).filter, filter) << mode;
  }
}

TEST_F(HostTest, FindsTheLowestLimitOfAGroupAndItsAncestors) {
  Write("/proc/self/cgroup", "0::/system.slice/server.service\n");
  Write("/sys/fs/cgroup/system.slice/server.service/memory.max", "max\n");
  Write("/sys/fs/cgroup/system.slice/server.service/pids.max", "512\n");
  EXPECT_EQ(ReadHost(root_).control_group.memory_bytes, kUnlimited);
  Write("/sys/fs/cgroup/system.slice/memory.max", "268435456\n");
  Write("/sys/fs/cgroup/system.slice/pids.max", "max\n");
  const ControlGroup group = ReadHost(root_).control_group;
  EXPECT_EQ(group.memory_bytes, 268435456u);
  EXPECT_EQ(group.threads, 512u);
}

TEST_F(HostTest, ReadsControlGroupsOfTheFirstVersion) {
  Write("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/x\n3:pids:/docker/x\n0::/\n");
  Write("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "1048576\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/pids/docker/x/pids.max", "max\n");
  const ControlGroup group = ReadHost(root_).control_group;
  EXPECT_EQ(group.memory_bytes, 1048576u);
  EXPECT_EQ(group.threads, kUnlimited);
}

TEST_F(HostTest, ReadsTheLimitsOfThisProcess) {
  rlimit limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 777);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  const HostFindings host = ReadHost(root_);
  ASSERT_EQ(host.limits.size(), 3u);
  EXPECT_EQ(host.limits[0].name, "RLIMIT_NOFILE");
  EXPECT_EQ(host.limits[0].soft, limit.rlim_cur);
  EXPECT_EQ(host.limits[1].name, "RLIMIT_MEMLOCK");
  EXPECT_EQ(host.limits[1].unit, "bytes");
  EXPECT_EQ(host.limits[2].name, "RLIMIT_NPROC");
}

TEST(AdviseTest, SaysNothingOfAHostThatIsWide) {
  HostFindings host;
  host.limits = {
      {.name = "RLIMIT_NOFILE", .soft = 1 << 20, .hard = 1 << 20, .unit = "", .what = ""}};
  host.settings = {{.name = "net.core.somaxconn", .value = "4096", .what = ""},
                   {.name = "fs.epoll.max_user_watches", .value = "1000000", .what = ""}};
  EXPECT_THAT(Advise(host), IsEmpty());
  EXPECT_THAT(Advise(HostFindings()), IsEmpty());
}

TEST(AdviseTest, NamesTheLimitItsEffectAndTheRemedy) {
  HostFindings host;
  host.limits = {{.name = "RLIMIT_NOFILE", .soft = 1024, .hard = 524288, .unit = "", .what = ""}};
  host.settings = {{.name = "net.core.somaxconn", .value = "128", .what = ""},
                   {.name = "fs.epoll.max_user_watches", .value = "100", .what = ""}};
  EXPECT_THAT(Advise(host),
              ElementsAre(AllOf(HasSubstr("RLIMIT_NOFILE is 1024"), HasSubstr("up to 524288")),
                          HasSubstr("fs.epoll.max_user_watches is 100"),
                          HasSubstr("net.core.somaxconn is 128")));
  host.limits[0].hard = 1024;
  EXPECT_THAT(Advise(host)[0], testing::EndsWith("(ulimit -n, LimitNOFILE=)"));
}

}  // namespace
}  // namespace tenon::doctor
