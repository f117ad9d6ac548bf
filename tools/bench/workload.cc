#include "tenon/tools/bench/workload.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/child_process.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/latency_histogram.h"
#include "tenon/tools/bench/shared_memory.h"

namespace tenon::bench {
namespace {

// No workload needs a tenth of it, also under a tracer.
constexpr int64_t kTimeoutNs = 300'000'000'000;

struct Board {
  std::atomic<size_t> phases_done{0};
  std::array<Figures, kMaxPhases> phases;
};

int64_t Microseconds(const timeval& time) {
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
}

// Of the whole process.
int64_t CpuNs() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Forgets how much memory the process has had at most (proc_pid_clear_refs(5)).
void ResetPeakRss() {
  const UniqueFd file(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
  if (file.ok() && write(file.get(), "5", 1) < 0) return;
}

// 0 where the kernel does not say.
int64_t PeakRssBytes() {
  const UniqueFd file(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text;
  const ssize_t size = file.ok() ? read(file.get(), text.data(), text.size()) : 0;
  const absl::string_view status(text.data(), size < 0 ? 0 : static_cast<size_t>(size));
  constexpr absl::string_view kField = "VmHWM:";
  const size_t at = status.find(kField);
  if (at == absl::string_view::npos) return 0;
  const absl::string_view rest = status.substr(at + kField.size());
  int64_t kibibytes = 0;
  const bool found = absl::SimpleAtoi(rest.substr(0, rest.find(" kB")), &kibibytes);
  return found ? kibibytes * 1024 : 0;
}

}  // namespace

// Everything but the count of system calls.
Figures Stopwatch::Read() {
  Figures now;
  absl::StatusOr<CpuTime> cpu = ReadCpuTime(getpid());
  if (cpu.ok()) now.displaced_ns = cpu->displaced_ns;
  // Finer than the ticks of /proc, though sampled alike.
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  now.user_part = Microseconds(usage.ru_utime);
  now.system_part = Microseconds(usage.ru_stime);
  now.cpu_ns = CpuNs();
  now.wall_ns = MonotonicNs();
  return now;
}

void Stopwatch::Start() {
  ResetPeakRss();
  start_ = Read();
  start_.system_calls = system_calls_.Read();
}

void Stopwatch::Stop(int64_t operations, const LatencyHistogram* latency) {
  CHECK_LT(done_, phases_.size());
  // First, so that those that follow are not counted.
  const int64_t system_calls = system_calls_.Read();
  const int64_t wall_ns = MonotonicNs();
  const int64_t cpu_ns = CpuNs();
  Figures& phase = phases_[done_++];
  phase = Read();
  phase.operations = operations;
  phase.wall_ns = wall_ns - start_.wall_ns;
  phase.cpu_ns = cpu_ns - start_.cpu_ns;
  phase.user_part -= start_.user_part;
  phase.system_part -= start_.system_part;
  phase.displaced_ns -= start_.displaced_ns;
  phase.system_calls = system_calls - start_.system_calls;
  phase.peak_rss_bytes = PeakRssBytes();
  if (latency == nullptr) return;
  phase.p50_ns = latency->Percentile(0.5);
  phase.p99_ns = latency->Percentile(0.99);
  phase.p999_ns = latency->Percentile(0.999);
}

absl::StatusOr<std::vector<Figures>> RunWorkload(const Workload& workload, size_t phases,
                                                 const ChildOptions& options, int cancel_fd) {
  CHECK_LE(phases, kMaxPhases);
  absl::StatusOr<SharedMemory<Board>> board = SharedMemory<Board>::Create();
  if (!board.ok()) return board.status();
  absl::StatusOr<std::unique_ptr<ChildProcess>> process =
      ChildProcess::Start(options, [&](const SystemCallCounter& system_calls) {
        Stopwatch stopwatch(system_calls, absl::MakeSpan((*board)->phases).first(phases));
        absl::Status status = workload(stopwatch);
        (*board)->phases_done = stopwatch.phases_done();
        return status;
      });
  if (!process.ok()) return process.status();
  absl::Status status = (*process)->Wait(cancel_fd, kTimeoutNs);
  if (!status.ok()) return status;
  const Board& done = **board;
  return std::vector<Figures>(done.phases.begin(), done.phases.begin() + done.phases_done.load());
}

}  // namespace tenon::bench
