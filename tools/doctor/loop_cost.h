// What a loop takes of its process.

#ifndef TENON_TOOLS_DOCTOR_LOOP_COST_H_
#define TENON_TOOLS_DOCTOR_LOOP_COST_H_

#include "absl/status/statusor.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/tools/doctor/findings.h"

namespace tenon::doctor {

// Makes several idle loops with default options beside a first one, and returns what each cost
// on average, as the process's entries below /proc/self tell. Meant for a process that does nothing
// else meanwhile. Fails as Loop::Create does.
absl::StatusOr<LoopCost> MeasureLoopCost(const LoopBackendFactory& factory);

}  // namespace tenon::doctor

#endif  // TENON_TOOLS_DOCTOR_LOOP_COST_H_
