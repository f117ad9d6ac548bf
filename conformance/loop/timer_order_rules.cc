// TIM-5 to TIM-7: timers among each other, among interruptions, and from their own callbacks.

#include <signal.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {
namespace {

// Timers of a few deadlines, numbered as they were submitted.
class TimerGroups {
 public:
  static constexpr int kGroups = 3;

  explicit TimerGroups(int timers) {
    for (int i = 0; i < timers; ++i) timers_.push_back(std::make_unique<Timer>());
  }

  // Submits every timer, in an order and with deadlines that `random` chooses.
  void SubmitAll(Loop& loop, std::mt19937_64& random, int64_t first_deadline_ns) {
    std::shuffle(timers_.begin(), timers_.end(), random);
    for (const auto& timer : timers_) {
      timer->group = static_cast<int>(random() % kGroups);
      Submit(loop, *timer, first_deadline_ns);
    }
  }

  // Takes every third timer out of the middle, and submits every sixth again: it comes last.
  void CancelSome(Loop& loop, int64_t first_deadline_ns) {
    for (size_t i = 0; i < timers_.size(); i += 3) {
      Timer& timer = *timers_[i];
      loop.Cancel(timer.operation);
      std::erase(submitted_[timer.group], &timer);
    }
    EXPECT_TRUE(TurnUntil(loop, [&] { return CancelledAreIdle(); }));
    for (size_t i = 0; i < timers_.size(); i += 6) Submit(loop, *timers_[i], first_deadline_ns);
  }

  bool AllIdle() const {
    return std::all_of(timers_.begin(), timers_.end(),
                       [](const auto& timer) { return timer->operation.idle(); });
  }

  void ExpectFiredInOrder() const {
    for (int group = 0; group < kGroups; ++group) {
      const std::vector<const Timer*>& expected = submitted_[group];
      const std::vector<const Timer*>& fired = fired_[group];
      ASSERT_EQ(fired.size(), expected.size()) << "timers of one deadline that fired";
      for (size_t i = 0; i < expected.size(); ++i) {
        const auto was = std::find(expected.begin(), expected.end(), fired[i]) - expected.begin();
        ASSERT_EQ(fired[i], expected[i])
            << "of " << expected.size() << " timers of equal deadline, number " << was + 1
            << " in order of submission fired as number " << i + 1;
      }
    }
  }

 private:
  struct Timer {
    int group = 0;
    RecordingOperation operation;
  };

  void Submit(Loop& loop, Timer& timer, int64_t first_deadline_ns) {
    timer.operation.set_hook([this, &timer](RecordingOperation& operation) {
      if (operation.result() == 0) fired_[timer.group].push_back(&timer);
    });
    timer.operation.PrepareTimerAt(first_deadline_ns + timer.group * kMillisecondNs);
    loop.Submit(timer.operation);
    submitted_[timer.group].push_back(&timer);
  }

  bool CancelledAreIdle() const {
    for (size_t i = 0; i < timers_.size(); i += 3) {
      if (!timers_[i]->operation.idle()) return false;
    }
    return true;
  }

  std::vector<std::unique_ptr<Timer>> timers_;
  std::vector<const Timer*> submitted_[kGroups];
  std::vector<const Timer*> fired_[kGroups];
};

}  // namespace

