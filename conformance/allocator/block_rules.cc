// ALC-1 to ALC-3: what a block is.

#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/conformance/rules/allocator_rule.h"

namespace tenon::conformance {
namespace {

constexpr size_t kMaxAlignment = 4096;
constexpr size_t kMaxSize = std::numeric_limits<size_t>::max();

std::vector<size_t> SizesFor(size_t alignment) {
  std::set<size_t> sizes = {0, 1, 3, 100, 5000, alignment / 2, alignment, alignment + 1};
  sizes.insert({alignment - 1, alignment * 3});
  return {sizes.begin(), sizes.end()};
}

std::vector<HeldBlock> HoldEveryLayout(Allocator& allocator) {
  std::vector<HeldBlock> blocks;
  for (size_t alignment = 1; alignment <= kMaxAlignment; alignment *= 2) {
    for (const size_t size : SizesFor(alignment)) {
      blocks.push_back(Hold(allocator, {.size = size, .alignment = alignment}, blocks.size() + 1));
      EXPECT_NE(blocks.back().ptr, nullptr) << "no block of " << Text(blocks.back().layout);
    }
  }
  return blocks;
}

// Sizes that no allocator has, on both sides of where sums with them wrap around.
std::vector<size_t> ImpossibleSizes() {
  std::vector<size_t> sizes;
  for (const size_t below : {0, 1, 7, 8, 15, 16, 17, 31, 32, 48, 63, 64, 127, 128, 255, 256}) {
    sizes.push_back(kMaxSize - below);
    sizes.push_back(kMaxSize / 2 - below);
  }
  for (const size_t below : {511, 512, 1024, 4095, 4096, 8191, 8192, 65'535, 65'536, 1 << 21}) {
    sizes.push_back(kMaxSize - below);
  }
  sizes.push_back(kMaxSize / 2 + 1);
  return sizes;
}

void ExpectRefused(Allocator& allocator, Layout layout) {
  const Block block = allocator.Allocate(layout);
  EXPECT_EQ(block.ptr, nullptr) << Text(layout) << " were allocated, which nobody has";
  EXPECT_EQ(block.size, 0u) << "a refused request for " << Text(layout) << " has a size";
}

void ExpectNoGrowth(Allocator& allocator, HeldBlock& block, size_t size) {
  EXPECT_FALSE(Resize(allocator, block, size))
      << "a block of " << Text(block.layout) << " was resized to " << size << ", which nobody has";
  EXPECT_FALSE(ResizeInPlace(allocator, block, size))
      << "a block of " << Text(block.layout) << " became " << size << ", which nobody has";
}

}  // namespace

namespace allocator_rules {

void ALC_1(AllocatorRule& rule) {
  const Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  std::vector<HeldBlock> blocks = HoldEveryLayout(*allocator);
  if (testing::Test::HasFailure()) return;
  // Grown and shrunk, where they stand and elsewhere.
  for (HeldBlock& block : blocks) {
    const size_t size = block.layout.size;
    ResizeInPlace(*allocator, block, size + 1);
    EXPECT_TRUE(Resize(*allocator, block, size * 3 + 1)) << "no block of " << size * 3 + 1;
    ResizeInPlace(*allocator, block, size / 3);
    EXPECT_TRUE(Resize(*allocator, block, size / 2)) << "a block did not shrink";
    if (testing::Test::HasFailure()) return;
  }
  ExpectApart(blocks);
  for (HeldBlock& block : blocks) Release(*allocator, block);
}

void ALC_2(AllocatorRule& rule) {
  const Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  HeldBlock block = Hold(*allocator, {.size = 100, .alignment = 16}, 1);
  ASSERT_NE(block.ptr, nullptr);
  const AllocatorStats before = allocator->Stats();
  for (const size_t size : ImpossibleSizes()) {
    for (size_t alignment = 1; alignment <= kMaxAlignment; alignment *= 2) {
      ExpectRefused(*allocator, {.size = size, .alignment = alignment});
      if (testing::Test::HasFailure()) return;
    }
    ExpectNoGrowth(*allocator, block, size);
    if (testing::Test::HasFailure()) return;
  }
  // n * m that wraps around to a few bytes.
  const size_t wraps = kMaxSize / sizeof(uint64_t) + 2;
  EXPECT_FALSE(OwnedArray<uint64_t>::Create(*allocator, wraps).ok());
  const AllocatorStats after = allocator->Stats();
  EXPECT_EQ(after.live_bytes, before.live_bytes) << "bytes that were refused count as live";
  EXPECT_EQ(after.live_blocks, before.live_blocks) << "blocks that were refused count as live";
  HeldBlock next = Hold(*allocator, {.size = 100, .alignment = 16}, 2);
  EXPECT_NE(next.ptr, nullptr) << "no block after impossible requests";
  Release(*allocator, next);
  Release(*allocator, block);
}

void ALC_3(AllocatorRule& rule) {
  constexpr int kRounds = 30;
  const Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  std::vector<HeldBlock> blocks;
  for (int round = 0; round < kRounds; ++round) {
    for (const size_t alignment : {1, 8, 16, 64, 4096}) {
      for (const size_t size : {0, 8, 0}) {
        blocks.push_back(
            Hold(*allocator, {.size = size, .alignment = alignment}, blocks.size() + 1));
        ASSERT_NE(blocks.back().ptr, nullptr) << "no block of " << Text(blocks.back().layout);
      }
    }
  }
  std::set<const void*> addresses;
  for (const HeldBlock& block : blocks) {
    ASSERT_TRUE(addresses.insert(block.ptr).second)
        << "two live blocks have one address, one of " << Text(block.layout);
  }
  ExpectApart(blocks);
  if (rule.traits().statistics) {
    EXPECT_EQ(allocator->Stats().live_blocks, blocks.size()) << "blocks of no bytes count as well";
  }
  // From nothing to something, and back.
  for (HeldBlock& block : blocks) {
    EXPECT_TRUE(Resize(*allocator, block, block.layout.size == 0 ? 24 : 0))
        << "a block of " << Text(block.layout) << " could not be resized to or from nothing";
  }
  ExpectApart(blocks);
  for (HeldBlock& block : blocks) Release(*allocator, block);
}

}  // namespace allocator_rules
}  // namespace tenon::conformance
