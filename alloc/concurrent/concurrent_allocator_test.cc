#include "tenon/alloc/concurrent/concurrent_allocator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <latch>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/jemalloc/jemalloc_allocator.h"
#include "tenon/alloc/live_blocks/live_blocks.h"
#include "tenon/alloc/quota/quota_allocator.h"

namespace tenon::alloc {
namespace {

constexpr Layout kLayout{.size = 64};

bool IsAligned(const void* ptr, size_t alignment) {
  return reinterpret_cast<uintptr_t>(ptr) % alignment == 0;
}

// Two threads without numbers exist only beside as many as have one.
class NumberedThreads {
 public:
  NumberedThreads() {
    for (uint32_t i = 0; i < kMaxNumberedThreads; ++i) {
      threads_.emplace_back([this] {
        static_cast<void>(ThreadNumber());
        started_.count_down();
        end_.wait();
      });
    }
    started_.wait();
  }
  ~NumberedThreads() {
    end_.count_down();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::latch started_{kMaxNumberedThreads};
  std::latch end_{1};
  std::vector<std::thread> threads_;
};

// An allocator for one thread at a time, which notices if there are two.
class OneAtATime final : public Allocator {
 public:
  explicit OneAtATime(Allocator& inner) : inner_(inner) {}

  bool intruded() const { return intruded_; }

  Block Allocate(Layout layout) noexcept override {
    const Visit visit(*this);
    return inner_.Allocate(layout);
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    const Visit visit(*this);
    inner_.Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override { return inner_.Stats(); }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = false, .foreign_free = true};
  }

 private:
  struct Visit {
    explicit Visit(OneAtATime& to) : to(to) {
      if (to.inside_.exchange(true)) to.intruded_ = true;
      std::this_thread::yield();
    }
    ~Visit() { to.inside_ = false; }
    OneAtATime& to;
  };

  Allocator& inner_;
  std::atomic<bool> inside_ = false;
  std::atomic<bool> intruded_ = false;
};

class ConcurrentAllocatorTest : public testing::Test {
 protected:
  ~ConcurrentAllocatorTest() override {
    allocator_.reset();
    // Live blocks or not: all of it has gone back.
    EXPECT_EQ(backing_.Stats().live_blocks, 0u);
    EXPECT_EQ(backing_.Stats().live_bytes, 0u);
  }

