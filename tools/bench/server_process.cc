// Forking, pinning, measuring and ending the process of a server.

#include "tenon/tools/bench/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
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

namespace tenon::bench {
namespace {

// As many connections as a benchmark opens can wait to be accepted, where net.core.somaxconn allows
// it.
constexpr int kBacklog = 4096;

absl::StatusOr<UniqueFd> Listen(uint16_t& port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.ok()) return absl::ErrnoToStatus(errno, "socket");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return absl::ErrnoToStatus(errno, "bind to a free port of 127.0.0.1");
  }
  if (listen(socket.get(), kBacklog) != 0) return absl::ErrnoToStatus(errno, "listen");
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return absl::ErrnoToStatus(errno, "getsockname");
  }
  port = ntohs(address.sin_port);
  return socket;
}

// The whole life of the child.
[[noreturn]] void RunChild(absl::Status (*serve)(int), int listen_fd, int reason_fd, int cpu,
                           pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // It died before the line above.
  signal(SIGPIPE, SIG_IGN);
  // Typed at a terminal, it comes to the parent as well, which then ends this process.
  signal(SIGINT, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  absl::Status status = PinToCpu(cpu);
  if (status.ok()) status = serve(listen_fd);
  const std::string text = status.ToString();
  [[maybe_unused]] const ssize_t written = write(reason_fd, text.data(), text.size());
  _exit(1);
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

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(
    absl::Status (*serve)(int listen_fd), int cpu) {
  uint16_t port = 0;
  absl::StatusOr<UniqueFd> listener = Listen(port);
  if (!listener.ok()) return listener.status();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe2");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) RunChild(serve, listener->get(), write_end.get(), cpu, parent);
  return std::unique_ptr<ServerProcess>(new ServerProcess(pid, port, std::move(read_end)));
}

ServerProcess::~ServerProcess() { Stop(); }

absl::StatusOr<CpuTime> ServerProcess::ReadCpuTime() const {
  clockid_t clock;
  timespec time;
  if (pid_ < 0 || clock_getcpuclockid(pid_, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    return absl::UnavailableError("the server's process has ended");
  }
  const std::string line = ReadProc(pid_, "stat");
  // proc_pid_stat(5): the second field is the name in parentheses, which may hold anything; utime
  // and stime are the 14th and 15th, that is the 12th and 13th behind the name.
  const size_t name_end = line.rfind(')');
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(line).substr(name_end == std::string::npos ? 0 : name_end),
                     ' ', absl::SkipEmpty());
  CpuTime cpu = {.total_ns = int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec};
  if (fields.size() < 14 || !absl::SimpleAtoi(fields[12], &cpu.user_ticks) ||
      !absl::SimpleAtoi(fields[13], &cpu.system_ticks)) {
    return absl::UnavailableError("the server's process has ended");
  }
  // Time on the processor, time waiting for it, number of times it got it
  // (Documentation/scheduler/sched-stats.rst).
  const std::string schedule = ReadProc(pid_, "schedstat");
  const std::vector<absl::string_view> times = absl::StrSplit(schedule, ' ');
  if (times.size() < 2 || !absl::SimpleAtoi(times[1], &cpu.displaced_ns)) cpu.displaced_ns = 0;
  return cpu;
}

std::string ServerProcess::Stop() {
  if (pid_ < 0) return "stopped";
  kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return "was running until it was stopped";
  if (WIFSIGNALED(status)) return absl::StrCat("died of: ", strsignal(WTERMSIG(status)));
  const std::string reason = ReadAll(reason_.get());
  return absl::StrCat("ended by itself: ", reason.empty() ? "no reason given" : reason);
}

}  // namespace tenon::bench
