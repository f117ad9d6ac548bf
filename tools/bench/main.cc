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
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/echo_bench.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/host.h"
#include "tenon/tools/bench/options.h"
#include "tenon/tools/bench/report.h"

namespace tenon::bench {
namespace {

enum ExitStatus { kSuccess = 0, kFailure = 1, kUsage = 2, kInterrupted = 130 };

constexpr int kDefaultRounds = 7;
constexpr int64_t kMillisecond = 1'000'000;

// A line on the terminal that says what is going on; nothing where standard error is not one.
void ShowProgress(absl::string_view text) {
  if (isatty(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(text.size()), text.data());
  std::fflush(stderr);
}

void ShowNote(absl::string_view text) {
  std::fprintf(stderr, "bench: note: %.*s\n", static_cast<int>(text.size()), text.data());
}

// The subjects to run: those asked for, each of which has to be usable, or else all that are
// usable, with a note on each that is not.
absl::StatusOr<std::vector<EchoSubject>> ChooseSubjects(const std::vector<std::string>& wanted,
                                                        std::vector<std::string>& notes) {
  std::vector<EchoSubject> chosen;
  for (const EchoSubject& subject : EchoSubjects()) {
    const bool named = std::count(wanted.begin(), wanted.end(), subject.name) != 0;
    if (!wanted.empty() && !named) continue;
    const absl::Status usable = subject.probe == nullptr ? absl::OkStatus() : subject.probe();
    if (usable.ok()) {
      chosen.push_back(subject);
      continue;
    }
    const std::string why =
        absl::StrCat("subject ", subject.name, " cannot run here: ", usable.message());
    if (named) return absl::Status(usable.code(), why);
    notes.push_back(absl::StrCat("echo: ", why));
  }
  return chosen;
}

EchoPlan MakeEchoPlan(const Options& options, std::vector<EchoSubject> subjects, int cancel_fd) {
  EchoPlan plan;
  plan.subjects = std::move(subjects);
  plan.connections =
      options.connections.empty() ? std::vector<int>{1, 64, 512} : options.connections;
  plan.rounds = options.rounds != 0 ? options.rounds : options.quick ? kMinRounds : kDefaultRounds;
  plan.warm_up_ns = (options.quick ? 50 : 200) * kMillisecond;
  plan.window_ns = (options.quick ? 200 : 1000) * kMillisecond;
  plan.cancel_fd = cancel_fd;
  plan.progress = &ShowProgress;
  return plan;
}

absl::StatusOr<Report> Echo(const Options& options, int cancel_fd) {
  std::vector<std::string> notes = HostNotes();
  absl::StatusOr<std::vector<EchoSubject>> subjects = ChooseSubjects(options.subjects, notes);
  if (!subjects.ok()) return subjects.status();
  // What is known to be wrong is said before it takes its time.
  for (const std::string& note : notes) ShowNote(note);

  const bool ours = std::any_of(subjects->begin(), subjects->end(),
                                [](const EchoSubject& subject) { return subject.ours; });
  const EchoPlan plan = MakeEchoPlan(options, *std::move(subjects), cancel_fd);
  absl::StatusOr<Report> report = RunEcho(plan);
  ShowProgress("");
  if (!report.ok()) return report;

  std::vector<std::pair<std::string, std::string>> libraries;
  for (const EchoSubject& subject : EchoSubjects()) {
    if (subject.library != nullptr) libraries.emplace_back(subject.library, subject.version());
  }
  report->host = DescribeHost(std::move(libraries));
  report->notes.insert(report->notes.begin(), notes.begin(), notes.end());
  if (!ours) report->notes.push_back("echo: none of the subjects is ours, so there are no ratios");
  return report;
}

struct Command {
  absl::string_view name;
  absl::string_view summary;
  std::vector<absl::string_view> (*subjects)();
  // `cancel_fd` can be read once the user wants it to end: then it returns Cancelled.
  absl::StatusOr<Report> (*run)(const Options& options, int cancel_fd);
};

constexpr Command kCommands[] = {
    {"echo", "TCP echo of 64-byte messages: server CPU per request, throughput", &EchoSubjectNames,
     &Echo},
};

std::string CommandNames() {
  return absl::StrJoin(kCommands, ", ", [](std::string* out, const Command& command) {
    absl::StrAppend(out, command.name);
  });
}

std::string Help() {
  std::string text = "usage: bench COMMAND [OPTION…]\n";
  for (const Command& command : kCommands) {
    absl::StrAppend(&text, "  ", command.name, "  ", command.summary, "\n");
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

int RunCommand(const Command& command, absl::Span<const absl::string_view> arguments) {
  const std::vector<absl::string_view> subjects = command.subjects();
  absl::StatusOr<Options> options = ParseOptions(arguments, subjects);
  if (!options.ok()) {
    return Complain(absl::StrCat(command.name, ": ", options.status().message()));
  }
  if (options->help) {
    std::printf("usage: bench %s [OPTION…]: %s\n%s", std::string(command.name).c_str(),
                std::string(command.summary).c_str(), OptionsHelp(subjects).c_str());
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
  for (const Command& command : kCommands) {
    if (command.name == arguments[0]) return RunCommand(command, arguments.subspan(1));
  }
  return Complain(absl::StrCat("unknown command '", arguments[0], "'; valid: ", CommandNames()));
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) {
  const std::vector<absl::string_view> arguments(argv + std::min(argc, 1), argv + argc);
  return tenon::bench::Main(arguments);
}
