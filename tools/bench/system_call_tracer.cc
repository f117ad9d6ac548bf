#include "tenon/tools/bench/system_call_tracer.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tenon::bench {
namespace {

// What WSTOPSIG is at a system call (PTRACE_O_TRACESYSGOOD).
constexpr int kSystemCallStop = SIGTRAP | 0x80;

// The traced process: it stops once, for the tracer to set its options, and goes on.
[[noreturn]] void RunTraced(const std::function<void()>& body, pid_t tracer) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != tracer) _exit(1);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(errno);
  raise(SIGSTOP);
  body();
  _exit(1);
}

absl::Status Refused(int error) {
  return absl::ErrnoToStatus(
      error,
      "ptrace, by which system calls are counted, is not permitted (a container may need "
      "the capability SYS_PTRACE, or another seccomp profile)");
}

// Which signal a thread that stopped is to go on with; 0 for stops that are the tracer's own.
int SignalToDeliver(int status) {
  const int signal = WSTOPSIG(status);
  // A new thread begins with SIGSTOP, and events come as SIGTRAP; nobody sends either otherwise.
  return signal == SIGSTOP || signal == SIGTRAP ? 0 : signal;
}

absl::Status AwaitFirstStop(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFSTOPPED(status)) return Refused(WIFEXITED(status) ? WEXITSTATUS(status) : EPERM);
  const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SETOPTIONS, pid, nullptr, options) != 0 ||
      ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr) != 0) {
    const int error = errno;
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return Refused(error);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TraceSystemCalls(const std::function<void()>& body, SystemCallCounter& counter) {
  const pid_t tracer = getpid();
  const pid_t traced = fork();
  if (traced < 0) return absl::ErrnoToStatus(errno, "fork");
  if (traced == 0) RunTraced(body, tracer);
  absl::Status first = AwaitFirstStop(traced);
  if (!first.ok()) return first;
  while (true) {
    int status = 0;
    const pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0) {
      if (errno == EINTR) continue;
      return absl::ErrnoToStatus(errno, "waitpid of what is traced");
    }
    if (WIFSTOPPED(status)) {
      const bool at_call = WSTOPSIG(status) == kSystemCallStop;
      if (at_call) counter.CountStop();
      // ESRCH: it was killed meanwhile, which waitpid reports next.
      ptrace(PTRACE_SYSCALL, thread, nullptr, at_call ? 0 : SignalToDeliver(status));
      continue;
    }
    if (thread != traced) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
    return absl::AbortedError(WIFSIGNALED(status)
                                  ? absl::StrCat("died of: ", strsignal(WTERMSIG(status)))
                                  : "ended by itself");
  }
}

}  // namespace tenon::bench
