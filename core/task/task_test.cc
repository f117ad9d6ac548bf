#include "tenon/core/task/task.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/task_fixture.h"
#include "tenon/core/task/when_all.h"

namespace tenon {
namespace {

using IntTask = Task<absl::StatusOr<int>>;

IntTask Give(Loop& /*loop*/, int value) { co_return value; }

IntTask AddOne(Loop& loop, int value) {
  absl::StatusOr<int> given = co_await Give(loop, value);
  if (!given.ok()) co_return given.status();
  co_return *given + 1;
}

TEST_F(TaskTest, ResultsPassFromTaskToTask) {
  EXPECT_EQ(*RunToCompletion(loop(), AddOne(loop(), 41)), 42);
}

TEST_F(TaskTest, BeginsWhenAwaited) {
  bool began = false;
  const auto body = [](Loop&, bool* began) -> Task<> {
    *began = true;
    co_return absl::OkStatus();
  };
  Task<> task = body(loop(), &began);
  EXPECT_FALSE(began);
  EXPECT_EQ(RunToCompletion(loop(), std::move(task)), absl::OkStatus());
  EXPECT_TRUE(began);
}

TEST_F(TaskTest, DroppedBeforeItBeginsFreesItsFrame) {
  auto parameter = std::make_shared<int>(1);
  {
    const auto body = [](Loop&, std::shared_ptr<int>) -> Task<> { co_return absl::OkStatus(); };
    Task<> task = body(loop(), parameter);
    EXPECT_GT(frame_bytes(), 0u);
    EXPECT_EQ(parameter.use_count(), 2);
  }
  EXPECT_EQ(frame_bytes(), 0u);
  EXPECT_EQ(parameter.use_count(), 1);
}

TEST_F(TaskTest, MoveOnlyResults) {
  const auto body = [](Loop&) -> Task<absl::StatusOr<std::unique_ptr<int>>> {
    co_return std::make_unique<int>(7);
  };
  EXPECT_EQ(**RunToCompletion(loop(), body(loop())), 7);
}

TEST_F(TaskTest, AssignedOverATaskThatNeverBeganFreesIt) {
  IntTask task = Give(loop(), 1);
  task = Give(loop(), 2);
  EXPECT_EQ(*RunToCompletion(loop(), std::move(task)), 2);
}

// ---- Memory ----

TEST_F(TaskTest, WithoutAFrameTheResultIsResourceExhausted) {
  fault_.FailNth(1);
  IntTask task = Give(loop(), 1);
  EXPECT_FALSE(task.has_frame());
  const absl::Status status = RunToCompletion(loop(), std::move(task)).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(status.message(), "");
}

TEST_F(TaskTest, AParentIsToldThatItsChildHasNoFrame) {
  IntTask task = AddOne(loop(), 1);
  fault_.FailNth(1);
  EXPECT_TRUE(absl::IsResourceExhausted(RunToCompletion(loop(), std::move(task)).status()));
  EXPECT_EQ(fault_.injected(), 1u);
}

struct Member {
  Allocator& allocator() const { return memory; }
  IntTask FromThis(int value) { co_return value; }
  Allocator& memory;
};
struct Plain {
  IntTask FromFirst(Allocator& /*allocator*/, int value) const { co_return value; }
};

TEST_F(TaskTest, TheAllocatorIsFoundInTheFirstParameterOrTheOneAfterThis) {
  const auto expect_one_more = [this](auto make) {
    const uint64_t before = frames_made();
    EXPECT_EQ(*RunToCompletion(loop(), make()), 5);
    EXPECT_EQ(frames_made(), before + 1);
  };
  Member member{fault_};
  Plain plain;
  const auto lambda = [](Allocator&, int value) -> IntTask { co_return value; };
  expect_one_more([&] { return Give(loop(), 5); });
  expect_one_more([&] { return member.FromThis(5); });
  expect_one_more([&] { return plain.FromFirst(fault_, 5); });
  expect_one_more([&] { return lambda(fault_, 5); });
}

// What a coroutine without an allocator would be rejected by.
static_assert(NamesAllocator<Loop> && NamesAllocator<const Loop, int> && NamesAllocator<Allocator>);
static_assert(NamesAllocator<int, Loop> && NamesAllocator<alloc::FaultAllocator>);
static_assert(!NamesAllocator<> && !NamesAllocator<int> && !NamesAllocator<int, int, Loop>);
// And tasks that could not report the failure of their frame.
static_assert(TaskResult<absl::Status> && TaskResult<absl::StatusOr<int>>);
static_assert(!TaskResult<int> && !TaskResult<void>);

// ---- The stack ----

// A rough position on the stack: far from another one if there are frames in between.
__attribute__((noinline)) uintptr_t StackPosition() {
  return reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
}

constexpr int kMany = 100'000;
constexpr uintptr_t kFlat = 4096;

struct StackRange {
  void Note() {
    const uintptr_t here = StackPosition();
    low = std::min(low, here);
    high = std::max(high, here);
  }
  uintptr_t size() const { return high - low; }
  uintptr_t low = UINTPTR_MAX;
  uintptr_t high = 0;
};

IntTask NotePosition(Loop& /*loop*/, StackRange* range) {
  range->Note();
  co_return 1;
}

TEST_F(TaskTest, ALoopOfAwaitsThatCompleteAtOnceKeepsTheStackFlat) {
  StackRange range;
  const auto body = [](Loop& loop, StackRange* range) -> IntTask {
    int sum = 0;
    for (int i = 0; i < kMany; ++i) sum += (co_await NotePosition(loop, range)).value();
    co_return sum;
  };
  EXPECT_EQ(*RunToCompletion(loop(), body(loop(), &range)), kMany);
  EXPECT_LT(range.size(), kFlat);
}

// Awaits itself `depth` times; the last one waits for the loop first if `suspends`.
IntTask Nest(Loop& loop, StackRange* range, int depth, bool suspends) {
  range->Note();
  if (depth == 0) {
    if (suspends) {
      EXPECT_EQ(co_await Nop(loop), absl::OkStatus());
    }
    co_return 0;
  }
  absl::StatusOr<int> inner = co_await Nest(loop, range, depth - 1, suspends);
  range->Note();
  co_return *inner + 1;
}

TEST_F(TaskTest, ADeepChainOfAwaitsKeepsTheStackFlat) {
  for (const bool suspends : {false, true}) {
    StackRange range;
    EXPECT_EQ(*RunToCompletion(loop(), Nest(loop(), &range, kMany, suspends)), kMany);
    // From the call of the root until its first suspension, and from the loop afterwards.
    EXPECT_LT(range.size(), suspends ? 4 * kFlat : kFlat);
  }
}

// ---- The context ----

TEST_F(TaskTest, ContextIsInherited) {
  const auto inner = [](Loop&) -> Task<absl::StatusOr<TaskContext*>> {
    co_return &co_await CurrentContext();
  };
  const auto outer = [](Loop& loop, auto inner) -> Task<> {
    TaskContext& context = co_await CurrentContext();
    EXPECT_EQ(*co_await inner(loop), &context);
    EXPECT_EQ(&context.loop(), &loop);
    EXPECT_TRUE(context.stop_token().can_stop());
    co_return absl::OkStatus();
  };
  EXPECT_EQ(RunToCompletion(loop(), outer(loop(), inner)), absl::OkStatus());
}

// ---- Misuse ----

Task<> SleepForever(Loop& loop) { co_return co_await SleepUntil(loop, kForeverNs); }

using TaskDeathTest = TaskTest;

TEST_F(TaskDeathTest, DestroyingARootWhoseTaskRuns) {
  EXPECT_DEATH(
      {
        TaskRoot<> root(loop(), SleepForever(loop()));
        root.Start();
      },
      "SUB-6: a TaskRoot is destroyed while its task runs");
}

TEST_F(TaskDeathTest, DestroyingATaskThatIsSuspended) {
  const auto body = [](Loop&, absl::Span<Task<>> tasks,
                       absl::Span<absl::Status> results) -> Task<> {
    co_await WhenAll(tasks, results);
    co_return absl::OkStatus();
  };
  std::vector<Task<>> tasks;
  std::vector<absl::Status> results(1);
  tasks.push_back(SleepForever(loop()));
  TaskRoot<> root(loop(), body(loop(), absl::MakeSpan(tasks), absl::MakeSpan(results)));
  root.Start();
  EXPECT_DEATH(tasks.clear(), "SUB-6: a Task is destroyed while it is suspended");
  root.RequestStop();
  Finish(root);
}

TEST_F(TaskDeathTest, AwaitingAMovedTask) {
  Task<> task = SleepForever(loop());
  Task<> moved = std::move(task);
  EXPECT_DEATH((void)RunToCompletion(loop(), std::move(task)), "moved from");
}

TEST_F(TaskDeathTest, ExceptionsTerminate) {
  const auto body = [](Loop&) -> Task<> {
    throw 1;
    co_return absl::OkStatus();
  };
  EXPECT_DEATH((void)RunToCompletion(loop(), body(loop())), "");
}

// ---- Running ----

TEST_F(TaskTest, StopOfTheLoopAsksTheTaskToStop) {
  const auto body = [](Loop& loop) -> Task<> {
    loop.Stop();
    co_return co_await SleepUntil(loop, kForeverNs);
  };
  EXPECT_TRUE(absl::IsCancelled(RunToCompletion(loop(), body(loop()))));
}

TEST_F(TaskTest, ARootRunsOnALoopThatSomebodyElseRuns) {
  TaskRoot<> root(loop(), SleepForever(loop()));
  bool told = false;
  root.Start([](void* told) { *static_cast<bool*>(told) = true; }, &told);
  loop().Poll();
  ASSERT_FALSE(root.done());
  root.RequestStop();
  root.RequestStop();
  EXPECT_FALSE(root.done()) << "a task ran inside RequestStop";
  loop().Run();
  ASSERT_TRUE(root.done());
  EXPECT_TRUE(told);
  EXPECT_TRUE(absl::IsCancelled(root.TakeResult()));
}

}  // namespace
}  // namespace tenon
