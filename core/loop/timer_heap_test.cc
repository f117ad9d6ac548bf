#include "tenon/core/loop/timer_heap.h"

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace tenon {
namespace {

// A timer operation with its deadline and its place among equals set.
std::unique_ptr<Operation> MakeTimer(int64_t deadline_ns, uint64_t sequence = 0) {
  auto timer = std::make_unique<Operation>([](Operation&) {});
  timer->PrepareTimerAt(deadline_ns);
  timer->parameters().timer.sequence = sequence;
  return timer;
}

TEST(TimerHeapTest, GivesOutWhatHasExpiredInOrder) {
  TimerHeap heap;
  EXPECT_TRUE(heap.empty());
  EXPECT_EQ(heap.next_deadline_ns(), kForeverNs);
  auto late = MakeTimer(30);
  auto early = MakeTimer(10);
  auto middle = MakeTimer(20);
  for (auto* timer : {&late, &early, &middle}) heap.Insert(**timer);
  EXPECT_EQ(heap.next_deadline_ns(), 10);
  EXPECT_EQ(heap.PopExpired(9), nullptr);
  EXPECT_EQ(heap.PopExpired(20), early.get());
  EXPECT_EQ(heap.PopExpired(20), middle.get());
  EXPECT_EQ(heap.PopExpired(20), nullptr);
  heap.Remove(*late);
  EXPECT_TRUE(heap.empty());
}

TEST(TimerHeapTest, EqualDeadlinesKeepTheirOrderAcrossRemovals) {
  TimerHeap heap;
  std::vector<std::unique_ptr<Operation>> timers;
  for (uint64_t i = 0; i < 100; ++i) {
    timers.push_back(MakeTimer(7, i));
    heap.Insert(*timers.back());
  }
  for (size_t i = 0; i < 100; i += 3) heap.Remove(*timers[i]);
  for (size_t i = 0; i < 100; ++i) {
    if (i % 3 == 0) continue;
    EXPECT_EQ(heap.PopExpired(7), timers[i].get()) << i;
  }
  EXPECT_TRUE(heap.empty());
}

TEST(TimerHeapTest, AgreesWithAnOrderedMapOverRandomScripts) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  TimerHeap heap;
  // The model: ordered by deadline, then by insertion.
  std::map<std::pair<int64_t, int>, Operation*> model;
  std::map<Operation*, std::pair<int64_t, int>> keys;
  std::vector<std::unique_ptr<Operation>> timers;
  for (int step = 0; step < 20'000; ++step) {
    const uint32_t choice = random() % 8;
    if (choice < 4) {
      const int64_t deadline_ns = random() % 500;
      timers.push_back(MakeTimer(deadline_ns, static_cast<uint64_t>(step)));
      Operation* timer = timers.back().get();
      heap.Insert(*timer);
      keys[timer] = {deadline_ns, step};
      model[keys[timer]] = timer;
    } else if (choice < 6 && !model.empty()) {
      auto victim = std::next(model.begin(), random() % model.size());
      if (model.size() > 200) victim = std::prev(model.end());
      heap.Remove(*victim->second);
      model.erase(victim);
    } else {
      const int64_t now_ns = random() % 600;
      Operation* popped = heap.PopExpired(now_ns);
      if (model.empty() || model.begin()->first.first > now_ns) {
        ASSERT_EQ(popped, nullptr);
      } else {
        ASSERT_EQ(popped, model.begin()->second);
        model.erase(model.begin());
      }
    }
    ASSERT_EQ(heap.empty(), model.empty());
    ASSERT_EQ(heap.next_deadline_ns(), model.empty() ? kForeverNs : model.begin()->first.first);
  }
}

}  // namespace
}  // namespace tenon
