// Timers of Boost.Asio: a new deadline, or a cancel, completes the wait that was pending with
// operation_aborted, in a later turn.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include "absl/status/status.h"
#include "boost/asio.hpp"
#include "tenon/tools/bench/child_process.h"
#include "tenon/tools/bench/latency_histogram.h"
#include "tenon/tools/bench/timer_subjects.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {
namespace {

using boost::system::error_code;
using Clock = std::chrono::steady_clock;

// steady_clock is CLOCK_MONOTONIC.
Clock::time_point TimeAt(int64_t ns) { return Clock::time_point(std::chrono::nanoseconds(ns)); }

class AsioTimers {
 public:
  AsioTimers(boost::asio::io_context& context, TimerLoad load) : context_(context), load_(load) {
    timers_.reserve(load_.timers());
    for (size_t i = 0; i < load_.timers(); ++i) timers_.emplace_back(context_);
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
      if (i % kTimersPerTurn == kTimersPerTurn - 1) Turn();
    }
    Turn();
    stopwatch.Stop(operations);
    absl::Status status = CheckTimers("re-arm", cancelled_, count, 0);
    cancelled_ = 0;

    stopwatch.Start();
    for (size_t i = 0; i < count; ++i) {
      timers_[load_.Jump(i)].cancel();
      if (i % kTimersPerTurn == kTimersPerTurn - 1) Turn();
    }
    Turn();
    stopwatch.Stop(operations);
    status.Update(CheckTimers("cancel", cancelled_, count, 0));

    ArmAll(&TimerLoad::FiringDeadline);
    stopwatch.Start();
    context_.restart();
    context_.run();
    stopwatch.Stop(operations, &lateness_);
    status.Update(CheckTimers("fire", fired_, count, early_));
    return status;
  }

 private:
  void Turn() {
    context_.restart();
    context_.poll();
  }

  void Arm(boost::asio::steady_timer& timer, int64_t deadline_ns) {
    timer.expires_at(TimeAt(deadline_ns));
    timer.async_wait([this, deadline_ns](const error_code& error) { Done(error, deadline_ns); });
  }

  void ArmAll(int64_t (TimerLoad::*deadline)(int64_t base_ns)) {
    base_ns_ = MonotonicNs();
    for (boost::asio::steady_timer& timer : timers_) Arm(timer, (load_.*deadline)(base_ns_));
    Turn();
  }

  void Done(const error_code& error, int64_t deadline_ns) {
    if (error) {
      ++cancelled_;
      return;
    }
    ++fired_;
    const int64_t late_ns = MonotonicNs() - deadline_ns;
    if (late_ns < 0) ++early_;
    lateness_.Record(late_ns);
  }

  boost::asio::io_context& context_;
  TimerLoad load_;
  std::vector<boost::asio::steady_timer> timers_;
  int64_t base_ns_ = 0;
  size_t cancelled_ = 0;
  size_t fired_ = 0;
  size_t early_ = 0;
  LatencyHistogram lateness_;
};

}  // namespace

absl::Status RunAsioTimers(TimerLoad load, Stopwatch& stopwatch) {
  try {
    boost::asio::io_context context(1);
    return AsioTimers(context, load).Run(stopwatch);
  } catch (const std::exception& exception) {
    return absl::InternalError(exception.what());
  }
}

}  // namespace tenon::bench
