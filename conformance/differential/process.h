// A script in a process of its own: what the backend does to it is a part of the history.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_PROCESS_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_PROCESS_H_

#include <chrono>

#include "absl/status/statusor.h"
#include "tenon/conformance/differential/executor.h"
#include "tenon/conformance/differential/history.h"
#include "tenon/conformance/differential/script.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance::differential {

struct ProcessOptions {
  ExecutionOptions execution;
  // After which the process counts as hanging and is killed.
  std::chrono::seconds watchdog{30};
};

// Runs Execute in a forked child, in a folder of its own that is removed afterwards. A crash, a
// sanitizer's report or a hang is the history's `end`: "SIGABRT: <the last line it wrote>".
//
// REQUIRES: this process has one thread. What is forked has its descriptors and memory, and runs no
// exit handlers.
History RunInProcess(const Script& script, const LoopBackendFactory& factory,
                     const ProcessOptions& options);

// What the backends of a factory declare, asked in a forked child, since making one may start
// threads. The status of a Create that failed, or Unavailable where the child did not answer.
absl::StatusOr<BackendCapabilities> CapabilitiesInProcess(const LoopBackendFactory& factory,
                                                          const ProcessOptions& options);

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_PROCESS_H_
