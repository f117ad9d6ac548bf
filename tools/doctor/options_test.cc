#include "tenon/tools/doctor/options.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::doctor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<Options> Parse(std::vector<absl::string_view> arguments) {
  const std::vector<std::string> linked = {"epoll", "io_uring"};
  return ParseOptions(arguments, linked);
}

TEST(OptionsTest, DefaultsToATableThatRequiresNothing) {
  const absl::StatusOr<Options> options = Parse({});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->format, Format::kTable);
  EXPECT_THAT(options->required, IsEmpty());
  EXPECT_FALSE(options->help);
}

TEST(OptionsTest, TakesValuesEitherWay) {
  for (const std::vector<absl::string_view>& arguments :
       {std::vector<absl::string_view>{"--format=json", "--require=io_uring"},
        std::vector<absl::string_view>{"--format", "json", "--require", "io_uring"}}) {
    const absl::StatusOr<Options> options = Parse(arguments);
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_EQ(options->format, Format::kJson);
    EXPECT_THAT(options->required, ElementsAre("io_uring"));
  }
}

TEST(OptionsTest, ListsMayBeRepeatedAndNameThingsOnce) {
  const absl::StatusOr<Options> options =
      Parse({"--require=io_uring,auto", "--require=epoll,io_uring"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->required, ElementsAre("io_uring", "auto", "epoll"));
}

TEST(OptionsTest, HelpIsOneOfThem) {
  EXPECT_TRUE(Parse({"--help"}).value().help);
  EXPECT_TRUE(Parse({"--format=json", "-h"}).value().help);
  EXPECT_THAT(std::string(HelpText()), HasSubstr("--require="));
}

TEST(OptionsTest, SaysWhatIsWrong) {
  const struct {
    std::vector<absl::string_view> arguments;
    std::string message;
  } cases[] = {
      {{"--require=asio"}, "\"asio\" is not linked into this binary; linked: epoll, io_uring"},
      {{"--require="}, "\"\" is not linked"},
      {{"--require=epoll,"}, "\"\" is not linked"},
      {{"--require"}, "--require wants a value"},
      {{"--format=xml"}, "\"xml\" is neither table nor json"},
      {{"--format"}, "--format wants a value"},
      {{"--nosuch=1"}, "unknown flag \"--nosuch=1\"; there are --format, --require and --help"},
      {{"--help=1"}, "unknown flag \"--help=1\""},
      {{"epoll"}, "unknown argument \"epoll\""},
  };
  for (const auto& wrong : cases) {
    const absl::StatusOr<Options> options = Parse(wrong.arguments);
    EXPECT_TRUE(absl::IsInvalidArgument(options.status())) << wrong.message;
    EXPECT_THAT(std::string(options.status().message()), HasSubstr(wrong.message));
  }
  EXPECT_THAT(std::string(ParseOptions({"--require=epoll"}, {}).status().message()),
              HasSubstr("linked: none"));
}

}  // namespace
}  // namespace tenon::doctor
