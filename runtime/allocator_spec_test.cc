#include "tenon/runtime/allocator_spec.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A factory that is only read about.
class FakeFactory final : public AllocatorFactory {
 public:
  FakeFactory(absl::string_view name, std::vector<AllocatorOption> options, bool decorates)
      : name_(name), options_(std::move(options)), decorates_(decorates) {}

  absl::string_view name() const noexcept override { return name_; }
  absl::string_view summary() const noexcept override { return "for tests"; }
  absl::Span<const AllocatorOption> options() const noexcept override { return options_; }
  bool decorates() const noexcept override { return decorates_; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig&) const noexcept override {
    return absl::UnimplementedError("");
  }

 private:
  const absl::string_view name_;
  const std::vector<AllocatorOption> options_;
  const bool decorates_;
};

using Kind = AllocatorOption::Kind;
const FakeFactory system_factory("system", {}, false);
const FakeFactory quota("quota", {{"bytes", Kind::kSize, "limit"}}, true);
const FakeFactory fault("fault",
                        {{"nth", Kind::kCount, "which", "0"},
                         {"probability", Kind::kProbability, "of each", "0"},
                         {"resize", Kind::kSwitch, "those too", "on"}},
                        true);
const AllocatorFactory* const kKnown[] = {&system_factory, &quota, &fault};

AllocatorSpec Read(absl::string_view text) {
  absl::StatusOr<AllocatorSpec> spec = AllocatorSpec::Parse(text, kKnown);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return *std::move(spec);
}

TEST(AllocatorSpecTest, ALeafIsALayer) {
  for (const absl::string_view text : {"system", " system ", "system()", "system( )"}) {
    const AllocatorSpec spec = Read(text);
    ASSERT_EQ(spec.layers().size(), 1u) << text;
    EXPECT_EQ(spec.layers()[0].factory, &system_factory);
    EXPECT_FALSE(spec.open());
  }
}

TEST(AllocatorSpecTest, LayersAreReadFromTheOutside) {
  const AllocatorSpec spec = Read("fault(3, quota( 64MiB ,system))");
  ASSERT_EQ(spec.layers().size(), 3u);
  EXPECT_EQ(spec.layers()[0].factory, &fault);
  EXPECT_EQ(spec.layers()[0].options[0].number, 3u);
  EXPECT_EQ(spec.layers()[1].factory, &quota);
  EXPECT_EQ(spec.layers()[1].options[0].number, 64u << 20);
  EXPECT_EQ(spec.layers()[2].factory, &system_factory);
}

TEST(AllocatorSpecTest, OptionsHaveNamesPlacesAndDefaults) {
  const AllocatorSpec spec = Read("fault(resize=off, 7, 2.5e-1)");
  const std::vector<AllocatorOptionValue>& options = spec.layers()[0].options;
  EXPECT_EQ(options[0].number, 7u);
  EXPECT_EQ(options[1].probability, 0.25);
  EXPECT_EQ(options[2].number, 0u);
  EXPECT_TRUE(spec.open());
  EXPECT_EQ(Read("fault").layers()[0].options[2].number, 1u);
}

TEST(AllocatorSpecTest, SizesHaveUnits) {
  for (const auto& [text, bytes] :
       std::vector<std::pair<std::string, uint64_t>>{{"0", 0},
                                                     {"4096", 4096},
                                                     {"3KiB", 3 << 10},
                                                     {"5MiB", 5 << 20},
                                                     {"6GiB", uint64_t{6} << 30},
                                                     {"17179869183GiB", 17179869183u << 30}}) {
    EXPECT_EQ(Read(absl::StrCat("quota(", text, ")")).layers()[0].options[0].number, bytes) << text;
  }
}

// A spec with a mistake, what is said of it, and the character at which it is.
struct Mistake {
  absl::string_view text;
  size_t position;
  absl::string_view message;
};

class MistakeTest : public testing::TestWithParam<Mistake> {};

TEST_P(MistakeTest, IsPointedAt) {
  const Mistake& mistake = GetParam();
  const absl::StatusOr<AllocatorSpec> spec = AllocatorSpec::Parse(mistake.text, kKnown);
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  const std::vector<std::string> lines = absl::StrSplit(spec.status().message(), '\n');
  ASSERT_EQ(lines.size(), 3u) << spec.status();
  EXPECT_THAT(lines[0], StartsWith("allocator spec: "));
  EXPECT_THAT(lines[0], HasSubstr(std::string(mistake.message)));
  EXPECT_EQ(lines[1], absl::StrCat("  ", mistake.text));
  EXPECT_EQ(lines[2], absl::StrCat(std::string(mistake.position + 2, ' '), "^"));
}

