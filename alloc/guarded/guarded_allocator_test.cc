#include "tenon/alloc/guarded/guarded_allocator.h"

#include <cerrno>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/quota/quota_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc {
namespace {

// An allocator of one thread: the thread sanitizer sees two calls at once by `calls_`, all other
// builds by `inside_`.
class OneThreadAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    const Call call(*this);
    return system_.Allocate(layout);
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    const Call call(*this);
    errno = EBADF;  // the decorator is to preserve it
    system_.Deallocate(ptr, layout);
  }
  bool TryResize(void* /*ptr*/, Layout layout, size_t new_size) noexcept override {
    const Call call(*this);
    return new_size == layout.size;
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    LiveBlock block;
    block.size = 17;
    visit(block);
  }

  uint64_t calls() const { return calls_; }

 private:
  struct Call {
    explicit Call(OneThreadAllocator& allocator) : inside(allocator.inside_) {
      EXPECT_EQ(inside.fetch_add(1), 0) << "two calls at once";
      // Leaves the processor to whoever else might come in.
      if (++allocator.calls_ % 4 == 0) std::this_thread::yield();
    }
    ~Call() { inside.fetch_sub(1); }
    std::atomic<int>& inside;
  };

  SystemAllocator system_;
  std::atomic<int> inside_ = 0;
  uint64_t calls_ = 0;
};

// Allocates, resizes and frees at random, leaving some blocks to whoever calls next.
class Exchange {
 public:
  explicit Exchange(Allocator& allocator) : allocator_(allocator) {}
  ~Exchange() {
    for (const auto& [ptr, size] : shared_) allocator_.Deallocate(ptr, {.size = size});
  }

  void Run(uint32_t seed, int rounds) {
    std::mt19937 random(seed);
    for (int round = 0; round < rounds; ++round) {
      Block block = Take();
      if (block.ptr == nullptr) {
        block = allocator_.Allocate({.size = random() % 300});
        ASSERT_NE(block.ptr, nullptr);
        std::memset(block.ptr, static_cast<int>(block.size), block.size);
      }
      const size_t old_size = block.size;
      const Block moved = allocator_.Reallocate(block.ptr, {.size = old_size}, random() % 300);
      ASSERT_NE(moved.ptr, nullptr);
      for (size_t i = 0; i < std::min(old_size, moved.size); ++i) {
        ASSERT_EQ(static_cast<unsigned char*>(moved.ptr)[i], old_size % 256);
      }
      std::memset(moved.ptr, static_cast<int>(moved.size), moved.size);
      if (random() % 2 == 0) {
        Put(moved);
      } else {
        allocator_.Deallocate(moved.ptr, {.size = moved.size});
      }
    }
  }

 private:
  Block Take() {
    const absl::MutexLock lock(&mutex_);
    if (shared_.empty()) return {};
    const Block block = shared_.back();
    shared_.pop_back();
    return block;
  }
  void Put(Block block) {
    const absl::MutexLock lock(&mutex_);
    shared_.push_back(block);
  }

  Allocator& allocator_;
  absl::Mutex mutex_;
  std::vector<Block> shared_;
};

