#include "tenon/alloc/threads/thread_number.h"

#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <set>
#include <thread>
#include <vector>

#include "absl/base/config.h"
#include "gtest/gtest.h"

namespace tenon::alloc {
namespace {

TEST(ThreadNumberTest, StaysTheSame) {
  const uint32_t number = ThreadNumber();
  EXPECT_LT(number, kMaxNumberedThreads);
  EXPECT_EQ(ThreadNumber(), number);
}

TEST(ThreadNumberTest, LiveThreadsHaveDifferentNumbersUntilThereAreNoMore) {
  const uint32_t own = ThreadNumber();
  constexpr size_t kThreads = kMaxNumberedThreads + 3;
  std::vector<uint32_t> numbers(kThreads);
  std::latch all(kThreads);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      numbers[i] = ThreadNumber();
      all.arrive_and_wait();
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<uint32_t> different(numbers.begin(), numbers.end());
  EXPECT_FALSE(different.contains(own));
  EXPECT_TRUE(different.erase(kNoThreadNumber));
  EXPECT_EQ(different.size(), kMaxNumberedThreads - 1);
}

TEST(ThreadNumberTest, IsGivenBackAndCarriesWhatWasWritten) {
  // Not atomic: the thread sanitizer would report the second thread if the first did not come
  // before.
  int count[kMaxNumberedThreads + 1] = {};
  uint32_t numbers[2] = {};
  for (uint32_t& number : numbers) {
    std::thread([&] {
      number = ThreadNumber();
      ++count[number];
    }).join();
  }
  EXPECT_EQ(numbers[0], numbers[1]);
  EXPECT_EQ(count[numbers[0]], 2);
}

TEST(ThreadNumberTest, IsStillThereForThreadLocalObjects) {
  struct AtEnd {
    ~AtEnd() { *seen = ThreadNumber(); }
    uint32_t* seen = nullptr;
  };
  uint32_t first = kNoThreadNumber;
  uint32_t last = kNoThreadNumber;
  std::thread([&] {
    static thread_local AtEnd at_end;
    at_end.seen = &last;
    first = ThreadNumber();
  }).join();
  EXPECT_NE(first, kNoThreadNumber);
  EXPECT_EQ(first, last);
}

TEST(ThreadNumberTest, AForkedChildHasTheNumbersOfTheThreadsThatAreNotThere) {
#ifdef ABSL_HAVE_THREAD_SANITIZER
  GTEST_SKIP() << "the sanitizer ends a child that starts threads";
#endif
  const uint32_t own = ThreadNumber();
  std::latch numbered(3);
  std::latch end(1);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      EXPECT_NE(ThreadNumber(), kNoThreadNumber);
      numbered.count_down();
      end.wait();
    });
  }
  numbered.wait();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    uint32_t number = kNoThreadNumber;
    std::thread([&] { number = ThreadNumber(); }).join();
    _exit(ThreadNumber() != own ? 1 : number != (own == 0 ? 1 : 0) ? 2 : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  // The parent goes on as before.
  std::thread([&] { EXPECT_GT(ThreadNumber(), 3u); }).join();
  end.count_down();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tenon::alloc
