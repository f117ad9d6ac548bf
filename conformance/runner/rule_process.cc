#include "tenon/conformance/runner/rule_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tenon/conformance/ledger/ledger.h"

extern char** environ;

namespace tenon::conformance {
namespace {

constexpr char kSelf[] = "/proc/self/exe";
// Kept of a child's output. A sanitizer's report of two stacks fits.
constexpr size_t kOutputTail = 16 * 1024;
// A child sends a few records; one that floods the pipe is cut off.
constexpr size_t kMaxRecords = 1024 * 1024;
// Between asking a hanging child for its stack and killing it.
constexpr std::chrono::seconds kStackGrace{2};

// Variables that would make the child's GoogleTest shard, filter or write files.
bool IsForTests(std::string_view variable) {
  for (const std::string_view prefix : {"GTEST_", "TEST_", "TESTBRIDGE_", "XML_OUTPUT_FILE="}) {
    if (absl::StartsWith(variable, prefix)) return true;
  }
  return false;
}

// This process's environment for a child: its C library maps nothing of its own accord, and the
// sanitizers allow what rules do, which is forking, and asking for more memory than there is.
std::vector<std::string> ChildEnvironment() {
  std::map<std::string, std::string, std::less<>> settings = {
      {"GLIBC_TUNABLES", LedgerTunables()},
      {"ASAN_OPTIONS", "allocator_may_return_null=1"},
      {"TSAN_OPTIONS", "die_after_fork=0:allocator_may_return_null=1"}};
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (IsForTests(text)) continue;
    const std::pair<std::string_view, std::string_view> parts =
        absl::StrSplit(text, absl::MaxSplits('=', 1));
    const auto setting = settings.find(parts.first);
    if (setting == settings.end()) {
      variables.emplace_back(text);
    } else {
      setting->second = absl::StrCat(parts.second, ":", setting->second);
    }
  }
  for (const auto& [name, value] : settings) variables.push_back(absl::StrCat(name, "=", value));
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Between fork and exec: only what is safe there.
[[noreturn]] void ExecChild(pid_t parent, int report_fd, int output_fd, char* const* arguments,
                            char* const* environment) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before prctl
  const rlimit no_core = {};
  setrlimit(RLIMIT_CORE, &no_core);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null_fd, STDIN_FILENO);
  dup2(output_fd, STDOUT_FILENO);
  dup2(output_fd, STDERR_FILENO);
  fcntl(report_fd, F_SETFD, 0);
  execve(kSelf, arguments, environment);
  _exit(127);
}

std::string TemporaryRoot() {
  for (const char* name : {"TEST_TMPDIR", "TMPDIR"}) {
    const char* const value = getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "/tmp";
}

absl::StatusOr<std::pair<UniqueFd, UniqueFd>> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe for a rule's process");
  // Only the reader polls; the child's writes wait for room.
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

// Appends what can be read without waiting; closes at the end.
void ReadAvailable(UniqueFd& fd, std::string& bytes, size_t keep) {
  char buffer[8192];
  while (fd.ok()) {
    const ssize_t length = read(fd.get(), buffer, sizeof(buffer));
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
      fd.Reset();
      return;
    }
    bytes.append(buffer, length);
    if (bytes.size() > 2 * keep) bytes.erase(0, bytes.size() - keep);
  }
}

}  // namespace

RuleProcess::RuleProcess(std::string directory, std::chrono::seconds timeout)
    : directory_(std::move(directory)),
      timeout_(timeout),
      started_(Clock::now()),
      deadline_(started_ + timeout) {}

absl::StatusOr<std::unique_ptr<RuleProcess>> RuleProcess::Start(ChildRequest request,
                                                                std::chrono::seconds timeout) {
  std::string directory = absl::StrCat(TemporaryRoot(), "/conform-XXXXXX");
  if (mkdtemp(directory.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("temporary directory ", directory));
  }
  request.temporary_directory = directory;
  std::unique_ptr<RuleProcess> process(new RuleProcess(std::move(directory), timeout));
  const absl::Status status = process->Spawn(request);
  if (!status.ok()) return status;
  return process;
}

RuleProcess::~RuleProcess() {
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

absl::Status RuleProcess::Spawn(const ChildRequest& request) {
  auto report = MakePipe();
  if (!report.ok()) return report.status();
  auto output = MakePipe();
  if (!output.ok()) return output.status();
  std::vector<std::string> arguments = ChildArguments(request, report->second.get());
  arguments.insert(arguments.begin(), std::string(program_invocation_name));
  std::vector<std::string> environment = ChildEnvironment();
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "process for a rule");
  if (pid == 0) {
    ExecChild(parent, report->second.get(), output->second.get(), argument_pointers.data(),
              environment_pointers.data());
  }
  pid_ = pid;
  setpgid(pid, pid);  // whichever of the two comes first
  report_ = std::move(report->first);
  output_ = std::move(output->first);
  // By number: glibc 2.36 declares pidfd_open for C alone.
  process_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process_.ok()) {
    return absl::ErrnoToStatus(errno, "descriptor of a rule's process (pidfd_open, Linux 5.3)");
  }
  return absl::OkStatus();
}

void RuleProcess::Read() {
  ReadAvailable(report_, evidence_.records, kMaxRecords);
  ReadAvailable(output_, evidence_.output, kOutputTail);
}

void RuleProcess::CheckDeadline() {
  if (pid_ < 0 || Clock::now() < deadline_) return;
  if (evidence_.killed_after_s == 0) {
    evidence_.killed_after_s = timeout_.count();
    deadline_ += kStackGrace;
    kill(pid_, SIGABRT);
  } else {
    deadline_ = Clock::time_point::max();
    kill(-pid_, SIGKILL);
  }
}

bool RuleProcess::Finished() {
  if (pid_ < 0) return true;
  // The group is killed before the child is reaped: afterwards its number could be another's.
  siginfo_t info = {};
  if (waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
    return false;
  }
  Kill();
  return true;
}

void RuleProcess::Kill() {
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  while (waitpid(pid_, &evidence_.wait_status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  ended_ = Clock::now();
  Read();
}

int64_t RuleProcess::milliseconds() const {
  const Clock::time_point end = pid_ < 0 ? ended_ : Clock::now();
  return std::chrono::duration_cast<std::chrono::milliseconds>(end - started_).count();
}

}  // namespace tenon::conformance
