// A shared pool under threads: what the tests in pool/testing cannot show on one loop.

#include "tenon/pool/shared/shared_pool.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "gtest/gtest.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/epoll/epoll.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/deadline.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/run.h"
#include "tenon/pool/pool.h"

namespace tenon::pool {
namespace {

// Knows how many hold it.
struct Token {
  std::atomic<int> holders{0};
  bool made = false;
};

class TokenPolicy final : public PoolPolicy<Token> {
 public:
  Task<> Create(CreateScope& scope, Token& token) override {
    absl::Status status = co_await Sleep(scope.loop(), 20 * kMicrosecondNs);
    if (!status.ok()) co_return status;
    if (++attempts_ % 7 == 0) co_return absl::UnavailableError("every seventh fails");
    token.made = true;
    most_live = std::max(most_live, ++live);
    co_return absl::OkStatus();
  }
  Task<> Reset(PoolStage& stage, Token& token) override {
    EXPECT_EQ(token.holders.load(), 0);
    if (++resets_ % 3 != 0) co_return absl::OkStatus();
    co_return co_await Nop(stage.loop());
  }
  Task<> Destroy(PoolStage& stage, Token& token) override {
    EXPECT_EQ(token.holders.load(), 0);
    absl::Status status = co_await Nop(stage.loop());
    EXPECT_TRUE(std::exchange(token.made, false));
    --live;
    co_return status;
  }

  // The home loop's thread.
  int live = 0;
  int most_live = 0;

 private:
  int attempts_ = 0;
  int resets_ = 0;
};

using TokenLease = Lease<Token>;

// Leases that are ended by a thread without a loop.
class Bin {
 public:
  void Put(TokenLease lease) {
    const std::lock_guard<std::mutex> lock(mutex_);
    leases_.push_back(std::move(lease));
  }
  void Empty() {
    std::vector<TokenLease> leases;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      leases.swap(leases_);
    }
  }

 private:
  std::mutex mutex_;
  std::vector<TokenLease> leases_;
};

Owned<Loop> MakeLoop(Allocator& allocator) {
  absl::StatusOr<Owned<Loop>> loop = Loop::Create(epoll::Factory(), {}, allocator);
  CHECK_OK(loop.status());
  return *std::move(loop);
}

class SharedPoolTest : public testing::Test {
 protected:
  SharedPoolTest() : home_(MakeLoop(system_)) {}
  ~SharedPoolTest() override {
    pool_.reset();
    EXPECT_EQ(policy_.live, 0);
    EXPECT_EQ(counting_.Stats().live_bytes, 0u);
  }

  void MakePool(const PoolOptions& options) {
    absl::StatusOr<Pool<Token>> pool =
        Pool<Token>::Create(shared::Factory(), *home_, policy_, options, counting_);
    CHECK_OK(pool.status());
    pool_.emplace(*std::move(pool));
  }
  absl::Status Drain() {
    const auto drain = [](Allocator&, Pool<Token>& pool) -> Task<> {
      co_return (co_await pool.Drain()).status;
    };
    return RunToCompletion(*home_, drain(system_, *pool_));
  }