INSTANTIATE_TEST_SUITE_P(
    Specs, MistakeTest,
    testing::Values(
        Mistake{"", 0, "the name of an allocator is missing; known: system, quota, fault"},
        Mistake{"  ", 2, "the name of an allocator is missing"},
        Mistake{"jemaloc", 0, "no allocator \"jemaloc\" is linked; linked: system, quota, fault"},
        Mistake{"quota(1,jemaloc)", 8, "no allocator \"jemaloc\" is linked"},
        Mistake{"system(", 7, "a value or an allocator is missing"},
        Mistake{"system(4)", 7, "a value too many; system has no options"},
        Mistake{"system(quota(1))", 7, "system decorates nothing"},
        Mistake{"system)", 6, "the spec has ended before this"},
        Mistake{"system system", 7, "the spec has ended before this"},
        Mistake{"quota", 5, "quota needs bytes, a size"},
        Mistake{"quota(system)", 6, "quota needs bytes"},
        Mistake{"quota()", 6, "quota needs bytes"},
        Mistake{"quota(64MB)", 6, "\"64MB\" is no value of bytes, which is a size"},
        Mistake{"quota(64MiBKiB)", 6, "\"64MiBKiB\" is no value of bytes"},
        Mistake{"quota(1GiBMiBKiB)", 6, "\"1GiBMiBKiB\" is no value of bytes"},
        Mistake{"quota(-1)", 6, "\"-1\" is no value of bytes"},
        Mistake{"quota(18446744073709551616)", 6, "is no value of bytes"},
        Mistake{"quota(17179869184GiB)", 6, "is no value of bytes"},
        Mistake{"quota(1,2)", 8, "a value too many; the options of quota are bytes"},
        Mistake{"quota(1", 7, "\",\" or \")\" is missing"},
        Mistake{"quota(1,system", 14, "\")\" is missing"},
        Mistake{"quota(1,system,2)", 14, "what is decorated comes last"},
        Mistake{"quota(1,)", 8, "a value or an allocator is missing"},
        Mistake{"quota(size=1)", 6, "no option \"size\"; the options of quota are bytes"},
        Mistake{"quota(bytes=)", 12, "\"\" is no value of bytes"},
        Mistake{"quota(1,bytes=1)", 8, "\"bytes\" is given twice"},
        Mistake{"fault(nth=x)", 10, "\"x\" is no value of nth, which is a whole number"},
        Mistake{"fault(+3)", 6, "\"+3\" is no value of nth"},
        Mistake{"fault(probability=1.5)", 18, "which is a probability from 0 to 1"},
        Mistake{"fault(probability=nan)", 18, "which is a probability from 0 to 1"},
        Mistake{"fault(resize=yes)", 13, "which is on or off"},
        Mistake{"quota(1;2)", 7, "\",\" or \")\" is missing"}));

TEST(AllocatorSpecTest, NestsSoDeepAndNoDeeper) {
  const auto nested = [](int depth) {
    std::string text;
    for (int i = 1; i < depth; ++i) absl::StrAppend(&text, "fault(");
    return absl::StrCat(text, "system", std::string(static_cast<size_t>(depth) - 1, ')'));
  };
  EXPECT_EQ(Read(nested(32)).layers().size(), 32u);
  const absl::StatusOr<AllocatorSpec> deeper = AllocatorSpec::Parse(nested(33), kKnown);
  ASSERT_FALSE(deeper.ok());
  EXPECT_THAT(std::string(deeper.status().message()), HasSubstr("more than 32 allocators"));
}

TEST(AllocatorSpecTest, WithoutAllocatorsNothingIsKnown) {
  const absl::StatusOr<AllocatorSpec> spec = AllocatorSpec::Parse("system", {});
  ASSERT_FALSE(spec.ok());
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("linked: none"));
}

TEST(DescribeAllocatorsTest, NamesOptionsAndDefaults) {
  EXPECT_EQ(DescribeAllocators(absl::MakeSpan(kKnown).subspan(0, 2)),
            "system: for tests\n"
            "quota(bytes, ALLOCATOR): for tests\n"
            "  bytes: limit; a size, such as 4096, 64KiB, 512MiB or 1GiB\n");
  EXPECT_THAT(DescribeAllocators(kKnown), HasSubstr("  resize: those too; on or off [on]\n"));
}

}  // namespace
}  // namespace tenon::runtime
