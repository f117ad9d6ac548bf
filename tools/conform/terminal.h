// Where results go, what is shown meanwhile, and how a run is interrupted.

#ifndef TENON_TOOLS_CONFORM_TERMINAL_H_
#define TENON_TOOLS_CONFORM_TERMINAL_H_

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/conformance/runner/runner.h"

namespace tenon::conformance {

// A file or standard output.
class Output {
 public:
  // `file` is empty for standard output. A relative name is meant from where the user is, which
  // under `bazel run` is not the current directory. Fails when the file cannot be written, without
  // changing what is in it.
  static absl::StatusOr<Output> Open(const std::string& file);

  // Whether colours are wanted: on a terminal, unless NO_COLOR is set (no-color.org).
  bool colour() const { return colour_; }

  // Replaces the file's content, or prints.
  absl::Status Write(std::string_view text) const;

 private:
  Output(std::string file, bool colour) : file_(std::move(file)), colour_(colour) {}

  std::string file_;
  bool colour_ = false;
};

// A callback that keeps one line on standard error up to date; empty when that is no terminal.
std::function<void(const Progress&)> ProgressLine();

// Removes that line.
void ClearProgressLine();

// Set by SIGINT and SIGTERM from the first call on.
const std::atomic<bool>* InterruptFlag();

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_TERMINAL_H_
