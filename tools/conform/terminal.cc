#include "tenon/tools/conform/terminal.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tenon::conformance {
namespace {

// Constant initialisation, and lock-free: a signal handler may set it.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void Interrupt(int /*signal*/) { interrupted = true; }

bool IsSet(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool WantsColour() {
  const char* const terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) != 0 && !IsSet("NO_COLOR") && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

}  // namespace

absl::StatusOr<Output> Output::Open(const std::string& file) {
  if (file.empty()) return Output("", WantsColour());
  std::filesystem::path path = file;
  if (path.is_relative() && IsSet("BUILD_WORKING_DIRECTORY")) {
    path = std::filesystem::path(std::getenv("BUILD_WORKING_DIRECTORY")) / path;
  }
  errno = 0;
  if (!std::ofstream(path, std::ios::app)) {
    return absl::ErrnoToStatus(errno, absl::StrCat("--out: cannot write ", path.string()));
  }
  return Output(path.string(), false);
}

absl::Status Output::Write(std::string_view text) const {
  if (file_.empty()) {
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    return written && std::fflush(stdout) == 0 ? absl::OkStatus()
                                               : absl::ErrnoToStatus(errno, "standard output");
  }
  std::ofstream stream(file_, std::ios::trunc);
  stream << text << std::flush;
  return stream ? absl::OkStatus() : absl::ErrnoToStatus(errno, absl::StrCat("writing ", file_));
}

std::function<void(const Progress&)> ProgressLine() {
  if (isatty(STDERR_FILENO) == 0) return nullptr;
  return [](const Progress& progress) {
    absl::FPrintF(stderr, "\r\x1b[K%d of %d%s  %s", progress.done, progress.total,
                  progress.failed > 0 ? absl::StrCat(", ", progress.failed, " failed") : "",
                  progress.current);
    std::fflush(stderr);
  };
}

void ClearProgressLine() {
  if (isatty(STDERR_FILENO) != 0) absl::FPrintF(stderr, "\r\x1b[K");
}

const std::atomic<bool>* InterruptFlag() {
  struct sigaction action = {};
  action.sa_handler = Interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return &interrupted;
}

}  // namespace tenon::conformance
