// Timers as operations of a loop: no memory but the operations themselves.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/memory/owned.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/tools/bench/latency_histogram.h"
#include "tenon/tools/bench/timer_subjects.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {
namespace {

class TenonTimers {
 public:
  TenonTimers(Loop& loop, TimerLoad load)
      : loop_(loop), load_(load), timers_(new Timer[load.timers()]) {
    for (size_t i = 0; i < load_.timers(); ++i) timers_[i].owner = this;
  }

  absl::Status Run(Stopwatch& stopwatch) {
    const size_t count = load_.timers();
    stopwatch.Start();
    ArmAll(&TimerLoad::FarDeadline);
    stopwatch.Stop(Operations());

    stopwatch.Start();
    rearming_ = true;
    CancelAll();
    rearming_ = false;
    stopwatch.Stop(Operations());
    absl::Status status = CheckTimers("re-arm", cancelled_, count, 0);
    cancelled_ = 0;

    stopwatch.Start();
    CancelAll();
    stopwatch.Stop(Operations());
    status.Update(CheckTimers("cancel", cancelled_, count, 0));

    ArmAll(&TimerLoad::FiringDeadline);
    stopwatch.Start();
    loop_.Run();
    stopwatch.Stop(Operations(), &lateness_);
    status.Update(CheckTimers("fire", fired_, count, early_));
    return status;
  }

 private:
  struct Timer {
    Operation operation{&OnDone, this};
    TenonTimers* owner = nullptr;
    int64_t deadline_ns = 0;
  };

  static void OnDone(Operation& operation) {
    Timer& timer = *static_cast<Timer*>(operation.context());
    timer.owner->Done(timer);
  }

  int64_t Operations() const { return static_cast<int64_t>(load_.timers()); }

  void Arm(Timer& timer, int64_t deadline_ns) {
    timer.deadline_ns = deadline_ns;
    timer.operation.PrepareTimerAt(deadline_ns);
    loop_.Submit(timer.operation);
  }

  void ArmAll(int64_t (TimerLoad::*deadline)(int64_t base_ns)) {
    base_ns_ = loop_.Now();
    for (size_t i = 0; i < load_.timers(); ++i) Arm(timers_[i], (load_.*deadline)(base_ns_));
    loop_.Poll();
  }

  // Completions come in the next turn, and arm the timer again while re-arming.
  void CancelAll() {
    for (size_t i = 0; i < load_.timers(); ++i) {
      loop_.Cancel(timers_[load_.Jump(i)].operation);
      if (i % kTimersPerTurn == kTimersPerTurn - 1) loop_.Poll();
    }
    loop_.Poll();
  }

  void Done(Timer& timer) {
    if (timer.operation.result() < 0) {
      ++cancelled_;
      if (rearming_) Arm(timer, load_.FarDeadline(base_ns_));
      return;
    }
    ++fired_;
    const int64_t late_ns = MonotonicNs() - timer.deadline_ns;
    if (late_ns < 0) ++early_;
    lateness_.Record(late_ns);
  }

  Loop& loop_;
  TimerLoad load_;
  const std::unique_ptr<Timer[]> timers_;
  int64_t base_ns_ = 0;
  bool rearming_ = false;
  size_t cancelled_ = 0;
  size_t fired_ = 0;
  size_t early_ = 0;
  LatencyHistogram lateness_;
};

}  // namespace

absl::Status RunTenonTimers(absl::string_view backend, TimerLoad load, Stopwatch& stopwatch) {
  absl::StatusOr<Owned<Loop>> loop = runtime::OpenLoop({.backend = backend});
  if (!loop.ok()) return loop.status();
  TenonTimers timers(**loop, load);
  absl::Status status = timers.Run(stopwatch);
  // Nothing is pending unless something went wrong.
  status.Update((*loop)->Drain());
  return status;
}

}  // namespace tenon::bench
