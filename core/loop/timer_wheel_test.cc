#include "tenon/core/loop/timer_wheel.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"

namespace tenon {
namespace {

constexpr int64_t kTickNs = 65'536;
constexpr int64_t kHourNs = 3'600 * kSecondNs;

// A timer operation with its deadline set, as the loop inserts it.
std::unique_ptr<Operation> MakeTimer(int64_t deadline_ns) {
  auto timer = std::make_unique<Operation>([](Operation&) {});
  timer->PrepareTimerAt(deadline_ns);
  return timer;
}

// A wheel and an ordered map that must always agree with it.
class ModelledWheel {
 public:
  ~ModelledWheel() {
    while (!model_.empty()) RemoveAt(0);
  }

  void Insert(int64_t deadline_ns) {
    std::unique_ptr<Operation> timer = MakeTimer(deadline_ns);
    wheel_.Insert(*timer);
    model_.emplace(std::pair(deadline_ns, next_++), std::move(timer));
  }

  // Of the timers in order, the one at `index`.
  void RemoveAt(size_t index) {
    auto victim = std::next(model_.begin(), static_cast<ptrdiff_t>(index));
    wheel_.Remove(*victim->second);
    model_.erase(victim);
  }

  // Takes out all that have expired. Returns how many.
  size_t ExpireAll(int64_t now_ns) {
    size_t count = 0;
    while (Operation* timer = wheel_.PopExpired(now_ns)) {
      EXPECT_FALSE(model_.empty());
      EXPECT_EQ(timer, model_.begin()->second.get());
      if (model_.empty() || timer != model_.begin()->second.get()) return count;
      model_.erase(model_.begin());
      ++count;
    }
    EXPECT_TRUE(model_.empty() || model_.begin()->first.first > now_ns);
    return count;
  }

  // The next deadline by the model; by the wheel it must be the same.
  int64_t Next() {
    const int64_t expected = model_.empty() ? kForeverNs : model_.begin()->first.first;
    EXPECT_EQ(wheel_.next_deadline_ns(), expected);
    EXPECT_EQ(wheel_.empty(), model_.empty());
    return expected;
  }

  size_t size() const { return model_.size(); }

