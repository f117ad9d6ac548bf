// bench COMMAND [OPTION…]: measures Tenon beside its peers, in one run, and reports both.
//
// Exit status: 0 on success, 1 if something could not be measured or written, 2 if the command line
// is wrong, 130 if it was interrupted.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/command.h"
#include "tenon/tools/bench/echo_command.h"
#include "tenon/tools/bench/file_bench.h"
#include "tenon/tools/bench/heap/heap_bench.h"
#include "tenon/tools/bench/options.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/timer_bench.h"
#include "tenon/tools/bench/wake_bench.h"

namespace tenon::bench {
namespace {

enum ExitStatus { kSuccess = 0, kFailure = 1, kUsage = 2, kInterrupted = 130 };

std::vector<Command> Commands() {
  return {EchoCommand(), FilesCommand(),  TimersCommand(),
          WakeCommand(), AcceptCommand(), AllocCommand()};
}

std::string CommandNames() {
  return absl::StrJoin(Commands(), ", ", [](std::string* out, const Command& command) {
    absl::StrAppend(out, command.name);
  });
}

std::string Help() {
  std::string text = "usage: bench COMMAND [OPTION…]\n";
  for (const Command& command : Commands()) {
    absl::StrAppend(&text, "  ", command.name, std::string(8 - command.name.size(), ' '),
                    command.summary, "\n");
  }
  return absl::StrCat(text, "`bench COMMAND --help` lists the options.\n");
}

int Complain(absl::string_view message) {
  std::fprintf(stderr, "bench: %.*s\n", static_cast<int>(message.size()), message.data());
  return kUsage;
}

// SIGINT and SIGTERM as a descriptor, so that what runs can end what it has started.
absl::StatusOr<UniqueFd> SignalsAsDescriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) {
    return absl::ErrnoToStatus(errno, "sigprocmask");
  }
  UniqueFd descriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor.ok()) return absl::ErrnoToStatus(errno, "signalfd");
  return descriptor;
}

absl::Status WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, "cannot write the report");
    text.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

// `bazel run` changes the directory; what the user typed is relative to where they typed it.
std::string UserPath(const std::string& path) {
  const char* directory = getenv("BUILD_WORKING_DIRECTORY");
  if (directory == nullptr || path[0] == '/') return path;
  return absl::StrCat(directory, "/", path);
}

// The file is opened before anything is measured, and replaced after.
absl::Status RunAndReport(const Command& command, const Options& options) {
  UniqueFd file;
  if (!options.out.empty()) {
    const std::string path = UserPath(options.out);
    file = UniqueFd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
    if (!file.ok()) return absl::ErrnoToStatus(errno, absl::StrCat("--out: ", options.out));
  }
  absl::StatusOr<UniqueFd> signals = SignalsAsDescriptor();
  if (!signals.ok()) return signals.status();
  absl::StatusOr<Report> report = command.run(options, signals->get());
  if (!report.ok()) return report.status();
  const std::string text = options.format == Format::kJson ? ToJson(*report) : ToTable(*report);
  if (!file.ok()) return WriteAll(STDOUT_FILENO, text);
  if (ftruncate(file.get(), 0) != 0 && errno != EINVAL) {
    return absl::ErrnoToStatus(errno, absl::StrCat("--out: ", options.out));
  }
  return WriteAll(file.get(), text);
}

int RunWith(const Command& command, absl::Span<const absl::string_view> arguments) {
  absl::StatusOr<Options> options = ParseOptions(arguments, command.options);
  if (!options.ok()) {
    return Complain(absl::StrCat(command.name, ": ", options.status().message()));
  }
  if (options->help) {
    std::printf("usage: bench %s [OPTION…]: %s\n%s", command.name.c_str(), command.summary.c_str(),
                OptionsHelp(command.options).c_str());
    return kSuccess;
  }
  absl::Status status = RunAndReport(command, *options);
  if (status.ok()) return kSuccess;
  Complain(absl::StrCat(command.name, ": ", status.message()));
  return absl::IsCancelled(status) ? kInterrupted : kFailure;
}

int Main(absl::Span<const absl::string_view> arguments) {
  if (arguments.empty()) {
    return Complain(
        absl::StrCat("no command given; valid: ", CommandNames(), " (`bench --help` says more)"));
  }
  if (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    std::fputs(Help().c_str(), stdout);
    return kSuccess;
  }
  for (const Command& command : Commands()) {
    if (command.name == arguments[0]) return RunWith(command, arguments.subspan(1));
  }
  return Complain(absl::StrCat("unknown command '", arguments[0], "'; valid: ", CommandNames()));
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) {
  const std::vector<absl::string_view> arguments(argv + std::min(argc, 1), argv + argc);
  return tenon::bench::Main(arguments);
}
