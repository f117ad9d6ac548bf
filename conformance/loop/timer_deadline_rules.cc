// TIM-1 to TIM-4: when timers fire, and how the loop waits for them.

#include <poll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/time.h"

namespace tenon::conformance {
namespace {

// A timer that knows when it must not fire before, and when it did.
class Alarm {
 public:
  explicit Alarm(Loop& loop)
      : loop_(loop),
        timer_([this](RecordingOperation&) { fired_ns_ = loop_.Now(); }),
        give_up_at_exit_(loop, {&timer_}) {}

  void SubmitAfter(int64_t delay_ns) {
    timer_.PrepareTimer(delay_ns);
    earliest_ns_ = DeadlineAfter(loop_.Now(), delay_ns);
    loop_.Submit(timer_);
  }

  void SubmitAt(int64_t deadline_ns) {
    timer_.PrepareTimerAt(deadline_ns);
    earliest_ns_ = deadline_ns;
    loop_.Submit(timer_);
  }

  bool done() const { return timer_.done(); }

  void ExpectOnTime() const {
    ASSERT_EQ(timer_.results(), std::vector<int32_t>({0})) << timer_.Describe();
    ASSERT_GE(fired_ns_, earliest_ns_)
        << "a timer fired " << earliest_ns_ - fired_ns_ << " ns before its deadline";
  }

