// ALC-6 to ALC-8: several threads, and several allocators.

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/conformance/allocator/private_memory.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/allocator/workload.h"
#include "tenon/conformance/rules/allocator_rule.h"

namespace tenon::conformance {
namespace {

constexpr int kThreads = 4;

std::vector<std::unique_ptr<Workload>> MakeWorkloads(AllocatorRule& rule, Allocator& allocator,
                                                     int count, WorkloadOptions options) {
  std::vector<std::unique_ptr<Workload>> workloads;
  for (int i = 0; i < count; ++i) {
    // Stamps are made of the low half.
    const uint64_t seed = (rule.seed() << 4 | static_cast<uint64_t>(i)) & 0xffff'ffff;
    workloads.push_back(std::make_unique<Workload>(allocator, seed, options));
  }
  return workloads;
}

// What the workloads hold is what the allocator counts, now that nobody calls it.
void ExpectCounted(AllocatorRule& rule, const Allocator& allocator,
                   const std::vector<std::unique_ptr<Workload>>& workloads) {
  if (!rule.traits().statistics) return;
  uint64_t blocks = 0;
  uint64_t bytes = 0;
  for (const auto& workload : workloads) {
    blocks += workload->blocks().size();
    bytes += workload->live_bytes();
  }
  const AllocatorStats stats = allocator.Stats();
  EXPECT_EQ(stats.live_blocks, blocks) << "live blocks, after threads allocated at the same time";
  EXPECT_EQ(stats.live_bytes, bytes) << "live bytes, after threads allocated at the same time";
}

// What the workloads hold, everything at once.
std::vector<HeldBlock> AllBlocks(const std::vector<std::unique_ptr<Workload>>& workloads) {
  std::vector<HeldBlock> blocks;
  for (const auto& workload : workloads) {
    blocks.insert(blocks.end(), workload->blocks().begin(), workload->blocks().end());
  }
  return blocks;
}

// Threads share an allocator, and free each other's blocks where there is an exchange.
void AllocateOnThreads(AllocatorRule& rule, BlockExchange* exchange) {
  const Owned<Allocator> allocator = rule.MakeOverSystem();
  ASSERT_NE(allocator, nullptr);
  auto workloads = MakeWorkloads(rule, *allocator, kThreads, {.exchange = exchange});
  for (int round = 0; round < 4; ++round) {
    OnThreads(kThreads, [&](int thread) { workloads[thread]->Run(Scaled(10'000)); });
    // What nobody has taken is nobody's.
    std::vector<HeldBlock> exchanged;
    if (exchange != nullptr) exchanged = exchange->TakeAll();
    for (HeldBlock& block : exchanged) Release(*allocator, block);
    ExpectCounted(rule, *allocator, workloads);
    ExpectApart(AllBlocks(workloads));
    if (testing::Test::HasFailure()) return;
  }
  OnThreads(kThreads, [&](int thread) { workloads[thread]->FreeAll(); });
  ExpectCounted(rule, *allocator, workloads);
}

std::vector<HeldBlock> HoldMany(Allocator& allocator, int count, Layout layout, uint64_t stamp) {
  std::vector<HeldBlock> blocks;
  for (int i = 0; i < count; ++i) {
    blocks.push_back(Hold(allocator, layout, stamp << 32 | static_cast<uint64_t>(i)));
    EXPECT_NE(blocks.back().ptr, nullptr) << "no block of " << Text(layout);
  }
  return blocks;
}

void ReleaseAll(Allocator& allocator, std::vector<HeldBlock>& blocks) {
  for (HeldBlock& block : blocks) Release(allocator, block);
  blocks.clear();
}

// Frees on one thread what belongs to one allocator, and then allocates there from another.
void FreeOnTheThreadOfAnother(AllocatorRule& rule, Layout layout) {
  constexpr int kBlocks = 200;
  Worker other;
  Owned<Allocator> owner = rule.Make();
  ASSERT_NE(owner, nullptr);
  const Owned<Allocator> stranger = rule.Make();
  ASSERT_NE(stranger, nullptr);
  std::vector<HeldBlock> strange;
  other.Do([&] {
    std::vector<HeldBlock> warm = HoldMany(*stranger, kBlocks, layout, 1);
    ReleaseAll(*stranger, warm);
  });
  std::vector<HeldBlock> blocks = HoldMany(*owner, kBlocks, layout, 2);
  other.Do([&] {
    ReleaseAll(*owner, blocks);
    strange = HoldMany(*stranger, kBlocks, layout, 3);
  });
  // If the owner still had any of them, it would hand it out now, or give it back with itself.
  std::vector<HeldBlock> again = HoldMany(*owner, kBlocks, layout, 4);
  std::vector<HeldBlock> all = again;
  all.insert(all.end(), strange.begin(), strange.end());
  ExpectApart(all);
  ReleaseAll(*owner, again);
  const auto expect_intact = [&] {
    for (const HeldBlock& block : strange) {
      const char* const what = "it was in memory of an allocator that another thread freed to";
      if (!ExpectIntact(block, what)) return false;
    }
    return true;
  };
  owner.reset();
  if (!expect_intact()) return;
  const Owned<Allocator> third = rule.Make();
  ASSERT_NE(third, nullptr);
  std::vector<HeldBlock> more = HoldMany(*third, kBlocks, layout, 5);
  if (!expect_intact()) return;
  ReleaseAll(*third, more);
  other.Do([&] { ReleaseAll(*stranger, strange); });
}

constexpr Layout kHandedOver = {.size = 1500};

void FreeAll(Allocator& allocator, const std::vector<void*>& blocks) {
  for (void* block : blocks) allocator.Deallocate(block, kHandedOver);
}

// Allocates many blocks and has `free` free them, for a long time. Returns by how many bytes memory
// grew.
uint64_t GrowthByRounds(AllocatorRule& rule,
                        absl::FunctionRef<void(Allocator&, const std::vector<void*>&)> free) {
  constexpr int kWarm = 5;
  std::vector<void*> blocks(100);
  const Owned<Allocator> allocator = rule.Make();
  EXPECT_NE(allocator, nullptr);
  uint64_t before = 0;
  uint64_t after = 0;
  for (int round = 0; round < Scaled(300) && !testing::Test::HasFailure(); ++round) {
    for (void*& block : blocks) {
      block = allocator->Allocate(kHandedOver).ptr;
      EXPECT_NE(block, nullptr);
    }
    free(*allocator, blocks);
    after = rule.factory().decorates() ? rule.tracking().Stats().live_bytes : PrivateMemoryBytes();
    if (round == kWarm) before = after;
  }
  return after > before ? after - before : 0;
}

// One thread allocates what another frees. All of it would be six times as much as may be kept.
void HandOver(AllocatorRule& rule) {
  constexpr uint64_t kMostGrowth = 6 << 20;
  // What sanitizers keep of freed memory is theirs.
  if (kSanitized && !rule.factory().decorates()) return;
  Worker consumer;
  const uint64_t abroad =
      GrowthByRounds(rule, [&](Allocator& allocator, const std::vector<void*>& blocks) {
        consumer.Do([&] { FreeAll(allocator, blocks); });
      });
  // An arena that reuses nothing grows either way.
  const uint64_t at_home = GrowthByRounds(rule, &FreeAll);
  EXPECT_LE(abroad, at_home + kMostGrowth)
      << "memory grew by " << abroad << " bytes where one thread allocates and another frees, by "
      << at_home << " where one does both";
}

}  // namespace

namespace allocator_rules {

void ALC_6(AllocatorRule& rule) {
  AllocateOnThreads(rule, nullptr);
  if (testing::Test::HasFailure() || !rule.traits().foreign_free) return;
  BlockExchange exchange;
  AllocateOnThreads(rule, &exchange);
}

void ALC_7(AllocatorRule& rule) {
  for (const size_t size : {16, 64, 500, 5000, 60'000}) {
    FreeOnTheThreadOfAnother(rule, {.size = size});
    if (testing::Test::HasFailure()) return;
  }
  HandOver(rule);
}

void ALC_8(AllocatorRule& rule) {
  const int threads = rule.traits().thread_safe ? kThreads : 1;
  const Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  BlockExchange exchange;
  const bool exchanges = threads > 1 && rule.traits().foreign_free;
  auto workloads = MakeWorkloads(
      rule, *allocator, threads,
      {.max_blocks = 256, .max_size = 96, .exchange = exchanges ? &exchange : nullptr});
  for (int round = 0; round < 5; ++round) {
    OnThreads(threads, [&](int thread) { workloads[thread]->Run(Scaled(20'000) / threads); });
    ExpectApart(AllBlocks(workloads));
    if (testing::Test::HasFailure()) return;
  }
  OnThreads(threads, [&](int thread) { workloads[thread]->FreeAll(); });
  for (HeldBlock& block : exchange.TakeAll()) Release(*allocator, block);
}

}  // namespace allocator_rules
}  // namespace tenon::conformance
