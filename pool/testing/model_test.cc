// Random scripts against a model that knows nothing of slots: who holds what, who came first, what
// was invalidated, and that created = destroyed + live after every single step (POOL-21).

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

class ModelTest : public PoolTest {
 protected:
  struct Waiting {
    std::unique_ptr<Acquirer> acquirer;
    int64_t deadline_ns;
    bool stopped = false;
  };
  struct Held {
    ThingLease lease;
    int id;
  };

  void RunScript(uint32_t seed, int steps) {
    random_.seed(seed);
    script_.clear();
    waiting_.clear();
    max_ = bound_ = 1 + Below(4);
    invalid_up_to_ = policy_.last_id;
    const PoolOptions options = RandomOptions();
    MakePool(options);
    for (int step = 0; step < steps && !HasFailure(); ++step) {
      Step();
      Observe();
    }
    Finish();
    if (HasFailure()) ADD_FAILURE() << "seed " << seed << ", script:" << script_;
  }

  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  bool OneIn(uint32_t count) { return Below(count) == 0; }

  PoolOptions RandomOptions() {
    PoolOptions options;
    options.max = max_;
    options.capacity = 6;
    options.min = Below(max_ + 1);
    options.fill = OneIn(2) ? Fill::kEager : Fill::kLazy;
    options.idle_order = OneIn(2) ? IdleOrder::kNewestFirst : IdleOrder::kOldestFirst;
    options.check_on_acquire = OneIn(2);
    options.check_on_return = OneIn(2);
    options.reset_on_return = OneIn(2);
    if (OneIn(2)) options.idle_ttl_ns = (1 + Below(100)) * kMillisecondNs;
    if (OneIn(2)) options.check_idle_after_ns = (1 + Below(50)) * kMillisecondNs;
    if (OneIn(2)) {
      options.lifetime_ns = (20 + Below(200)) * kMillisecondNs;
      options.lifetime_jitter_ns = options.lifetime_ns / 2;
    }
    options.retry_min_ns = kMillisecondNs;
    options.retry_max_ns = 4 * kMillisecondNs;
    return options;
  }

  Outcome RandomOutcome() {
    constexpr Outcome kSome[] = {Outcome::kSlow, Outcome::kError, Outcome::kCancelled};
    return OneIn(3) ? kSome[Below(3)] : Outcome::kOk;
  }
  void FeedPolicy() {
    for (StageScript* stage :
         {&policy_.create, &policy_.validate, &policy_.reset, &policy_.destroy}) {
      while (stage->next.size() < 3) stage->next.push_back(RandomOutcome());
    }
  }

  void Step() {
    FeedPolicy();
    switch (Below(12)) {
      case 0:
      case 1:
      case 2:
        return Begin();
      case 3:
        if (waiting_.empty()) return;
        Log("stop");
        waiting_[Below(waiting_.size())].stopped = true;
        return StopMarked();
      case 4:
      case 5:
      case 6:
        return EndLease(OneIn(4));
      case 7:
        if (!OneIn(4)) return;
        Log("invalidate_all");
        invalid_up_to_ = policy_.last_id;
        return pool().InvalidateAll();
      case 8:
        if (!OneIn(4)) return;
        max_ = 1 + Below(6);
        Log(absl::StrCat("resize:", max_));
        EXPECT_EQ(pool().Resize(Below(max_ + 1), max_), absl::OkStatus());
        bound_ = std::max(max_, pool().Stats().slots.used());
        return;
      case 9:
        Log("advance");
        return Advance(Below(30) * kMillisecondNs);
      default:
        Log("turn");
        loop().Poll();
    }
  }

  void Begin() {
    const int64_t deadline_ns = OneIn(3) ? loop().Now() + Below(40) * kMillisecondNs : kForeverNs;
    Log(deadline_ns == kForeverNs ? "acquire" : "acquire_until");
    waiting_.push_back({.acquirer = Acquire(deadline_ns), .deadline_ns = deadline_ns});
  }
  void StopMarked() {
    for (Waiting& waiting : waiting_) {
      if (waiting.stopped) waiting.acquirer->RequestStop();
    }
  }
  void EndLease(bool invalidate) {
    if (held_.empty()) return;
    Log(invalidate ? "break" : "release");
    std::swap(held_[Below(held_.size())], held_.back());
    if (invalidate) {
      held_.back().lease.Invalidate();
      broken_.push_back(held_.back().id);
    }
    held_.pop_back();
  }

