#include "tenon/core/task/scope.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/task_fixture.h"

namespace tenon {
namespace {

using ScopeTest = TaskTest;
using ScopeDeathTest = TaskTest;

// Appends `name` when it begins and after the wait, then ends with `status`.
Task<> Note(Loop& loop, std::string* log, char name, int64_t delay_ns, absl::Status status) {
  *log += name;
  if (delay_ns >= 0) status.Update(co_await Sleep(loop, delay_ns));
  *log += static_cast<char>(name - 'a' + 'A');
  co_return status;
}

TEST_F(ScopeTest, JoinAwaitsEveryTask) {
  const auto body = [](Loop& loop, std::string* log) -> Task<> {
    Scope scope(co_await CurrentContext());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'a', 2 * kMillisecondNs, {})), absl::OkStatus());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'b', -1, {})), absl::OkStatus());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'c', kMillisecondNs, {})), absl::OkStatus());
    EXPECT_EQ(*log, "") << "a task ran inside Spawn";
    EXPECT_EQ(scope.running(), 3u);
    absl::Status status = co_await scope.Join();
    EXPECT_EQ(scope.running(), 0u);
    co_return status;
  };
  std::string log;
  EXPECT_EQ(RunToCompletion(loop(), body(loop(), &log)), absl::OkStatus());
  EXPECT_EQ(log, "abBcCA");
}

TEST_F(ScopeTest, JoinOfNothingAndJoinAgain) {
  const auto body = [](Loop& loop, std::string* log) -> Task<> {
    Scope scope(co_await CurrentContext());
    EXPECT_EQ(co_await scope.Join(), absl::OkStatus());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'a', 0, {})), absl::OkStatus());
    EXPECT_EQ(co_await scope.Join(), absl::OkStatus());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'b', 0, {})), absl::OkStatus());
    co_return co_await scope.Join();
  };
  std::string log;
  EXPECT_EQ(RunToCompletion(loop(), body(loop(), &log)), absl::OkStatus());
  EXPECT_EQ(log, "aAbB");
}

TEST_F(ScopeTest, TheFirstErrorStopsTheOthersAndIsTheResult) {
  const auto body = [](Loop& loop, std::string* log) -> Task<> {
    Scope scope(co_await CurrentContext());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'a', kForeverNs, {})), absl::OkStatus());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'b', 0, absl::NotFoundError("first"))), absl::OkStatus());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'c', kForeverNs, absl::InternalError("second"))),
              absl::OkStatus());
    absl::Status status = co_await scope.Join();
    EXPECT_TRUE(scope.stop_requested());
    co_return status;
  };
  std::string log;
  EXPECT_EQ(RunToCompletion(loop(), body(loop(), &log)), absl::NotFoundError("first"));
  EXPECT_EQ(log, "abcBAC");
}

TEST_F(ScopeTest, ContinueLetsTheOthersEnd) {
  const auto body = [](Loop& loop, std::string* log) -> Task<> {
    Scope scope(co_await CurrentContext(), ScopeOnError::kContinue);
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'a', kMillisecondNs, {})), absl::OkStatus());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'b', -1, absl::NotFoundError("first"))),
              absl::OkStatus());
    absl::Status status = co_await scope.Join();
    EXPECT_FALSE(scope.stop_requested());
    co_return status;
  };
  std::string log;
  EXPECT_EQ(RunToCompletion(loop(), body(loop(), &log)), absl::NotFoundError("first"));
  EXPECT_EQ(log, "abBA");
}

TEST_F(ScopeTest, WhatCancelEndsIsNoError) {
  const auto body = [](Loop& loop, std::string* log) -> Task<> {
    Scope scope(co_await CurrentContext());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'a', kForeverNs, {})), absl::OkStatus());
    EXPECT_EQ(co_await Nop(loop), absl::OkStatus());
    scope.Cancel();
    scope.Cancel();
    EXPECT_EQ(scope.running(), 1u) << "a task ran inside Cancel";
    // Tasks to come find out at once.
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'b', kForeverNs, {})), absl::OkStatus());
    co_return co_await scope.Join();
  };
  std::string log;
  EXPECT_EQ(RunToCompletion(loop(), body(loop(), &log)), absl::OkStatus());
  EXPECT_EQ(log, "abBA");
}

