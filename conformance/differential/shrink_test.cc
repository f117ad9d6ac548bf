#include "tenon/conformance/differential/shrink.h"

#include <algorithm>
#include <chrono>

#include "gtest/gtest.h"
#include "tenon/conformance/differential/generate.h"

namespace tenon::conformance::differential {
namespace {

bool Has(const Script& script, Verb verb) {
  return std::any_of(script.begin(), script.end(),
                     [verb](const Step& step) { return step.verb == verb; });
}

Script Repeated(Verb verb, size_t count) {
  Script script(count);
  for (size_t i = 0; i < count; ++i) {
    script[i] = {.verb = verb, .arguments = {static_cast<int64_t>(i) + 1, 5}};
  }
  return script;
}

TEST(Shrink, LeavesWhatIsNeeded) {
  Script script = Generate(3, 100);
  script[20] = {.verb = Verb::kRace, .arguments = {1}};
  script[80] = {.verb = Verb::kPeerClose, .arguments = {1}};
  const auto fails = [](const Script& candidate) {
    return Has(candidate, Verb::kRace) && Has(candidate, Verb::kPeerClose);
  };
  ASSERT_TRUE(fails(script));
  const Script shortest = Shrink(script, fails, {});
  ASSERT_EQ(shortest.size(), 2u) << ScriptText(shortest);
  EXPECT_TRUE(fails(shortest));
}

TEST(Shrink, SimplifiesArguments) {
  const Script script = {{.verb = Verb::kPeerWrite, .arguments = {1, 1'000}}};
  const Script shortest = Shrink(script,
                                 [](const Script& candidate) {
                                   return !candidate.empty() && candidate[0].arguments[1] >= 100;
                                 },
                                 {});
  ASSERT_EQ(shortest.size(), 1u);
  EXPECT_GE(shortest[0].arguments[1], 100);
  EXPECT_LT(shortest[0].arguments[1], 200);
  EXPECT_EQ(shortest[0].arguments[0], 1) << "a name is no quantity";
}

TEST(Shrink, EndsAtItsLimits) {
  const Script script = Repeated(Verb::kNop, 500);
  int runs = 0;
  const auto fails = [&](const Script& candidate) {
    ++runs;
    return candidate.size() >= 2;
  };
  Shrink(script, fails, {.runs = 10});
  EXPECT_EQ(runs, 10);
  runs = 0;
  const Script kept = Shrink(script, fails, {.time = std::chrono::seconds(0)});
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(kept, script);
}

TEST(Shrink, KeepsWhatCannotBeShorter) {
  const Script script = Repeated(Verb::kNop, 7);
  const auto fails = [&](const Script& candidate) { return candidate == script; };
  EXPECT_EQ(Shrink(script, fails, {}), script);
}

}  // namespace
}  // namespace tenon::conformance::differential
