// WAK-1, WAK-3: waking a loop from other threads.

#include <atomic>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/foreign_calls.h"
#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

// Makes one call in each round, a random moment after the round's turn has begun: as a turn is
// about to sleep by then, every moment on the way there is met by some.
class Caller final : public LoopObserver {
 public:
  Caller(Loop& loop, Call call, uint64_t seed)
      : loop_(loop), call_(call), random_(seed), thread_([this] { Run(); }) {}
  ~Caller() {
    loop_.SetObserver(nullptr);
    round_ = kOver;
    thread_.join();
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // Lets the thread make the call of round `round` in the next turn; rounds count from one.
  void Begin(int64_t round) {
    next_round_ = round;
    loop_.SetObserver(this);
  }
  void OnTurn() override {
    // The rest of the round's turns make no calls.
    loop_.SetObserver(nullptr);
    round_ = next_round_;
  }
  bool task_ran() const { return task_ran_; }
  void ForgetTask() { task_ran_ = false; }

 private:
  static constexpr int64_t kOver = -1;
  // Delays are of every order of magnitude up to that of a turn on a slow machine.
  static constexpr uint32_t kDelayBits = 12;
  // Long enough not to leave the processor between two rounds of a loop that is not preempted.
  static constexpr int kLooks = 20'000;

  void Run() {
    int64_t done = 0;
    while (true) {
      AwaitThread([&] { return round_ != done; }, kLooks);
      if (round_ == kOver) return;
      done = round_;
      const uint32_t delay = random_() % (1u << random_() % (kDelayBits + 1));
      for (std::atomic<uint32_t> spun = 0; spun < delay; ++spun) {
      }
      Make(call_, loop_, task_);
    }
  }

  Loop& loop_;
  const Call call_;
  std::minstd_rand random_;
  // The task runs on the thread that looks at it.
  bool task_ran_ = false;
  int64_t next_round_ = 0;
  PostedTask task_{[](PostedTask& task) { static_cast<Caller*>(task.context())->task_ran_ = true; },
                   this};
  std::atomic<int64_t> round_{0};
  std::thread thread_;
};

// One round: the loop goes to sleep while the other thread makes its call.
void ExpectCallEndsWait(Loop& loop, Caller& caller, Call call, int64_t round) {
  const int64_t before_ns = loop.Now();
  caller.Begin(round);
  if (call == Call::kStop) {
    // Run ends for Stop alone: a timer does it when Stop does not.
    bool stopped_by_timer = false;
    RecordingOperation guard([&](RecordingOperation& timer) {
      if (timer.result() != 0) return;
      stopped_by_timer = true;
      loop.Stop();
    });
    const GiveUpAtExit give_up_at_exit(loop, {&guard});
    guard.PrepareTimer(kPatienceNs);
    loop.Submit(guard);
    loop.Run(RunUntil::kStopped);
    ASSERT_FALSE(stopped_by_timer) << "a Stop was lost in round " << round;
    return;
  }
  loop.RunOnce(before_ns + kPatienceNs);
  if (call == Call::kPost) {
    TurnUntil(loop, [&] { return caller.task_ran(); });
    caller.ForgetTask();
  }
  ASSERT_LT(loop.Now() - before_ns, kPatienceNs) << "a " << CallName(call) << " was lost in round "
                                                 << round << ": the loop slept until its deadline";
}

// What another thread does when the loop has decided to sleep, and its backend does not sleep yet.
struct Gap {
  std::function<void()> call;
};

class CallsInGap final : public BackendDecorator {
 public:
  CallsInGap(Owned<LoopBackend> good, Gap& gap) : BackendDecorator(std::move(good)), gap_(gap) {}

  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    if (gap_.call) std::thread(std::exchange(gap_.call, nullptr)).join();
    good().Wait(deadline_ns, sink);
  }

 private:
  Gap& gap_;
};

void ExpectCallsInGapCount(LoopRule& rule) {
  constexpr int kRounds = 20;
  bool ran = false;
  PostedTask task([](PostedTask& task) { *static_cast<bool*>(task.context()) = true; }, &ran);
  Gap gap;
  const SharingFactory<CallsInGap, Gap> factory(rule.factory(), gap);
  const absl::StatusOr<Owned<Loop>> loop = Loop::Create(factory, {}, rule.allocator());
  ASSERT_TRUE(loop.ok()) << loop.status();
  for (int i = 0; i < kRounds * static_cast<int>(std::size(kCalls)); ++i) {
    const Call call = kCalls[i % std::size(kCalls)];
    ran = false;
    gap.call = [&] { Make(call, **loop, task); };
    const int64_t before_ns = (*loop)->Now();
    (*loop)->RunOnce(before_ns + kPatienceNs);
    ASSERT_LT((*loop)->Now() - before_ns, kPatienceNs)
        << "a " << CallName(call) << " was lost that came between the loop's decision to sleep and "
        << "its sleep";
    EXPECT_EQ(ran, call == Call::kPost) << "whether a task ran in the turn that its Post ended";
    // Takes note of the Stop.
    if (call == Call::kStop) (*loop)->Run(RunUntil::kStopped);
  }
}

