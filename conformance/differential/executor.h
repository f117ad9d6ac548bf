// Runs a script on one backend, in this process, so that its history is determined.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_EXECUTOR_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_EXECUTOR_H_

#include <cstdint>

#include "tenon/conformance/differential/history.h"
#include "tenon/conformance/differential/script.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/time.h"

namespace tenon::conformance::differential {

struct ExecutionOptions {
  // What every backend of the comparison declares; steps that need what is not in it are submitted
  // as plain ones.
  bool multishot = false;
  bool provided_buffers = false;
  // How long nothing may happen while something is able to complete, before the run counts as
  // stalled.
  int64_t patience_ns = 5 * kSecondNs;
};

// Runs every step, drains and destroys the loop, and compares the process with what it was before.
// The current directory is where files are made: empty, and this process's alone, which does
// nothing else. May die or hang as the backend does, and ends the process where the loop stalls;
// see RunInProcess.
//
// What a script does is determined by these:
// - The loop turns only at a settle step, and before a step that must not meet what is under way
//   (touches.h). What then still must not meet it, because it is pending, is left out.
// - A settle ends when nothing ran in several turns, nothing that is pending is able to complete,
//   by poll(2), and nothing is under way between two ends.
void Execute(const Script& script, const LoopBackendFactory& factory,
             const ExecutionOptions& options, HistoryWriter& history);

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_EXECUTOR_H_
