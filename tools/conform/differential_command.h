// `conform differential`: random scripts on several backends.

#ifndef TENON_TOOLS_CONFORM_DIFFERENTIAL_COMMAND_H_
#define TENON_TOOLS_CONFORM_DIFFERENTIAL_COMMAND_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance {

// Does what `arguments`, those after the word "differential", say with backends of `linked`, and
// returns the exit status. `replay_program` is how the user may run this program again.
//
// REQUIRES: this process has one thread.
int RunDifferential(const std::vector<std::string>& arguments,
                    absl::Span<const LoopBackendFactory* const> linked,
                    const std::string& replay_program);

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_DIFFERENTIAL_COMMAND_H_
