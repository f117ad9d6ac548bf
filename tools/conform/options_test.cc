#include "tenon/tools/conform/options.h"

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Options Parse(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Options> options = ParseOptions(arguments);
  EXPECT_TRUE(options.ok()) << options.status();
  return options.value_or(Options());
}

std::string Error(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Options> options = ParseOptions(arguments);
  EXPECT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(options.status().message());
}

TEST(ParseOptionsTest, RunsEverythingByDefault) {
  const Options options = Parse({});
  EXPECT_EQ(options.command, Command::kRun);
  EXPECT_THAT(options.selection.rules, IsEmpty());
  EXPECT_EQ(options.format, Format::kTable);
  EXPECT_GE(options.jobs, 1);
  EXPECT_FALSE(options.timeout.has_value());
}

TEST(ParseOptionsTest, ListsAreSplitAndRepeated) {
  const Options options = Parse({"--rule=TD-1,CAN-*", "--rule", "FIL-1", "--subject=epoll"});
  EXPECT_THAT(options.selection.rules, ElementsAre("TD-1", "CAN-*", "FIL-1"));
  EXPECT_THAT(options.selection.subjects, ElementsAre("epoll"));
  // Not within the parentheses of a composition.
  EXPECT_THAT(Parse({"--subject=epoll,quota(64MiB,tracking(system)),asio"}).selection.subjects,
              ElementsAre("epoll", "quota(64MiB,tracking(system))", "asio"));
}

TEST(ParseOptionsTest, ReadsValues) {
  const Options options = Parse({"--seed=18446744073709551615", "--jobs", "3", "--timeout=7",
                                 "--format=json", "--out=a=b.json", "--facet=loop"});
  EXPECT_EQ(options.seed, 18446744073709551615u);
  EXPECT_EQ(options.jobs, 3);
  EXPECT_EQ(options.timeout, std::chrono::seconds(7));
  EXPECT_EQ(options.format, Format::kJson);
  EXPECT_EQ(options.out, "a=b.json");
}

TEST(ParseOptionsTest, KnowsItsCommands) {
  EXPECT_EQ(Parse({"--list"}).command, Command::kList);
  EXPECT_EQ(Parse({"--explain", "TD-1"}).command, Command::kExplain);
  EXPECT_EQ(Parse({"--explain=TD-1"}).explain, "TD-1");
  EXPECT_EQ(Parse({"mutants", "--rule=TD-1"}).command, Command::kMutants);
  EXPECT_EQ(Parse({"--rule=TD-1", "--help"}).command, Command::kHelp);
}

TEST(ParseOptionsTest, ErrorsHelp) {
  EXPECT_THAT(Error({"--rules=TD-1"}), HasSubstr("did you mean --rule?"));
  EXPECT_THAT(Error({"--frobnicate"}), HasSubstr("unknown flag --frobnicate; see --help"));
  EXPECT_THAT(Error({"TD-1"}), HasSubstr("Rules are chosen by --rule"));
  EXPECT_THAT(Error({"--rule=TD-1", "mutants"}), HasSubstr("is no command"));
  EXPECT_THAT(Error({"--rule"}), HasSubstr("--rule wants a value"));
  EXPECT_THAT(Error({"--rule=TD-1,,TD-2"}), HasSubstr("an empty name"));
  EXPECT_THAT(Error({"--jobs=0"}), HasSubstr("--jobs: \"0\" is not a number from 1"));
  EXPECT_THAT(Error({"--timeout=ten"}), HasSubstr("\"ten\""));
  EXPECT_THAT(Error({"--seed=-1"}), HasSubstr("--seed"));
  EXPECT_THAT(Error({"--format=xml"}), HasSubstr("none of table, json, junit, markdown"));
  EXPECT_THAT(Error({"--list=TD-1"}), HasSubstr("--list takes no value"));
  EXPECT_THAT(Error({"--list", "--format=junit"}), HasSubstr("no junit"));
  EXPECT_THAT(Error({"mutants", "--format=markdown"}), HasSubstr("table and json"));
}

TEST(HelpTextTest, FitsATerminal) {
  size_t width = 0;
  for (const char c : HelpText()) {
    width = c == '\n' ? 0 : width + 1;
    EXPECT_LE(width, 100u);
  }
}

}  // namespace
}  // namespace tenon::conformance