 private:
  Loop& loop_;
  RecordingOperation timer_;
  int64_t earliest_ns_ = 0;
  int64_t fired_ns_ = 0;
  const GiveUpAtExit give_up_at_exit_;
};

int64_t RandomBetween(LoopRule& rule, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(rule.random());
}

// Lets time pass by the loop's clock while a callback runs.
void Dawdle(Loop& loop, int64_t duration_ns) {
  constexpr int kMostLooks = 1'000'000;
  const int64_t until_ns = loop.Now() + duration_ns;
  for (int look = 0; look < kMostLooks && loop.Now() < until_ns; ++look) {
  }
}

void FireAlone(LoopRule& rule, Loop& loop) {
  std::vector<int64_t> delays = {1,         999,       1'000,     50'000,    499'999,
                                 500'000,   999'999,   1'000'000, 1'000'001, 1'499'999,
                                 1'500'000, 1'999'999, 2'500'001, 5'000'000};
  for (int i = 0; i < 20; ++i) delays.push_back(RandomBetween(rule, 1, 4 * kMillisecondNs));
  for (const int64_t delay_ns : delays) {
    for (const bool absolute : {false, true}) {
      Alarm alarm(loop);
      if (absolute) {
        alarm.SubmitAt(loop.Now() + delay_ns);
      } else {
        alarm.SubmitAfter(delay_ns);
      }
      ASSERT_TRUE(TurnUntil(loop, [&] { return alarm.done(); })) << "a timer never fired";
      ASSERT_NO_FATAL_FAILURE(alarm.ExpectOnTime());
    }
  }
}

void FireTogether(LoopRule& rule, Loop& loop) {
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (int i = 0; i < 300; ++i) {
    alarms.push_back(std::make_unique<Alarm>(loop));
    alarms.back()->SubmitAfter(RandomBetween(rule, 0, 20 * kMillisecondNs));
  }
  for (const auto& alarm : alarms) {
    ASSERT_TRUE(TurnUntil(loop, [&] { return alarm->done(); })) << "a timer never fired";
    ASSERT_NO_FATAL_FAILURE(alarm->ExpectOnTime());
  }
}

// A loop that remembers the time of the turn would count from before the callback.
void FireAfterLongCallback(Loop& loop) {
  Alarm alarm(loop);
  RecordingOperation slow([&](RecordingOperation&) {
    Dawdle(loop, 4 * kMillisecondNs);
    alarm.SubmitAfter(3 * kMillisecondNs);
  });
  const GiveUpAtExit give_up_at_exit(loop, {&slow});
  slow.PrepareNop();
  loop.Submit(slow);
  ASSERT_TRUE(TurnUntil(loop, [&] { return alarm.done(); })) << "a timer never fired";
  alarm.ExpectOnTime();
}

// The deadline of a turn is one, too, where nothing ends the turn before it.
void WaitWithoutTimer(LoopRule& rule, Loop& loop) {
  for (int i = 0; i < 20; ++i) {
    const int64_t delay_ns = RandomBetween(rule, 1, 3 * kMillisecondNs);
    const int64_t deadline_ns = loop.Now() + delay_ns;
    const uint64_t ran = loop.RunOnce(deadline_ns);
    EXPECT_EQ(ran, 0u) << "callbacks in a turn without anything to do";
    const int64_t left_ns = deadline_ns - loop.Now();
    ASSERT_LE(left_ns, 0) << "a turn with nothing to do waited " << left_ns << " of " << delay_ns
                          << " ns less than it was told";
  }
}

}  // namespace

namespace loop_rules {

void TIM_1(LoopRule& rule) {
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  ASSERT_NO_FATAL_FAILURE(FireAlone(rule, *loop));
  ASSERT_NO_FATAL_FAILURE(FireTogether(rule, *loop));
  ASSERT_NO_FATAL_FAILURE(FireAfterLongCallback(*loop));
  WaitWithoutTimer(rule, *loop);
}

namespace {

// Times that this thread gave up the processor of its own accord: a wait that sleeps does.
int64_t VoluntarySwitches() {
  rusage usage = {};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

int64_t ProcessorTimeNs() {
  timespec time = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * kSecondNs + time.tv_nsec;
}

// Waits for many short deadlines by `wait(delay_ns)` and judges what that cost.
template <typename Wait>
void ExpectShortWaitsSleep(LoopRule& rule, Loop& loop, const char* what, Wait wait) {
  constexpr int kWaits = 100;
  const uint64_t turns_before = loop.Stats().turns;
  const int64_t switches_before = VoluntarySwitches();
  const int64_t processor_before_ns = ProcessorTimeNs();
  int64_t asked_ns = 0;
  for (int i = 0; i < kWaits; ++i) {
    const int64_t delay_ns = RandomBetween(rule, 100 * kMicrosecondNs, 900 * kMicrosecondNs);
    asked_ns += delay_ns;
    wait(delay_ns);
    if (testing::Test::HasFatalFailure()) return;
  }
  const uint64_t turns = loop.Stats().turns - turns_before;
  EXPECT_LE(turns, 2u * kWaits) << turns << " turns for " << kWaits << " " << what
                                << " shorter than a millisecond: waiting for them is a spin";
  const int64_t sleeps = VoluntarySwitches() - switches_before;
  const int64_t processor_ns = ProcessorTimeNs() - processor_before_ns;
  // Of a simulated clock neither is true: it takes no time, and no sleep.
  EXPECT_FALSE(sleeps < kWaits / 2 && processor_ns > asked_ns / 4)
      << "in " << kWaits << " " << what << " shorter than a millisecond the thread slept " << sleeps
      << " times and took " << processor_ns << " of " << asked_ns
      << " ns of the processor: waiting for them is a spin";
}

}  // namespace

void TIM_2(LoopRule& rule) {
  RecordingOperation timer;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  ExpectShortWaitsSleep(rule, *loop, "timers", [&](int64_t delay_ns) {
    timer.Forget();
    timer.PrepareTimer(delay_ns);
    loop->Submit(timer);
    ASSERT_TRUE(TurnUntilDone(*loop, {&timer})) << "a timer never fired";
  });
  if (testing::Test::HasFailure()) return;
  ExpectShortWaitsSleep(rule, *loop, "turns", [&](int64_t delay_ns) {
    const int64_t deadline_ns = loop->Now() + delay_ns;
    while (loop->Now() < deadline_ns) loop->RunOnce(deadline_ns);
  });
}

namespace {

// A timer that has expired is something to do: the turn that finds it does not wait.
void FireInNextTurn(Loop& loop, RecordingOperation& timer) {
  timer.Forget();
  loop.Submit(timer);
  EXPECT_EQ(timer.finals(), 0) << "a timer of zero fired inside Submit";
  loop.Poll();
  ASSERT_EQ(timer.finals(), 1) << "a timer of zero did not fire in the next turn";
  EXPECT_EQ(timer.final_result(), 0) << timer.Describe();

  timer.Forget();
  timer.PrepareTimer(0);
  loop.Submit(timer);
  const int64_t before_ns = loop.Now();
  loop.RunOnce(before_ns + 2 * kSecondNs);
  ASSERT_EQ(timer.finals(), 1) << "a timer of zero did not fire in the next turn";
  EXPECT_LT(loop.Now() - before_ns, kSecondNs)
      << "the turn that fires a timer of zero waited for an event first";
}

// Armed again and again by its own callback, it fires once a turn and starves nobody.
void FireOnceATurn(Loop& loop) {
  constexpr int kTurns = 50;
  constexpr int kTurnsForOthers = 8;
  char byte = 0;
  bool posted_ran = false;
  RecordingOperation recv;
  RecordingOperation again;
  again.set_hook([&](RecordingOperation& timer) {
    if (timer.result() < 0) return;
    timer.PrepareTimer(0);
    loop.Submit(timer);
  });
  PostedTask task([](PostedTask& task) { *static_cast<bool*>(task.context()) = true; },
                  &posted_ran);
  DescriptorPair pair = MakeSocketPair();
  const GiveUpAtExit give_up_at_exit(loop, {&again, &recv});
  recv.PrepareRecv(AdoptOrFail(loop, std::move(pair.ours)), absl::MakeSpan(&byte, 1), 0);
  loop.Submit(recv);
  again.PrepareTimer(0);
  loop.Submit(again);
  for (int turn = 1; turn <= kTurns; ++turn) {
    loop.RunOnce(loop.Now() + kSecondNs);
    EXPECT_EQ(again.finals(), turn) << "a timer of zero that its callback arms again fired "
                                    << again.finals() << " times in " << turn << " turns";
    if (again.finals() != turn) break;
  }
  WriteAll(pair.theirs.get(), "x");
  loop.Post(task);
  for (int turn = 0; turn < kTurnsForOthers; ++turn) loop.Poll();
  EXPECT_TRUE(recv.done()) << "a timer of zero that is armed again starves a Recv";
  EXPECT_TRUE(posted_ran) << "a timer of zero that is armed again starves a posted task";
}

}  // namespace

void TIM_3(LoopRule& rule) {
  RecordingOperation far;
  RecordingOperation timer;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  for (const bool with_far_timer : {false, true}) {
    if (with_far_timer) {
      far.PrepareTimer(3'600 * kSecondNs);
      loop->Submit(far);
    }
    timer.PrepareTimer(0);
    ASSERT_NO_FATAL_FAILURE(FireInNextTurn(*loop, timer));
    timer.PrepareTimerAt(0);
    ASSERT_NO_FATAL_FAILURE(FireInNextTurn(*loop, timer));
    timer.PrepareTimerAt(loop->Now());
    ASSERT_NO_FATAL_FAILURE(FireInNextTurn(*loop, timer));
  }
  FireOnceATurn(*loop);
  EXPECT_EQ(far.finals(), 0) << "a timer of an hour fired";
}

namespace {

// A clock outside the loop that ends its waits.
class KernelTimer {
 public:
  explicit KernelTimer(Loop& loop) : loop_(loop) {
    UniqueFd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    fd_ = fd.get();
    handle_ = AdoptOrFail(loop, std::move(fd));
  }
  ~KernelTimer() { GiveUpAtExit(loop_, {&poll_}); }
  KernelTimer(const KernelTimer&) = delete;
  KernelTimer& operator=(const KernelTimer&) = delete;

  // Turns the loop, with `deadline_ns` for each turn, until the kernel says that time has passed;
  // the number of turns, 0 if it never did.
  int TurnUntilItFires(int64_t deadline_ns) {
    constexpr int kMostTurns = 10'000;
    itimerspec when = {};
    when.it_value.tv_nsec = 2 * kMillisecondNs;
    ::timerfd_settime(fd_, 0, &when, nullptr);
    poll_.Forget();
    poll_.PreparePoll(handle_, POLLIN);
    loop_.Submit(poll_);
    for (int turn = 1; turn <= kMostTurns; ++turn) {
      loop_.RunOnce(deadline_ns);
      if (poll_.done()) return turn;
    }
    return 0;
  }

 private:
  Loop& loop_;
  RecordingOperation poll_;
  int fd_ = -1;
  Handle handle_;
};

std::vector<int64_t> FarDelays(int64_t now_ns) {
  return {
      kForeverNs,
      kForeverNs - 1,
      kForeverNs - now_ns + 1,
      kForeverNs - now_ns,
      kForeverNs - now_ns - 1,
      kForeverNs / 2,
      // Where seconds, milliseconds and the halves of a word end.
      (int64_t{1} << 32) * kSecondNs,
      (int64_t{1} << 31) * kSecondNs,
      (int64_t{1} << 32) * kMillisecondNs + 1,
      (int64_t{1} << 31) * kMillisecondNs,
      ((int64_t{1} << 31) - 1) * kMillisecondNs,
      30 * 24 * 3'600 * kSecondNs,
  };
}

// A far timer neither fires nor spoils the waiting, and can be cancelled.
void ExpectNeverFires(Loop& loop, KernelTimer& kernel_timer, RecordingOperation& timer) {
  // One turn for the wait, and some that a backend may need to divide a long wait.
  constexpr int kMostTurns = 8;
  timer.Forget();
  loop.Submit(timer);
  const int turns = kernel_timer.TurnUntilItFires(kForeverNs);
  ASSERT_EQ(timer.finals(), 0) << "a timer in the far future fired: " << timer.Describe();
  ASSERT_GT(turns, 0) << "with a timer in the far future pending, no event arrives";
  EXPECT_LE(turns, kMostTurns) << "with a timer in the far future pending, the loop spins";
  loop.Cancel(timer);
  ASSERT_TRUE(TurnUntilDone(loop, {&timer})) << "a timer in the far future cannot be cancelled";
  EXPECT_EQ(timer.results(), std::vector<int32_t>({-ECANCELED})) << timer.Describe();
}

void ExpectFiresAtOnce(Loop& loop, RecordingOperation& timer) {
  timer.Forget();
  loop.Submit(timer);
  loop.Poll();
  ASSERT_EQ(timer.results(), std::vector<int32_t>({0}))
      << "a timer in the past did not fire in the next turn: " << timer.Describe();
}

}  // namespace

void TIM_4(LoopRule& rule) {
  constexpr int64_t kPast[] = {-1, -kSecondNs, -kForeverNs, std::numeric_limits<int64_t>::min()};
  RecordingOperation timer;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  KernelTimer kernel_timer(*loop);
  ASSERT_FALSE(testing::Test::HasFailure());
  for (const int64_t delay_ns : FarDelays(loop->Now())) {
    SCOPED_TRACE(testing::Message() << "delay of " << delay_ns << " ns");
    timer.PrepareTimer(delay_ns);
    ASSERT_NO_FATAL_FAILURE(ExpectNeverFires(*loop, kernel_timer, timer));
    timer.PrepareTimerAt(DeadlineAfter(loop->Now(), delay_ns));
    ASSERT_NO_FATAL_FAILURE(ExpectNeverFires(*loop, kernel_timer, timer));
    const int turns = kernel_timer.TurnUntilItFires(DeadlineAfter(loop->Now(), delay_ns));
    EXPECT_TRUE(turns > 0 && turns <= 8) << turns << " turns of a far deadline for one event";
  }
  for (const int64_t past_ns : kPast) {
    SCOPED_TRACE(testing::Message() << "delay of " << past_ns << " ns");
    timer.PrepareTimer(past_ns);
    ASSERT_NO_FATAL_FAILURE(ExpectFiresAtOnce(*loop, timer));
    timer.PrepareTimerAt(past_ns);
    ASSERT_NO_FATAL_FAILURE(ExpectFiresAtOnce(*loop, timer));
    const int64_t before_ns = loop->Now();
    loop->RunOnce(past_ns);
    EXPECT_LT(loop->Now() - before_ns, kSecondNs) << "a turn whose deadline has passed waited";
  }
}

}  // namespace loop_rules
}  // namespace tenon::conformance
