// ALC-10, ALC-11 and ALC-18: the end of an allocator, and what comes after it.

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/conformance/allocator/in_time.h"
#include "tenon/conformance/allocator/private_memory.h"
#include "tenon/conformance/allocator/recycling_memory.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/allocator/stalling_allocator.h"
#include "tenon/conformance/allocator/workload.h"
#include "tenon/conformance/rules/allocator_rule.h"

namespace tenon::conformance {
namespace {

// Destroys an allocator that has live blocks, and others that a thread has just freed.
void LeaveBlocksBehind(AllocatorRule& rule, uint64_t seed) {
  const bool foreign = rule.traits().foreign_free;
  Worker other;
  Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  Workload here(*allocator, seed, {.max_blocks = 2000, .max_size = 1000});
  here.Run(Scaled(5000));
  std::vector<HeldBlock> blocks = here.Abandon();
  const auto use = [&] {
    // Every second one is freed, and the owner does nothing afterwards.
    for (size_t i = 0; foreign && i < blocks.size(); i += 2) Release(*allocator, blocks[i]);
    Workload there(*allocator, seed + 1, {.max_blocks = 200});
    there.Run(Scaled(1000));
  };
  other.Do(use);
  allocator.reset();
}

// Destroys an allocator whose blocks a thread frees: the last free has been begun, and whether it
// has ended nobody has said.
void EndWhileFreesReturn(AllocatorRule& rule) {
  constexpr int kBlocks = 200;
  // Over the process heap: what orders the threads is the allocator's own wait, or nothing.
  Owned<Allocator> allocator = rule.MakeOverSystem();
  ASSERT_NE(allocator, nullptr);
  std::vector<std::pair<void*, Layout>> blocks;
  for (size_t i = 0; i < kBlocks; ++i) {
    const Layout layout = {.size = size_t{16} << (i % 12)};
    blocks.emplace_back(allocator->Allocate(layout).ptr, layout);
    ASSERT_NE(blocks.back().first, nullptr);
  }
  std::atomic<int> freed = 0;
  std::thread other([&freed, &blocks, allocator = allocator.get()] {
    for (const auto& [ptr, layout] : blocks) {
      allocator->Deallocate(ptr, layout);
      // Relaxed, which tells the number and orders nothing.
      freed.fetch_add(1, std::memory_order_relaxed);
    }
  });
  while (freed.load(std::memory_order_relaxed) != kBlocks) std::this_thread::yield();
  allocator.reset();
  other.join();
}

// Destroys an allocator while a free is inside it for certain.
void EndDuringFree(AllocatorRule& rule, size_t size) {
  StallingAllocator inner(rule.allocator(), {.call = StallingAllocator::Call::kFree,
                                             .patience = absl::Milliseconds(50)});
  Owned<Allocator> allocator = rule.MakeOver(inner);
  ASSERT_NE(allocator, nullptr);
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) {
    blocks.push_back(allocator->Allocate({.size = size}).ptr);
    ASSERT_NE(blocks.back(), nullptr);
  }
  std::thread other([&, allocator = allocator.get()] {
    inner.StallNext();
    // The only one: the allocator may be gone afterwards.
    allocator->Deallocate(blocks[0], {.size = size});
    inner.EndCalls();
  });
  const bool met = inner.WaitForStall();
  if (met) allocator.reset();
  EXPECT_FALSE(inner.NoteDone()) << "an allocator was destroyed with a free of a block of " << size
                                 << " bytes under way on another thread";
  other.join();
}

// An inner allocator that knows what is live in it.
//
// Threads: any.
class WatchedInner final : public Allocator {
 public:
  explicit WatchedInner(Allocator& memory) : memory_(memory) {}

  Block Allocate(Layout layout) noexcept override {
    const absl::MutexLock lock(&mutex_);
    const Block block = memory_.Allocate(layout);
    if (block.ptr != nullptr) live_[reinterpret_cast<uintptr_t>(block.ptr)] = block.size;
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    const absl::MutexLock lock(&mutex_);
    live_.erase(reinterpret_cast<uintptr_t>(ptr));
    memory_.Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true, .foreign_free = true};
  }

