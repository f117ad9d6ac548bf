// Timers of libuv, which tells nobody of a timer that is stopped and starts a running one anew.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/child_process.h"
#include "tenon/tools/bench/latency_histogram.h"
#include "tenon/tools/bench/timer_subjects.h"
#include "tenon/tools/bench/workload.h"
#include "uv.h"

namespace tenon::bench {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;

class LibuvTimers {
 public:
  LibuvTimers(uv_loop_t& loop, TimerLoad load)
      : loop_(loop), load_(load), timers_(new Timer[load.timers()]) {
    for (size_t i = 0; i < load_.timers(); ++i) {
      uv_timer_init(&loop_, &timers_[i].handle);
      timers_[i].handle.data = &timers_[i];
      timers_[i].owner = this;
    }
  }

  absl::Status Run(Stopwatch& stopwatch) {
    const size_t count = load_.timers();
    const auto operations = static_cast<int64_t>(count);
    stopwatch.Start();
    ArmAll(&TimerLoad::FarDeadline);
    stopwatch.Stop(operations);

    stopwatch.Start();
    for (size_t i = 0; i < count; ++i) {
      Arm(timers_[load_.Jump(i)], load_.FarDeadline(base_ns_));
    }
    stopwatch.Stop(operations);

    stopwatch.Start();
    for (size_t i = 0; i < count; ++i) uv_timer_stop(&timers_[load_.Jump(i)].handle);
    stopwatch.Stop(operations);

    ArmAll(&TimerLoad::FiringDeadline);
    stopwatch.Start();
    // Until no timer is active.
    uv_run(&loop_, UV_RUN_DEFAULT);
    stopwatch.Stop(operations, &lateness_);
    return CheckTimers("fire", fired_, count, early_);
  }

 private:
  struct Timer {
    uv_timer_t handle;
    LibuvTimers* owner = nullptr;
    int64_t deadline_ns = 0;
  };

  static void OnFired(uv_timer_t* handle) {
    Timer& timer = *static_cast<Timer*>(handle->data);
    timer.owner->Fired(timer);
  }

  // Its clock counts whole milliseconds: the first that is not before the deadline.
  void Arm(Timer& timer, int64_t deadline_ns) {
    timer.deadline_ns = deadline_ns;
    const int64_t due_ms = (deadline_ns + kMillisecondNs - 1) / kMillisecondNs;
    const int64_t delay_ms = due_ms - static_cast<int64_t>(uv_now(&loop_));
    uv_timer_start(&timer.handle, &OnFired, static_cast<uint64_t>(delay_ms), 0);
  }

  void ArmAll(int64_t (TimerLoad::*deadline)(int64_t base_ns)) {
    uv_update_time(&loop_);
    base_ns_ = MonotonicNs();
    for (size_t i = 0; i < load_.timers(); ++i) Arm(timers_[i], (load_.*deadline)(base_ns_));
    uv_run(&loop_, UV_RUN_NOWAIT);
  }

  void Fired(const Timer& timer) {
    ++fired_;
    const int64_t late_ns = MonotonicNs() - timer.deadline_ns;
    if (late_ns < 0) ++early_;
    lateness_.Record(late_ns);
  }

  uv_loop_t& loop_;
  TimerLoad load_;
  const std::unique_ptr<Timer[]> timers_;
  int64_t base_ns_ = 0;
  size_t fired_ = 0;
  size_t early_ = 0;
  LatencyHistogram lateness_;
};

}  // namespace

absl::Status RunLibuvTimers(TimerLoad load, Stopwatch& stopwatch) {
  uv_loop_t loop;
  const int error = uv_loop_init(&loop);
  if (error != 0) return absl::InternalError(absl::StrCat("uv_loop_init: ", uv_strerror(error)));
  // Its process ends next: to close a million handles first would prove nothing.
  return LibuvTimers(loop, load).Run(stopwatch);
}

}  // namespace tenon::bench
