#include "tenon/conformance/faults/run_in_child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "absl/log/check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "tenon/conformance/runner/process_end.h"
#include "tenon/conformance/runner/record_pipe.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {
namespace {

constexpr char kFailureRecord = 'F';
constexpr char kCodeRecord = 'C';
constexpr char kMessageRecord = 'M';
constexpr size_t kErrorTail = 8 * 1024;

// Sends the failures of the child to its parent.
class FailureSender : public testing::EmptyTestEventListener {
 public:
  explicit FailureSender(int fd) : fd_(fd), owner_(getpid()) {}

  void OnTestPartResult(const testing::TestPartResult& result) override {
    // What this process forks in turn reports to it.
    if (!result.failed() || getpid() != owner_) return;
    WriteRecord(fd_, kFailureRecord,
                absl::StrCat(result.file_name() != nullptr ? result.file_name() : "?", ":",
                             result.line_number(), ": ", result.message()));
  }

 private:
  const int fd_;
  const pid_t owner_;
};

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe MakePipe() {
  int fds[2];
  PCHECK(pipe2(fds, O_CLOEXEC) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

[[noreturn]] void RunChild(pid_t parent, int report_fd, int error_fd,
                           absl::FunctionRef<absl::Status()> callable) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const rlimit no_core = {};
  setrlimit(RLIMIT_CORE, &no_core);
  dup2(error_fd, STDERR_FILENO);
  // GoogleTest owns the listener from here on; the process ends before it would be deleted.
  testing::UnitTest::GetInstance()->listeners().Append(new FailureSender(report_fd));
  const absl::Status status = callable();
  WriteRecord(report_fd, kMessageRecord, status.message());
  WriteRecord(report_fd, kCodeRecord, absl::StrCat(static_cast<int>(status.code())));
  _exit(0);
}

// Appends what can be read; closes at the end of the pipe.
void ReadSome(UniqueFd& fd, std::string& bytes) {
  char buffer[4096];
  const ssize_t length = read(fd.get(), buffer, sizeof(buffer));
  if (length < 0 && errno == EINTR) return;
  if (length <= 0) {
    fd.Reset();
  } else {
    bytes.append(buffer, length);
  }
}

// Reads both pipes to their ends, which come when the child and what it forked are gone.
void ReadBoth(UniqueFd& report, std::string& report_bytes, UniqueFd& error, std::string& tail) {
  while (report.ok() || error.ok()) {
    // poll(2) skips negative descriptors.
    pollfd polled[2] = {{report.get(), POLLIN, 0}, {error.get(), POLLIN, 0}};
    if (poll(polled, 2, -1) < 0) continue;
    if (polled[0].revents != 0) ReadSome(report, report_bytes);
    if (polled[1].revents != 0) ReadSome(error, tail);
    if (tail.size() > 2 * kErrorTail) tail.erase(0, tail.size() - kErrorTail);
  }
}

ChildOutcome MakeOutcome(std::string_view report, int wait_status) {
  ChildOutcome outcome;
  std::string message;
  for (const Record& record : ParseRecords(report)) {
    int code = 0;
    if (record.type == kFailureRecord) outcome.failures.push_back(record.payload);
    if (record.type == kMessageRecord) message = record.payload;
    if (record.type == kCodeRecord && absl::SimpleAtoi(record.payload, &code)) {
      outcome.status = absl::Status(static_cast<absl::StatusCode>(code), message);
      outcome.returned = true;
    }
  }
  outcome.death = DescribeProcessEnd(wait_status);
  if (outcome.death.empty() && !outcome.returned) outcome.death = "exit 0";
  if (!outcome.death.empty()) outcome.returned = false;
  return outcome;
}

}  // namespace

std::string ChildOutcome::Describe() const {
  if (returned) return absl::StrCat("returned ", status.ToString());
  const std::string_view text = absl::StripTrailingAsciiWhitespace(standard_error);
  const size_t newline = text.rfind('\n');
  return absl::StrCat(death, ": ",
                      newline == std::string_view::npos ? text : text.substr(newline + 1));
}

ChildOutcome RunInChild(absl::FunctionRef<absl::Status()> callable) {
  Pipe report = MakePipe();
  Pipe error = MakePipe();
  const pid_t parent = getpid();
  const pid_t child = fork();
  PCHECK(child >= 0) << "fork";
  if (child == 0) RunChild(parent, report.write.get(), error.write.get(), callable);
  report.write.Reset();
  error.write.Reset();
  std::string report_bytes, tail;
  ReadBoth(report.read, report_bytes, error.read, tail);
  int wait_status = 0;
  while (waitpid(child, &wait_status, 0) < 0) PCHECK(errno == EINTR) << "waitpid";

  ChildOutcome outcome = MakeOutcome(report_bytes, wait_status);
  outcome.standard_error = std::move(tail);
  if (outcome.returned) {
    for (const std::string& failure : outcome.failures) ADD_FAILURE() << "in a child: " << failure;
  }
  return outcome;
}

}  // namespace tenon::conformance
