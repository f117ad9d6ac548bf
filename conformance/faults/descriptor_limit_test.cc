#include "tenon/conformance/faults/descriptor_limit.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {
namespace {

constexpr Rule kRule = {.id = "T-1", .facet = "test"};

UniqueFd OpenOne() { return UniqueFd(eventfd(0, EFD_CLOEXEC)); }

absl::Status OpenAll(int count) {
  std::vector<UniqueFd> opened;
  for (int i = 0; i < count; ++i) {
    opened.push_back(OpenOne());
    if (!opened.back().ok()) return absl::ErrnoToStatus(errno, "eventfd");
  }
  return absl::OkStatus();
}

TEST(DescriptorLimitTest, AllowsExactlySoManyMore) {
  for (const int available : {0, 1, 2, 7}) {
    const DescriptorLimit limit(available);
    std::vector<UniqueFd> opened;
    for (int i = 0; i < available; ++i) {
      opened.push_back(OpenOne());
      EXPECT_TRUE(opened.back().ok()) << i << " of " << available;
    }
    errno = 0;
    EXPECT_FALSE(OpenOne().ok()) << available;
    EXPECT_EQ(errno, EMFILE);
  }
}

TEST(DescriptorLimitTest, CountsGaps) {
  UniqueFd first = OpenOne();
  const UniqueFd second = OpenOne();
  first.Reset();
  const DescriptorLimit limit(1);
  const UniqueFd in_the_gap = OpenOne();
  EXPECT_TRUE(in_the_gap.ok());
  EXPECT_FALSE(OpenOne().ok());
}

TEST(DescriptorLimitTest, EndsWithItsLife) {
  { const DescriptorLimit limit(0); }
  EXPECT_TRUE(OpenOne().ok());
}

TEST(DescriptorFaultsTest, ASweepRefusesEachDescriptorInTurn) {
  RuleContext rule({.rule = &kRule, .subject = "test", .seed = 0, .temporary_directory = ""});
  DescriptorFaults descriptors;
  const SweepResult result =
      Sweep(rule, descriptors, {.expected_message = "eventfd"}, [] { return OpenAll(3); });
  EXPECT_EQ(result.struck, 3u);
  EXPECT_EQ(result.attempts, 3 + 1 + 1u);
}

}  // namespace
}  // namespace tenon::conformance
