// WAK-2: calls from other threads while a loop ends.

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/foreign_calls.h"
#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

// What the body and a backend that holds Wake up say to each other.
struct HeldWake {
  std::atomic<bool> armed{false};
  // A Wake has begun; the good backend's part of it is over.
  std::atomic<bool> entered{false};
  std::atomic<bool> woken{false};
  std::atomic<bool> destroyed_meanwhile{false};
  absl::Notification destroyed;
};

// A good backend whose Wake takes long, as on a thread that lost the processor inside it.
class HoldsWake final : public BackendDecorator {
 public:
  HoldsWake(Owned<LoopBackend> good, HeldWake& held)
      : BackendDecorator(std::move(good)), held_(held) {}
  ~HoldsWake() override { held_.destroyed.Notify(); }

  void Wake() noexcept override {
    // This object may be gone when the wait is over: that is what is looked for.
    HeldWake& held = held_;
    if (!held.armed) return good().Wake();
    held.entered = true;
    good().Wake();
    held.woken = true;
    held.destroyed_meanwhile =
        held.destroyed.WaitForNotificationWithTimeout(absl::Milliseconds(100));
  }

 private:
  HeldWake& held_;
};

// The loop is destroyed as soon as it was woken, while the waker is still inside its call.
void DestroyDuring(LoopRule& rule, Call call) {
  SCOPED_TRACE(CallName(call));
  HeldWake held;
  PostedTask task([](PostedTask&) {});
  const SharingFactory<HoldsWake, HeldWake> factory(rule.factory(), held);
  absl::StatusOr<Owned<Loop>> loop = Loop::Create(factory, {}, rule.allocator());
  ASSERT_TRUE(loop.ok()) << loop.status();
  held.armed = true;
  Loop* const raw = loop->get();
  std::thread waker([&] {
    // Once is not enough: the loop may not sleep yet, and then needs no waking.
    while (!held.entered) {
      Make(call, *raw, task);
    }
  });
  const int64_t deadline_ns = raw->Now() + kPatienceNs;
  while (!held.entered && raw->Now() < deadline_ns) {
    raw->RunOnce(deadline_ns);
    if (call == Call::kStop && !held.entered) raw->Run(RunUntil::kStopped);
  }
  EXPECT_TRUE(held.entered) << "no " << CallName(call) << " met a loop that slept";
  if (!held.entered.exchange(true)) held.woken = true;
  AwaitThread([&] { return held.woken.load(); });
  loop->reset();
  waker.join();
  EXPECT_FALSE(held.destroyed_meanwhile)
      << "the loop was destroyed while a " << CallName(call) << " was under way";
}

// Threads that make every call without end.
class Storm {
 public:
  explicit Storm(Loop& loop) : loop_(loop) {
    for (size_t i = 0; i < calls_.size(); ++i) {
      threads_.emplace_back([this, i] { Run(i); });
    }
  }
  ~Storm() { Stop(); }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

  void Stop() {
    over_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // Waits until every thread has made a number of calls from now on.
  void AwaitMore() const {
    constexpr uint64_t kMore = 20;
    for (const std::atomic<uint64_t>& calls : calls_) {
      const uint64_t until = calls + kMore;
      AwaitThread([&] { return calls >= until; });
    }
  }

 private:
  void Run(size_t i) {
    for (; !over_; ++calls_[i]) {
      loop_.Wake();
      loop_.Post(tasks_[i]);
      loop_.Stop();
    }
  }

  Loop& loop_;
  std::array<std::atomic<uint64_t>, 2> calls_ = {};
  PostedTask tasks_[2] = {PostedTask([](PostedTask&) {}), PostedTask([](PostedTask&) {})};
  std::atomic<bool> over_{false};
  std::vector<std::thread> threads_;
};

void DrainInStorm(LoopRule& rule) {
  char byte = 0;
  RecordingOperation recv;
  RecordingOperation timer;
  DescriptorPair pair = MakeSocketPair();
  // Lives longer than the loop: a task may run as late as in its destructor.
  std::unique_ptr<Storm> storm;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  recv.PrepareRecv(AdoptOrFail(*loop, std::move(pair.ours)), absl::MakeSpan(&byte, 1), 0);
  loop->Submit(recv);
  timer.PrepareTimer(kForeverNs);
  loop->Submit(timer);
  storm = std::make_unique<Storm>(*loop);
  storm->AwaitMore();
  const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
  EXPECT_TRUE(drained.ok()) << "Drain, while other threads wake the loop: " << drained;
  // Numbers that Drain has freed have new owners now.
  std::vector<UniqueFd> strangers;
  for (int i = 0; i < 8; ++i) strangers.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  storm->AwaitMore();
  for (const UniqueFd& stranger : strangers) {
    uint64_t written = 0;
    EXPECT_LT(::read(stranger.get(), &written, sizeof(written)), 0)
        << "a wake wrote to descriptor " << stranger.get() << ", opened after Drain";
  }
  storm->Stop();
  EXPECT_EQ(recv.results(), std::vector<int32_t>({-ECANCELED})) << recv.Describe();
  EXPECT_EQ(timer.results(), std::vector<int32_t>({-ECANCELED})) << timer.Describe();
}

}  // namespace

namespace loop_rules {

void WAK_2(LoopRule& rule) {
  constexpr int kRounds = 20;
  for (const Call call : kCalls) {
    ASSERT_NO_FATAL_FAILURE(DestroyDuring(rule, call));
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_NO_FATAL_FAILURE(DrainInStorm(rule));
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

}  // namespace loop_rules
}  // namespace tenon::conformance
