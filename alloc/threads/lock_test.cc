#include "tenon/alloc/threads/lock.h"

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace tenon::alloc {
namespace {

// So that a thread that finds the lock taken has most likely gone to sleep.
void GiveWayOften() {
  for (int i = 0; i < 50; ++i) std::this_thread::yield();
}

// First, while the test's process has no other thread.
TEST(LockTest, HoldsAgainstAThreadThatStartsWhileItIsHeld) {
  Lock lock;
  lock.Acquire();
  std::atomic<bool> started = false;
  int value = 0;
  int seen = 0;
  std::thread other([&] {
    started = true;
    const Locked locked(lock);
    seen = value;
  });
  while (!started) std::this_thread::yield();
  GiveWayOften();
  value = 1;
  lock.Release();
  other.join();
  EXPECT_EQ(seen, 1);
}

TEST(LockTest, IsHeldByOneThreadAtATime) {
  constexpr int kThreads = 8;
  constexpr int kTurns = 20'000;
  Lock lock;
  int turns = 0;  // Not atomic: the thread sanitizer sees it where the lock is none.
  int inside = 0;
  int intruders = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int turn = 0; turn < kTurns; ++turn) {
        const Locked locked(lock);
        if (++inside != 1) ++intruders;
        ++turns;
        // Now and then so long that the others go to sleep.
        if (turn % 10'000 == thread) GiveWayOften();
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turns, kThreads * kTurns);
  EXPECT_EQ(intruders, 0);
}

TEST(LockTest, WakesEveryThreadThatWaits) {
  constexpr int kThreads = 16;
  Lock lock;
  std::atomic<int> started = 0;
  int acquired = 0;
  std::vector<std::thread> threads;
  lock.Acquire();
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&] {
      ++started;
      const Locked locked(lock);
      ++acquired;
    });
  }
  while (started < kThreads) std::this_thread::yield();
  GiveWayOften();
  EXPECT_EQ(acquired, 0);
  lock.Release();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(acquired, kThreads);
}

TEST(LockTest, PreservesErrnoWhereItWaitsAndWhereItWakes) {
  Lock lock;
  std::atomic<bool> started = false;
  std::atomic<int> waited_errno = 0;
  errno = EXDEV;
  lock.Acquire();
  std::thread other([&] {
    errno = EBADF;
    started = true;
    lock.Acquire();
    waited_errno = errno;
    lock.Release();
  });
  while (!started) std::this_thread::yield();
  GiveWayOften();
  errno = EXDEV;
  lock.Release();
  EXPECT_EQ(errno, EXDEV);
  other.join();
  EXPECT_EQ(waited_errno, EBADF);
}

}  // namespace
}  // namespace tenon::alloc