  // Sees who has got something, and whether that may be.
  void Observe() {
    CheckBooks();
    const uint32_t used = pool().Stats().slots.used();
    EXPECT_LE(used, bound_) << "POOL-10";
    bound_ = std::max(max_, used);
    // Those that came earlier and have not resumed: each must have been given something by now.
    uint32_t earlier = 0;
    for (Waiting& waiting : waiting_) {
      if (!waiting.acquirer->done()) {
        if (!waiting.stopped && waiting.deadline_ns > loop().Now()) ++earlier;
        EXPECT_LE(loop().Now(), waiting.deadline_ns) << "POOL-8";
        continue;
      }
      absl::StatusOr<ThingLease> lease = waiting.acquirer->TakeResult();
      waiting.acquirer = nullptr;
      if (lease.ok()) {
        EXPECT_LE(earlier, pool().Stats().slots[SlotState::kAssigned])
            << "POOL-13: one who came later was served first";
        Take(*std::move(lease));
      } else if (absl::IsDeadlineExceeded(lease.status())) {
        EXPECT_EQ(waiting.deadline_ns <= loop().Now(), true);
      } else {
        EXPECT_TRUE(waiting.stopped && absl::IsCancelled(lease.status())) << lease.status();
      }
    }
    std::erase_if(waiting_, [](const Waiting& waiting) { return waiting.acquirer == nullptr; });
    EXPECT_EQ(pool().Stats().slots[SlotState::kLeased], held_.size());
  }
  void Take(ThingLease lease) {
    const int id = lease->id;
    EXPECT_TRUE(policy_.live.contains(id)) << "POOL-11: leased, but not live";
    EXPECT_GT(id, invalid_up_to_) << "POOL-11: leased after InvalidateAll";
    EXPECT_EQ(std::count(broken_.begin(), broken_.end(), id), 0) << "POOL-11: broken";
    for (const Held& held : held_) EXPECT_NE(held.id, id) << "leased to two";
    held_.push_back({.lease = std::move(lease), .id = id});
  }

  // Everything that waits is served once all that is held comes back.
  void Finish() {
    Log("finish");
    for (StageScript* stage :
         {&policy_.create, &policy_.validate, &policy_.reset, &policy_.destroy}) {
      stage->next.clear();
    }
    for (int i = 0; i < 200 && !(held_.empty() && waiting_.empty()); ++i) {
      held_.clear();
      Advance(kSlowNs);
      Observe();
    }
    EXPECT_TRUE(waiting_.empty()) << waiting_.size() << " wait for ever";
    held_.clear();
    for (Waiting& waiting : waiting_) waiting.stopped = true;
    StopMarked();
    Settle();
    Observe();
    const uint64_t leases = pool().Stats().leases;
    leases_ += leases;
    EndPool();
  }
  void Log(const std::string& step) { absl::StrAppend(&script_, " ", step); }

  std::mt19937 random_;
  std::string script_;
  std::vector<Waiting> waiting_;  // in the order in which they came
  std::vector<Held> held_;
  std::vector<int> broken_;
  int invalid_up_to_ = 0;
  uint32_t max_ = 1;
  // How many permits may be in use: the maximum, or what was too much and is not gone yet.
  uint32_t bound_ = 1;
  uint64_t leases_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Pools, ModelTest, EveryPool(), FactoryName);

TEST_P(ModelTest, RandomScriptsAgreeWithTheModel) {
  for (uint32_t seed = 1; seed <= 300 && !HasFailure(); ++seed) RunScript(seed, 150);
  EXPECT_GT(leases_, 3'000u);
}

}  // namespace
}  // namespace tenon::pool