namespace loop_rules {

void TIM_5(LoopRule& rule) {
  constexpr int kTimers = 300;
  for (const bool cancel_some : {false, true}) {
    for (const bool in_the_past : {false, true}) {
      // What lies in the past would fire in the turns in which the cancelled ones complete.
      if (cancel_some && in_the_past) continue;
      SCOPED_TRACE(testing::Message() << (cancel_some ? "some cancelled" : "none cancelled")
                                      << (in_the_past ? ", in the past" : ""));
      TimerGroups groups(kTimers);
      const Owned<Loop> loop = MakeLoop(rule);
      ASSERT_NE(loop, nullptr);
      const int64_t deadline_ns = in_the_past ? 0 : loop->Now() + 50 * kMillisecondNs;
      groups.SubmitAll(*loop, rule.random(), deadline_ns);
      if (cancel_some) groups.CancelSome(*loop, deadline_ns);
      ASSERT_TRUE(TurnUntil(*loop, [&] { return groups.AllIdle(); })) << "a timer never fired";
      ASSERT_NO_FATAL_FAILURE(groups.ExpectFiredInOrder());
    }
  }
}

namespace {

// Interruptions end before the deadline, so that a wait which starts again at each of them ends as
// well, and is seen to have been too long.
constexpr int64_t kLengthNs = 800 * kMillisecondNs;
constexpr int64_t kIntervalNs = 2 * kMillisecondNs;
constexpr int kInterruptions = 350;
// Half of what such a wait would be late by.
constexpr int64_t kToleranceNs = 350 * kMillisecondNs;

// Read and written by a signal handler.
std::atomic<int> g_signals{0};
std::atomic<timer_t> g_signal_timer{};

void CountSignal(int /*signal*/) {
  if (g_signals.fetch_add(1) + 1 < kInterruptions) return;
  const itimerspec off = {};
  ::timer_settime(g_signal_timer.load(), 0, &off, nullptr);
}

// While it lives, a signal interrupts this thread every two milliseconds.
class Signals {
 public:
  Signals() {
    g_signals = 0;
    struct sigaction action = {};
    action.sa_handler = &CountSignal;
    ::sigaction(SIGUSR2, &action, &saved_);
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR2;
    event._sigev_un._tid = ::gettid();
    EXPECT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer_), 0) << "timer_create";
    g_signal_timer = timer_;
    const itimerspec every = {.it_interval = {.tv_sec = 0, .tv_nsec = kIntervalNs},
                              .it_value = {.tv_sec = 0, .tv_nsec = kIntervalNs}};
    EXPECT_EQ(::timer_settime(timer_, 0, &every, nullptr), 0) << "timer_settime";
  }
  ~Signals() {
    ::timer_delete(timer_);
    ::sigaction(SIGUSR2, &saved_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int count() const { return g_signals; }

 private:
  struct sigaction saved_ = {};
  timer_t timer_ = {};
};

// While it lives, another thread wakes the loop every two milliseconds.
class Wakes {
 public:
  explicit Wakes(Loop& loop) : loop_(loop), thread_([this] { Run(); }) {}
  ~Wakes() { thread_.join(); }
  Wakes(const Wakes&) = delete;
  Wakes& operator=(const Wakes&) = delete;

  int count() const { return count_; }

 private:
  void Run() {
    const UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    const itimerspec every = {.it_interval = {.tv_sec = 0, .tv_nsec = kIntervalNs},
                              .it_value = {.tv_sec = 0, .tv_nsec = kIntervalNs}};
    ::timerfd_settime(timer.get(), 0, &every, nullptr);
    uint64_t expirations = 0;
    while (count_ < kInterruptions) {
      if (::read(timer.get(), &expirations, sizeof(expirations)) < 0) {
        if (errno == EINTR) continue;
        return;
      }
      // Late is late: as many as time has passed, not more.
      count_ += static_cast<int>(expirations);
      loop_.Wake();
    }
  }

  Loop& loop_;
  std::atomic<int> count_{0};
  std::thread thread_;
};

template <typename Interruptions>
void ExpectPunctual(Loop& loop, RecordingOperation& timer, const Interruptions& interruptions,
                    const char* what) {
  timer.Forget();
  timer.PrepareTimer(kLengthNs);
  const int64_t deadline_ns = loop.Now() + kLengthNs;
  loop.Submit(timer);
  ASSERT_TRUE(TurnUntilDone(loop, {&timer})) << "with " << what << " the timer never fired";
  const int64_t late_ns = loop.Now() - deadline_ns;
  ASSERT_GE(interruptions.count(), 10) << "the rule did not bring about " << what;
  EXPECT_LT(late_ns, kToleranceNs)
      << interruptions.count() << " " << what << " postponed a deadline by "
      << late_ns / kMillisecondNs << " ms";
}

}  // namespace

void TIM_6(LoopRule& rule) {
  RecordingOperation timer;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  {
    const Signals signals;
    ASSERT_NO_FATAL_FAILURE(ExpectPunctual(*loop, timer, signals, "signals"));
  }
  {
    const Wakes wakes(*loop);
    ASSERT_NO_FATAL_FAILURE(ExpectPunctual(*loop, timer, wakes, "wakes"));
  }
}

namespace {

// Arms `timer` again in its callback, `times` times, with delays in turn from `delays_ns`.
void ExpectPeriodic(Loop& loop, std::vector<int64_t> delays_ns, bool absolute) {
  constexpr int kTimes = 25;
  RecordingOperation timer;
  const GiveUpAtExit give_up_at_exit(loop, {&timer});
  const auto arm = [&](int nth) {
    const int64_t delay_ns = delays_ns[nth % delays_ns.size()];
    if (absolute) {
      timer.PrepareTimerAt(loop.Now() + delay_ns);
    } else {
      timer.PrepareTimer(delay_ns);
    }
    loop.Submit(timer);
  };
  timer.set_hook([&](RecordingOperation&) {
    if (timer.finals() < kTimes) arm(timer.finals());
  });
  arm(0);
  EXPECT_TRUE(TurnUntil(
      loop, [&] { return timer.finals() >= kTimes; }, kSecondNs))
      << "a timer armed again from its own callback fired " << timer.finals() << " times of "
      << kTimes;
  EXPECT_EQ(timer.results(), std::vector<int32_t>(timer.results().size(), 0)) << timer.Describe();
  timer.set_hook(nullptr);
}

// Two timers that arm each other.
void ExpectPingPong(Loop& loop) {
  constexpr int kTimes = 25;
  RecordingOperation ping;
  RecordingOperation pong;
  const GiveUpAtExit give_up_at_exit(loop, {&ping, &pong});
  ping.set_hook([&](RecordingOperation&) {
    if (ping.result() < 0) return;
    pong.PrepareTimer(kMicrosecondNs);
    loop.Submit(pong);
  });
  pong.set_hook([&](RecordingOperation&) {
    if (pong.result() < 0 || pong.finals() >= kTimes) return;
    ping.PrepareTimer(0);
    loop.Submit(ping);
  });
  ping.PrepareTimer(0);
  loop.Submit(ping);
  EXPECT_TRUE(TurnUntil(
      loop, [&] { return pong.finals() >= kTimes; }, kSecondNs))
      << "two timers that arm each other fired " << ping.finals() << " and " << pong.finals()
      << " times of " << kTimes;
}

// The callback of a cancelled timer may arm it again like any other.
void ExpectRearmedAfterCancel(Loop& loop) {
  RecordingOperation timer;
  const GiveUpAtExit give_up_at_exit(loop, {&timer});
  timer.set_hook([&](RecordingOperation&) {
    if (timer.result() != -ECANCELED || timer.finals() > 1) return;
    timer.PrepareTimer(kMillisecondNs);
    loop.Submit(timer);
  });
  timer.PrepareTimer(kForeverNs);
  loop.Submit(timer);
  loop.Cancel(timer);
  EXPECT_TRUE(TurnUntil(
      loop, [&] { return timer.finals() >= 2; }, kSecondNs))
      << "a timer armed again from the callback of its cancellation did not fire";
  EXPECT_EQ(timer.results(), std::vector<int32_t>({-ECANCELED, 0})) << timer.Describe();
}

}  // namespace

void TIM_7(LoopRule& rule) {
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  for (const bool absolute : {false, true}) {
    ExpectPeriodic(*loop, {kMillisecondNs}, absolute);
    ASSERT_FALSE(testing::Test::HasFailure());
    ExpectPeriodic(*loop, {0}, absolute);
    ExpectPeriodic(*loop, {0, kMillisecondNs, kMicrosecondNs}, absolute);
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  ExpectPingPong(*loop);
  ExpectRearmedAfterCancel(*loop);
}

}  // namespace loop_rules
}  // namespace tenon::conformance
