#include "tenon/conformance/rules/option_values.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

using Kind = AllocatorOption::Kind;

// Makes nothing.
class OptionsFactory final : public AllocatorFactory {
 public:
  explicit OptionsFactory(absl::Span<const AllocatorOption> options) : options_(options) {}

  absl::string_view name() const noexcept override { return "options"; }
  absl::string_view summary() const noexcept override { return "has options"; }
  absl::Span<const AllocatorOption> options() const noexcept override { return options_; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig&) const noexcept override {
    return absl::UnimplementedError("makes nothing");
  }

 private:
  const absl::Span<const AllocatorOption> options_;
};

TEST(ConformanceOptionsTest, SaysWhatMustBeSaid) {
  static constexpr AllocatorOption kOptions[] = {
      {.name = "chunk", .kind = Kind::kSize, .summary = "a default", .default_value = "2KiB"},
      {.name = "bytes", .kind = Kind::kSize, .summary = "must be said"},
      {.name = "report", .kind = Kind::kSwitch, .summary = "a default", .default_value = "on"}};
  const auto values = ConformanceOptions(OptionsFactory(kOptions));
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0].number, 2048u);
  EXPECT_EQ(values[1].number, uint64_t{64} << 20);
  EXPECT_EQ(values[2].number, 1u);
}

TEST(ConformanceOptionsTest, SaysNothingWhereThereIsNothingToSay) {
  EXPECT_TRUE(ConformanceOptions(OptionsFactory({})).empty());
}

}  // namespace
}  // namespace tenon::conformance