  // Whether the block is within a live one of this.
  bool Has(const Block& block) const {
    const absl::MutexLock lock(&mutex_);
    const uintptr_t begin = reinterpret_cast<uintptr_t>(block.ptr);
    auto found = live_.upper_bound(begin);
    if (found == live_.begin()) return false;
    --found;
    return begin + block.size <= found->first + found->second;
  }

 private:
  Allocator& memory_;
  mutable absl::Mutex mutex_;
  std::map<uintptr_t, size_t> live_ ABSL_GUARDED_BY(mutex_);
};

// One generation of an allocator, on the thread that every one is used on. Adds its address.
void LiveOnce(AllocatorRule& rule, RecyclingMemory& memory, WatchedInner& inner, Worker& thread,
              int generation, std::vector<const void*>& addresses) {
  constexpr int kBlocks = 100;
  auto made = rule.TryMake(inner, memory);
  EXPECT_TRUE(made.ok()) << made.status();
  if (!made.ok()) return;
  const Owned<Allocator> allocator = *std::move(made);
  addresses.push_back(allocator.get());
  const AllocatorStats fresh = allocator->Stats();
  EXPECT_EQ(fresh.live_blocks, 0u) << "a new allocator counts blocks of one that is gone";
  EXPECT_EQ(fresh.total_blocks, 0u) << "a new allocator counts blocks of one that is gone";
  std::vector<HeldBlock> blocks;
  thread.Do([&] {
    for (int i = 0; i < kBlocks && !testing::Test::HasFailure(); ++i) {
      const Layout layout = {.size = size_t{16} << (i % 6)};
      const Block block = allocator->Allocate(layout);
      ASSERT_NE(block.ptr, nullptr);
      // Before anything is written to it.
      ASSERT_TRUE(!rule.factory().decorates() || inner.Has(block))
          << "allocator " << generation << ", made where another was, handed out memory of that";
      blocks.push_back(
          {.ptr = static_cast<unsigned char*>(block.ptr),
           .layout = layout,
           .usable = layout.size,
           .stamp = static_cast<uint64_t>(generation) << 32 | static_cast<uint64_t>(i)});
      Fill(blocks.back());
    }
    ExpectApart(blocks);
    const AllocatorStats stats = allocator->Stats();
    if (rule.traits().statistics && !testing::Test::HasFailure()) {
      EXPECT_EQ(stats.live_blocks, blocks.size()) << "of a new allocator";
    }
    const bool some_stay = rule.traits().bulk_release;
    for (size_t i = 0; i < blocks.size(); ++i) {
      if (!some_stay || i % 3 != 0) Release(*allocator, blocks[i]);
    }
  });
}

// An allocator that lives on while others come and go, and takes over what they leave.
class Neighbour {
 public:
  Neighbour(AllocatorRule& rule, Worker& thread) : thread_(thread), allocator_(rule.Make()) {}
  ~Neighbour() {
    if (allocator_ == nullptr) return;
    thread_.Do([&] {
      for (HeldBlock& block : blocks_) Release(*allocator_, block);
    });
  }

  // Its blocks are as it filled them, and no others are counted; then it takes more of them.
  void CheckAndGrow() {
    ASSERT_NE(allocator_, nullptr);
    thread_.Do([&] {
      const AllocatorStats stats = allocator_->Stats();
      if (allocator_->traits().statistics) {
        EXPECT_EQ(stats.live_blocks, blocks_.size()) << "of one that lived on";
      }
      for (const HeldBlock& block : blocks_) {
        if (!ExpectIntact(block, "an allocator lived where another had been")) return;
      }
      for (size_t i = 0; i < 100; ++i) {
        const Layout layout = {.size = size_t{16} << (i % 6)};
        blocks_.push_back(Hold(*allocator_, layout, kStamps + blocks_.size()));
        ASSERT_NE(blocks_.back().ptr, nullptr);
      }
      ExpectApart(blocks_);
    });
  }

 private:
  static constexpr uint64_t kStamps = uint64_t{1} << 60;

  Worker& thread_;
  const Owned<Allocator> allocator_;
  std::vector<HeldBlock> blocks_;
};

