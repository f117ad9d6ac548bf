// WAK-4: tasks posted to a loop.

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

// A task that counts its runs and notes them in a list.
class CountingTask {
 public:
  CountingTask(int number, std::vector<int>& order)
      : number_(number), order_(order), task_(&Run, this) {}

  PostedTask& task() { return task_; }
  int runs() const { return runs_; }

 private:
  static void Run(PostedTask& task) {
    CountingTask& self = *static_cast<CountingTask*>(task.context());
    ++self.runs_;
    self.order_.push_back(self.number_);
  }

  const int number_;
  int runs_ = 0;
  std::vector<int>& order_;
  PostedTask task_;
};

// The tasks of one thread, which posts them in order of their numbers.
class Poster {
 public:
  explicit Poster(int tasks) {
    for (int i = 0; i < tasks; ++i) tasks_.push_back(std::make_unique<CountingTask>(i, order_));
  }

  void PostAll(Loop& loop) {
    for (const auto& task : tasks_) {
      if (loop.Post(task->task())) ++accepted_;
    }
  }

  bool AllRan() const { return order_.size() >= tasks_.size(); }

  void ExpectOnceAndInOrder() const {
    EXPECT_EQ(accepted_, tasks_.size()) << "tasks that were not posted yet and were refused";
    for (size_t i = 0; i < tasks_.size(); ++i) {
      ASSERT_EQ(tasks_[i]->runs(), 1) << "runs of task " << i << ", posted once";
    }
    for (size_t i = 0; i < order_.size(); ++i) {
      ASSERT_EQ(order_[i], static_cast<int>(i))
          << "the order in which the tasks of one thread ran is not that in which it posted them";
    }
  }

 private:
  std::vector<std::unique_ptr<CountingTask>> tasks_;
  std::vector<int> order_;
  size_t accepted_ = 0;
};

void RunInOrder(LoopRule& rule, int threads) {
  constexpr int kTasks = 2'000;
  std::vector<std::unique_ptr<Poster>> posters;
  for (int i = 0; i < threads; ++i) posters.push_back(std::make_unique<Poster>(kTasks));
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  std::vector<std::thread> running;
  for (const auto& poster : posters) {
    running.emplace_back([&poster, &loop] { poster->PostAll(*loop); });
  }
  for (const auto& poster : posters) {
    EXPECT_TRUE(TurnUntil(*loop, [&] { return poster->AllRan(); })) << "posted tasks did not run";
  }
  for (std::thread& thread : running) thread.join();
  Settle(*loop);
  for (const auto& poster : posters) poster->ExpectOnceAndInOrder();
}

// Posting what is posted already is refused; posting from its own call is not.
void PostTwice(LoopRule& rule) {
  std::vector<int> order;
  CountingTask once(1, order);
  struct Again {
    Loop* loop;
    int runs = 0;
  } again = {};
  PostedTask reposting(
      [](PostedTask& task) {
        Again& self = *static_cast<Again*>(task.context());
        if (++self.runs >= 5) return;
        EXPECT_TRUE(self.loop->Post(task)) << "posted from its own call";
      },
      &again);
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  again.loop = loop.get();
  EXPECT_TRUE(loop->Post(once.task()));
  EXPECT_FALSE(loop->Post(once.task())) << "a task was posted twice before it ran";
  EXPECT_TRUE(loop->Post(reposting));
  EXPECT_TRUE(TurnUntil(*loop, [&] { return again.runs >= 5; })) << "a task posted again is lost";
  Settle(*loop);
  EXPECT_EQ(once.runs(), 1) << "runs of a task that was posted twice before it ran";
  EXPECT_EQ(again.runs, 5);
}

// A task that posts the next one when it runs.
struct ChainLink {
  ChainLink(Loop& loop, PostedTask* next) : loop(loop), next(next), task(&Run, this) {}

  static void Run(PostedTask& task) {
    ChainLink& self = *static_cast<ChainLink*>(task.context());
    ++self.runs;
    if (self.next != nullptr) self.loop.Post(*self.next);
  }

  Loop& loop;
  PostedTask* const next;
  int runs = 0;
  PostedTask task;
};

