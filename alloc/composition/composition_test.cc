// Stacks the decorators in many orders and runs a random workload over each.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/alloc/arena/arena_allocator.h"
#include "tenon/alloc/concurrent/concurrent_allocator.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/guarded/guarded_allocator.h"
#include "tenon/alloc/jemalloc/jemalloc_allocator.h"
#include "tenon/alloc/poison/poison_allocator.h"
#include "tenon/alloc/poison/sanitizer.h"
#include "tenon/alloc/quota/quota_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/alloc/tracking/tracking_allocator.h"

namespace tenon::alloc {
namespace {

struct Layer {
  const AllocatorFactory& (*factory)();
  std::vector<AllocatorOptionValue> options;
};

constexpr uint64_t kQuota = 300'000;

const std::vector<Layer>& Layers() {
  static const auto* const layers = new std::vector<Layer>{
      {&counting::Factory, {}},
      {&guarded::Factory, {}},
      {&tracking::Factory, {{.number = 3}, {}}},  // every third stack
      {&quota::Factory, {{.number = kQuota}}},  // some requests fall short of it, slabs most of all
      {&fault::Factory,
       {{}, {}, {.number = 17}, {}, {}, {.number = 1}, {.number = 1}, {}, {}}},  // every 17th
      {&poison::Factory, {{.number = 16}, {.number = 4096}}},
      {&arena::Factory, {{.number = 4096}}},
      {&concurrent::Factory, {{.number = 64 << 10}}},
  };
  return *layers;
}

using Order = std::vector<size_t>;  // indices of layers, the outermost first

constexpr size_t kLayers = 8;
// All but the last: concurrent takes slabs of its own size from what it decorates, which then no
// longer sees single blocks.
constexpr size_t kLayersThatSeeBlocks = 7;

// Each `step`-th of all orders of the first `layers` layers: 7 leaves 720 of the 5040 of seven
// layers, in which each layer stands in each place and next to each other one.
std::vector<Order> Orders(size_t layers, size_t step) {
  Order order(layers);
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<Order> orders;
  size_t number = 0;
  do {
    if (number++ % step == 0) orders.push_back(order);
  } while (std::next_permutation(order.begin(), order.end()));
  return orders;
}

// A stack of allocators over the system's or jemalloc, with a count at the bottom. Where a layer
// refuses what it would decorate, as concurrent does an arena, there is none.
class Stack {
 public:
  explicit Stack(const Order& order, bool over_jemalloc = false)
      : bottom_(over_jemalloc ? static_cast<Allocator&>(jemalloc_) : system_),
        name_(over_jemalloc ? "jemalloc" : "system") {
    Allocator* inner = &bottom_;
    for (size_t i = order.size(); i-- > 0;) {
      const Layer& layer = Layers()[order[i]];
      const bool refuses = layer.factory == &concurrent::Factory && !inner->traits().foreign_free;
      auto made =
          layer.factory().Create({.options = layer.options, .inner = inner, .memory = system_});
      CHECK_EQ(made.ok(), !refuses) << layer.factory().name() << ": " << made.status();
      if (refuses) break;
      inner = made->get();
      name_ = absl::StrCat(layer.factory().name(), "(", name_, ")");
      made_.push_back(*std::move(made));
    }
  }
  // Ends one after the other, from outside, each without anything live.
  ~Stack() {
    for (; !made_.empty(); made_.pop_back()) ExpectNothingLive(*made_.back());
    ExpectNothingLive(bottom_);
  }

  // Whether every layer is there.
  bool whole() const { return made_.size() == Layers().size(); }
  Allocator& top() { return *made_.back(); }
  const std::string& name() const { return name_; }

 private:
  void ExpectNothingLive(const Allocator& allocator) {
    EXPECT_EQ(allocator.Stats().live_bytes, 0u) << name_ << ", layer " << made_.size();
    EXPECT_EQ(allocator.Stats().live_blocks, 0u) << name_ << ", layer " << made_.size();
    allocator.VisitLive([&](const LiveBlock& block) {
      ADD_FAILURE() << name_ << " names a block of " << block.size << " bytes";
    });
  }

