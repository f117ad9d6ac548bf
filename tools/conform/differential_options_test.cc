#include "tenon/tools/conform/differential_options.h"

#include <chrono>
#include <string>
#include <utility>
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

TEST(DifferentialOptions, HaveDefaults) {
  const auto options = ParseDifferentialOptions({});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_FALSE(options->help);
  EXPECT_THAT(options->backends, IsEmpty());
  EXPECT_EQ(options->first_seed, 1u);
  EXPECT_EQ(options->seeds, 200u);
  EXPECT_EQ(options->steps, 40);
  EXPECT_FALSE(options->time_limit.has_value());
  EXPECT_TRUE(options->shrink);
}

TEST(DifferentialOptions, TakeBothFormsOfAFlag) {
  const auto options = ParseDifferentialOptions(
      {"--backends=epoll,io_uring", "--backends", "asio", "--first_seed", "7", "--seeds=3",
       "--steps=80", "--time_limit=60", "--timeout=5", "--shrink=no", "--out=short.txt"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->backends, ElementsAre("epoll", "io_uring", "asio"));
  EXPECT_EQ(options->first_seed, 7u);
  EXPECT_EQ(options->seeds, 3u);
  EXPECT_EQ(options->steps, 80);
  EXPECT_EQ(options->time_limit, std::chrono::seconds(60));
  EXPECT_EQ(options->timeout, std::chrono::seconds(5));
  EXPECT_FALSE(options->shrink);
  EXPECT_EQ(options->out, "short.txt");
}

TEST(DifferentialOptions, HelpComesFirst) {
  const auto options = ParseDifferentialOptions({"--help", "--nonsense"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_TRUE(options->help);
}

TEST(DifferentialOptions, SayWhatTheyDoNotUnderstand) {
  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"--seed=1"}, "unknown flag --seed; did you mean --seeds"},
      {{"17"}, "unknown flag 17"},
      {{"--seeds"}, "--seeds wants a value"},
      {{"--seeds=0"}, "\"0\" is not a number from 1"},
      {{"--steps=1001"}, "\"1001\" is not a number from 1 to 1000"},
      {{"--first_seed=-1"}, "\"-1\" is not a number from 0"},
      {{"--time_limit=soon"}, "\"soon\" is not a number from 1 to 86400"},
      {{"--backends=epoll,"}, "an empty name"},
      {{"--script="}, "no file given"},
      {{"--shrink=perhaps"}, "\"perhaps\" is not yes or no"},
      {{"--script=a.txt", "--seeds=3"}, "--script runs one script"},
  };
  for (const auto& [arguments, message] : wrong) {
    const auto options = ParseDifferentialOptions(arguments);
    EXPECT_TRUE(absl::IsInvalidArgument(options.status())) << arguments[0];
    EXPECT_THAT(std::string(options.status().message()), HasSubstr(message));
  }
}

}  // namespace
}  // namespace tenon::conformance
