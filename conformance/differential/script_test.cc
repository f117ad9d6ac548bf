#include "tenon/conformance/differential/script.h"

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/differential/generate.h"

namespace tenon::conformance::differential {
namespace {

using testing::HasSubstr;

TEST(Script, SpecsAreInTheOrderOfVerbs) {
  ASSERT_EQ(VerbSpecs().size(), kVerbCount);
  for (size_t i = 0; i < kVerbCount; ++i) {
    EXPECT_EQ(static_cast<size_t>(VerbSpecs()[i].verb), i) << VerbSpecs()[i].name;
    EXPECT_LE(VerbSpecs()[i].parameters.size(), kMaxArguments);
  }
}

TEST(Script, IsTheSameAfterPrintingAndParsing) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Script script = Generate(seed, 60);
    const absl::StatusOr<Script> parsed = ParseScript(ScriptText(script));
    ASSERT_TRUE(parsed.ok()) << parsed.status() << "\n" << ScriptText(script);
    EXPECT_EQ(*parsed, script);
  }
}

TEST(Script, ReadsCommentsAndEmptyLines) {
  const auto script = ParseScript("# a title\n\n  open h1 kind=unix  # here\n\tsettle\n");
  ASSERT_TRUE(script.ok()) << script.status();
  EXPECT_EQ(ScriptText(*script), "open h1 kind=unix\nsettle\n");
}

TEST(Script, SaysWhatIsWrongAndWhere) {
  const std::pair<const char*, const char*> wrong[] = {
      {"settle\nfly", "line 2: \"fly\" is no step"},
      {"open h1", "open has 2 arguments, not 1"},
      {"open 1 kind=tcp", "\"1\" is not h0 to h9999"},
      {"open h10000 kind=tcp", "\"h10000\" is not h0 to h9999"},
      {"open h1 kind=carrier_pigeon", "is none of tcp, unix"},
      {"open h1 unix", "\"unix\" where kind= is expected"},
      {"peer_write h1 size=1025", "is not a number from 0 to 1024"},
      {"peer_write h1 size=-1", "is not a number from 0 to 1024"},
      {"nop o1 again=0\nnop o1 again=0", "line 2: o1 is submitted twice"},
      {"open h1 kind=tcp\nadopt_peer h1 h1", "line 2: h1 is opened twice"},
  };
  for (const auto& [text, message] : wrong) {
    const absl::StatusOr<Script> script = ParseScript(text);
    EXPECT_TRUE(absl::IsInvalidArgument(script.status())) << text;
    EXPECT_THAT(script.status().message(), HasSubstr(message));
  }
}

TEST(Generate, IsAFunctionOfTheSeed) {
  EXPECT_EQ(Generate(17, 40), Generate(17, 40));
  EXPECT_NE(Generate(17, 40), Generate(18, 40));
  EXPECT_EQ(Generate(17, 40).size(), 40u);
}

// A script must mean the same tomorrow and on another machine.
TEST(Generate, StaysWhatItWas) {
  EXPECT_EQ(ScriptText(Generate(1, 6)), R"(open h1 kind=directory
open h2 kind=file
open h3 kind=pipe_in
read o1 h3 size=16 offset=current again=1
peer_read h3
settle
)");
}

TEST(Generate, MakesEveryStepAndEveryKind) {
  std::set<Verb> verbs;
  std::set<int64_t> kinds;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (const Step& step : Generate(seed)) {
      verbs.insert(step.verb);
      if (step.verb == Verb::kOpen) kinds.insert(step.arguments[1]);
    }
  }
  for (const VerbSpec& spec : VerbSpecs()) EXPECT_TRUE(verbs.contains(spec.verb)) << spec.name;
  EXPECT_EQ(kinds.size(), kEndKinds.size());
}

}  // namespace
}  // namespace tenon::conformance::differential