// Wakes of the loop's own thread: before a turn, and inside one for the next.
void ExpectOwnWakesCount(Loop& loop) {
  int64_t before_ns = loop.Now();
  loop.Wake();
  loop.RunOnce(before_ns + kPatienceNs);
  EXPECT_LT(loop.Now() - before_ns, kPatienceNs) << "a Wake before the turn was lost";

  RecordingOperation waker([&](RecordingOperation&) { loop.Wake(); });
  const GiveUpAtExit give_up_at_exit(loop, {&waker});
  waker.PrepareNop();
  loop.Submit(waker);
  EXPECT_TRUE(TurnUntilDone(loop, {&waker}));
  before_ns = loop.Now();
  loop.RunOnce(before_ns + kPatienceNs);
  EXPECT_LT(loop.Now() - before_ns, kPatienceNs) << "a Wake inside a callback was lost";
}

}  // namespace

namespace loop_rules {

void WAK_1(LoopRule& rule) {
  constexpr int64_t kRounds = 5'000;
  ASSERT_NO_FATAL_FAILURE(ExpectCallsInGapCount(rule));
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  ExpectOwnWakesCount(*loop);
  for (const Call call : kCalls) {
    SCOPED_TRACE(CallName(call));
    const uint64_t wakes_before = loop->Stats().wakes;
    Caller caller(*loop, call, rule.random()());
    for (int64_t round = 1; round <= kRounds; ++round) {
      ASSERT_NO_FATAL_FAILURE(ExpectCallEndsWait(*loop, caller, call, round));
    }
    if (loop->Stats().wakes == wakes_before) {
      return rule.Inconclusive("no call ever met a loop that slept");
    }
  }
}

namespace {

// Publishes numbers, in bursts, and wakes the loop after each; the next burst comes when the loop
// has seen the last number of this one.
class Publisher {
 public:
  Publisher(Loop& loop, uint64_t seed) : loop_(loop), random_(seed), thread_([this] { Run(); }) {}
  ~Publisher() {
    over_ = true;
    thread_.join();
  }
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // What the loop's thread does in each turn. True when the publisher has nothing more to say.
  bool Look() {
    seen_ = published_.load();
    return seen_ >= kNumbers;
  }
  int64_t published() const { return published_; }

 private:
  static constexpr int64_t kNumbers = 3'000;

  void Run() {
    while (published_ < kNumbers && !over_) {
      const int burst = 1 + random_() % 3;
      for (int i = 0; i < burst; ++i) {
        ++published_;
        loop_.Wake();
      }
      AwaitThread([this] { return seen_ >= published_ || over_; });
    }
  }

  Loop& loop_;
  std::minstd_rand random_;
  std::atomic<int64_t> published_{0};
  std::atomic<int64_t> seen_{0};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

// A Stop that no Run takes ends one wait, as a Wake does, and no more.
void ExpectStopEndsOneWait(Loop& loop) {
  constexpr int64_t kWindowNs = 20 * kMillisecondNs;
  RecordingOperation window;
  window.PrepareTimer(kWindowNs);
  loop.Submit(window);
  loop.Stop();
  const uint64_t turns_before = loop.Stats().turns;
  EXPECT_TRUE(TurnUntilDone(loop, {&window}));
  EXPECT_LE(loop.Stats().turns - turns_before, 5u)
      << "a Stop that no Run has taken keeps the loop from waiting";
  loop.Run(RunUntil::kStopped);
}

}  // namespace

void WAK_3(LoopRule& rule) {
  for (const int publishers : {1, 3}) {
    SCOPED_TRACE(testing::Message() << publishers << " threads that wake");
    const Owned<Loop> loop = MakeLoop(rule);
    ASSERT_NE(loop, nullptr);
    std::vector<std::unique_ptr<Publisher>> all;
    for (int i = 0; i < publishers; ++i) {
      all.push_back(std::make_unique<Publisher>(*loop, rule.random()()));
    }
    bool over = false;
    while (!over) {
      const int64_t before_ns = loop->Now();
      over = true;
      for (const auto& publisher : all) over = publisher->Look() && over;
      if (over) break;
      loop->RunOnce(before_ns + kPatienceNs);
      if (loop->Now() - before_ns < kPatienceNs) continue;
      for (const auto& publisher : all) {
        const int64_t number = publisher->published();
        ADD_FAILURE() << "no turn followed a Wake within five seconds, after " << number
                      << " numbers that were published before one each";
      }
      return;
    }
  }
  const Owned<Loop> stopped = MakeLoop(rule);
  ASSERT_NE(stopped, nullptr);
  ExpectStopEndsOneWait(*stopped);
}

}  // namespace loop_rules
}  // namespace tenon::conformance
