#include "tenon/alloc/threads/thread_counters.h"

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace tenon::alloc {
namespace {

TEST(ThreadCountersTest, CountsWhatIsToldIt) {
  ThreadCounters counters;
  const uint32_t number = ThreadNumber();
  counters.CountAllocation(number, 100);
  counters.CountAllocation(number, 0);
  counters.CountFailure(number);
  counters.CountResize(number, 100, 30);
  EXPECT_EQ(counters.Sum().live_bytes, 30u);
  EXPECT_EQ(counters.Sum().live_blocks, 2u);
  counters.BeginFree(number);
  EXPECT_EQ(counters.Sum().live_blocks, 2u);
  counters.EndFree(number, 30);
  const AllocatorStats stats = counters.Sum();
  EXPECT_EQ(stats.live_bytes, 0u);
  EXPECT_EQ(stats.live_blocks, 1u);
  EXPECT_EQ(stats.total_blocks, 2u);
  EXPECT_EQ(stats.failures, 1u);
}

TEST(ThreadCountersTest, CountsFreesThatNobodyWaitsFor) {
  ThreadCounters counters;
  for (const uint32_t number : {ThreadNumber(), kNoThreadNumber}) {
    counters.CountAllocation(number, 100);
    counters.CountAllocation(number, 20);
    counters.CountFreed(number, 100);
  }
  EXPECT_EQ(counters.Sum().live_bytes, 2 * 20u);
  EXPECT_EQ(counters.Sum().live_blocks, 2u);
  EXPECT_EQ(counters.Sum().total_blocks, 4u);
}

TEST(ThreadCountersTest, CountsWhatIsReturnedAndReturnsIt) {
  ThreadCounters counters;
  char bytes[100];
  const auto count = [&] {
    const Block block = counters.CountAllocated({.ptr = bytes, .size = 100}, 90);
    EXPECT_EQ(block.ptr, bytes);
    EXPECT_EQ(block.size, 100u);
    EXPECT_EQ(counters.CountAllocated({}, 7).ptr, nullptr);
  };
  count();
  // Of a thread that has no number yet, and then has one.
  std::thread([&] {
    count();
    count();
  }).join();
  const AllocatorStats stats = counters.Sum();
  EXPECT_EQ(stats.live_bytes, 3 * 90u);
  EXPECT_EQ(stats.total_blocks, 3u);
  EXPECT_EQ(stats.failures, 3u);
}

TEST(ThreadCountersTest, LosesNothingAmongThreadsWithAndWithoutNumbers) {
  constexpr int kThreads = 4;
  constexpr uint64_t kBlocks = 20'000;
  ThreadCounters counters;
  std::latch all(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const uint32_t number = i % 2 == 0 ? ThreadNumber() : kNoThreadNumber;
      all.arrive_and_wait();
      for (uint64_t block = 0; block < kBlocks; ++block) {
        counters.CountAllocation(number, 3);
        if (block % 2 == 0) continue;
        counters.BeginFree(number);
        counters.EndFree(number, 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counters.Sum().total_blocks, kThreads * kBlocks);
  EXPECT_EQ(counters.Sum().live_blocks, kThreads * kBlocks / 2);
  EXPECT_EQ(counters.Sum().live_bytes, kThreads * kBlocks / 2 * 3);
}

TEST(ThreadCountersTest, ASumTakenMeanwhileFreesNothingThatWasNotAllocated) {
  ThreadCounters counters;
  std::atomic<bool> done = false;
  std::thread thread([&] {
    const uint32_t number = ThreadNumber();
    for (int i = 0; i < 100'000; ++i) {
      counters.CountAllocation(number, 8);
      counters.BeginFree(number);
      counters.EndFree(number, 8);
    }
    done = true;
  });
  uint64_t last = 0;
  while (!done) {
    const AllocatorStats stats = counters.Sum();
    // Would be next to 2^64. Many blocks may have come and gone while it was summing.
    EXPECT_LE(stats.live_blocks, stats.total_blocks);
    EXPECT_LE(stats.live_bytes, stats.total_blocks * 8);
    EXPECT_GE(stats.total_blocks, last);
    last = stats.total_blocks;
  }
  thread.join();
}

TEST(ThreadCountersTest, WaitsForAFreeThatHasBegun) {
  ThreadCounters counters;
  std::latch begun(1);
  std::atomic<bool> waiting = false;
  // Not atomic: the thread sanitizer would report the read below if the end did not come before.
  bool ended = false;
  std::thread thread([&] {
    const uint32_t number = ThreadNumber();
    counters.BeginFree(number);
    begun.count_down();
    while (!waiting) std::this_thread::yield();
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    ended = true;
    counters.EndFree(number, 1);
  });
  begun.wait();
  waiting = true;
  counters.WaitForFrees();
  EXPECT_TRUE(ended);
  thread.join();
}

TEST(ThreadCountersTest, WaitsNoLongerWhereOtherFreesBeginAndEndMeanwhile) {
  for (int round = 0; round < 100; ++round) {
    ThreadCounters counters;
    std::latch waiting(1);
    counters.BeginFree(kNoThreadNumber);
    std::thread thread([&] {
      waiting.count_down();
      counters.WaitForFrees();
    });
    waiting.wait();
    for (int i = 0; i < 10; ++i) std::this_thread::yield();
    counters.CountFree(kNoThreadNumber, 1);
    counters.BeginFree(kNoThreadNumber);
    counters.EndFree(kNoThreadNumber, 1);
    counters.EndFree(kNoThreadNumber, 1);
    thread.join();  // For ever, if it counted on a number that was passed unseen.
  }
}

TEST(ThreadCountersTest, DoesNotWaitForAFreeThatWasAbandoned) {
  ThreadCounters counters;
  for (const uint32_t number : {ThreadNumber(), kNoThreadNumber}) {
    counters.CountAllocation(number, 5);
    counters.BeginFree(number);
    counters.AbandonFree(number);
  }
  counters.WaitForFrees();
  EXPECT_EQ(counters.Sum().live_blocks, 2u);
  EXPECT_EQ(counters.Sum().live_bytes, 10u);
}

}  // namespace
}  // namespace tenon::alloc