// Uses it, is refused, and is destroyed.
void FailAndEnd(AllocatorRule& rule, uint64_t seed) {
  const Owned<Allocator> allocator = rule.MakeOverSystem();
  ASSERT_NE(allocator, nullptr);
  Workload workload(*allocator, seed);
  workload.Run(50);
  EXPECT_EQ(allocator->Allocate({.size = kHuge}).ptr, nullptr);
  workload.FreeAll();
  EXPECT_EQ(allocator->Allocate({.size = kHuge}).ptr, nullptr);
}

// For an exit handler, which has no arguments.
Allocator* left_at_exit = nullptr;

void UseAtExit() {
  HeldBlock block = Hold(*left_at_exit, {.size = 100}, 1);
  if (block.ptr == nullptr) std::abort();
  Release(*left_at_exit, block);
}

// Memory has run out: the process gives up, and its exit handlers allocate.
void GiveUp(AllocatorRule& rule) {
  Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  left_at_exit = allocator.get();
  std::atexit(&UseAtExit);
  Workload workload(*allocator, 1);
  workload.Run(20);
  rule.faults().FailFrom(1);
  workload.Run(50);
  EXPECT_EQ(allocator->Allocate({.size = kHuge}).ptr, nullptr);
  rule.faults().Clear();
  std::exit(0);
}

}  // namespace

namespace allocator_rules {

void ALC_10(AllocatorRule& rule) {
  // Each leaves half a MiB behind, and more: in the forty that are measured, five times the bound.
  constexpr int kRounds = 60;
  constexpr uint64_t kMostGrowth = 4 << 20;
  const uint64_t before = rule.tracking().Stats().live_bytes;
  uint64_t memory = 0;
  for (int round = 0; round < kRounds; ++round) {
    LeaveBlocksBehind(rule, static_cast<uint64_t>(round) * 2 + 1);
    if (testing::Test::HasFailure()) return;
    const uint64_t live = rule.tracking().Stats().live_bytes;
    ASSERT_EQ(live, before) << "bytes of its inner allocator remain after it was destroyed";
    if (round == kRounds / 3) memory = PrivateMemoryBytes();
  }
  if (!rule.factory().decorates() && !kSanitized) {
    const uint64_t now = PrivateMemoryBytes();
    EXPECT_LE(now, memory + kMostGrowth)
        << "memory grew by " << now - memory << " bytes while allocators came and went";
  }
  if (!rule.traits().foreign_free) return;
  for (int life = 0; life < 20 && !testing::Test::HasFailure(); ++life) EndWhileFreesReturn(rule);
  if (!rule.factory().decorates()) return;
  for (const size_t size : {64, 5000, 100'000, 2'000'000}) EndDuringFree(rule, size);
}

void ALC_11(AllocatorRule& rule) {
  RecyclingMemory memory(rule.allocator());
  WatchedInner inner(rule.allocator());
  Worker thread;
  Neighbour neighbour(rule, thread);
  std::vector<const void*> addresses;
  for (int generation = 1; generation <= 6; ++generation) {
    LiveOnce(rule, memory, inner, thread, generation, addresses);
    if (testing::Test::HasFailure()) return;
    neighbour.CheckAndGrow();
    if (testing::Test::HasFailure()) return;
  }
  if (std::count(addresses.begin(), addresses.end(), addresses.front()) < 2) {
    rule.Inconclusive("no allocator was made where another had been");
  }
}

void ALC_18(AllocatorRule& rule) {
  ExpectEnds("teardown after failures, again and again", [&] {
    for (uint64_t i = 1; i <= 30; ++i) FailAndEnd(rule, i);
  });
  if (testing::Test::HasFailure()) return;
  ExpectEnds("teardown on several threads at once", [&] {
    OnThreads(4, [&](int thread) {
      for (uint64_t i = 1; i <= 10; ++i) FailAndEnd(rule, static_cast<uint64_t>(thread) * 100 + i);
    });
  });
  if (testing::Test::HasFailure()) return;
  ExpectEnds("teardown on another thread", [&] {
    Owned<Allocator> allocator = rule.MakeOverSystem();
    ASSERT_NE(allocator, nullptr);
    Workload workload(*allocator, 5);
    workload.Run(200);
    workload.FreeAll();
    OnThreads(1, [&](int) { allocator.reset(); });
  });
  ExpectExits("exit after a failed allocation", [&] { GiveUp(rule); });
}

}  // namespace allocator_rules
}  // namespace tenon::conformance
