#include "tenon/alloc/tracking/leak_report.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::alloc {
namespace {

using testing::HasSubstr;

// Hands out nothing; names the blocks it was told.
class Listing final : public Allocator {
 public:
  Block Allocate(Layout /*layout*/) noexcept override { return {}; }
  void Deallocate(void* /*ptr*/, Layout /*layout*/) noexcept override {}
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override {
    AllocatorTraits traits;
    traits.tracking = true;
    return traits;
  }
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    for (const LiveBlock& block : blocks) visit(block);
  }

  void Add(uint64_t number, size_t size, std::source_location site,
           absl::Span<void* const> stack = {}) {
    LiveBlock block;
    block.ptr = reinterpret_cast<const void*>(0x1000 * number);
    block.size = size;
    block.number = number;
    block.site = site;
    block.stack = stack;
    blocks.push_back(block);
  }

  std::vector<LiveBlock> blocks;
};

TEST(LeakReportTest, NothingIsLive) {
  const LeakReport report = LeakReport::Of(Listing());
  EXPECT_EQ(report.live_blocks(), 0u);
  EXPECT_EQ(report.WriteText(), "0 blocks with 0 bytes are live\n");
  EXPECT_EQ(report.WriteJson(),
            "{\"live_blocks\": 0, \"live_bytes\": 0, \"sites\": [], \"blocks\": [], "
            "\"blocks_left_out\": 0}\n");
}

TEST(LeakReportTest, GroupsBySiteMostBytesFirst) {
  Listing listing;
  const auto here = std::source_location::current();
  const auto there = std::source_location::current();
  listing.Add(3, 10, here);
  listing.Add(1, 20, there);
  listing.Add(2, 5, here);
  listing.Add(4, 1, {});
  const LeakReport report = LeakReport::Of(listing);
  EXPECT_EQ(report.live_blocks(), 4u);
  EXPECT_EQ(report.live_bytes(), 36u);
  ASSERT_EQ(report.sites().size(), 3u);
  EXPECT_EQ(report.sites()[0].where.line(), there.line());
  EXPECT_EQ(report.sites()[1].where.line(), here.line());
  EXPECT_EQ(report.sites()[1].blocks, 2u);
  EXPECT_EQ(report.sites()[1].bytes, 15u);
  EXPECT_EQ(report.sites()[2].where.line(), 0u);
  const std::string text = report.WriteText();
  EXPECT_THAT(text, HasSubstr("4 blocks with 36 bytes are live\n"));
  EXPECT_THAT(text, HasSubstr(absl::StrCat("  2 blocks with 15 bytes from ", here.file_name(), ":",
                                           here.line(), " (")));
  EXPECT_THAT(text, HasSubstr("  1 block with 1 byte from an unknown place\n"));
  EXPECT_THAT(text, HasSubstr("  allocation 1: 20 bytes at 0x1000 from "));
}

TEST(LeakReportTest, KeepsTheOldestBlocksAndCountsAll) {
  Listing listing;
  for (uint64_t number : {7, 2, 9, 4, 1, 8, 3}) listing.Add(number, 10 * number, {});
  const LeakReport report = LeakReport::Of(listing, 3);
  EXPECT_EQ(report.live_blocks(), 7u);
  EXPECT_EQ(report.live_bytes(), 340u);
  ASSERT_EQ(report.blocks().size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(report.blocks()[i].number, i + 1);
  EXPECT_THAT(report.WriteText(), HasSubstr("  and 4 blocks more\n"));
  EXPECT_THAT(report.WriteJson(), HasSubstr("\"blocks_left_out\": 4}"));
  EXPECT_EQ(LeakReport::Of(listing, 0).blocks().size(), 0u);
  EXPECT_EQ(LeakReport::Of(listing, 0).live_blocks(), 7u);
}

}  // namespace

// Not in a namespace without a name, so that it has a symbol.
[[gnu::noinline]] void* AddressInsideLeakReportTest() { return __builtin_return_address(0); }

namespace {

TEST(LeakReportTest, JsonHasSitesBlocksAndSymbols) {
  Listing listing;
  void* stack[] = {reinterpret_cast<char*>(&AddressInsideLeakReportTest) + 1};
  const auto here = std::source_location::current();
  listing.Add(1, 64, here, stack);
  const std::string json = LeakReport::Of(listing).WriteJson();
  EXPECT_THAT(json, HasSubstr(absl::StrCat("\"sites\": [{\"file\": \"", here.file_name(),
                                           "\", \"line\": ", here.line(), ", \"function\": \"")));
  EXPECT_THAT(json, HasSubstr("\"blocks\": [{\"number\": 1, \"bytes\": 64, "
                              "\"address\": \"0x1000\", \"file\": \""));
  EXPECT_THAT(json, HasSubstr("\"stack\": [\"0x"));
  EXPECT_THAT(json, HasSubstr("AddressInsideLeakReportTest"));
  EXPECT_THAT(LeakReport::Of(listing).WriteText(), HasSubstr("AddressInsideLeakReportTest"));
}

}  // namespace
}  // namespace tenon::alloc