  // Acquires and ends `rounds` times, in all ways, or until the pool is closed.
  Task<> Use(Loop& loop, uint32_t seed, int rounds) {
    std::mt19937 random(seed);
    for (int round = 0; round < rounds; ++round) {
      const uint32_t choice = random();
      const int64_t patience_ns = choice % 4 == 0 ? random() % 100'000 : 60 * kSecondNs;
      const int64_t deadline_ns = loop.Now() + patience_ns;
      absl::StatusOr<TokenLease> lease;
      if (choice % 5 == 0) {
        const int64_t stop_ns = loop.Now() + random() % 100'000;
        lease = co_await WithDeadline(loop, stop_ns, Acquire(loop, deadline_ns));
      } else {
        lease = co_await pool_->AcquireUntil(deadline_ns);
      }
      if (absl::IsFailedPrecondition(lease.status())) co_return absl::OkStatus();
      if (!lease.ok()) continue;
      EXPECT_TRUE((*lease)->made);
      EXPECT_EQ((*lease)->holders.fetch_add(1), 0) << "leased to two";
      if (choice % 3 == 0) (co_await Nop(loop)).IgnoreError();
      if (choice % 11 == 0) pool_->InvalidateAll();
      (*lease)->holders.fetch_sub(1);
      leases_.fetch_add(1);
      if (choice % 13 == 0) lease->Invalidate();
      if (choice % 17 == 0) bin_.Put(*std::move(lease));
    }
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<TokenLease>> Acquire(Loop&, int64_t deadline_ns) {
    co_return co_await pool_->AcquireUntil(deadline_ns);
  }

  // Runs Use in three tasks on each of `count` threads with a loop of its own, and the home loop
  // until `until` says so or all have ended.
  template <typename Until>
  void RunThreads(int count, int rounds, Until until) {
    std::atomic<int> running{count};
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([this, i, rounds, &running] {
        const Owned<Loop> loop = MakeLoop(system_);
        std::vector<std::unique_ptr<TaskRoot<>>> roots;
        for (int j = 0; j < 3; ++j) {
          roots.push_back(std::make_unique<TaskRoot<>>(*loop, Use(*loop, 3 * i + j, rounds)));
          roots.back()->Start();
        }
        for (const auto& root : roots) {
          while (!root->done()) loop->RunOnce();
          EXPECT_EQ(root->TakeResult(), absl::OkStatus());
        }
        --running;
        home_->Wake();
      });
    }
    std::thread collector([this, &running] {
      while (running > 0) {
        bin_.Empty();
        std::this_thread::yield();
      }
      // What was put there last: a drain may be waiting for it.
      bin_.Empty();
    });
    while (running > 0 && !until()) home_->RunOnce();
    if (running > 0) {
      EXPECT_EQ(Drain(), absl::OkStatus());
    }
    for (std::thread& thread : threads) thread.join();
    collector.join();
  }

  alloc::SystemAllocator system_;
  alloc::CountingAllocator counting_{system_};
  TokenPolicy policy_;
  Owned<Loop> home_;
  std::optional<Pool<Token>> pool_;
  Bin bin_;
  std::atomic<uint64_t> leases_{0};
};

TEST_F(SharedPoolTest, ThreadsAcquireReturnAndGiveUpAsTheyLike) {
  MakePool({.max = 2, .reset_on_return = true, .retry_min_ns = 1, .retry_max_ns = 1'000});
  RunThreads(3, 300, [] { return false; });
  EXPECT_EQ(Drain(), absl::OkStatus());
  EXPECT_GT(leases_, 1'000u);
  EXPECT_LE(policy_.most_live, 2);
  const PoolStats stats = pool_->Stats();
  EXPECT_EQ(stats.created, stats.destroyed);
  EXPECT_EQ(stats.leases, stats.returns);
  EXPECT_EQ(stats.acquires,
            stats.leases + stats.timeouts + stats.cancelled + stats.refused + stats.failed);
}

TEST_F(SharedPoolTest, DrainedWhileThreadsAreAtIt) {
  for (int i = 0; i < 5; ++i) {
    MakePool({.min = 1, .max = 3, .fill = Fill::kEager, .retry_min_ns = 1, .retry_max_ns = 1'000});
    const uint64_t enough = leases_ + 50;
    RunThreads(2, 1'000'000, [&] { return leases_ > enough; });
    const PoolStats stats = pool_->Stats();
    EXPECT_EQ(stats.created, stats.destroyed);
    EXPECT_GT(stats.refused, 0u);
    pool_.reset();
  }
}

TEST_F(SharedPoolTest, ALeaseMayEndOnAThreadWithoutALoop) {
  MakePool({.max = 1});
  const auto acquire = [this]() {
    return RunToCompletion(*home_, Acquire(*home_, home_->Now() + 60 * kSecondNs));
  };
  absl::StatusOr<TokenLease> lease = acquire();
  ASSERT_TRUE(lease.ok()) << lease.status();
  std::thread([&lease] { lease->Release(); }).join();
  lease = acquire();
  EXPECT_TRUE(lease.ok()) << lease.status();
  lease->Release();
  EXPECT_EQ(Drain(), absl::OkStatus());
}

}  // namespace
}  // namespace tenon::pool
