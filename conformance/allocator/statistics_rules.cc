// ALC-12, ALC-16 and ALC-17: what an allocator says of itself.

#include <atomic>
#include <map>
#include <memory>
#include <source_location>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/allocator/workload.h"
#include "tenon/conformance/rules/allocator_rule.h"
#include "tenon/core/memory/allocation_site.h"

namespace tenon::conformance {
namespace {

constexpr size_t kHuge = ~size_t{0} / 2;
constexpr int kThreads = 3;

void ExpectLive(const Allocator& allocator, uint64_t blocks, uint64_t bytes, const char* when) {
  const AllocatorStats stats = allocator.Stats();
  EXPECT_EQ(stats.live_blocks, blocks) << "live blocks " << when;
  EXPECT_EQ(stats.live_bytes, bytes) << "live bytes " << when;
}

// One thread, step by step.
void CountStepByStep(Allocator& allocator) {
  HeldBlock a = Hold(allocator, {.size = 100}, 1);
  HeldBlock b = Hold(allocator, {.size = 0}, 2);
  HeldBlock c = Hold(allocator, {.size = 33, .alignment = 256}, 3);
  ASSERT_TRUE(a.ptr != nullptr && b.ptr != nullptr && c.ptr != nullptr);
  ExpectLive(allocator, 3, 133, "after three were allocated");
  EXPECT_EQ(allocator.Stats().total_blocks, 3u);
  ASSERT_TRUE(Resize(allocator, a, 5000));
  ExpectLive(allocator, 3, 5033, "after one was resized from 100 bytes to 5000");
  ASSERT_TRUE(Resize(allocator, a, 10));
  ExpectLive(allocator, 3, 43, "after one was resized from 5000 bytes to 10");
  ResizeInPlace(allocator, c, 30);
  ExpectLive(allocator, 3, 10 + c.layout.size, "after one was resized where it stands");
  const uint64_t failures = allocator.Stats().failures;
  EXPECT_EQ(allocator.Allocate({.size = kHuge}).ptr, nullptr);
  EXPECT_GT(allocator.Stats().failures, failures) << "a failure that was not counted";
  ExpectLive(allocator, 3, 10 + c.layout.size, "after a request that failed");
  for (HeldBlock* block : {&b, &a, &c}) Release(allocator, *block);
  ExpectLive(allocator, 0, 0, "after all were freed");
  allocator.Deallocate(nullptr, {.size = 8});
  ExpectLive(allocator, 0, 0, "after null was freed");
}

// Threads that allocate while one reads.
void CountUnderThreads(AllocatorRule& rule, Allocator& allocator) {
  BlockExchange exchange;
  const WorkloadOptions options = {.exchange = rule.traits().foreign_free ? &exchange : nullptr};
  std::vector<std::unique_ptr<Workload>> workloads;
  for (uint64_t i = 0; i < kThreads; ++i) {
    workloads.push_back(std::make_unique<Workload>(allocator, i + 1, options));
  }
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      const AllocatorStats stats = allocator.Stats();
      EXPECT_GE(stats.total_blocks + 2 * kThreads, stats.live_blocks);
      std::this_thread::yield();
    }
  });
  OnThreads(kThreads, [&](int thread) { workloads[thread]->Run(Scaled(20'000)); });
  done = true;
  reader.join();
  OnThreads(kThreads, [&](int thread) { workloads[thread]->FreeAll(); });
  for (HeldBlock& block : exchange.TakeAll()) Release(allocator, block);
  ExpectLive(allocator, 0, 0, "after threads freed all");
}

struct Expected {
  size_t size = 0;
  uint32_t line = 0;
};

// The report has these blocks and no others.
void ExpectReported(const Allocator& allocator, std::map<const void*, Expected> expected) {
  std::map<uint64_t, const void*> numbers;
  allocator.VisitLive([&](const LiveBlock& block) {
    const auto found = expected.find(block.ptr);
    ASSERT_NE(found, expected.end()) << "a block of " << block.size << " bytes is reported "
                                     << "that is not live, or twice";
    EXPECT_EQ(block.size, found->second.size) << "the size of a live block, as reported";
    EXPECT_EQ(block.site.line(), found->second.line) << "the site of a live block, as reported";
    EXPECT_TRUE(numbers.emplace(block.number, block.ptr).second)
        << "two live blocks have the number " << block.number;
    expected.erase(found);
  });
  EXPECT_EQ(expected.size(), 0u) << "live blocks that are not reported";
}

// A workload whose allocations have a site of their own.
struct SitedWorkload {
  SitedWorkload(Allocator& allocator, uint64_t seed, std::source_location where)
      : workload(allocator, seed, {.max_blocks = 300}), site(where) {}

  void Run(int steps) {
    // The report's reader has another.
    const AllocationSite here(site);
    workload.Run(steps);
  }

  Workload workload;
  const std::source_location site;
};

std::map<const void*, Expected> WhatIsLive(const std::vector<std::unique_ptr<SitedWorkload>>& all) {
  std::map<const void*, Expected> live;
  for (const auto& sited : all) {
    for (const HeldBlock& block : sited->workload.blocks()) {
      live[block.ptr] = {block.layout.size, sited->site.line()};
    }
  }
  return live;
}

// Fills the quota to the last byte, twice.
void FillExactly(Allocator& allocator, uint64_t quota) {
  constexpr int kParts = 16;
  std::vector<Block> blocks;
  const Layout part = {.size = static_cast<size_t>(quota / kParts)};
  for (int i = 0; i < kParts; ++i) {
    blocks.push_back(allocator.Allocate(part));
    ASSERT_NE(blocks.back().ptr, nullptr) << "part " << i + 1 << " of " << kParts << " of a quota";
  }
  const size_t left = static_cast<size_t>(quota % kParts);
  const Block rest = allocator.Allocate({.size = left});
  EXPECT_NE(rest.ptr, nullptr) << "the last " << left << " bytes of a quota";
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(allocator.Allocate({.size = 1}).ptr, nullptr) << "a byte more than the quota";
    EXPECT_EQ(allocator.Reallocate(blocks[0].ptr, part, part.size + 1).ptr, nullptr)
        << "a block grew beyond the quota";
    EXPECT_FALSE(allocator.TryResize(blocks[0].ptr, part, part.size + 1))
        << "a block grew beyond the quota where it stands";
    if (testing::Test::HasFailure()) return;
  }
  // What is free again is there, all of it, although more was refused meanwhile.
  for (int i = 0; i < 3; ++i) {
    allocator.Deallocate(blocks[1].ptr, part);
    EXPECT_EQ(allocator.Allocate({.size = part.size + 1}).ptr, nullptr) << "beyond the quota";
    blocks[1] = allocator.Allocate(part);
    ASSERT_NE(blocks[1].ptr, nullptr)
        << "bytes of a quota are missing after some were refused and others freed";
  }
  allocator.Deallocate(rest.ptr, {.size = left});
  for (const Block& block : blocks) allocator.Deallocate(block.ptr, part);
}

// A resize is charged by the difference.
void ResizeWithin(Allocator& allocator, uint64_t quota) {
  const size_t half = static_cast<size_t>(quota / 2);
  Layout layout = {.size = half};
  Block block = allocator.Allocate(layout);
  ASSERT_NE(block.ptr, nullptr);
  // Where it cannot be done in place, both must fit for a moment.
  const Block smaller = allocator.Reallocate(block.ptr, layout, half / 4);
  ASSERT_NE(smaller.ptr, nullptr) << "a shrink within the quota was refused";
  layout.size = half / 4;
  const size_t free_now = static_cast<size_t>(quota) - layout.size;
  const Block rest = allocator.Allocate({.size = free_now});
  EXPECT_NE(rest.ptr, nullptr) << "bytes of a block that shrank were not given back to the quota";
  EXPECT_EQ(allocator.Allocate({.size = 1}).ptr, nullptr) << "a byte more than the quota";
  allocator.Deallocate(rest.ptr, {.size = free_now});
  allocator.Deallocate(smaller.ptr, layout);
}

// Whatever else is charged, no more than the quota is live, and what is refused takes nothing away.
void StayWithin(Allocator& allocator, uint64_t quota) {
  constexpr size_t kParts = 16;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(allocator.Allocate({.size = static_cast<size_t>(quota) + 1}).ptr, nullptr)
        << "a byte more than the quota";
  }
  const Layout part = {.size = static_cast<size_t>(quota / kParts)};
  std::vector<Block> blocks;
  for (;;) {
    const Block block = allocator.Allocate(part);
    if (block.ptr == nullptr) break;
    blocks.push_back(block);
    ASSERT_LE(blocks.size(), kParts) << "parts of a quota were allocated that are more than it";
  }
  EXPECT_FALSE(blocks.empty()) << "bytes of a quota are missing after some were refused";
  for (const Block& block : blocks) allocator.Deallocate(block.ptr, part);
}

// Threads that fight for it never have more than the quota.
void FightFor(Allocator& allocator, uint64_t quota, bool exact) {
  std::atomic<uint64_t> held = 0;
  std::atomic<uint64_t> most = 0;
  OnThreads(kThreads, [&](int thread) {
    std::mt19937_64 random(static_cast<uint64_t>(thread));
    for (int i = 0; i < Scaled(3000); ++i) {
      const Layout layout = {.size = static_cast<size_t>(random() % (quota * 2 / kThreads))};
      const Block block = allocator.Allocate(layout);
      if (block.ptr == nullptr) continue;
      const uint64_t now = held.fetch_add(layout.size) + layout.size;
      uint64_t seen = most.load();
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      if (random() % 4 == 0) std::this_thread::yield();
      held.fetch_sub(layout.size);
      allocator.Deallocate(block.ptr, layout);
    }
  });
  EXPECT_LE(most.load(), quota) << "threads together held more than the quota";
  EXPECT_TRUE(!exact || most.load() > quota / 2) << "the quota was never nearly used up";
}

}  // namespace

