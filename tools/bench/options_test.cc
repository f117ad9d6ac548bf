#include "tenon/tools/bench/options.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::bench {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

OptionsSpec AllOptions() {
  return {.subjects = {"epoll", "libuv"},
          .cases = {"read", "write"},
          .connections = true,
          .directory = true};
}

absl::StatusOr<Options> Parse(const std::vector<absl::string_view>& arguments) {
  return ParseOptions(arguments, AllOptions());
}

// What is said about arguments that are wrong.
std::string Complaint(const std::vector<absl::string_view>& arguments) {
  absl::StatusOr<Options> options = Parse(arguments);
  if (options.ok()) return "accepted";
  EXPECT_TRUE(absl::IsInvalidArgument(options.status())) << options.status();
  return std::string(options.status().message());
}

TEST(ParseOptionsTest, NothingLeavesTheDefaults) {
  absl::StatusOr<Options> options = Parse({});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->format, Format::kTable);
  EXPECT_EQ(options->out, "");
  EXPECT_FALSE(options->quick);
  EXPECT_FALSE(options->help);
  EXPECT_EQ(options->rounds, 0);
  EXPECT_TRUE(options->connections.empty());
  EXPECT_TRUE(options->subjects.empty());
  EXPECT_TRUE(options->cases.empty());
  EXPECT_EQ(options->directory, "");
}

TEST(ParseOptionsTest, ReadsBothWaysOfGivingAValue) {
  absl::StatusOr<Options> options = Parse(
      {"--format=json", "--out", "a=b.json", "--quick", "--rounds", "9", "--connections=512,1",
       "--subjects", "libuv,epoll", "--cases", "write", "--dir=/tmp", "--help"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->format, Format::kJson);
  EXPECT_EQ(options->out, "a=b.json");
  EXPECT_TRUE(options->quick);
  EXPECT_TRUE(options->help);
  EXPECT_EQ(options->rounds, 9);
  EXPECT_THAT(options->connections, ElementsAre(512, 1));
  EXPECT_THAT(options->subjects, ElementsAre("libuv", "epoll"));
  EXPECT_THAT(options->cases, ElementsAre("write"));
  EXPECT_EQ(options->directory, "/tmp");
}

TEST(ParseOptionsTest, TheLastOneWins) {
  absl::StatusOr<Options> options = Parse({"--connections=1,2", "--connections=3"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->connections, ElementsAre(3));
}

TEST(ParseOptionsTest, ListsWhatIsValid) {
  EXPECT_THAT(Complaint({"--format=xml"}),
              AllOf(HasSubstr("'xml'"), HasSubstr("valid: table, json")));
  EXPECT_THAT(Complaint({"--subjects=epoll,kqueue"}),
              AllOf(HasSubstr("'kqueue'"), HasSubstr("valid: epoll, libuv")));
  EXPECT_THAT(Complaint({"--cases=erase"}),
              AllOf(HasSubstr("case 'erase'"), HasSubstr("valid: read, write")));
  EXPECT_THAT(Complaint({"--colour"}), AllOf(HasSubstr("'--colour'"), HasSubstr("--subjects")));
  EXPECT_THAT(Complaint({"epoll"}), AllOf(HasSubstr("argument 'epoll'"), HasSubstr("--format")));
}

TEST(ParseOptionsTest, RefusesNumbersOutOfRange) {
  EXPECT_THAT(Complaint({"--rounds=4"}), HasSubstr("from 5 to 1000"));
  EXPECT_THAT(Complaint({"--rounds=1001"}), HasSubstr("from 5 to 1000"));
  EXPECT_THAT(Complaint({"--rounds=six"}), HasSubstr("'six'"));
  EXPECT_THAT(Complaint({"--rounds=99999999999999999999"}), HasSubstr("from 5 to 1000"));
  EXPECT_THAT(Complaint({"--connections=0"}), HasSubstr("from 1 to 4096"));
  EXPECT_THAT(Complaint({"--connections=64,-1"}), HasSubstr("'-1'"));
  EXPECT_THAT(Complaint({"--connections=4097"}), HasSubstr("from 1 to 4096"));
}

TEST(ParseOptionsTest, RefusesWhatIsEmptyOrNamedTwice) {
  EXPECT_THAT(Complaint({"--connections="}), HasSubstr("''"));
  EXPECT_THAT(Complaint({"--connections=1,"}), HasSubstr("''"));
  EXPECT_THAT(Complaint({"--connections=64,64"}), HasSubstr("64 named twice"));
  EXPECT_THAT(Complaint({"--subjects="}), HasSubstr("''"));
  EXPECT_THAT(Complaint({"--subjects=epoll,epoll"}), HasSubstr("'epoll' named twice"));
  EXPECT_THAT(Complaint({"--cases=read,read"}), HasSubstr("'read' named twice"));
  EXPECT_THAT(Complaint({"--dir="}), HasSubstr("name of a directory"));
  EXPECT_THAT(Complaint({"--out="}), HasSubstr("name of a file"));
  EXPECT_THAT(Complaint({"--out"}), HasSubstr("needs a value"));
  EXPECT_THAT(Complaint({"--quick=yes"}), HasSubstr("takes no value"));
}

TEST(ParseOptionsTest, RefusesWhatThisBenchmarkHasNot) {
  const OptionsSpec spec = {.subjects = {"epoll"}};
  for (absl::string_view argument : {"--connections=1", "--cases=read", "--dir=/tmp"}) {
    absl::StatusOr<Options> options = ParseOptions({argument}, spec);
    EXPECT_TRUE(absl::IsInvalidArgument(options.status())) << argument;
    EXPECT_THAT(options.status().message(), HasSubstr("unknown option"));
  }
}

TEST(OptionsHelpTest, NamesWhatThisBenchmarkHas) {
  EXPECT_THAT(OptionsHelp(AllOptions()), AllOf(HasSubstr("epoll, libuv"), HasSubstr("read, write"),
                                               HasSubstr("--connections"), HasSubstr("--dir")));
  EXPECT_THAT(OptionsHelp({.subjects = {"epoll"}}),
              ::testing::Not(::testing::AnyOf(HasSubstr("--cases"), HasSubstr("--connections"),
                                              HasSubstr("--dir"))));
}

}  // namespace
}  // namespace tenon::bench
