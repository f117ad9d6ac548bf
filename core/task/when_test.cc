#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/task_fixture.h"
#include "tenon/core/task/when_all.h"
#include "tenon/core/task/when_any.h"
#include "tenon/core/task/with_stop_token.h"

namespace tenon {
namespace {

using WhenAllTest = TaskTest;
using WhenAnyTest = TaskTest;
using IntTask = Task<absl::StatusOr<int>>;
using StringTask = Task<absl::StatusOr<std::string>>;

IntTask GiveAfter(Loop& loop, int64_t delay_ns, int value) {
  if (delay_ns >= 0) {
    if (absl::Status status = co_await Sleep(loop, delay_ns); !status.ok()) co_return status;
  }
  co_return value;
}

StringTask NameAfter(Loop& loop, int64_t delay_ns, std::string name) {
  if (absl::Status status = co_await Sleep(loop, delay_ns); !status.ok()) co_return status;
  co_return name;
}

Task<> Fail(Loop& /*loop*/) { co_return absl::NotFoundError("nothing"); }

TEST_F(WhenAllTest, GivesEveryResult) {
  const auto body = [](Loop& loop) -> Task<> {
    auto [number, name, status] =
        co_await WhenAll(GiveAfter(loop, kMillisecondNs, 7), NameAfter(loop, 0, "x"), Fail(loop));
    EXPECT_EQ(*number, 7);
    EXPECT_EQ(*name, "x");
    EXPECT_EQ(status, absl::NotFoundError("nothing"));
    co_return absl::OkStatus();
  };
  EXPECT_EQ(RunToCompletion(loop(), body(loop())), absl::OkStatus());
}

TEST_F(WhenAllTest, RunsThemAtTheSameTime) {
  const auto body = [](Loop& loop) -> Task<> {
    const int64_t start_ns = loop.Now();
    auto [a, b] = co_await WhenAll(GiveAfter(loop, 20 * kMillisecondNs, 1),
                                   GiveAfter(loop, 20 * kMillisecondNs, 2));
    EXPECT_EQ(*a + *b, 3);
    // One timer fired in the turn of the other.
    EXPECT_GE(loop.Now(), start_ns + 20 * kMillisecondNs);
    co_return absl::OkStatus();
  };
  const uint64_t turns = loop().Stats().turns;
  EXPECT_EQ(RunToCompletion(loop(), body(loop())), absl::OkStatus());
  EXPECT_LE(loop().Stats().turns, turns + 4);
}

TEST_F(WhenAllTest, TasksThatEndAtOnce) {
  const auto body = [](Loop& loop) -> IntTask {
    auto [a, b] = co_await WhenAll(GiveAfter(loop, -1, 1), GiveAfter(loop, -1, 2));
    co_return *a + *b;
  };
  EXPECT_EQ(*RunToCompletion(loop(), body(loop())), 3);
}

TEST_F(WhenAllTest, AnyNumberOfTasks) {
  const auto body = [](Loop& loop, int count) -> IntTask {
    std::vector<IntTask> tasks;
    for (int i = 0; i < count; ++i) tasks.push_back(GiveAfter(loop, i % 3, i));
    std::vector<absl::StatusOr<int>> results(tasks.size());
    co_await WhenAll(absl::MakeSpan(tasks), absl::MakeSpan(results));
    int sum = 0;
    for (const auto& result : results) sum += result.value();
    co_return sum;
  };
  EXPECT_EQ(*RunToCompletion(loop(), body(loop(), 0)), 0);
  EXPECT_EQ(*RunToCompletion(loop(), body(loop(), 100)), 4950);
}

TEST_F(WhenAllTest, ATaskWithoutAFrameDoesNotKeepTheOthersFromRunning) {
  for (int nth = 1; nth <= 2; ++nth) {
    const auto body = [](Loop& loop, alloc::FaultAllocator* fault, int nth) -> Task<> {
      fault->FailNth(static_cast<uint64_t>(nth));
      IntTask first = GiveAfter(loop, 0, 1);
      IntTask second = GiveAfter(loop, 0, 2);
      auto [a, b] = co_await WhenAll(std::move(first), std::move(second));
      EXPECT_TRUE(absl::IsResourceExhausted((nth == 1 ? a : b).status()));
      EXPECT_TRUE((nth == 1 ? b : a).ok());
      co_return absl::OkStatus();
    };
    EXPECT_EQ(RunToCompletion(loop(), body(loop(), &fault_, nth)), absl::OkStatus());
  }
}

// Ends a while after it was asked to stop, and says so.
Task<> Reluctant(Loop& loop, bool* ended) {
  const auto cleanup = [](Loop& loop) -> Task<> { co_return co_await Sleep(loop, kMillisecondNs); };
  absl::Status status = co_await SleepUntil(loop, kForeverNs);
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_EQ(co_await WithStopToken(StopToken(), cleanup(loop)), absl::OkStatus());
  *ended = true;
  co_return status;
}

TEST_F(WhenAnyTest, TheFirstWinsAndTheOthersAreStoppedAndAwaited) {
  const auto body = [](Loop& loop) -> Task<> {
    bool ended = false;
    auto [index, result] = co_await WhenAny(Reluctant(loop, &ended), Fail(loop));
    EXPECT_TRUE(ended) << "a loser was not awaited";
    EXPECT_EQ(index, 1u);
    co_return result;
  };
  EXPECT_EQ(RunToCompletion(loop(), body(loop())), absl::NotFoundError("nothing"));
  EXPECT_EQ(loop().Stats().pending, 0u);
}

TEST_F(WhenAnyTest, DifferentTypesGiveAVariant) {
  const auto body = [](Loop& loop) -> Task<> {
    auto first = co_await WhenAny(GiveAfter(loop, kForeverNs, 7), NameAfter(loop, 0, "x"));
    EXPECT_EQ(first.index, 1u);
    EXPECT_EQ(*std::get<1>(first.result), "x");
    co_return absl::OkStatus();
  };
  EXPECT_EQ(RunToCompletion(loop(), body(loop())), absl::OkStatus());
}

TEST_F(WhenAnyTest, TheFirstOfMany) {
  const auto body = [](Loop& loop) -> IntTask {
    std::vector<IntTask> tasks;
    for (int i = 0; i < 50; ++i) tasks.push_back(GiveAfter(loop, i == 31 ? 0 : kForeverNs, i));
    auto [index, result] = co_await WhenAny(absl::MakeSpan(tasks));
    EXPECT_EQ(index, 31u);
    co_return result;
  };
  EXPECT_EQ(*RunToCompletion(loop(), body(loop())), 31);
  EXPECT_EQ(loop().Stats().pending, 0u);
}

TEST_F(WhenAnyTest, AllAtOnceTheFirstInOrderWins) {
  const auto body = [](Loop& loop) -> IntTask {
    auto [index, result] = co_await WhenAny(GiveAfter(loop, -1, 1), GiveAfter(loop, -1, 2));
    EXPECT_EQ(index, 0u);
    co_return result;
  };
  EXPECT_EQ(*RunToCompletion(loop(), body(loop())), 1);
}

// What a loser made all the same is not leaked.
TEST_F(WhenAnyTest, AResultThatNobodyTakesIsDestroyed) {
  using PointerTask = Task<absl::StatusOr<std::shared_ptr<int>>>;
  const auto body = [](Loop& loop, std::shared_ptr<int> value) -> IntTask {
    const auto stubborn = [](Loop& loop, std::shared_ptr<int> value) -> PointerTask {
      EXPECT_TRUE(absl::IsCancelled(co_await SleepUntil(loop, kForeverNs)));
      co_return value;
    };
    auto first = co_await WhenAny(stubborn(loop, std::move(value)), GiveAfter(loop, 0, 7));
    co_return std::get<1>(first.result);
  };
  auto value = std::make_shared<int>(1);
  EXPECT_EQ(*RunToCompletion(loop(), body(loop(), value)), 7);
  EXPECT_EQ(value.use_count(), 1);
}

TEST_F(WhenAnyTest, WhereOneHasNoFrameNoneRuns) {
  const auto body = [](Loop& loop, alloc::FaultAllocator* fault) -> Task<> {
    bool ended = false;
    Task<> runs = Reluctant(loop, &ended);
    fault->FailNth(1);
    Task<> has_no_frame = Fail(loop);
    auto [index, result] = co_await WhenAny(std::move(runs), std::move(has_no_frame));
    EXPECT_EQ(index, 1u);
    EXPECT_FALSE(ended);
    co_return result;
  };
  EXPECT_TRUE(absl::IsResourceExhausted(RunToCompletion(loop(), body(loop(), &fault_))));
}

}  // namespace
}  // namespace tenon
