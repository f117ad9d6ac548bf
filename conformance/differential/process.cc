#include "tenon/conformance/differential/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tenon/conformance/ledger/tracking_allocator.h"
#include "tenon/conformance/runner/process_end.h"
#include "tenon/conformance/runner/record_pipe.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance::differential {
namespace {

using Clock = std::chrono::steady_clock;

// Kept of what the child writes to standard error.
constexpr size_t kErrorTail = 16 * 1024;

// A temporary folder, removed with everything in it.
class Folder {
 public:
  Folder() {
    for (const char* name : {"TEST_TMPDIR", "TMPDIR"}) {
      const char* const value = getenv(name);
      if (path_.empty() && value != nullptr) path_ = value;
    }
    path_ = absl::StrCat(path_.empty() ? "/tmp" : path_, "/differential-XXXXXX");
    PCHECK(::mkdtemp(path_.data()) != nullptr) << path_;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe MakePipe() {
  int fds[2];
  PCHECK(::pipe2(fds, O_CLOEXEC) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// In the child, before what it is for.
void BecomeChild(pid_t parent, const std::string& folder, int error_fd) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  const rlimit no_core = {};
  ::setrlimit(RLIMIT_CORE, &no_core);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM}) ::signal(number, SIG_DFL);
  ::dup2(error_fd, STDERR_FILENO);
  PCHECK(::chdir(folder.c_str()) == 0) << folder;
}

// Appends what can be read; closes at the end of the pipe.
void ReadSome(UniqueFd& fd, std::string& bytes) {
  char buffer[16 * 1024];
  const ssize_t length = ::read(fd.get(), buffer, sizeof(buffer));
  if (length < 0 && errno == EINTR) return;
  if (length <= 0) {
    fd.Reset();
  } else {
    bytes.append(buffer, static_cast<size_t>(length));
  }
}

// Reads both pipes to their ends, which come when the child and all it started are gone. False when
// the deadline passed before.
bool ReadBoth(Pipe& report, std::string& records, Pipe& error, std::string& tail,
              Clock::time_point deadline) {
  while (report.read.ok() || error.read.ok()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    // poll(2) skips negative descriptors.
    pollfd polled[2] = {{report.read.get(), POLLIN, 0}, {error.read.get(), POLLIN, 0}};
    if (::poll(polled, 2, static_cast<int>(std::min<int64_t>(left, 1'000))) <= 0) continue;
    if (polled[0].revents != 0) ReadSome(report.read, records);
    if (polled[1].revents != 0) ReadSome(error.read, tail);
    if (tail.size() > 2 * kErrorTail) tail.erase(0, tail.size() - kErrorTail);
  }
  return true;
}

// A line of a log without what differs from run to run: its severity, time, thread and place.
std::string_view WithoutPrefix(std::string_view line) {
  const size_t end = line.find("] ");
  const bool logged = !line.empty() && absl::ascii_isupper(static_cast<unsigned char>(line[0]));
  return logged && end != std::string_view::npos ? line.substr(end + 2) : line;
}

// Why it died, as far as it said: a sanitizer's report, a CHECK, or the first line.
std::string Cause(std::string_view standard_error) {
  const std::string report = FindSanitizerReport(standard_error);
  if (!report.empty()) return absl::StrCat(": ", report);
  std::string_view cause;
  for (const std::string_view line : absl::StrSplit(standard_error, '\n', absl::SkipWhitespace())) {
    const bool fatal = absl::StartsWith(line, "F") && absl::StrContains(line, "] ");
    if (cause.empty() || fatal) cause = WithoutPrefix(line);
    if (fatal) break;
  }
  return cause.empty() ? "" : absl::StrCat(": ", cause);
}

// What a child reported, and how it ended; empty for an exit with status 0.
struct Report {
  std::string records;
  std::string death;
};

// Runs `work` in a child, with a descriptor to report to, and waits for it.
Report RunChild(std::chrono::seconds watchdog, absl::FunctionRef<void(int)> work) {
  const Folder folder;
  Pipe report = MakePipe();
  Pipe error = MakePipe();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  PCHECK(child >= 0) << "fork";
  if (child == 0) {
    report.read.Reset();
    error.read.Reset();
    BecomeChild(parent, folder.path(), error.write.get());
    work(report.write.get());
    ::_exit(0);
  }
  ::setpgid(child, child);  // whichever of the two comes first
  report.write.Reset();
  error.write.Reset();
  Report result;
  std::string tail;
  const bool ended = ReadBoth(report, result.records, error, tail, Clock::now() + watchdog);
  // Not yet reaped: its number cannot be another's.
  if (!ended) ::kill(-child, SIGKILL);
  int wait_status = 0;
  while (::waitpid(child, &wait_status, 0) < 0) PCHECK(errno == EINTR) << "waitpid";
  result.death =
      ended ? DescribeProcessEnd(wait_status) : absl::StrCat("hang after ", watchdog.count(), " s");
  if (!result.death.empty()) absl::StrAppend(&result.death, Cause(tail));
  return result;
}

}  // namespace

History RunInProcess(const Script& script, const LoopBackendFactory& factory,
                     const ProcessOptions& options) {
  const Report report = RunChild(options.watchdog, [&](int report_fd) {
    HistoryWriter history(report_fd);
    Execute(script, factory, options.execution, history);
  });
  return ParseHistory(report.records, report.death);
}

absl::StatusOr<BackendCapabilities> CapabilitiesInProcess(const LoopBackendFactory& factory,
                                                          const ProcessOptions& options) {
  constexpr char kCapabilities = 'K';
  constexpr char kRefusal = 'R';
  const Report report = RunChild(options.watchdog, [&](int report_fd) {
    TrackingAllocator allocator;
    const absl::StatusOr<Owned<LoopBackend>> backend = factory.Create({}, allocator);
    if (!backend.ok()) return WriteRecord(report_fd, kRefusal, backend.status().ToString());
    const BackendCapabilities declared = (*backend)->capabilities();
    const char flags[] = {declared.multishot ? '1' : '0', declared.provided_buffers ? '1' : '0'};
    WriteRecord(report_fd, kCapabilities, std::string_view(flags, sizeof(flags)));
  });
  for (const Record& record : ParseRecords(report.records)) {
    if (record.type == kRefusal) return absl::FailedPreconditionError(record.payload);
    return BackendCapabilities{.multishot = record.payload[0] == '1',
                               .provided_buffers = record.payload[1] == '1'};
  }
  return absl::UnavailableError(absl::StrCat("did not say what it declares: ", report.death));
}

}  // namespace tenon::conformance::differential
