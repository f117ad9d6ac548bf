// ALC-12 and ALC-16: what an allocator says of itself.

#include <atomic>
#include <map>
#include <memory>
#include <source_location>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/allocator/stalling_allocator.h"
#include "tenon/conformance/allocator/workload.h"
#include "tenon/conformance/rules/allocator_rule.h"
#include "tenon/core/memory/allocation_site.h"

namespace tenon::conformance {
namespace {

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

// Reads the statistics while a request is inside the allocator for certain.
void ReadDuringRequest(AllocatorRule& rule, bool inner_thread_safe, size_t size) {
  // Hundreds of times what reading takes.
  constexpr absl::Duration kPatience = absl::Seconds(5);
  StallingAllocator inner(rule.allocator(), {.call = StallingAllocator::Call::kAllocation,
                                             .thread_safe = inner_thread_safe,
                                             .patience = kPatience});
  auto made = rule.TryMake(inner, rule.allocator());
  // Some refuse to decorate what is for one thread.
  EXPECT_TRUE(made.ok() || !inner_thread_safe) << made.status();
  if (!made.ok() || !(*made)->traits().thread_safe) return;
  const Owned<Allocator> allocator = *std::move(made);
  Block block;
  std::thread other([&] {
    inner.StallNext();
    block = allocator->Allocate({.size = size});
    inner.EndCalls();
  });
  if (inner.WaitForStall()) {
    const AllocatorStats stats = allocator->Stats();
    EXPECT_TRUE(inner.NoteDone()) << "statistics could not be read before a request of " << size
                                  << " bytes had ended";
    EXPECT_EQ(stats.failures, 0u) << "a request that has not ended counts as failed";
  }
  other.join();
  EXPECT_NE(block.ptr, nullptr);
  allocator->Deallocate(block.ptr, {.size = size});
}

struct Expected {
  size_t size = 0;
  std::source_location site = {};
};

// The report has these blocks and no others.
void ExpectReported(const Allocator& allocator, std::map<const void*, Expected> expected) {
  std::map<uint64_t, const void*> numbers;
  allocator.VisitLive([&](const LiveBlock& block) {
    const auto found = expected.find(block.ptr);
    ASSERT_NE(found, expected.end()) << "a block of " << block.size << " bytes is reported "
                                     << "that is not live, or twice";
    EXPECT_EQ(block.size, found->second.size) << "the size of a live block, as reported";
    const std::source_location& site = found->second.site;
    EXPECT_EQ(block.site.line(), site.line()) << "the site of a live block, as reported";
    EXPECT_STREQ(block.site.file_name(), site.file_name())
        << "the site of a live block, as reported";
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
      live[block.ptr] = {block.layout.size, sited->site};
    }
  }
  return live;
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
    CountUnderThreads(rule, *shared);
    if (testing::Test::HasFailure() || !rule.factory().decorates()) return;
    for (const bool inner_thread_safe : {true, false}) {
      for (const size_t size : {64, 5000, 2'000'000}) {
        ReadDuringRequest(rule, inner_thread_safe, size);
        if (testing::Test::HasFailure()) return;
      }
    }
    return;
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

}  // namespace allocator_rules
}  // namespace tenon::conformance