  SystemAllocator system_;
  JemallocAllocator jemalloc_;
  CountingAllocator bottom_;
  std::vector<Owned<Allocator>> made_;  // the innermost first
  std::string name_;
};

// Allocates, resizes and frees at random; fills each block with a byte of its own and looks whether
// it is still there (ALC-5, ALC-8).
class Workload {
 public:
  Workload(Allocator& allocator, uint32_t seed) : allocator_(allocator), random_(seed) {}

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      if (live_.size() < 3 || (live_.size() < 40 && random_() % 2 == 0)) {
        Allocate();
        continue;
      }
      std::swap(live_[random_() % live_.size()], live_.back());
      if (random_() % 2 == 0) {
        Resize(&live_.back());
      } else {
        FreeLast();
      }
    }
    while (!live_.empty()) FreeLast();
  }
  uint64_t succeeded() const { return succeeded_; }
  uint64_t failed() const { return failed_; }

 private:
  struct Live {
    unsigned char* ptr = nullptr;
    Layout layout;
    unsigned char fill = 0;
  };

  void Count(bool success) { ++(success ? succeeded_ : failed_); }

  size_t Size() { return random_() % 16 == 0 ? random_() % 9000 : random_() % 200; }

  void Allocate() {
    const Layout layout{.size = Size(), .alignment = size_t{1} << random_() % 9};
    const Block block = allocator_.Allocate(layout);
    Count(block.ptr != nullptr);
    if (block.ptr == nullptr) return;
    ASSERT_GE(block.size, layout.size);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(block.ptr) % layout.alignment, 0u);
    live_.push_back({static_cast<unsigned char*>(block.ptr), layout, 0});
    Fill(&live_.back());
  }

  void Resize(Live* live) {
    const size_t new_size = Size();
    const size_t kept = std::min(live->layout.size, new_size);
    if (random_() % 2 == 0) {
      if (!allocator_.TryResize(live->ptr, live->layout, new_size)) return Check(*live);
    } else {
      const Block moved = allocator_.Reallocate(live->ptr, live->layout, new_size);
      Count(moved.ptr != nullptr);
      if (moved.ptr == nullptr) return Check(*live);
      live->ptr = static_cast<unsigned char*>(moved.ptr);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(live->ptr) % live->layout.alignment, 0u);
    }
    live->layout.size = kept;
    Check(*live);
    live->layout.size = new_size;
    Fill(live);
  }

  void FreeLast() {
    Check(live_.back());
    allocator_.Deallocate(live_.back().ptr, live_.back().layout);
    live_.pop_back();
  }

  void Fill(Live* live) {
    live->fill = static_cast<unsigned char>(random_());
    std::memset(live->ptr, live->fill, live->layout.size);
  }

  static void Check(const Live& live) {
    ASSERT_TRUE(std::all_of(live.ptr, live.ptr + live.layout.size, [&](unsigned char byte) {
      return byte == live.fill;
    })) << "somebody else wrote into the block";
  }

  Allocator& allocator_;
  std::mt19937 random_;
  std::vector<Live> live_;
  uint64_t succeeded_ = 0;
  uint64_t failed_ = 0;
};

TEST(CompositionTest, WorksInAnyOrderAndEndsWithNothingLive) {
  uint32_t seed = 0;
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  size_t whole = 0;
  for (const Order& order : Orders(kLayers, 41)) {
    Stack stack(order, seed % 2 == 1);
    ++seed;
    if (!stack.whole()) continue;
    ++whole;
    Workload workload(stack.top(), seed);
    workload.Run(100);
    succeeded += workload.succeeded();
    failed += workload.failed();
    ASSERT_FALSE(HasFailure()) << stack.name() << ", seed " << seed;
  }
  // Half have the arena outside of concurrent, and some a guard between them.
  EXPECT_GT(whole, 450u);
  EXPECT_GT(succeeded, failed);
  EXPECT_GT(failed, whole) << "the faults and the quota hit nearly nothing";
}