  JemallocAllocator backing_;
  FaultAllocator fault_{backing_};
  std::optional<ConcurrentAllocator> allocator_{std::in_place, fault_};
};

TEST_F(ConcurrentAllocatorTest, HonoursAlignmentAlsoAboveTheSize) {
  for (size_t alignment = 1; alignment <= 65'536; alignment *= 2) {
    for (size_t size : {size_t{0}, size_t{1}, size_t{100}, alignment, alignment + 1}) {
      const Layout layout{.size = size, .alignment = alignment};
      std::array<void*, 5> blocks;
      for (void*& ptr : blocks) {
        const Block block = allocator_->Allocate(layout);
        ptr = block.ptr;
        ASSERT_NE(ptr, nullptr);
        EXPECT_GE(block.size, size);
        EXPECT_TRUE(IsAligned(ptr, alignment)) << size << " bytes at " << alignment;
        std::memset(ptr, 1, size);
      }
      for (void* ptr : blocks) allocator_->Deallocate(ptr, layout);
    }
  }
  EXPECT_EQ(allocator_->Stats().live_blocks, 0u);
}

TEST_F(ConcurrentAllocatorTest, BlocksOfAllSizesNeverOverlap) {
  std::mt19937 random(17);
  struct Live {
    unsigned char* ptr;
    size_t size;
    unsigned char stamp;
  };
  std::vector<Live> live;
  const auto is_intact = [](const Live& block) {
    return std::all_of(block.ptr, block.ptr + block.size,
                       [&](unsigned char byte) { return byte == block.stamp; });
  };
  for (int i = 0; i < 20'000; ++i) {
    if (live.size() > 400 || (!live.empty() && random() % 3 == 0)) {
      std::swap(live[random() % live.size()], live.back());
      ASSERT_TRUE(is_intact(live.back())) << live.back().size << " bytes, step " << i;
      allocator_->Deallocate(live.back().ptr, {.size = live.back().size});
      live.pop_back();
      continue;
    }
    const size_t size = random() % (size_t{1} << (random() % 17));
    auto* ptr = static_cast<unsigned char*>(allocator_->Allocate({.size = size}).ptr);
    ASSERT_NE(ptr, nullptr);
    live.push_back({ptr, size, static_cast<unsigned char>(i)});
    std::memset(ptr, i, size);
  }
  EXPECT_EQ(allocator_->Stats().live_blocks, live.size());
}

TEST_F(ConcurrentAllocatorTest, ZeroBytesAreUnique) {
  std::set<void*> blocks;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(blocks.insert(allocator_->Allocate({.size = 0}).ptr).second);
  }
  EXPECT_FALSE(blocks.contains(nullptr));
  for (void* ptr : blocks) allocator_->Deallocate(ptr, {.size = 0});
  allocator_->Deallocate(nullptr, {.size = 0});
}

TEST_F(ConcurrentAllocatorTest, FailsCleanlyWhereTheSizeOverflows) {
  for (size_t alignment : {1, 16, 8192}) {
    for (volatile size_t huge :
         {std::numeric_limits<size_t>::max(), std::numeric_limits<size_t>::max() - 64}) {
      const Layout layout{.size = huge, .alignment = alignment};
      EXPECT_EQ(allocator_->Allocate(layout).ptr, nullptr);
    }
  }
  EXPECT_EQ(allocator_->Stats().failures, 6u);
}

TEST_F(ConcurrentAllocatorTest, KeepsAlignmentAndBytesWhenResized) {
  for (size_t alignment : {size_t{1}, size_t{64}, size_t{16'384}}) {
    Layout layout{.size = 10, .alignment = alignment};
    Block block = allocator_->Allocate(layout);
    ASSERT_NE(block.ptr, nullptr);
    std::memcpy(block.ptr, "123456789", 10);
    for (size_t size : {16, 100, 90, 40'000, 1'000'000, 900'000, 33'000, 32'000, 10}) {
      block = allocator_->Reallocate(block.ptr, layout, size);
      ASSERT_NE(block.ptr, nullptr);
      layout.size = size;
      EXPECT_TRUE(IsAligned(block.ptr, alignment)) << size << " bytes at " << alignment;
      EXPECT_STREQ(static_cast<char*>(block.ptr), "123456789");
      EXPECT_EQ(allocator_->Stats().live_bytes, size);
    }
    allocator_->Deallocate(block.ptr, layout);
  }
}

TEST_F(ConcurrentAllocatorTest, AFailedGrowKeepsTheBlock) {
  for (size_t size : {size_t{100}, size_t{50'000}}) {
    const Layout layout{.size = size};
    const Block block = allocator_->Allocate(layout);
    ASSERT_NE(block.ptr, nullptr);
    std::memcpy(block.ptr, "123456789", 10);
    const AllocatorStats before = allocator_->Stats();
    fault_.FailFrom(1);
    EXPECT_EQ(allocator_->Reallocate(block.ptr, layout, 1'000'000).ptr, nullptr);
    EXPECT_FALSE(allocator_->TryResize(block.ptr, layout, 1'000'000));
    fault_.Clear();
    EXPECT_STREQ(static_cast<char*>(block.ptr), "123456789");
    EXPECT_EQ(allocator_->Stats().live_bytes, before.live_bytes);
    EXPECT_EQ(allocator_->Stats().live_blocks, before.live_blocks);
    EXPECT_EQ(allocator_->Stats().failures, before.failures + 1);
    allocator_->Deallocate(block.ptr, layout);
  }
  EXPECT_EQ(allocator_->Stats().live_blocks, 0u);
}

TEST_F(ConcurrentAllocatorTest, EveryAllocationOfItsBackingMayFail) {
  for (uint64_t nth = 1;; ++nth) {
    ConcurrentAllocator allocator(fault_);
    fault_.FailNth(nth);
    uint64_t failed = 0;
    std::vector<std::pair<void*, size_t>> blocks;
    for (int i = 0; i < 200; ++i) {
      const size_t size = i % 40 == 0 ? 50'000 : 1000;
      const Block block = allocator.Allocate({.size = size});
      if (block.ptr == nullptr) {
        ++failed;
      } else {
        std::memset(block.ptr, 1, size);
        blocks.emplace_back(block.ptr, size);
      }
    }
    EXPECT_EQ(failed, fault_.injected());
    EXPECT_EQ(allocator.Stats().failures, failed);
    EXPECT_EQ(allocator.Stats().live_blocks, blocks.size());
    for (const auto& [ptr, size] : blocks) allocator.Deallocate(ptr, {.size = size});
    EXPECT_EQ(allocator.Stats().live_bytes, 0u);
    if (failed == 0) {
      EXPECT_GT(nth, 8u) << "too few allocations: this tests little";
      break;
    }
  }
  fault_.Clear();
}

TEST_F(ConcurrentAllocatorTest, ABlockFreedElsewhereReturnsToItsOwner) {
  // More than a slab.
  std::set<void*> blocks;
  for (int i = 0; i < 3000; ++i) blocks.insert(allocator_->Allocate(kLayout).ptr);
  std::thread([&] {
    for (void* ptr : blocks) allocator_->Deallocate(ptr, kLayout);
    for (int i = 0; i < 3000; ++i) {
      EXPECT_FALSE(blocks.contains(allocator_->Allocate(kLayout).ptr));
    }
  }).join();
  const uint64_t bytes = backing_.Stats().live_bytes;
  int again = 0;
  for (int i = 0; i < 3000; ++i) again += blocks.contains(allocator_->Allocate(kLayout).ptr);
  // But for the rest of the last slab, and what it kept of those that it had given back.
  EXPECT_GT(again, 2000);
  EXPECT_LE(backing_.Stats().live_bytes, bytes + (128 << 10));
}

TEST_F(ConcurrentAllocatorTest, ALaterThreadTakesOverFromOneThatEnded) {
  uint64_t bytes = 0;
  for (int i = 0; i < 10; ++i) {
    std::thread([&] {
      for (int block = 0; block < 2000; ++block)
        ASSERT_NE(allocator_->Allocate(kLayout).ptr, nullptr);
      for (int block = 0; block < 100; ++block) {
        allocator_->Deallocate(allocator_->Allocate({.size = 5000}).ptr, {.size = 5000});
      }
    }).join();
    if (i == 0) bytes = backing_.Stats().live_bytes;
  }
  // Ten times the blocks of 64 bytes, one slab of those of 5,000, one shard.
  EXPECT_LT(backing_.Stats().live_bytes, bytes + 9 * 3 * (64 << 10));
}

TEST_F(ConcurrentAllocatorTest, ThreadsFreeOneAnothersBlocks) {
  constexpr size_t kThreads = 4;
  constexpr int kRounds = 5000;
  // Where threads leave blocks for whoever comes next.
  std::array<std::atomic<uint64_t*>, 64> slots{};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int round = 0; round < kRounds; ++round) {
        auto* mine = static_cast<uint64_t*>(allocator_->Allocate(kLayout).ptr);
        ASSERT_NE(mine, nullptr);
        std::fill_n(mine, 8, reinterpret_cast<uintptr_t>(mine));
        uint64_t* other = slots[random() % slots.size()].exchange(mine, std::memory_order_acq_rel);
        if (other == nullptr) continue;
        for (int i = 0; i < 8; ++i) ASSERT_EQ(other[i], reinterpret_cast<uintptr_t>(other));
        allocator_->Deallocate(other, kLayout);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::atomic<uint64_t*>& slot : slots) allocator_->Deallocate(slot.load(), kLayout);
  EXPECT_EQ(allocator_->Stats().live_blocks, 0u);
  EXPECT_EQ(allocator_->Stats().live_bytes, 0u);
  EXPECT_EQ(allocator_->Stats().total_blocks, kThreads * kRounds);
}

TEST_F(ConcurrentAllocatorTest, ThreadsWithoutANumberShareAShard) {
  const NumberedThreads all_that_can;
  std::array<std::atomic<uint64_t*>, 16> slots{};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      ASSERT_EQ(ThreadNumber(), kNoThreadNumber);
      for (size_t round = 0; round < 3000; ++round) {
        auto* mine = static_cast<uint64_t*>(allocator_->Allocate(kLayout).ptr);
        ASSERT_NE(mine, nullptr);
        *mine = reinterpret_cast<uintptr_t>(mine);
        uint64_t* other = slots[round % slots.size()].exchange(mine, std::memory_order_acq_rel);
        if (other == nullptr) continue;
        ASSERT_EQ(*other, reinterpret_cast<uintptr_t>(other));
        allocator_->Deallocate(other, kLayout);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::atomic<uint64_t*>& slot : slots) allocator_->Deallocate(slot.load(), kLayout);
  EXPECT_EQ(allocator_->Stats().live_blocks, 0u);
  EXPECT_EQ(allocator_->Stats().total_blocks, 6000u);
}

TEST_F(ConcurrentAllocatorTest, LargeBlocksAreSharedAndGoBackAtOnce) {
  const uint64_t before = (allocator_->Deallocate(allocator_->Allocate(kLayout).ptr, kLayout),
                           backing_.Stats().live_bytes);
  std::atomic<void*> handed_over = nullptr;
  const Layout layout{.size = 100'000, .alignment = 8192};
  std::thread thread([&] {
    for (int i = 0; i < 500; ++i) {
      void* ptr = allocator_->Allocate(layout).ptr;
      ASSERT_NE(ptr, nullptr);
      ptr = allocator_->Reallocate(ptr, layout, 120'000).ptr;
      ASSERT_NE(ptr, nullptr);
      while (handed_over.load() != nullptr) std::this_thread::yield();
      handed_over = ptr;
    }
  });
  for (int i = 0; i < 500; ++i) {
    void* ptr = nullptr;
    while ((ptr = handed_over.exchange(nullptr)) == nullptr) std::this_thread::yield();
    EXPECT_TRUE(IsAligned(ptr, 8192));
    allocator_->Deallocate(ptr, {.size = 120'000, .alignment = 8192});
  }
  thread.join();
  EXPECT_EQ(allocator_->Stats().live_blocks, 0u);
  // What remains is the other thread's shard.
  EXPECT_LT(backing_.Stats().live_bytes, before + 4096);
}

TEST_F(ConcurrentAllocatorTest, ABackingForOneThreadIsCalledByOneAtATime) {
  OneAtATime one(backing_);
  {
    ConcurrentAllocator allocator(one, {.kept_bytes = 0});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          const Layout layout{.size = i % 2 == 0 ? size_t{30'000} : size_t{60'000}};
          std::array<void*, 10> blocks;
          for (void*& ptr : blocks) ptr = allocator.Allocate(layout).ptr;
          for (void* ptr : blocks) allocator.Deallocate(ptr, layout);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_FALSE(one.intruded());
}

TEST_F(ConcurrentAllocatorTest, KeepsAsManyEmptySlabsAsItMay) {
  for (const size_t kept : {size_t{0}, size_t{256} << 10}) {
    ConcurrentAllocator allocator(backing_, {.kept_bytes = kept});
    std::vector<void*> blocks;
    const uint64_t before = backing_.Stats().live_bytes;
    for (int i = 0; i < 20'000; ++i) blocks.push_back(allocator.Allocate(kLayout).ptr);
    EXPECT_GT(backing_.Stats().live_bytes, before + 20'000 * 64);
    for (void* ptr : blocks) allocator.Deallocate(ptr, kLayout);
    // A slab that it allocates from, and a shard.
    EXPECT_GE(backing_.Stats().live_bytes, before + kept + (64 << 10));
    EXPECT_LT(backing_.Stats().live_bytes, before + kept + (64 << 10) + 4096);
  }
}

// Whatever the order is in which blocks are freed, and whichever were freed last.
TEST_F(ConcurrentAllocatorTest, GivesBackASlabWithItsLastBlock) {
  std::mt19937 random(29);
  for (const size_t size : {size_t{16}, size_t{64}, size_t{1000}, size_t{4096}, size_t{30'000}}) {
    const Layout layout{.size = size};
    const size_t slab_bytes = size <= 1024 ? 64 << 10 : 256 << 10;
    ConcurrentAllocator allocator(backing_, {.kept_bytes = 0});
    const uint64_t before = backing_.Stats().live_bytes;
    for (int round = 0; round < 5; ++round) {
      std::vector<void*> blocks;
      while (blocks.size() < 20 * slab_bytes / size) {
        blocks.push_back(allocator.Allocate(layout).ptr);
        // Now and then one comes back to be handed out again.
        if (random() % 4 == 0) {
          std::swap(blocks[random() % blocks.size()], blocks.back());
          allocator.Deallocate(blocks.back(), layout);
          blocks.pop_back();
        }
      }
      EXPECT_GE(backing_.Stats().live_bytes, before + 20 * slab_bytes);
      std::shuffle(blocks.begin(), blocks.end(), random);
      for (void* ptr : blocks) allocator.Deallocate(ptr, layout);
      // The slab that it allocates from, and a shard.
      EXPECT_LT(backing_.Stats().live_bytes, before + slab_bytes + 4096) << size << " bytes";
    }
  }
}

// But for its description and what is left over in front of that and at the end.
TEST_F(ConcurrentAllocatorTest, CutsAllOfASlabIntoBlocks) {
  for (const size_t size : {size_t{16}, size_t{64}, size_t{1024}, size_t{4096}, size_t{32'768}}) {
    const Layout layout{.size = size};
    const size_t slab_bytes = size <= 1024 ? 64 << 10 : 256 << 10;
    ConcurrentAllocator allocator(backing_, {.kept_bytes = 0});
    std::map<uintptr_t, size_t> blocks_of_slabs;
    uintptr_t last = 0;
    for (size_t i = 0; i < 20 * slab_bytes / size; ++i) {
      void* const ptr = allocator.Allocate(layout).ptr;
      ASSERT_NE(ptr, nullptr);
      last = reinterpret_cast<uintptr_t>(ptr) & -slab_bytes;
      ++blocks_of_slabs[last];
    }
    EXPECT_GE(blocks_of_slabs.size(), 20u);
    for (const auto& [slab, blocks] : blocks_of_slabs) {
      EXPECT_LT(blocks * size, slab_bytes) << size << " bytes";
      if (slab == last) continue;
      EXPECT_GE(blocks * size, slab_bytes - 128 - 2 * size) << size << " bytes";
    }
  }
}

TEST_F(ConcurrentAllocatorTest, ReleasesLiveAndQueuedBlocks) {
  std::vector<void*> blocks;
  for (size_t size : {64, 30'000, 300'000}) {
    for (int i = 0; i < 20; ++i) {
      void* ptr = allocator_->Allocate({.size = size}).ptr;
      ASSERT_NE(ptr, nullptr);
      if (i % 2 == 0) continue;
      std::thread([&] { allocator_->Deallocate(ptr, {.size = size}); }).join();
    }
  }
  EXPECT_EQ(allocator_->Stats().live_blocks, 30u);
  EXPECT_GT(backing_.Stats().live_bytes, 0u);
  // The fixture looks at what is left.
}

TEST_F(ConcurrentAllocatorTest, ThreadsFreeUntilItIsDestroyed) {
  constexpr size_t kBlocks = 500;
  for (int life = 0; life < 20; ++life) {
    auto allocator = std::make_unique<ConcurrentAllocator>(backing_);
    std::vector<void*> blocks;
    for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(allocator->Allocate(kLayout).ptr);
    std::atomic<size_t> freed = 0;
    std::thread thread([&, allocator = allocator.get()] {
      for (void* ptr : blocks) {
        allocator->Deallocate(ptr, kLayout);
        // Relaxed: nothing but the allocator's own wait orders the frees before the destruction.
        freed.fetch_add(1, std::memory_order_relaxed);
      }
    });
    while (freed.load(std::memory_order_relaxed) != kBlocks) std::this_thread::yield();
    allocator.reset();
    thread.join();
  }
}

TEST_F(ConcurrentAllocatorTest, DeclaresTheQuotaOfItsBackingAsABound) {
  QuotaAllocator quota(fault_, 1 << 20);
  const ConcurrentAllocator allocator(quota);
  EXPECT_EQ(allocator.traits().quota_bytes, uint64_t{1} << 20);
  EXPECT_FALSE(allocator.traits().exact_quota);
}

TEST_F(ConcurrentAllocatorTest, AFreePreservesErrno) {
  for (size_t size : {size_t{10}, size_t{30'000}, size_t{64} << 20}) {
    const Block block = allocator_->Allocate({.size = size});
    ASSERT_NE(block.ptr, nullptr);
    std::thread([&] {
      errno = EXDEV;  // The first that this thread does with any allocator.
      allocator_->Deallocate(block.ptr, {.size = size});
      EXPECT_EQ(errno, EXDEV);
    }).join();
  }
}

TEST_F(ConcurrentAllocatorTest, DebugBuildsCatchMisuse) {
  if (!kRemembersLiveBlocks) GTEST_SKIP() << "this build remembers no live blocks";
  const Block block = allocator_->Allocate(kLayout);
  EXPECT_DEATH(allocator_->Deallocate(block.ptr, {.size = 32}), "allocated with 64 bytes, not 32");
  EXPECT_DEATH(
      {
        allocator_->Deallocate(block.ptr, kLayout);
        allocator_->Deallocate(block.ptr, kLayout);
      },
      "concurrent: Deallocate of 0x[0-9a-f]+, which is not live");
  allocator_->Deallocate(block.ptr, kLayout);
}

// An allocator whose blocks stay on their thread.
class NoForeignFree final : public Allocator {
 public:
  Block Allocate(Layout /*layout*/) noexcept override { return {}; }
  void Deallocate(void* /*ptr*/, Layout /*layout*/) noexcept override {}
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {.thread_safe = true}; }
};

TEST_F(ConcurrentAllocatorTest, TheFactorySaysWhatItCannotUse) {
  const AllocatorFactory& factory = concurrent::Factory();
  EXPECT_EQ(factory.name(), "concurrent");
  EXPECT_TRUE(factory.decorates());
  ASSERT_EQ(factory.options().size(), 1u);
  const std::array<AllocatorOptionValue, 1> options{{{.number = 1 << 20}}};
  NoForeignFree unfit;
  EXPECT_EQ(
      factory.Create({.options = options, .inner = &unfit, .memory = backing_}).status().code(),
      absl::StatusCode::kInvalidArgument);
  fault_.FailNth(1);
  EXPECT_EQ(factory.Create({.options = options, .inner = &backing_, .memory = fault_}).status(),
            absl::ResourceExhaustedError(""));
  const auto made = factory.Create({.options = options, .inner = &backing_, .memory = fault_});
  ASSERT_TRUE(made.ok());
  const Block block = (*made)->Allocate(kLayout);
  EXPECT_NE(block.ptr, nullptr);
  (*made)->Deallocate(block.ptr, kLayout);
}

}  // namespace
}  // namespace tenon::alloc
