#include "tenon/tools/bench/wake_workload.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/child_process.h"
#include "tenon/tools/bench/latency_histogram.h"
#include "tenon/tools/bench/wake_subjects.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {
namespace {

// A message loop on a thread of its own, from construction to destruction.
class LoopThread {
 public:
  LoopThread(const WakeSubject& subject, size_t messages, MessageHandler& handler, int cpu)
      : thread_([this, &subject, messages, &handler, cpu] {
          status_ = PinToCpu(cpu);
          absl::StatusOr<std::unique_ptr<MessageLoop>> loop = subject.make(messages, handler);
          status_.Update(loop.status());
          if (status_.ok()) loop_ = loop->get();
          ready_.release();
          if (status_.ok()) (*loop)->Run();
          // Nobody posts any more when Stop has been called; it is destroyed where it was made.
        }) {
    ready_.acquire();
  }
  ~LoopThread() {
    if (loop_ != nullptr) loop_->Stop();
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  const absl::Status& status() const { return status_; }
  // REQUIRES: status() is OK.
  MessageLoop& loop() const { return *loop_; }

 private:
  std::binary_semaphore ready_{0};
  absl::Status status_;
  MessageLoop* loop_ = nullptr;
  // Last: it begins at once.
  std::thread thread_;
};

// Counts arrivals and tells when a burst is complete.
class BurstCounter final : public MessageHandler {
 public:
  explicit BurstCounter(size_t size) : size_(size), seen_(size, false) {}

  void OnMessage(size_t message) override {
    if (seen_[message]) {
      ++repeated_;
      return;
    }
    seen_[message] = true;
    if (++arrived_ < size_) return;
    arrived_ = 0;
    seen_.assign(size_, false);
    complete_.release();
  }

  void AwaitBurst() { complete_.acquire(); }
  // After the last burst.
  size_t repeated() const { return repeated_; }

 private:
  const size_t size_;
  // The loop's thread.
  std::vector<bool> seen_;
  size_t arrived_ = 0;
  size_t repeated_ = 0;
  std::binary_semaphore complete_{0};
};

// One end of a ping-pong: hands the message on to the other.
class Player final : public MessageHandler {
 public:
  // With `round_trips`, this end ends each and begins the next, until so many are done.
  explicit Player(size_t round_trips) : left_(round_trips) {}

  void PlayAgainst(MessageLoop& other) { other_ = &other; }

  void OnMessage(size_t message) override {
    if (left_ > 0) {
      const int64_t now_ns = MonotonicNs();
      latency_.Record(now_ns - begun_ns_);
      begun_ns_ = now_ns;
      if (--left_ == 0) return done_.release();
    }
    other_->Post(message);
  }

  // Any thread, before the first message.
  void Begin() {
    begun_ns_ = MonotonicNs();
    other_->Post(0);
  }
  void AwaitEnd() { done_.acquire(); }
  const LatencyHistogram& latency() const { return latency_; }

 private:
  MessageLoop* other_ = nullptr;
  size_t left_;
  int64_t begun_ns_ = 0;
  LatencyHistogram latency_;
  std::binary_semaphore done_{0};
};

}  // namespace

absl::Status RunBursts(const WakeSubject& subject, size_t bursts, size_t size, TwoCpus cpus,
                       Stopwatch& stopwatch) {
  BurstCounter counter(size);
  absl::Status pinned = PinToCpu(cpus.second);
  if (!pinned.ok()) return pinned;
  {
    LoopThread thread(subject, size, counter, cpus.first);
    if (!thread.status().ok()) return thread.status();
    stopwatch.Start();
    for (size_t burst = 0; burst < bursts; ++burst) {
      for (size_t i = 0; i < size; ++i) thread.loop().Post(i);
      counter.AwaitBurst();
    }
    stopwatch.Stop(static_cast<int64_t>(bursts * size));
  }
  if (counter.repeated() == 0) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(counter.repeated(), " messages arrived more than once in a burst"));
}

absl::Status RunPingPong(const WakeSubject& subject, size_t round_trips, TwoCpus cpus,
                         Stopwatch& stopwatch) {
  Player home(round_trips);
  Player away(0);
  LoopThread home_thread(subject, 1, home, cpus.first);
  LoopThread away_thread(subject, 1, away, cpus.second);
  if (!home_thread.status().ok()) return home_thread.status();
  if (!away_thread.status().ok()) return away_thread.status();
  home.PlayAgainst(away_thread.loop());
  away.PlayAgainst(home_thread.loop());
  stopwatch.Start();
  home.Begin();
  home.AwaitEnd();
  stopwatch.Stop(static_cast<int64_t>(round_trips), &home.latency());
  return absl::OkStatus();
}

}  // namespace tenon::bench
