// ALC-14 and ALC-15: many live blocks.

#include <time.h>

#include <algorithm>
#include <limits>
#include <random>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/conformance/allocator/linear_fit.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/rules/allocator_rule.h"

namespace tenon::conformance {
namespace {

constexpr Layout kLayout = {.size = 64};
constexpr size_t kCounts[] = {100, 300, 1000, 3000, 10'000, 30'000, 100'000};

// How much each live block may add to the cost of an operation. A hundred thousand do not fit into
// any cache, so that an operation that touches a few lines waits for memory, some 100 ns for each:
// 3 us in all are far more than a table or a tree of that size needs. A scan costs from 0.3 (of
// pointers, by vector instructions) to 1.1 ns (measured of WebUI's table) for each block.
constexpr double kMostNsPerBlock = kSanitized ? 0.15 : 0.03;

// Of this thread: others that use the processor do not count.
int64_t ThreadTimeNs() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// A number of live blocks that can be changed.
class LiveSet {
 public:
  explicit LiveSet(Allocator& allocator, uint64_t seed) : allocator_(allocator), random_(seed) {}
  ~LiveSet() { SetCount(0); }
  LiveSet(const LiveSet&) = delete;
  LiveSet& operator=(const LiveSet&) = delete;

  void SetCount(size_t count) {
    while (blocks_.size() > count) {
      allocator_.Deallocate(blocks_.back(), kLayout);
      blocks_.pop_back();
    }
    while (blocks_.size() < count) {
      blocks_.push_back(allocator_.Allocate(kLayout).ptr);
      ASSERT_NE(blocks_.back(), nullptr) << "with " << blocks_.size() - 1 << " live blocks";
    }
  }

  // What it takes to free one of them, to allocate another, and to resize one there and back: the
  // least of several attempts, for each of these four.
  double NanosecondsPerOperation() {
    constexpr int kAttempts = 8;
    constexpr int kRounds = 64;
    int64_t least = std::numeric_limits<int64_t>::max();
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const int64_t start = ThreadTimeNs();
      for (int i = 0; i < kRounds; ++i) Change();
      least = std::min(least, ThreadTimeNs() - start);
    }
    return static_cast<double>(least) / kRounds / 4;
  }

 private:
  void Change() {
    void*& replaced = blocks_[random_() % blocks_.size()];
    allocator_.Deallocate(replaced, kLayout);
    replaced = allocator_.Allocate(kLayout).ptr;
    void*& resized = blocks_[random_() % blocks_.size()];
    for (const auto& [from, to] :
         {std::pair(kLayout.size, kLarger), std::pair(kLarger, kLayout.size)}) {
      const Block moved = allocator_.Reallocate(resized, {.size = from}, to);
      ASSERT_NE(moved.ptr, nullptr) << "with " << blocks_.size() << " live blocks";
      resized = moved.ptr;
    }
  }

  static constexpr size_t kLarger = 200;

  Allocator& allocator_;
  std::mt19937_64 random_;
  std::vector<void*> blocks_;
};

// Takes stamped blocks until there are `count`, or the allocator has no more.
std::vector<HeldBlock> TakeMany(Allocator& allocator, size_t count, bool counts_failures) {
  std::vector<HeldBlock> blocks;
  blocks.reserve(count);
  while (blocks.size() < count) {
    const uint64_t failures = allocator.Stats().failures;
    const HeldBlock block = Hold(allocator, {.size = 16}, blocks.size() + 1);
    if (block.ptr == nullptr) {
      EXPECT_TRUE(!counts_failures || allocator.Stats().failures > failures)
          << "an allocator with " << blocks.size() << " live blocks refused one more, silently";
      return blocks;
    }
    blocks.push_back(block);
  }
  return blocks;
}

}  // namespace

namespace allocator_rules {

void ALC_14(AllocatorRule& rule) {
  const Owned<Allocator> allocator = rule.MakeOverSystem();
  ASSERT_NE(allocator, nullptr);
  LiveSet live(*allocator, rule.seed());
  std::vector<Point> costs;
  for (const size_t count : kCounts) costs.push_back({.x = static_cast<double>(count)});
  for (int repeat = 0; repeat < (kSanitized ? 1 : 3); ++repeat) {
    for (Point& cost : costs) {
      live.SetCount(static_cast<size_t>(cost.x));
      if (testing::Test::HasFailure()) return;
      const double now = live.NanosecondsPerOperation();
      if (testing::Test::HasFailure()) return;
      cost.y = repeat == 0 ? now : std::min(cost.y, now);
      // At once, because what grows makes the next step take minutes.
      ASSERT_LE(cost.y, costs[0].y + kMostNsPerBlock * costs.back().x)
          << (cost.y - costs[0].y) / (cost.x - costs[0].x)
          << " ns more for each live block: " << cost.y << " ns an operation among " << cost.x;
    }
  }
  const double slope = FittedSlope(costs);
  EXPECT_LE(slope, kMostNsPerBlock) << "ns more for each live block, from 100 to 100,000";
  rule.Measured(absl::StrFormat(
      "%.4f ns more for each live block: %.0f ns an operation among 100, %.0f among 100,000", slope,
      costs.front().y, costs.back().y));
}

void ALC_15(AllocatorRule& rule) {
  const size_t count = kSanitized ? 40'000 : 200'000;
  const Owned<Allocator> allocator = rule.MakeOverSystem();
  ASSERT_NE(allocator, nullptr);
  std::vector<HeldBlock> blocks = TakeMany(*allocator, count, rule.traits().statistics);
  if (rule.traits().statistics) {
    EXPECT_EQ(allocator->Stats().live_blocks, blocks.size()) << "live blocks that are counted";
  }
  if (rule.traits().tracking) {
    std::unordered_set<const void*> seen;
    allocator->VisitLive([&](const LiveBlock& block) { seen.insert(block.ptr); });
    EXPECT_EQ(seen.size(), blocks.size()) << "live blocks that are tracked";
    size_t missing = 0;
    for (const HeldBlock& block : blocks) missing += seen.contains(block.ptr) ? 0 : 1;
    EXPECT_EQ(missing, 0u) << "live blocks that were forgotten";
  }
  for (HeldBlock& block : blocks) Release(*allocator, block);
  if (rule.traits().statistics) {
    EXPECT_EQ(allocator->Stats().live_blocks, 0u) << "live blocks after all were freed";
  }
}

}  // namespace allocator_rules
}  // namespace tenon::conformance
