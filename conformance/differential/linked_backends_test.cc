// Seeded scripts over every backend that this test is linked with and that can run here. One alone
// is compared with itself, which shows that scripts are determined.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/differential/differential.h"
#include "tenon/conformance/differential/generate.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance::differential {
namespace {

// Each block is a test, so that they shard. A slow machine does fewer seeds of each.
constexpr uint64_t kBlocks = 8;
constexpr uint64_t kSeedsPerBlock = 60;
constexpr uint64_t kLeastSeeds = 5;
constexpr std::chrono::seconds kTimePerBlock{8};

std::vector<Participant> Participants() {
  std::vector<Participant> participants;
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    if (!factory->Probe().ok()) continue;
    participants.push_back({.name = std::string(factory->name()), .factory = factory});
  }
  if (participants.size() == 1) {
    participants.push_back(
        {.name = absl::StrCat(participants[0].name, " again"), .factory = participants[0].factory});
  }
  return participants;
}

class LinkedBackends : public testing::TestWithParam<uint64_t> {};

TEST_P(LinkedBackends, DoTheSame) {
  const absl::StatusOr<Differential> differential = Differential::Create(Participants(), {});
  ASSERT_TRUE(differential.ok()) << differential.status();
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t first_seed = GetParam() * kSeedsPerBlock + 1;
  for (uint64_t seed = first_seed; seed < first_seed + kSeedsPerBlock; ++seed) {
    const bool late = std::chrono::steady_clock::now() - begin > kTimePerBlock;
    if (late && seed >= first_seed + kLeastSeeds) break;
    std::optional<Finding> finding = differential->Run(Generate(seed));
    if (!finding.has_value()) continue;
    const Finding shortest = differential->Minimise(*std::move(finding), {});
    FAIL() << "seed " << seed << ": " << differential->Describe(shortest);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LinkedBackends, testing::Range<uint64_t>(0, kBlocks));

}  // namespace
}  // namespace tenon::conformance::differential