// Posted by what runs during Drain: by a callback that Drain brings about, by the last of the
// blocking threads, and by a task of those.
void PostDuringDrain(LoopRule& rule) {
  struct State {
    std::unique_ptr<ChainLink> last, middle, first, from_thread;
    Loop* loop = nullptr;
  } state;
  RecordingOperation timer;
  RecordingOperation work;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  state.loop = loop.get();
  state.last = std::make_unique<ChainLink>(*loop, nullptr);
  state.middle = std::make_unique<ChainLink>(*loop, &state.last->task);
  state.first = std::make_unique<ChainLink>(*loop, &state.middle->task);
  state.from_thread = std::make_unique<ChainLink>(*loop, nullptr);
  timer.set_hook([&](RecordingOperation&) { state.loop->Post(state.first->task); });
  timer.PrepareTimer(kForeverNs);
  loop->Submit(timer);
  work.PrepareWork(
      [](void* argument) -> int32_t {
        State& state = *static_cast<State*>(argument);
        state.loop->Post(state.from_thread->task);
        return 0;
      },
      &state);
  loop->Submit(work);
  // The Work is with its thread, which may or may not have run it.
  loop->Poll();

  const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
  EXPECT_TRUE(drained.ok()) << drained;
  EXPECT_EQ(state.first->runs, 1) << "runs, before Drain returned, of a task posted by a callback "
                                     "during Drain";
  EXPECT_EQ(state.last->runs, 1)
      << "runs, before Drain returned, of a task posted by a task during Drain";
  EXPECT_EQ(state.from_thread->runs, work.final_result() == -ECANCELED ? 0 : 1)
      << "runs, before Drain returned, of a task posted by a blocking thread: " << work.Describe();
}

// Posted when nothing turns any more: the destructor is the last to run it.
void PostAfterDrain(LoopRule& rule) {
  std::vector<int> order;
  CountingTask first(1, order);
  CountingTask second(2, order);
  Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const absl::Status drained = loop->Drain();
  EXPECT_TRUE(drained.ok()) << drained;
  EXPECT_TRUE(loop->Post(first.task()));
  EXPECT_TRUE(loop->Post(second.task()));
  loop.reset();
  EXPECT_EQ(order, std::vector<int>({1, 2})) << "tasks posted after Drain that ~Loop ran";
}

// Threads post while the loop drains: everything has run when the loop is gone.
void PostAgainstDrain(LoopRule& rule) {
  constexpr int kTasks = 200;
  constexpr int kThreads = 2;
  std::vector<std::unique_ptr<Poster>> posters;
  for (int i = 0; i < kThreads; ++i) posters.push_back(std::make_unique<Poster>(kTasks));
  RecordingOperation timer;
  Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  timer.PrepareTimer(kForeverNs);
  loop->Submit(timer);
  std::atomic<int> begun{0};
  std::vector<std::thread> running;
  for (const auto& poster : posters) {
    running.emplace_back([&begun, &poster, raw = loop.get()] {
      ++begun;
      poster->PostAll(*raw);
    });
  }
  while (begun < kThreads) ::sched_yield();
  const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
  EXPECT_TRUE(drained.ok()) << drained;
  for (std::thread& thread : running) thread.join();
  loop.reset();
  for (const auto& poster : posters) {
    SCOPED_TRACE("posted while another thread drained and destroyed the loop");
    poster->ExpectOnceAndInOrder();
  }
}

}  // namespace

namespace loop_rules {

void WAK_4(LoopRule& rule) {
  constexpr int kRaces = 30;
  for (const int threads : {1, 3}) {
    ASSERT_NO_FATAL_FAILURE(RunInOrder(rule, threads));
  }
  ASSERT_NO_FATAL_FAILURE(PostTwice(rule));
  ASSERT_NO_FATAL_FAILURE(PostAfterDrain(rule));
  ASSERT_NO_FATAL_FAILURE(PostDuringDrain(rule));
  for (int race = 0; race < kRaces; ++race) {
    ASSERT_NO_FATAL_FAILURE(PostAgainstDrain(rule));
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

}  // namespace loop_rules
}  // namespace tenon::conformance
