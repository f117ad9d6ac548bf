#include "tenon/core/loop/posted_task.h"

#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace tenon {
namespace {

struct Numbered {
  int number = 0;
  std::vector<int>* ran = nullptr;
  PostedTask task{[](PostedTask& posted) {
                    auto& self = *static_cast<Numbered*>(posted.context());
                    self.ran->push_back(self.number);
                  },
                  this};
};

TEST(PostQueueTest, RunsInTheOrderOfPosting) {
  PostQueue queue;
  std::vector<int> ran;
  std::vector<std::unique_ptr<Numbered>> tasks;
  for (int i = 0; i < 10; ++i) {
    tasks.push_back(std::make_unique<Numbered>());
    tasks.back()->number = i;
    tasks.back()->ran = &ran;
    EXPECT_TRUE(queue.Push(tasks.back()->task));
  }
  EXPECT_FALSE(queue.Push(tasks[3]->task)) << "a task was posted twice";
  EXPECT_EQ(queue.RunAll(), 10u);
  EXPECT_EQ(ran, std::vector<int>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_TRUE(queue.empty());
}

TEST(PostQueueTest, ATaskPostedWhileRunningWaitsForTheNextRun) {
  PostQueue queue;
  struct Again {
    PostQueue* queue = nullptr;
    int runs = 0;
    PostedTask task{[](PostedTask& posted) {
                      auto& self = *static_cast<Again*>(posted.context());
                      if (++self.runs < 3) self.queue->Push(posted);
                    },
                    this};
  } again;
  again.queue = &queue;
  queue.Push(again.task);
  EXPECT_EQ(queue.RunAll(), 1u);
  EXPECT_EQ(queue.RunAll(), 1u);
  EXPECT_EQ(queue.RunAll(), 1u);
  EXPECT_EQ(queue.RunAll(), 0u);
  EXPECT_EQ(again.runs, 3);
}

TEST(PostQueueTest, EachThreadKeepsItsOrder) {
  constexpr int kThreads = 3;
  constexpr int kTasks = 2000;
  PostQueue queue;
  std::vector<int> ran[kThreads];
  std::vector<std::unique_ptr<Numbered>> tasks[kThreads];
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kTasks; ++i) {
      tasks[t].push_back(std::make_unique<Numbered>());
      tasks[t].back()->number = i;
      tasks[t].back()->ran = &ran[t];
    }
  }
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&queue, &mine = tasks[t]] {
      for (auto& numbered : mine) queue.Push(numbered->task);
    });
  }
  uint64_t total = 0;
  while (total < kThreads * kTasks) total += queue.RunAll();
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& order : ran) {
    ASSERT_EQ(order.size(), static_cast<size_t>(kTasks));
    for (int i = 0; i < kTasks; ++i) ASSERT_EQ(order[static_cast<size_t>(i)], i);
  }
}

TEST(PostedTaskDeathTest, DestroyingOnePostedNamesTheRule) {
  EXPECT_DEATH(
      {
        PostQueue queue;
        PostedTask task([](PostedTask&) {});
        queue.Push(task);
      },
      "WAK-4");
}

}  // namespace
}  // namespace tenon