 private:
  TimerWheel wheel_;
  // By deadline, then by insertion.
  std::map<std::pair<int64_t, int>, std::unique_ptr<Operation>> model_;
  int next_ = 0;
};

TEST(TimerWheelTest, GivesOutWhatHasExpiredInOrder) {
  TimerWheel wheel;
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline_ns(), kForeverNs);
  EXPECT_EQ(wheel.PopExpired(kForeverNs - 1), nullptr);
  auto late = MakeTimer(3 * kHourNs);
  auto early = MakeTimer(10);
  auto middle = MakeTimer(20 * kSecondNs);
  for (auto* timer : {&late, &early, &middle}) wheel.Insert(**timer);
  EXPECT_EQ(wheel.next_deadline_ns(), 10);
  EXPECT_EQ(wheel.PopExpired(9), nullptr);
  EXPECT_EQ(wheel.PopExpired(10), early.get());
  EXPECT_EQ(wheel.next_deadline_ns(), 20 * kSecondNs);
  EXPECT_EQ(wheel.PopExpired(kHourNs), middle.get());
  EXPECT_EQ(wheel.PopExpired(kHourNs), nullptr);
  wheel.Remove(*late);
  EXPECT_TRUE(wheel.empty());
}

// The deadlines on both sides of every border between ticks and levels.
TEST(TimerWheelTest, OrdersDeadlinesAtTheBordersOfLevels) {
  ModelledWheel wheel;
  std::vector<int64_t> deadlines = {0, 1, kForeverNs, kForeverNs - 1};
  for (int bits = 16; bits < 63; ++bits) {
    for (int64_t offset : {-kTickNs, int64_t{-1}, int64_t{0}, int64_t{1}, kTickNs}) {
      deadlines.push_back((int64_t{1} << bits) + offset);
    }
  }
  std::mt19937 random(1);
  std::shuffle(deadlines.begin(), deadlines.end(), random);
  for (int64_t deadline_ns : deadlines) wheel.Insert(deadline_ns);
  while (wheel.size() > 0) {
    const int64_t next_ns = wheel.Next();
    ASSERT_EQ(wheel.ExpireAll(next_ns - 1), 0u);
    ASSERT_GE(wheel.ExpireAll(next_ns), 1u);
    ASSERT_FALSE(HasFailure());
  }
}

TEST(TimerWheelTest, EqualDeadlinesKeepTheirOrderWhereverTheyWere) {
  TimerWheel wheel;
  auto near = MakeTimer(kSecondNs);
  wheel.Insert(*near);
  std::vector<std::unique_ptr<Operation>> timers;
  for (int i = 0; i < 300; ++i) {
    timers.push_back(MakeTimer(kHourNs));
    wheel.Insert(*timers.back());
    // Half of them come when the first have already been put in order.
    if (i == 150) {
      wheel.Remove(*near);
      ASSERT_EQ(wheel.next_deadline_ns(), kHourNs);
    }
  }
  for (auto& timer : timers) EXPECT_EQ(wheel.PopExpired(kHourNs), timer.get());
  EXPECT_TRUE(wheel.empty());
}

// One far timer moves the threshold far ahead; many nearer ones make it move back.
TEST(TimerWheelTest, MovesBackBeforeManyEarlierTimers) {
  ModelledWheel wheel;
  wheel.Insert(9 * kHourNs);
  wheel.Insert(9 * kHourNs + 70 * kTickNs);
  ASSERT_EQ(wheel.Next(), 9 * kHourNs);
  std::mt19937 random(2);
  for (int i = 0; i < 2'000; ++i) {
    wheel.Insert(kHourNs + static_cast<int64_t>(random() % 4'000) * kTickNs / 7);
    if (i % 500 == 0) wheel.Next();
  }
  for (int64_t now_ns = kHourNs; wheel.size() > 2; now_ns += kTickNs) {
    wheel.ExpireAll(now_ns);
    ASSERT_FALSE(HasFailure()) << now_ns;
  }
  ASSERT_EQ(wheel.Next(), 9 * kHourNs);
}

void RunScript(uint32_t seed, int64_t range_ns, size_t most) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", range " << range_ns);
  std::mt19937_64 random(seed);
  ModelledWheel wheel;
  int64_t now_ns = static_cast<int64_t>(random() % static_cast<uint64_t>(kHourNs));
  for (int step = 0; step < 10'000; ++step) {
    const uint64_t choice = random() % 16;
    if (choice < 8 && wheel.size() < most) {
      // Short ones among long ones, and now and then the past.
      const int64_t within = choice < 4 ? range_ns : std::max<int64_t>(1, range_ns / 1'000);
      const auto delay_ns = static_cast<int64_t>(random() % static_cast<uint64_t>(within));
      wheel.Insert(std::max<int64_t>(0, now_ns + delay_ns - range_ns / 50'000));
    } else if (choice < 11 && wheel.size() > 0) {
      wheel.RemoveAt(choice == 8 ? 0 : random() % wheel.size());
    } else if (choice < 13) {
      now_ns += static_cast<int64_t>(random() % static_cast<uint64_t>(range_ns / 100 + 1));
      wheel.ExpireAll(now_ns);
    } else if (choice == 13 && wheel.size() > 0) {
      now_ns = std::max(now_ns, wheel.Next());
      wheel.ExpireAll(now_ns);
    } else {
      wheel.Next();
    }
    ASSERT_FALSE(testing::Test::HasFailure()) << "step " << step;
  }
}

TEST(TimerWheelTest, AgreesWithAnOrderedMapOverRandomScripts) {
  const uint32_t seed = std::random_device()();
  for (int64_t range_ns : {int64_t{500}, 10 * kTickNs, kSecondNs, kHourNs, 10'000 * kHourNs}) {
    RunScript(seed, range_ns, 20);
    RunScript(seed + 1, range_ns, 3'000);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace tenon
