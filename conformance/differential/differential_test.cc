// That the differential test finds what it is for: good backends made wrong in one way.

#include "tenon/conformance/differential/differential.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/differential/generate.h"
#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/rules/loop_mutant.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/time.h"

namespace tenon::conformance::differential {
namespace {

using testing::HasSubstr;

// Seeds within which each mutant must be found.
constexpr uint64_t kSeeds = 150;
// Steps that are left of a script that shows it.
constexpr size_t kShort = 8;

const LoopBackendFactory& Good() { return *runtime::LinkedBackends()[0]; }

ProcessOptions Quick() {
  ProcessOptions options;
  // Mutants that lose a completion stall.
  options.execution.patience_ns = kSecondNs;
  options.watchdog = std::chrono::seconds(20);
  return options;
}

// The first seed that tells the backend from the good one, made short.
std::optional<Finding> Find(const LoopBackendFactory& wrong) {
  const absl::StatusOr<Differential> differential = Differential::Create(
      {{.name = "good", .factory = &Good()}, {.name = "wrong", .factory = &wrong}}, Quick());
  if (!differential.ok()) {
    ADD_FAILURE() << differential.status();
    return std::nullopt;
  }
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    std::optional<Finding> finding = differential->Run(Generate(seed));
    if (!finding.has_value()) continue;
    finding = differential->Minimise(*std::move(finding), {});
    return finding;
  }
  return std::nullopt;
}

struct Case {
  std::string_view name;
  LoopMutant (*mutant)();
  // A part of the difference, and a step that cannot be left out; none where any loop shows it.
  std::string_view difference;
  std::optional<Verb> step;
};

class Mutants : public testing::TestWithParam<Case> {};

TEST_P(Mutants, AreFoundByAShortScript) {
  const LoopMutant mutant = GetParam().mutant();
  ASSERT_NE(mutant.wrap, nullptr);
  const std::optional<Finding> finding = Find(*mutant.wrap(Good()));
  ASSERT_TRUE(finding.has_value()) << "no difference in " << kSeeds << " seeds: " << mutant.name;
  const std::string script = ScriptText(finding->script);
  EXPECT_LE(finding->script.size(), kShort) << finding->difference.text << "\n" << script;
  EXPECT_THAT(finding->difference.text, HasSubstr(GetParam().difference)) << script;
  const bool has_step = std::any_of(finding->script.begin(), finding->script.end(),
                                    [](auto& step) { return step.verb == GetParam().step; });
  EXPECT_EQ(has_step, GetParam().step.has_value()) << script;
}

INSTANTIATE_TEST_SUITE_P(
    Loop, Mutants,
    testing::Values(Case{"IgnoresCancel", &loop_mutants::CAN_1, "wrong: stalled: ", Verb::kRecv},
                    Case{"SwallowsBytes", &loop_mutants::CAN_3, "", Verb::kRace},
                    Case{"EndsFirst", &loop_mutants::CMP_3, "wrong: o", Verb::kRecv},
                    Case{"LateWriter", &loop_mutants::CMP_4, "changed after its final completion",
                         Verb::kRecv},
                    Case{"ClaimsEverything", &loop_mutants::CMP_5, "", Verb::kPump},
                    Case{"RaisesSigpipe", &loop_mutants::CMP_6, "wrong: SIGPIPE", Verb::kSend},
                    Case{"KeepsBlock", &loop_mutants::TD_8, "left behind", std::nullopt}),
    [](const testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

TEST(Differential, ComparesTwoAtLeast) {
  const auto differential =
      Differential::Create({{.name = "good", .factory = &Good()}}, ProcessOptions());
  EXPECT_TRUE(absl::IsInvalidArgument(differential.status())) << differential.status();
}

// Fails to make a backend, as on a machine that has none.
class Refuses final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions&,
                                            Allocator&) const noexcept override {
    return absl::FailedPreconditionError("not on this machine");
  }
};

TEST(Differential, NamesTheBackendThatCannotRun) {
  const Refuses refuses(Good());
  const auto differential = Differential::Create(
      {{.name = "good", .factory = &Good()}, {.name = "absent", .factory = &refuses}},
      ProcessOptions());
  ASSERT_FALSE(differential.ok());
  EXPECT_THAT(std::string(differential.status().message()),
              HasSubstr("absent: FAILED_PRECONDITION: not on this machine"));
}

// Never returns from a wait that has something to wait for.
class Hangs final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  void Wait(int64_t, CompletionSink&) noexcept override {
    while (true) good().Now();
  }
};

TEST(Differential, AHangIsADifference) {
  ProcessOptions options;
  options.watchdog = std::chrono::seconds(1);
  const auto differential = Differential::Create(
      {{.name = "good", .factory = &Good()}, {.name = "wrong", .factory = Wrap<Hangs>(Good())}},
      options);
  ASSERT_TRUE(differential.ok()) << differential.status();
  const std::optional<Finding> finding = differential->Run({{.verb = Verb::kSettle}});
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->difference.text, "good: complete; wrong: hang after 1 s");
}

}  // namespace
}  // namespace tenon::conformance::differential
