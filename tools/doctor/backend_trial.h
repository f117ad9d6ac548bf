// Finding out whether a backend can run here by letting it run.

#ifndef TENON_TOOLS_DOCTOR_BACKEND_TRIAL_H_
#define TENON_TOOLS_DOCTOR_BACKEND_TRIAL_H_

#include <cstdint>

#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/time.h"
#include "tenon/tools/doctor/findings.h"

namespace tenon::doctor {

// After this a step of a trial counts as failed: far more than any takes.
inline constexpr int64_t kStepTimeoutNs = 10 * kSecondNs;

// Probes the backend, makes a loop with it, has that perform one of each kind of thing (an
// operation of the loop's own, a timer, a path, a blocking function, an exchange over a pair of
// sockets), drains it, and measures what further loops cost. Every step is waited for at most
// `step_timeout_ns`; a loop that does not give its operations back is left to itself. Leaves
// nothing else behind.
BackendFindings TryBackend(const LoopBackendFactory& factory,
                           int64_t step_timeout_ns = kStepTimeoutNs);

}  // namespace tenon::doctor

#endif  // TENON_TOOLS_DOCTOR_BACKEND_TRIAL_H_
