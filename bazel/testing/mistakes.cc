// One mistake each, chosen by MISTAKE_..., that a sanitizer or clang must find.

#include <climits>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"

#if defined(MISTAKE_LEAK)
TEST(Mistake, Leak) { EXPECT_NE(new int[10], nullptr); }
#elif defined(MISTAKE_USE_AFTER_FREE)
TEST(Mistake, UseAfterFree) {
  int* volatile block = new int(1);  // Volatile, or the compiler sees it too.
  delete block;
  EXPECT_EQ(*block, 1);
}
#elif defined(MISTAKE_UNDEFINED)
TEST(Mistake, Undefined) {
  volatile int most = INT_MAX;
  most = most + 1;
}
#elif defined(MISTAKE_RACE)
TEST(Mistake, Race) {
  int shared = 0;
  std::thread first([&shared] { ++shared; });
  std::thread second([&shared] { ++shared; });
  first.join();
  second.join();
}
#elif defined(MISTAKE_UNGUARDED)
struct Guarded {
  absl::Mutex mutex;
  int value ABSL_GUARDED_BY(mutex) = 0;
};

TEST(Mistake, Unguarded) {
  Guarded guarded;
  guarded.value = 1;
}
#endif