TEST_F(ScopeTest, TasksMaySpawnWhileJoinIsAwaited) {
  struct Tasks {
    static Task<> Multiply(Loop& loop, Scope* scope, int depth, int* ended) {
      if (depth > 0) {
        for (int i = 0; i < 2; ++i) {
          absl::Status status = scope->Spawn(Multiply(loop, scope, depth - 1, ended));
          if (!status.ok()) co_return status;
        }
      }
      ++*ended;
      co_return absl::OkStatus();
    }
  };
  const auto body = [](Loop& loop, int* ended) -> Task<> {
    Scope scope(co_await CurrentContext());
    EXPECT_EQ(scope.Spawn(Tasks::Multiply(loop, &scope, 10, ended)), absl::OkStatus());
    co_return co_await scope.Join();
  };
  int ended = 0;
  EXPECT_EQ(RunToCompletion(loop(), body(loop(), &ended)), absl::OkStatus());
  EXPECT_EQ(ended, (1 << 11) - 1);
}

// Each spawns the next, which must not run on top of it.
TEST_F(ScopeTest, AChainOfSpawnsKeepsTheStackFlat) {
  struct Tasks {
    static Task<> Next(Loop& loop, Scope* scope, int left, uintptr_t* low, uintptr_t* high) {
      const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
      *low = std::min(*low, here);
      *high = std::max(*high, here);
      if (left == 0) co_return absl::OkStatus();
      co_return scope->Spawn(Next(loop, scope, left - 1, low, high));
    }
  };
  const auto body = [](Loop& loop, uintptr_t* low, uintptr_t* high) -> Task<> {
    Scope scope(co_await CurrentContext());
    EXPECT_EQ(scope.Spawn(Tasks::Next(loop, &scope, 100'000, low, high)), absl::OkStatus());
    co_return co_await scope.Join();
  };
  uintptr_t low = UINTPTR_MAX;
  uintptr_t high = 0;
  EXPECT_EQ(RunToCompletion(loop(), body(loop(), &low, &high)), absl::OkStatus());
  EXPECT_LT(high - low, 4096u);
}

TEST_F(ScopeTest, SpawnOfATaskWithoutAFrameIsAnError) {
  const auto body = [](ScopeTest& test, alloc::FaultAllocator* fault, std::string* log) -> Task<> {
    Scope scope(co_await CurrentContext());
    fault->FailNth(1);
    const absl::Status status = scope.Spawn(Note(test.loop(), log, 'a', 0, {}));
    EXPECT_EQ(status, absl::ResourceExhaustedError(""));
    EXPECT_EQ(scope.running(), 0u);
    EXPECT_EQ(scope.Spawn(Note(test.loop(), log, 'b', 0, {})), absl::OkStatus());
    co_return co_await scope.Join();
  };
  std::string log;
  EXPECT_EQ(RunToCompletion(loop(), body(*this, &fault_, &log)), absl::OkStatus());
  EXPECT_EQ(log, "bB");
}

TEST_F(ScopeTest, FramesAreFreedAsTasksEnd) {
  const auto body = [](ScopeTest& test, Loop& loop, std::string* log) -> Task<> {
    Scope scope(co_await CurrentContext());
    EXPECT_EQ(scope.Spawn(Note(loop, log, 'a', kForeverNs, {})), absl::OkStatus());
    const uint64_t one = test.allocator().Stats().live_blocks;
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(scope.Spawn(Note(loop, log, 'b', 0, {})), absl::OkStatus());
      while (scope.running() > 1) EXPECT_EQ(co_await Nop(loop), absl::OkStatus());
    }
    EXPECT_EQ(test.allocator().Stats().live_blocks, one);
    scope.Cancel();
    co_return co_await scope.Join();
  };
  std::string log;
  EXPECT_EQ(RunToCompletion(loop(), body(*this, loop(), &log)), absl::OkStatus());
}

TEST_F(ScopeDeathTest, DestroyedWhileATaskRuns) {
  const auto body = [](Loop& loop, std::string* log) -> Task<> {
    Scope scope(co_await CurrentContext());
    co_return scope.Spawn(Note(loop, log, 'a', kForeverNs, {}));
  };
  std::string log;
  EXPECT_DEATH((void)RunToCompletion(loop(), body(loop(), &log)),
               "SUB-6: a Scope is destroyed while tasks run in it");
}

}  // namespace
}  // namespace tenon