namespace allocator_rules {

void ALC_12(AllocatorRule& rule) {
  const Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  if (rule.traits().statistics) {
    CountStepByStep(*allocator);
    if (testing::Test::HasFailure() || !rule.traits().thread_safe) return;
    const Owned<Allocator> shared = rule.MakeOverSystem();
    ASSERT_NE(shared, nullptr);
    return CountUnderThreads(rule, *shared);
  }
  Workload workload(*allocator, rule.seed());
  workload.Run(1000);
  const AllocatorStats stats = allocator->Stats();
  const uint64_t sum = stats.live_bytes + stats.live_blocks + stats.total_blocks + stats.failures;
  EXPECT_EQ(sum, 0u) << "counts that the traits do not declare";
  workload.FreeAll();
}

void ALC_16(AllocatorRule& rule) {
  const int threads = rule.traits().thread_safe ? kThreads : 1;
  const Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  const std::source_location sites[kThreads] = {
      std::source_location::current(), std::source_location::current(),
      std::source_location(),  // allocations of which nobody says where they are
  };
  const AllocationSite of_the_reader;
  std::vector<std::unique_ptr<SitedWorkload>> workloads;
  for (int i = 0; i < threads; ++i) {
    workloads.push_back(
        std::make_unique<SitedWorkload>(*allocator, rule.seed() % 1000 * 8 + i, sites[i]));
  }
  ExpectReported(*allocator, {});
  for (int round = 0; round < 4; ++round) {
    OnThreads(threads, [&](int thread) { workloads[thread]->Run(Scaled(5000)); });
    ExpectReported(*allocator, WhatIsLive(workloads));
    if (testing::Test::HasFailure()) return;
  }
  for (const auto& sited : workloads) sited->workload.FreeAll();
  ExpectReported(*allocator, {});
}

void ALC_17(AllocatorRule& rule) {
  const uint64_t quota = rule.traits().quota_bytes;
  const Owned<Allocator> allocator = rule.MakeOverSystem();
  ASSERT_NE(allocator, nullptr);
  const bool exact = rule.traits().exact_quota;
  const auto fill = exact ? &FillExactly : &StayWithin;
  fill(*allocator, quota);
  if (testing::Test::HasFailure()) return;
  if (exact) ResizeWithin(*allocator, quota);
  if (testing::Test::HasFailure()) return;
  if (rule.traits().thread_safe) FightFor(*allocator, quota, exact);
  if (exact) fill(*allocator, quota);
}

}  // namespace allocator_rules
}  // namespace tenon::conformance