TEST(CompositionTest, WorksOnManyThreadsWhereItIsDeclared) {
  uint32_t seed = 0;
  int stacks = 0;
  for (const Order& order : Orders(kLayers, 307)) {
    Stack stack(order, seed % 2 == 1);
    if (!stack.whole() || !stack.top().traits().thread_safe) continue;
    ++stacks;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back(
          [&stack, own_seed = ++seed] { Workload(stack.top(), own_seed).Run(300); });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_FALSE(HasFailure()) << stack.name() << ", the seeds to " << seed;
  }
  EXPECT_GT(stacks, 30);
}

TEST(CompositionTest, TraitsSayWhatTheWholeStackCanDo) {
  for (const Order& order : Orders(kLayersThatSeeBlocks, 7)) {
    Stack stack(order);
    const auto position = [&](size_t layer) {
      return std::find(order.begin(), order.end(), layer) - order.begin();
    };
    const AllocatorTraits traits = stack.top().traits();
    EXPECT_EQ(traits.thread_safe, position(1) < position(6)) << stack.name();
    EXPECT_TRUE(traits.statistics) << stack.name();
    EXPECT_EQ(traits.bulk_release, !kPoisonsMemory || position(6) < position(5)) << stack.name();
    EXPECT_EQ(traits.tracking, position(2) < position(5) && position(2) < position(6))
        << stack.name();
    EXPECT_EQ(traits.quota_bytes, kQuota) << stack.name();
    EXPECT_EQ(traits.exact_quota, position(3) < std::min({position(2), position(5), position(6)}))
        << stack.name();
  }
}

// Releases its blocks at its end, and takes its time over the first free.
class SlowToFree final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override { return system_.Allocate(layout); }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    begun_ = true;
    while (!may_end_) std::this_thread::yield();
    system_.Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true, .foreign_free = true, .bulk_release = true};
  }

  void AwaitFree() const {
    while (!begun_) std::this_thread::yield();
  }
  void EndFree() { may_end_ = true; }

 private:
  SystemAllocator system_;
  std::atomic<bool> begun_ = false;
  std::atomic<bool> may_end_ = false;
};

TEST(CompositionTest, DestructionWaitsForAFreeInTheInnerAllocator) {
  int waited = 0;
  for (const Layer& layer : Layers()) {
    SystemAllocator memory;
    SlowToFree inner;
    std::vector<AllocatorOptionValue> options = layer.options;
    if (layer.factory == &poison::Factory) options[1].number = 0;  // no quarantine
    auto made = layer.factory().Create({.options = options, .inner = &inner, .memory = memory});
    ASSERT_TRUE(made.ok());
    Owned<Allocator> allocator = *std::move(made);
    if (!allocator->traits().foreign_free || layer.factory == &concurrent::Factory) continue;
    const Layout layout{.size = 100};
    const Block block = allocator->Allocate(layout);
    ASSERT_NE(block.ptr, nullptr);
    std::thread freeing([&, raw = allocator.get()] { raw->Deallocate(block.ptr, layout); });
    inner.AwaitFree();
    std::atomic<bool> destroyed = false;
    std::thread destroying([&] {
      allocator.reset();
      destroyed = true;
    });
    for (int i = 0; i < 1000 && !destroyed; ++i) std::this_thread::yield();
    EXPECT_FALSE(destroyed) << layer.factory().name() << " with a free in flight";
    inner.EndFree();
    freeing.join();
    destroying.join();
    ++waited;
  }
  EXPECT_EQ(waited, 6) << "all but the arena, and concurrent, which keeps small blocks";
}

}  // namespace
}  // namespace tenon::alloc