TEST(GuardedAllocatorTest, MakesOneCallAtATimeForManyThreads) {
  OneThreadAllocator one_thread;
  GuardedAllocator guarded(one_thread);
  {
    Exchange exchange(guarded);
    std::vector<std::thread> threads;
    for (uint32_t seed = 1; seed <= 4; ++seed) {
      threads.emplace_back([&exchange, seed] { exchange.Run(seed, 2000); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_GT(one_thread.calls(), 10'000u);
  const AllocatorStats stats = guarded.Stats();
  EXPECT_EQ(stats.live_bytes, 0u);
  EXPECT_EQ(stats.live_blocks, 0u);
  EXPECT_GT(stats.total_blocks, 0u);
  EXPECT_EQ(stats.failures, 0u);
}

TEST(GuardedAllocatorTest, DeclaresWhatItAdds) {
  OneThreadAllocator one_thread;
  const GuardedAllocator guarded(one_thread);
  EXPECT_TRUE(guarded.traits().thread_safe);
  EXPECT_TRUE(guarded.traits().foreign_free);
  EXPECT_TRUE(guarded.traits().statistics);
  EXPECT_FALSE(guarded.traits().tracking);
  int visited = 0;
  guarded.VisitLive([&](const LiveBlock& block) { visited += static_cast<int>(block.size); });
  EXPECT_EQ(visited, 17);
}

TEST(GuardedAllocatorTest, DeclaresTheLimitThatAQuotaWithinHasNow) {
  OneThreadAllocator one_thread;
  QuotaAllocator quota(one_thread, 100);
  const GuardedAllocator guarded(quota);
  EXPECT_EQ(guarded.traits().quota_bytes, 100u);
  quota.SetLimit(200);
  EXPECT_EQ(guarded.traits().quota_bytes, 200u);
}

TEST(GuardedAllocatorTest, AFreePreservesErrno) {
  OneThreadAllocator one_thread;
  GuardedAllocator guarded(one_thread);
  const Block block = guarded.Allocate({.size = 8});
  errno = EXDEV;
  guarded.Deallocate(block.ptr, {.size = 8});
  EXPECT_EQ(errno, EXDEV);
  guarded.Deallocate(nullptr, {.size = 8});
}

// A thread-unsafe allocator whose requests can be made to fail.
class FailingAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override { return fault.Allocate(layout); }
  void Deallocate(void* ptr, Layout layout) noexcept override { fault.Deallocate(ptr, layout); }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }

  SystemAllocator system;
  FaultAllocator fault{system};
};

TEST(GuardedAllocatorTest, AfterEveryFailureItIsUsableByOtherThreads) {
  FailingAllocator failing;
  GuardedAllocator guarded(failing);
  const Layout layout{.size = 10};
  const Block block = guarded.Allocate(layout);
  ASSERT_NE(block.ptr, nullptr);
  std::memcpy(block.ptr, "123456789", 10);
  failing.fault.FailFrom(1);
  EXPECT_EQ(guarded.Allocate(layout).ptr, nullptr);
  EXPECT_FALSE(guarded.TryResize(block.ptr, layout, 100));
  EXPECT_EQ(guarded.Reallocate(block.ptr, layout, 100).ptr, nullptr);
  EXPECT_STREQ(static_cast<char*>(block.ptr), "123456789");
  EXPECT_EQ(guarded.Stats().live_bytes, 10u);
  EXPECT_EQ(guarded.Stats().failures, 2u);
  failing.fault.Clear();
  std::thread([&] {
    guarded.Deallocate(guarded.Allocate(layout).ptr, layout);
    guarded.Deallocate(block.ptr, layout);
  }).join();
  EXPECT_EQ(guarded.Stats().live_bytes, 0u);
}

TEST(GuardedAllocatorTest, CallsAThreadSafeAllocatorWithoutItsMutex) {
  // An inner allocator that would not return if the mutex were held: it asks the guarded one.
  class Recursive final : public Allocator {
   public:
    Block Allocate(Layout layout) noexcept override {
      if (outer != nullptr && layout.size > 1) {
        outer->Deallocate(outer->Allocate({.size = 1}).ptr, {.size = 1});
      }
      return system.Allocate(layout);
    }
    void Deallocate(void* ptr, Layout layout) noexcept override { system.Deallocate(ptr, layout); }
    AllocatorStats Stats() const noexcept override { return {}; }
    AllocatorTraits traits() const noexcept override { return system.traits(); }
    SystemAllocator system;
    Allocator* outer = nullptr;
  };
  Recursive recursive;
  GuardedAllocator guarded(recursive);
  recursive.outer = &guarded;
  const Block block = guarded.Allocate({.size = 8});
  const Block moved = guarded.Reallocate(block.ptr, {.size = 8}, 16);
  EXPECT_EQ(guarded.Stats().total_blocks, 3u);
  guarded.Deallocate(moved.ptr, {.size = 16});
}

TEST(GuardedFactoryTest, MakesOneAroundTheInnerAllocator) {
  FailingAllocator memory;
  OneThreadAllocator inner;
  const AllocatorFactory& factory = guarded::Factory();
  EXPECT_EQ(factory.name(), "guarded");
  ASSERT_TRUE(factory.decorates());
  memory.fault.FailNth(1);
  EXPECT_EQ(factory.Create({.options = {}, .inner = &inner, .memory = memory}).status(),
            absl::ResourceExhaustedError(""));
  const auto made = factory.Create({.options = {}, .inner = &inner, .memory = memory});
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE((*made)->traits().thread_safe);
}

}  // namespace
}  // namespace tenon::alloc
