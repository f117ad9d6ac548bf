// Forking, pinning, measuring and ending a process.

#include "tenon/tools/bench/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/shared_memory.h"
#include "tenon/tools/bench/system_call_tracer.h"

namespace tenon::bench {
namespace {

// Writes why the child ends, and ends it: with 0 if all went well.
[[noreturn]] void End(const absl::Status& status, int reason_fd) {
  if (status.ok()) _exit(0);
  const std::string text = status.ToString();
  [[maybe_unused]] const ssize_t written = write(reason_fd, text.data(), text.size());
  _exit(1);
}

// The whole life of the child, and where system calls are counted, of the child and its own.
[[noreturn]] void RunChild(const ChildOptions& options, const ChildProcess::Body& body,
                           int reason_fd, SystemCallCounter& system_calls, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // It died before the line above.
  signal(SIGPIPE, SIG_IGN);
  // Typed at a terminal, it comes to the parent as well, which then ends this process.
  signal(SIGINT, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  absl::Status status = options.cpu < 0 ? absl::OkStatus() : PinToCpu(options.cpu);
  if (!status.ok()) End(status, reason_fd);
  if (!options.count_system_calls) End(body(system_calls), reason_fd);
  status = TraceSystemCalls([&] { End(body(system_calls), reason_fd); }, system_calls);
  // What is traced has given its reason.
  if (absl::IsAborted(status)) _exit(1);
  End(status, reason_fd);
}

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 512> buffer;
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
}

// A file of /proc/PID, whole; empty if it cannot be read.
std::string ReadProc(pid_t pid, absl::string_view name) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/", name));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

absl::StatusOr<std::vector<int>> AllowedCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) {
    return absl::ErrnoToStatus(errno, "sched_getaffinity");
  }
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

absl::Status PinToCpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("sched_setaffinity to processor ", cpu));
  }
  return absl::OkStatus();
}

int64_t MonotonicNs() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

absl::StatusOr<CpuTime> ReadCpuTime(pid_t pid) {
  clockid_t clock;
  timespec time;
  if (pid < 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    return absl::UnavailableError("the measured process has ended");
  }
  const std::string line = ReadProc(pid, "stat");
  // proc_pid_stat(5): the second field is the name in parentheses, which may hold anything; utime
  // and stime are the 14th and 15th, that is the 12th and 13th behind the name.
  const size_t name_end = line.rfind(')');
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(line).substr(name_end == std::string::npos ? 0 : name_end),
                     ' ', absl::SkipEmpty());
  CpuTime cpu = {.total_ns = int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec};
  if (fields.size() < 14 || !absl::SimpleAtoi(fields[12], &cpu.user_ticks) ||
      !absl::SimpleAtoi(fields[13], &cpu.system_ticks)) {
    return absl::UnavailableError("the measured process has ended");
  }
  // Time on the processor, time waiting for it, number of times it got it
  // (Documentation/scheduler/sched-stats.rst).
  const std::string schedule = ReadProc(pid, "schedstat");
  const std::vector<absl::string_view> times = absl::StrSplit(schedule, ' ');
  if (times.size() < 2 || !absl::SimpleAtoi(times[1], &cpu.displaced_ns)) cpu.displaced_ns = 0;
  return cpu;
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const ChildOptions& options,
                                                                  const Body& body) {
  absl::StatusOr<SharedMemory<SystemCallCounter>> system_calls =
      SharedMemory<SystemCallCounter>::Create();
  if (!system_calls.ok()) return system_calls.status();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe2");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) RunChild(options, body, write_end.get(), **system_calls, parent);
  return std::unique_ptr<ChildProcess>(new ChildProcess(
      pid, options.count_system_calls, std::move(read_end), *std::move(system_calls)));
}

ChildProcess::~ChildProcess() { Stop(); }

int ChildProcess::Reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

absl::Status ChildProcess::Wait(int cancel_fd, int64_t timeout_ns) {
  if (pid_ < 0) return absl::FailedPreconditionError("the process was stopped");
  // A descriptor of -1 is passed over by poll(2).
  std::array<pollfd, 2> descriptors = {{{.fd = reason_.get(), .events = POLLIN, .revents = 0},
                                        {.fd = cancel_fd, .events = POLLIN, .revents = 0}}};
  const int64_t end_ns = MonotonicNs() + timeout_ns;
  int count = 0;
  do {
    const int64_t left_ms = (end_ns - MonotonicNs()) / 1'000'000;
    count = poll(descriptors.data(), descriptors.size(),
                 static_cast<int>(std::clamp<int64_t>(left_ms, 0, INT_MAX)));
  } while (count < 0 && errno == EINTR);
  if (count < 0) return absl::ErrnoToStatus(errno, "poll");
  if (descriptors[1].revents != 0) return absl::CancelledError("interrupted");
  if (count == 0) return absl::DeadlineExceededError("it did not end in the time it should need");
  const std::string reason = ReadAll(reason_.get());
  const int status = Reap();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  if (WIFSIGNALED(status)) {
    return absl::InternalError(absl::StrCat("it died of: ", strsignal(WTERMSIG(status))));
  }
  return absl::InternalError(reason.empty() ? "it ended without a reason" : reason);
}

std::string ChildProcess::Stop() {
  if (pid_ < 0) return "stopped";
  kill(pid_, SIGKILL);
  const int status = Reap();
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  // The traced process dies with its tracer, but is not this one's to reap: its end of the pipe
  // tells when it is gone.
  if (killed && traced_) ReadAll(reason_.get());
  if (killed) return "was running until it was stopped";
  if (WIFSIGNALED(status)) return absl::StrCat("died of: ", strsignal(WTERMSIG(status)));
  const std::string reason = ReadAll(reason_.get());
  return absl::StrCat("ended by itself: ", reason.empty() ? "no reason given" : reason);
}

}  // namespace tenon::bench
